-- oldest-program: 16
-- Which combos a product is a component of: the stock of a component that moves moves theirs, too.
CREATE INDEX nhanh_combo_items_by_item ON dongbo.nhanh_combo_items (store, item_id);
