-- Jobs that are steps of another or wait for a person; stock by location and depot; what belongs together on both
-- sides; every push to Shopify.

ALTER TABLE dongbo.background_jobs
    DROP CONSTRAINT background_jobs_status_check,
    ADD CONSTRAINT background_jobs_status_check CHECK (
        status IN ('PENDING', 'RUNNING', 'AWAITING_APPROVAL', 'COMPLETED', 'FAILED', 'CANCELLED')
    ),
    ADD COLUMN parent_id uuid REFERENCES dongbo.background_jobs (id) ON DELETE SET NULL;

CREATE INDEX background_jobs_by_parent ON dongbo.background_jobs (parent_id) WHERE parent_id IS NOT NULL;
-- A newer run of the same kind takes the place of one that waits: a person decides on the present state only.
CREATE UNIQUE INDEX background_jobs_one_waiting ON dongbo.background_jobs (store, type)
    WHERE status = 'AWAITING_APPROVAL';

-- What a person is asked to approve: a run that was approved carries out these changes, and asks again for others.
CREATE TABLE dongbo.approval_items (
    job_id      uuid   NOT NULL REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    kind        text   NOT NULL,
    owner_id    bigint NOT NULL,
    location_id bigint NOT NULL DEFAULT 0,  -- 0 where there is none
    old_value   text,
    new_value   text,
    PRIMARY KEY (job_id, kind, owner_id, location_id)
);

-- The mirror learns what matching and pushing need. The keys are computed by the program (daemon/mirror/keys.py), so the
-- rows are read anew: an empty digest differs from any, and without a watermark the next pull is a full one.
ALTER TABLE dongbo.nhanh_products
    ADD COLUMN sku_key     text,
    ADD COLUMN barcode_key text,
    ADD COLUMN stock_known boolean NOT NULL DEFAULT false;  -- whether Nhanh has told its stock, be it none at all
ALTER TABLE dongbo.shopify_variants
    ADD COLUMN sku_key     text,
    ADD COLUMN barcode_key text,
    ADD COLUMN pushed_at   timestamptz,  -- when we last set or read its prices beside a pull
    ADD COLUMN tracked     boolean;  -- NULL: not pulled since stock by location is mirrored
ALTER TABLE dongbo.shopify_customers
    ADD COLUMN pushed_at  timestamptz,
    ADD COLUMN metafields jsonb;  -- {"custom.total_spent": {"value": …, "compareDigest": …, "type": …} or null}; NULL: not pulled yet
UPDATE dongbo.nhanh_products SET digest = '';
UPDATE dongbo.shopify_products SET digest = '';
UPDATE dongbo.shopify_variants SET digest = '';
UPDATE dongbo.shopify_customers SET digest = '';
DELETE FROM dongbo.watermarks WHERE stream ~ '^(nhanh_products|shopify_products|shopify_customers)(\?|$)';

-- Pulls of products no longer wait for those of customers: their jobs that are live move to lanes of their own.
UPDATE dongbo.background_jobs
SET lane = replace(lane, '/shopify', CASE type WHEN 'PULL_SHOPIFY_PRODUCTS' THEN '/shopify-products' ELSE '/shopify-customers' END)
WHERE status IN ('PENDING', 'RUNNING') AND lane LIKE '%/shopify';
DO $$
BEGIN
    IF to_regclass('dongbo.pgqueuer') IS NOT NULL THEN
        UPDATE dongbo.pgqueuer AS place SET entrypoint = job.lane FROM dongbo.background_jobs AS job
        WHERE place.payload = convert_to(job.id::text, 'UTF8') AND place.entrypoint <> job.lane;
    END IF;
END $$;

CREATE INDEX nhanh_products_by_sku ON dongbo.nhanh_products (store, sku_key) WHERE sku_key IS NOT NULL;
CREATE INDEX shopify_variants_by_sku ON dongbo.shopify_variants (store, sku_key) WHERE sku_key IS NOT NULL;

CREATE TABLE dongbo.nhanh_depots (
    store         text        NOT NULL,
    id            bigint      NOT NULL,
    name          text,
    visible_since timestamptz NOT NULL DEFAULT clock_timestamp(),  -- the access token may see it since then
    hidden_at     timestamptz,
    PRIMARY KEY (store, id)
);

CREATE TABLE dongbo.shopify_locations (
    store      text        NOT NULL,
    id         bigint      NOT NULL,
    name       text,
    is_active  boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, id)
);

CREATE TABLE dongbo.shopify_inventory_levels (
    store             text        NOT NULL,
    inventory_item_id bigint      NOT NULL,
    location_id       bigint      NOT NULL,
    variant_id        bigint      NOT NULL,
    available         bigint      NOT NULL,
    pushed_at         timestamptz,  -- when we last set or read it beside a pull
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,  -- the item is not stocked there any more
    PRIMARY KEY (store, inventory_item_id, location_id)
);
CREATE INDEX shopify_inventory_levels_by_variant ON dongbo.shopify_inventory_levels (store, variant_id);

-- Which product of Nhanh.vn a variant of Shopify is. One that is retired stays, to tell what was.
CREATE TABLE dongbo.product_mappings (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store          text        NOT NULL,
    variant_id     bigint      NOT NULL,
    nhanh_id       bigint,  -- NULL: a person has said that the variant has no counterpart
    source         text        NOT NULL CHECK (source IN ('sku', 'barcode', 'manual')),
    note           text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    changed_at     timestamptz NOT NULL DEFAULT now(),
    retired_at     timestamptz,
    retired_reason text,
    returns        boolean     NOT NULL DEFAULT false,  -- a person's decision, retired only while a row of it is gone
    CONSTRAINT only_people_exclude CHECK (nhanh_id IS NOT NULL OR source = 'manual'),
    CONSTRAINT only_decisions_return CHECK (NOT returns OR (source = 'manual' AND retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX product_mappings_one_per_variant ON dongbo.product_mappings (store, variant_id)
    WHERE retired_at IS NULL;
-- A person may give several variants one product; matching by itself never does.
CREATE UNIQUE INDEX product_mappings_one_by_key ON dongbo.product_mappings (store, nhanh_id)
    WHERE retired_at IS NULL AND source <> 'manual';
CREATE INDEX product_mappings_by_product ON dongbo.product_mappings (store, nhanh_id) WHERE retired_at IS NULL;
CREATE INDEX product_mappings_returning ON dongbo.product_mappings (store, variant_id) WHERE returns;
CREATE INDEX product_mappings_history ON dongbo.product_mappings (store, variant_id, id);

-- Keys that several rows of a side share: a person must say what belongs together.
CREATE TABLE dongbo.match_conflicts (
    store         text        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('sku', 'barcode', 'phone')),
    key           text        NOT NULL,
    nhanh_ids     bigint[]    NOT NULL,
    shopify_ids   bigint[]    NOT NULL,  -- variants; customers of kind phone
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, kind, key)
);

-- The phone numbers of customers, read by phonenumbers' rules (daemon/sync/matching/phones.py): E.164.
CREATE TABLE dongbo.customer_phones (
    store       text   NOT NULL,
    side        text   NOT NULL CHECK (side IN ('nhanh', 'shopify')),
    customer_id bigint NOT NULL,
    phone       text   NOT NULL,
    origin      text   NOT NULL CHECK (origin IN ('phone', 'address', 'note')),
    PRIMARY KEY (store, side, customer_id, phone)
);
CREATE INDEX customer_phones_by_phone ON dongbo.customer_phones (store, phone);

-- From which state of a customer its phone numbers were read.
CREATE TABLE dongbo.customer_phone_states (
    store       text   NOT NULL,
    side        text   NOT NULL,
    customer_id bigint NOT NULL,
    state       bytea  NOT NULL,
    PRIMARY KEY (store, side, customer_id)
);

CREATE TABLE dongbo.customer_mappings (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store          text        NOT NULL,
    nhanh_id       bigint      NOT NULL,
    shopify_id     bigint      NOT NULL,
    source         text        NOT NULL CHECK (source IN ('phone', 'address', 'note')),
    phone          text        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    retired_at     timestamptz,
    retired_reason text
);
CREATE UNIQUE INDEX customer_mappings_one_per_customer ON dongbo.customer_mappings (store, shopify_id)
    WHERE retired_at IS NULL;
CREATE UNIQUE INDEX customer_mappings_one_per_nhanh ON dongbo.customer_mappings (store, nhanh_id)
    WHERE retired_at IS NULL;

-- Every value that was pushed to Shopify: its intent is committed before the call, its result after it. Jobs are pruned;
-- the last push of each value is not, for it tells why Shopify says what it says.
CREATE TABLE dongbo.pushes (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store       text        NOT NULL,
    job_id      uuid        NOT NULL,
    kind        text        NOT NULL
        CHECK (kind IN ('stock', 'activation', 'price', 'compare_at_price', 'metafield', 'tags')),
    owner_id    bigint      NOT NULL,  -- the variant; of metafield and tags the customer
    item_id     bigint,                -- the variant's inventory item
    location_id bigint,
    name        text,                  -- of the metafield, "custom.total_spent"
    old_value   text,
    new_value   text,
    reason      text        NOT NULL,
    call_key    uuid        NOT NULL,  -- one for each call; Shopify's idempotency key where it takes one
    result      text        NOT NULL DEFAULT 'intended'
        CHECK (result IN ('intended', 'applied', 'stale', 'refused', 'unknown')),
    detail      text,
    intended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at  timestamptz,
    CONSTRAINT settled_has_a_time CHECK ((result = 'intended') = (settled_at IS NULL))
);
CREATE INDEX pushes_of_owner ON dongbo.pushes (store, owner_id, kind, id);
CREATE INDEX pushes_of_job ON dongbo.pushes (job_id, id);
CREATE INDEX pushes_of_call ON dongbo.pushes (call_key);
CREATE INDEX pushes_open ON dongbo.pushes (store, id) WHERE result = 'intended';
CREATE INDEX pushes_settled ON dongbo.pushes (settled_at);
