-- Sale campaigns: what they are, which variants they hold when, and every price that they write.

CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA dongbo;  -- lets the exclusion constraint compare stores and variants

CREATE TABLE dongbo.sale_campaigns (
    id           uuid        PRIMARY KEY,
    store        text        NOT NULL,
    name         text        NOT NULL,
    origin       text        NOT NULL CHECK (origin IN ('file', 'api', 'cli')),
    state        text        NOT NULL CHECK (state IN (
        'DRAFT', 'SCHEDULED', 'APPLYING', 'ACTIVE', 'REVERTING', 'COMPLETED', 'CANCELLED', 'FAILED', 'NEEDS_ATTENTION'
    )),
    definition   jsonb       NOT NULL,  -- as daemon/config/sales.py reads it, with times in UTC
    in_file      jsonb,                 -- what the configuration file said when that was taken over; NULL: not of the file
    starts_at    timestamptz,           -- as planned; NULL of a draft that starts when it is told to
    ends_at      timestamptz,           -- as planned; NULL: when a person ends it
    is_cancelled boolean     NOT NULL DEFAULT false,  -- a person has called it off while it ran
    notice       text,                  -- what a person should know of, or decide
    variants     integer     NOT NULL DEFAULT 0,  -- that it was last planned for
    prepared_at  timestamptz,           -- when targets and prices were last read for it
    started_at   timestamptz,           -- when applying began
    ended_at     timestamptz,           -- when reverting began
    closed_at    timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ends_behind_start CHECK (ends_at > starts_at)
);
CREATE UNIQUE INDEX sale_campaigns_one_open ON dongbo.sale_campaigns (store, name)
    WHERE state NOT IN ('COMPLETED', 'CANCELLED', 'FAILED');
CREATE INDEX sale_campaigns_by_name ON dongbo.sale_campaigns (store, name, created_at);

-- What happened to a campaign and why, for people.
CREATE TABLE dongbo.sale_events (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id uuid        NOT NULL REFERENCES dongbo.sale_campaigns (id) ON DELETE CASCADE,
    state       text        NOT NULL,
    detail      text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sale_events_of_campaign ON dongbo.sale_events (campaign_id, id);

-- The price journal: one row for each variant of a campaign, with its prices before, during and after.
CREATE TABLE dongbo.sale_items (
    campaign_id            uuid          NOT NULL REFERENCES dongbo.sale_campaigns (id) ON DELETE CASCADE,
    variant_id             bigint        NOT NULL,
    product_id             bigint        NOT NULL,
    store                  text          NOT NULL,
    sku                    text,
    title                  text,
    state                  text          NOT NULL CHECK (state IN (
        'PLANNED', 'APPLYING', 'APPLIED', 'REVERTING', 'REVERTED', 'DRIFTED', 'KEPT', 'GONE', 'SKIPPED', 'REFUSED', 'STUCK'
    )),
    held                   tstzrange     NOT NULL,  -- when the variant is the campaign's alone; empty when it is given back
    before_price           numeric(20, 4) NOT NULL,  -- what the sale found …
    before_compare_at      numeric(20, 4),
    base_price             numeric(20, 4) NOT NULL,  -- … and what it goes back to: the product sync may change it meanwhile
    base_compare_at        numeric(20, 4),
    sale_price             numeric(20, 4),           -- NULL of what is skipped
    sale_compare_at        numeric(20, 4),
    found_price            numeric(20, 4),           -- what somebody else has set in the meantime
    found_compare_at       numeric(20, 4),
    decision               text          CHECK (decision IN ('keep', 'restore')),
    note                   text,
    applied_at             timestamptz,
    closed_at              timestamptz,
    verified_at            timestamptz,  -- when Shopify was seen to have the price that it should go back to
    PRIMARY KEY (campaign_id, variant_id),
    CONSTRAINT sale_items_no_overlap EXCLUDE USING gist (store WITH =, variant_id WITH =, held WITH &&)
        WHERE (NOT isempty(held))
);
CREATE INDEX sale_items_by_state ON dongbo.sale_items (campaign_id, state, product_id, variant_id);
CREATE INDEX sale_items_of_variant ON dongbo.sale_items (store, variant_id)
    WHERE state IN ('PLANNED', 'APPLYING', 'APPLIED', 'REVERTING', 'DRIFTED', 'STUCK');

-- Every write of prices for a campaign: its intent is committed before the call, its outcome after it.
CREATE TABLE dongbo.sale_writes (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id    uuid        NOT NULL REFERENCES dongbo.sale_campaigns (id) ON DELETE CASCADE,
    store          text        NOT NULL,
    variant_id     bigint      NOT NULL,
    action         text        NOT NULL CHECK (action IN ('apply', 'revert')),
    old_price      numeric(20, 4) NOT NULL,
    old_compare_at numeric(20, 4),
    new_price      numeric(20, 4) NOT NULL,
    new_compare_at numeric(20, 4),
    job_id         uuid        NOT NULL,
    run_token      uuid        NOT NULL,  -- the run that wrote it: one that still runs has the call in its hands
    result         text        NOT NULL DEFAULT 'intended' CHECK (result IN ('intended', 'applied', 'refused', 'unknown')),
    detail         text,
    intended_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at     timestamptz,
    CONSTRAINT settled_has_a_time CHECK ((result = 'intended') = (settled_at IS NULL))
);
CREATE INDEX sale_writes_of_item ON dongbo.sale_writes (campaign_id, variant_id, id);
CREATE INDEX sale_writes_open ON dongbo.sale_writes (campaign_id, variant_id) WHERE result = 'intended';

-- Collections of Shopify that campaigns are for, as they were last read.
CREATE TABLE dongbo.shopify_collections (
    store     text        NOT NULL,
    reference text        NOT NULL,  -- the handle or number that a campaign names it by
    id        bigint,                -- NULL: Shopify has no such collection
    title     text,
    read_at   timestamptz NOT NULL,
    PRIMARY KEY (store, reference)
);
CREATE TABLE dongbo.shopify_collection_products (
    store      text   NOT NULL,
    reference  text   NOT NULL,
    product_id bigint NOT NULL,
    PRIMARY KEY (store, reference, product_id)
);
