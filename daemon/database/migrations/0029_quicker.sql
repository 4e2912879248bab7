-- oldest-program: 16
-- To compress lists of ids, which hardly shrink, took longer than to write them.
ALTER TABLE dongbo.customer_texts_due ALTER COLUMN ids SET STORAGE EXTERNAL;
ALTER TABLE dongbo.match_batches
    ALTER COLUMN kinds SET STORAGE EXTERNAL,
    ALTER COLUMN mapping_ids SET STORAGE EXTERNAL,
    ALTER COLUMN shopify_ids SET STORAGE EXTERNAL,
    ALTER COLUMN nhanh_ids SET STORAGE EXTERNAL,
    ALTER COLUMN sources SET STORAGE EXTERNAL,
    ALTER COLUMN phones SET STORAGE EXTERNAL,
    ALTER COLUMN reasons SET STORAGE EXTERNAL,
    ALTER COLUMN counts SET STORAGE EXTERNAL;

-- One index in place of two, on either side. A person may give a customer of Nhanh.vn to several, and matching by itself
-- only to one; of a customer of Shopify one mapping holds, and those of before are kept.
CREATE UNIQUE INDEX customer_mappings_of_nhanh
    ON dongbo.customer_mappings (store, nhanh_id, (CASE WHEN source = 'manual' THEN id ELSE 0 END))
    WHERE retired_at IS NULL;
DROP INDEX dongbo.customer_mappings_by_nhanh;
DROP INDEX dongbo.customer_mappings_one_by_phone;
CREATE UNIQUE INDEX customer_mappings_of_shopify
    ON dongbo.customer_mappings (store, shopify_id, (CASE WHEN retired_at IS NULL THEN 0 ELSE id END));
DROP INDEX dongbo.customer_mappings_history;
DROP INDEX dongbo.customer_mappings_one_per_customer;

-- To look the campaign up for each item of a plan took a fifth of the time of a large one, since our sessions plan every
-- statement anew, also those of foreign keys. Whoever writes items has their campaign's row locked, so that it is there.
LOCK TABLE dongbo.sale_campaigns, dongbo.sale_items IN ACCESS EXCLUSIVE MODE;  -- in the order of whoever writes them
ALTER TABLE dongbo.sale_items DROP CONSTRAINT sale_items_campaign_id_fkey;

CREATE FUNCTION dongbo.delete_sale_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM dongbo.sale_items USING gone WHERE campaign_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER delete_items AFTER DELETE ON dongbo.sale_campaigns
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION dongbo.delete_sale_items();
