-- oldest-program: 16
-- What webhooks have told: one row for each kind of thing that a delivery names. It is committed before the delivery is
-- answered, and says what changed; the job that takes it reads the value itself at its source.
CREATE TABLE dongbo.webhook_events (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store        text        NOT NULL,
    source       text        NOT NULL CHECK (source IN ('nhanh', 'shopify')),
    event_id     text,                   -- of Shopify, the same when it delivers again; Nhanh.vn gives none
    topic        text        NOT NULL,   -- in the source's words: inventoryChange, products/update
    subject      text        NOT NULL,   -- what kind of thing it is about: nhanh_product, shopify_customer, nothing
    subject_ids  bigint[]    NOT NULL DEFAULT '{}',
    concern      text        CHECK (concern IN ('products', 'customers')),  -- NULL: no job takes it
    hint         jsonb,                  -- figures that may save a read, and are never written to a shop
    body         text,                   -- the beginning of one that is not understood
    triggered_at timestamptz,            -- by the source's clock
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    state        text        NOT NULL CHECK (state IN ('WAITING', 'TAKEN', 'DONE', 'FAILED', 'NOTED')),
    job_id       uuid,                   -- the job that has taken it
    attempts     integer     NOT NULL DEFAULT 0,  -- how many jobs have taken it
    outcome      text,
    settled_at   timestamptz
);
CREATE UNIQUE INDEX webhook_events_once ON dongbo.webhook_events (store, source, event_id, subject)
    WHERE event_id IS NOT NULL;
CREATE INDEX webhook_events_open ON dongbo.webhook_events (store, concern, state, id)
    WHERE state IN ('WAITING', 'TAKEN');
CREATE INDEX webhook_events_listed ON dongbo.webhook_events (store, state, id);
CREATE INDEX webhook_events_of_job ON dongbo.webhook_events (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX webhook_events_settled ON dongbo.webhook_events (settled_at) WHERE settled_at IS NOT NULL;

-- The webhooks of one side of a store: until when somebody has listened for them, and what could not be accepted.
CREATE TABLE dongbo.webhook_streams (
    store           text        NOT NULL,
    source          text        NOT NULL CHECK (source IN ('nhanh', 'shopify')),
    listened_until  timestamptz,          -- deliveries were accepted until then; NULL: never
    refused         bigint      NOT NULL DEFAULT 0,  -- with a wrong signature
    last_refused_at timestamptz,
    turned_away     bigint      NOT NULL DEFAULT 0,  -- rightly signed, but they could not be stored
    last_turned_away_at timestamptz,
    caught_up_at    timestamptz,          -- when a pull was last asked for, to make up for what was missed
    PRIMARY KEY (store, source)
);

-- What has come of each topic. The counters only grow.
CREATE TABLE dongbo.webhook_topics (
    store            text        NOT NULL,
    source           text        NOT NULL CHECK (source IN ('nhanh', 'shopify')),
    topic            text        NOT NULL,
    received         bigint      NOT NULL DEFAULT 0,  -- deliveries, repeats among them
    repeated         bigint      NOT NULL DEFAULT 0,
    last_received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (store, source, topic)
) WITH (fillfactor = 50);
