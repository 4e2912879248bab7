-- oldest-program: 16
-- What lies at a location, beside what is available there. NULL until Shopify has been asked since this migration.
ALTER TABLE dongbo.shopify_inventory_levels ADD COLUMN on_hand bigint;
