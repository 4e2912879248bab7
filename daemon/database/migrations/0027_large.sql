-- oldest-program: 16
-- What matching has decided and not written yet, in batches of some thousand changes: what a large shop needs is written
-- batch by batch, so that nobody waits long for the mappings.
CREATE TABLE dongbo.match_batches (
    job_id      uuid     NOT NULL REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    subject     text     NOT NULL CHECK (subject IN ('variant', 'customer')),
    number      integer  NOT NULL,  -- in the order in which they are written
    kinds       text[]   NOT NULL,  -- retired, moved, restored, matched; the other columns have as many places
    mapping_ids bigint[] NOT NULL,  -- NULL of what is newly matched
    shopify_ids bigint[] NOT NULL,  -- variants, or customers
    nhanh_ids   bigint[] NOT NULL,
    sources     text[]   NOT NULL,
    phones      text[]   NOT NULL,
    reasons     text[]   NOT NULL,
    counts      text[]   NOT NULL,  -- as what the row of Shopify counts with this change: created, updated; NULL: with another
    PRIMARY KEY (job_id, subject, number)
);

-- How many times matching has written its findings: whoever was decided about beside another match is decided again.
CREATE TABLE dongbo.match_rounds (
    store   text   NOT NULL,
    subject text   NOT NULL CHECK (subject IN ('variant', 'customer')),
    number  bigint NOT NULL,
    PRIMARY KEY (store, subject)
);

-- Customers whose texts are to be noted: folding and indexing these takes longer than reading the numbers of the customers,
-- and matching does not wait for it. A row for each page of customers that was read.
CREATE TABLE dongbo.customer_texts_due (
    number bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store  text     NOT NULL,
    side   text     NOT NULL CHECK (side IN ('nhanh', 'shopify')),
    ids    bigint[] NOT NULL
);

-- The same texts as before, in half the time: PostgreSQL does not inline dongbo.searched().
CREATE OR REPLACE VIEW dongbo.texts_of_buyers AS
SELECT store, 'nhanh' AS side, id, '|' || dongbo.folded(
    array_to_string(ARRAY[dongbo.digits(mobile), code, email, name], '|', '')
) AS text
FROM dongbo.nhanh_customers;

CREATE OR REPLACE VIEW dongbo.texts_of_customers AS
SELECT store, 'shopify' AS side, id, '|' || dongbo.folded(
    array_to_string(ARRAY[dongbo.digits(phone), dongbo.digits(address_phone), email, display_name], '|', '')
) AS text
FROM dongbo.shopify_customers;

-- Room for a second version of each row: a plan that is written anew changes prices only, and need not touch any index.
ALTER TABLE dongbo.sale_items SET (fillfactor = 50);

-- The variant first: it tells rows apart, and of a tree that goes by the store first, all of it would be looked through.
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA dongbo;
ALTER TABLE dongbo.sale_items
    DROP CONSTRAINT sale_items_no_overlap,
    ADD CONSTRAINT sale_items_no_overlap EXCLUDE USING gist (variant_id WITH =, store WITH =, held WITH &&)
        WHERE (NOT isempty(held));
