-- Local mirrors of both sources. `document` is the source's own row; `digest` its fingerprint, by which an unchanged
-- row is recognised without reading the document. Times are the source's where the name says so, else ours.

CREATE TABLE dongbo.nhanh_customers (
    store             text        NOT NULL,
    id                bigint      NOT NULL,
    type              smallint,
    name              text,
    mobile            text,
    code              text,
    email             text,
    address           text,
    points            bigint,
    total_amount      numeric(20, 4),
    source_updated_at timestamptz,
    document          jsonb       NOT NULL,
    digest            bytea       NOT NULL,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,
    PRIMARY KEY (store, id)
);

CREATE TABLE dongbo.nhanh_products (
    store             text        NOT NULL,
    id                bigint      NOT NULL,
    parent_id         bigint,
    code              text,
    barcode           text,
    name              text,
    status            smallint,
    type              smallint,
    retail_price      numeric(20, 4),
    import_price      numeric(20, 4),
    old_price         numeric(20, 4),
    wholesale_price   numeric(20, 4),
    category_id       bigint,
    brand_id          bigint,
    source_updated_at timestamptz,
    document          jsonb       NOT NULL,  -- without `inventory`, which changes on its own and has its own table
    digest            bytea       NOT NULL,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,
    PRIMARY KEY (store, id)
);

CREATE TABLE dongbo.nhanh_inventory (
    store         text        NOT NULL,
    product_id    bigint      NOT NULL,
    depot_id      bigint      NOT NULL,
    remain        numeric(20, 4) NOT NULL,
    available     numeric(20, 4) NOT NULL,
    holding       numeric(20, 4) NOT NULL,
    shipping      numeric(20, 4) NOT NULL,
    damaged       numeric(20, 4) NOT NULL,
    transferring  numeric(20, 4) NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz,
    PRIMARY KEY (store, product_id, depot_id)
);

CREATE TABLE dongbo.shopify_customers (
    store             text        NOT NULL,
    id                bigint      NOT NULL,
    display_name      text,
    email             text,
    phone             text,
    address_phone     text,
    note              text,
    tags              text[]      NOT NULL,
    amount_spent      numeric(20, 4),
    currency          text,
    number_of_orders  bigint,
    state             text,
    source_updated_at timestamptz,
    document          jsonb       NOT NULL,
    digest            bytea       NOT NULL,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,
    PRIMARY KEY (store, id)
);

CREATE TABLE dongbo.shopify_products (
    store             text        NOT NULL,
    id                bigint      NOT NULL,
    handle            text,
    title             text,
    status            text,
    vendor            text,
    product_type      text,
    tags              text[]      NOT NULL,
    source_updated_at timestamptz,
    document          jsonb       NOT NULL,  -- without `variants`, which have their own table
    digest            bytea       NOT NULL,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,
    PRIMARY KEY (store, id)
);

CREATE TABLE dongbo.shopify_variants (
    store              text        NOT NULL,
    id                 bigint      NOT NULL,
    product_id         bigint      NOT NULL,
    inventory_item_id  bigint,
    sku                text,
    barcode            text,
    title              text,
    position           integer,
    price              numeric(20, 4) NOT NULL,
    compare_at_price   numeric(20, 4),
    inventory_quantity bigint,
    source_updated_at  timestamptz,
    document           jsonb       NOT NULL,
    digest             bytea       NOT NULL,
    first_seen_at      timestamptz NOT NULL DEFAULT now(),
    changed_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz,
    PRIMARY KEY (store, id)
);
CREATE INDEX shopify_variants_by_product ON dongbo.shopify_variants (store, product_id);

-- Until when a stream is known to be complete: an incremental pull asks for what changed since.
CREATE TABLE dongbo.watermarks (
    store      text        NOT NULL,
    stream     text        NOT NULL,
    complete_to timestamptz NOT NULL,
    rows_at_last_full_pull bigint,  -- the estimate of `total` where a source can't count
    full_pull_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, stream)
);

-- Rows that a running full pull did not find at the source. They are marked as deleted only at its end, all at once,
-- if their share is plausible.
CREATE TABLE dongbo.deletion_candidates (
    store     text   NOT NULL,
    stream    text   NOT NULL,
    source_id bigint NOT NULL,
    PRIMARY KEY (store, stream, source_id)
);
