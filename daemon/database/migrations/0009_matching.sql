-- Texts that people search, without case, accents and invisible characters: computed by the database itself, so that
-- rows of before, and rows that an older daemon writes, have them too. Keys that tell nothing apart, for people to see.
-- Rows whose keys were computed by older rules.

-- As people compare texts, in any locale: PostgreSQL's own lower() and ILIKE know only ASCII in the locale C. Blanks,
-- accents and other marks are dropped, and so is what nobody sees (as daemon/texts.py has it).
CREATE FUNCTION dongbo.folded(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.lower(pg_catalog.translate(pg_catalog.regexp_replace(
        pg_catalog.normalize($1, 'NFKD'),
        '[\s\u0001-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u0300-\u036f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891'
        '\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164'
        '\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3'
        '\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+',
        '', 'g'), 'đĐøØłŁ', 'dDoOlL') COLLATE "C")
$$;

-- A line for each text: what is searched has no line break, so it is never found across two of them.
ALTER TABLE dongbo.nhanh_products ADD COLUMN searched text NOT NULL GENERATED ALWAYS AS (
    dongbo.folded(coalesce(code, '')) || E'\n' || dongbo.folded(coalesce(barcode, '')) || E'\n'
    || dongbo.folded(coalesce(name, ''))
) STORED;
ALTER TABLE dongbo.shopify_products ADD COLUMN searched text NOT NULL GENERATED ALWAYS AS (
    dongbo.folded(coalesce(title, ''))
) STORED;
ALTER TABLE dongbo.shopify_variants ADD COLUMN searched text NOT NULL GENERATED ALWAYS AS (
    dongbo.folded(coalesce(sku, '')) || E'\n' || dongbo.folded(coalesce(barcode, ''))
) STORED, ADD COLUMN searched_title text NOT NULL GENERATED ALWAYS AS (
    dongbo.folded(coalesce(nullif(title, 'Default Title'), ''))
) STORED;

-- Keys that are on both sides and stand on more than a few rows of one: they match nothing.
CREATE TABLE dongbo.common_keys (
    store         text        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('sku', 'barcode', 'phone')),
    key           text        NOT NULL,
    nhanh_rows    bigint      NOT NULL,
    shopify_rows  bigint      NOT NULL,  -- those on sale, where there are such
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, kind, key)
);

-- By which rules (daemon/mirror/keys.py) the keys of a store's rows were computed; without a row, by the second.
CREATE TABLE dongbo.key_rules (
    store text NOT NULL,
    side  text NOT NULL CHECK (side IN ('nhanh', 'shopify')),
    rules text NOT NULL,
    PRIMARY KEY (store, side)
);
INSERT INTO dongbo.key_rules
SELECT DISTINCT store, 'nhanh', '1' FROM dongbo.nhanh_products
UNION ALL
SELECT DISTINCT store, 'shopify', '1' FROM dongbo.shopify_variants;
