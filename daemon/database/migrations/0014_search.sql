-- Narrow tables of what people search by, those of items kept by the database itself: they are right whoever writes the
-- mirror. And what people decide about customers, and when they had an item read.

-- One text for each row of the mirrors, folded: a `|` before each field, the codes before the name. A search reads these
-- instead of the wide rows, and where PostgreSQL's pg_trgm is to be had, only those that have a part of what is sought.
CREATE TABLE dongbo.item_texts (
    store text   NOT NULL,
    side  text   NOT NULL CHECK (side IN ('nhanh', 'shopify')),
    id    bigint NOT NULL,  -- of the product at Nhanh.vn, of the variant at Shopify
    text  text   NOT NULL,
    PRIMARY KEY (store, side, id)
);
CREATE TABLE dongbo.customer_texts (LIKE dongbo.item_texts INCLUDING ALL);

CREATE FUNCTION dongbo.searched(VARIADIC fields text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '|' || dongbo.folded(pg_catalog.array_to_string(fields, '|', ''))
$$;

CREATE FUNCTION dongbo.digits(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.regexp_replace($1, '[^0-9]+', '', 'g')
$$;

-- Shopify gives a product without options one variant called Default Title.
CREATE VIEW dongbo.texts_of_variants AS
SELECT variant.store, 'shopify' AS side, variant.id, variant.product_id, dongbo.searched(
    variant.sku, variant.barcode, concat_ws('/', product.title, nullif(variant.title, 'Default Title'))
) AS text
FROM dongbo.shopify_variants AS variant
LEFT JOIN dongbo.shopify_products AS product ON product.store = variant.store AND product.id = variant.product_id;

CREATE VIEW dongbo.texts_of_products AS
SELECT store, 'nhanh' AS side, id, dongbo.searched(code, barcode, name) AS text FROM dongbo.nhanh_products;

CREATE VIEW dongbo.texts_of_buyers AS
SELECT store, 'nhanh' AS side, id, dongbo.searched(dongbo.digits(mobile), code, email, name) AS text
FROM dongbo.nhanh_customers;

CREATE VIEW dongbo.texts_of_customers AS
SELECT store, 'shopify' AS side, id, dongbo.searched(
    dongbo.digits(phone), dongbo.digits(address_phone), email, display_name
) AS text
FROM dongbo.shopify_customers;

-- Texts of items are noted when rows come, once for all of a statement, and when what they are made of changes, which is
-- rare: nothing else that is written to the mirror pays for them. The arguments: the view that makes the texts, and by
-- which of its columns it knows the rows that were written.
CREATE FUNCTION dongbo.note_new_texts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO dongbo.item_texts (store, side, id, text)
        SELECT made.store, made.side, made.id, made.text
        FROM written JOIN dongbo.%I AS made ON made.store = written.store AND made.%I = written.id
        ORDER BY made.id
        ON CONFLICT (store, side, id) DO UPDATE SET text = excluded.text WHERE item_texts.text <> excluded.text',
        TG_ARGV[0], TG_ARGV[1]
    );
    RETURN NULL;
END
$$;

CREATE FUNCTION dongbo.note_changed_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO dongbo.item_texts (store, side, id, text)
        SELECT store, side, id, text FROM dongbo.%I WHERE store = $1 AND %I = $2 ORDER BY id
        ON CONFLICT (store, side, id) DO UPDATE SET text = excluded.text WHERE item_texts.text <> excluded.text',
        TG_ARGV[0], TG_ARGV[1]
    ) USING NEW.store, NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_new_texts AFTER INSERT ON dongbo.shopify_variants REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION dongbo.note_new_texts('texts_of_variants', 'id');
CREATE TRIGGER note_changed_text AFTER UPDATE ON dongbo.shopify_variants FOR EACH ROW
    WHEN ((OLD.sku, OLD.barcode, OLD.title, OLD.product_id)
        IS DISTINCT FROM (NEW.sku, NEW.barcode, NEW.title, NEW.product_id))
    EXECUTE FUNCTION dongbo.note_changed_text('texts_of_variants', 'id');

CREATE TRIGGER note_new_texts AFTER INSERT ON dongbo.shopify_products REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION dongbo.note_new_texts('texts_of_variants', 'product_id');
CREATE TRIGGER note_changed_text AFTER UPDATE ON dongbo.shopify_products FOR EACH ROW
    WHEN (OLD.title IS DISTINCT FROM NEW.title)
    EXECUTE FUNCTION dongbo.note_changed_text('texts_of_variants', 'product_id');

CREATE TRIGGER note_new_texts AFTER INSERT ON dongbo.nhanh_products REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION dongbo.note_new_texts('texts_of_products', 'id');
CREATE TRIGGER note_changed_text AFTER UPDATE ON dongbo.nhanh_products FOR EACH ROW
    WHEN ((OLD.code, OLD.barcode, OLD.name) IS DISTINCT FROM (NEW.code, NEW.barcode, NEW.name))
    EXECUTE FUNCTION dongbo.note_changed_text('texts_of_products', 'id');

-- Texts of customers are noted when the customers are read to be matched (daemon/sync/matching/customer_keys.py): they
-- are pulled by the million, and matched in any case.
INSERT INTO dongbo.item_texts (store, side, id, text)
SELECT store, side, id, text FROM dongbo.texts_of_variants
UNION ALL
SELECT store, side, id, text FROM dongbo.texts_of_products;
INSERT INTO dongbo.customer_texts (store, side, id, text)
SELECT store, side, id, text FROM dongbo.texts_of_customers
UNION ALL
SELECT store, side, id, text FROM dongbo.texts_of_buyers;

-- Where the extension is not to be had, all of the narrow table is read, which takes a tenth of a second.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA dongbo;
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
    NULL;
END $$;
DO $$
DECLARE
    place text := (
        SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'
    );
BEGIN
    IF place IS NOT NULL THEN
        EXECUTE format('CREATE INDEX item_texts_by_part ON dongbo.item_texts USING gin (text %I.gin_trgm_ops)', place);
        EXECUTE format(
            'CREATE INDEX customer_texts_by_part ON dongbo.customer_texts USING gin (text %I.gin_trgm_ops)', place
        );
    END IF;
END $$;

ALTER TABLE dongbo.nhanh_products DROP COLUMN searched;
ALTER TABLE dongbo.shopify_products DROP COLUMN searched;
ALTER TABLE dongbo.shopify_variants DROP COLUMN searched, DROP COLUMN searched_title;

-- Customers are mapped by hand as products are: a decision holds against the rules, and comes back with the customer.
ALTER TABLE dongbo.customer_mappings
    ALTER COLUMN nhanh_id DROP NOT NULL,  -- NULL: a person has said that the customer has no counterpart
    ALTER COLUMN phone DROP NOT NULL,     -- NULL: a person has decided
    ADD COLUMN note text,
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN returns boolean NOT NULL DEFAULT false,  -- a decision, retired only while a row of it is gone
    DROP CONSTRAINT customer_mappings_source_check,
    ADD CONSTRAINT customer_mappings_source_check CHECK (source IN ('phone', 'address', 'note', 'manual')),
    ADD CONSTRAINT only_people_exclude CHECK (nhanh_id IS NOT NULL OR source = 'manual'),
    ADD CONSTRAINT only_people_need_no_phone CHECK ((phone IS NULL) = (source = 'manual')),
    ADD CONSTRAINT only_decisions_return CHECK (NOT returns OR (source = 'manual' AND retired_at IS NOT NULL));
UPDATE dongbo.customer_mappings SET changed_at = coalesce(retired_at, created_at);
-- A person may give several customers of Shopify one of Nhanh.vn; matching by itself never does.
DROP INDEX dongbo.customer_mappings_one_per_nhanh;
CREATE UNIQUE INDEX customer_mappings_one_by_phone ON dongbo.customer_mappings (store, nhanh_id)
    WHERE retired_at IS NULL AND source <> 'manual';
CREATE INDEX customer_mappings_by_nhanh ON dongbo.customer_mappings (store, nhanh_id) WHERE retired_at IS NULL;
CREATE INDEX customer_mappings_returning ON dongbo.customer_mappings (store, shopify_id) WHERE returns;
CREATE INDEX customer_mappings_history ON dongbo.customer_mappings (store, shopify_id, id);

-- By what else a single item is looked up.
CREATE INDEX nhanh_products_by_barcode ON dongbo.nhanh_products (store, barcode_key) WHERE barcode_key IS NOT NULL;
CREATE INDEX nhanh_products_by_parent ON dongbo.nhanh_products (store, parent_id) WHERE parent_id > 0;
CREATE INDEX shopify_variants_by_barcode ON dongbo.shopify_variants (store, barcode_key) WHERE barcode_key IS NOT NULL;

-- When a person last had a variant read at either side: one that has not changed leaves no other trace.
CREATE TABLE dongbo.item_readings (
    store      text        NOT NULL,
    variant_id bigint      NOT NULL,
    nhanh      timestamptz,
    shopify    timestamptz,
    PRIMARY KEY (store, variant_id)
);
