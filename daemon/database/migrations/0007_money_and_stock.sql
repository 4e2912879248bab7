-- What the syncs of products and customers must know before they push: in which currency the shop reckons and whether
-- its prices hold the tax, which VAT a product has, what combos are made of, what is no plain product at Shopify, and
-- which values Shopify did not take as they were sent. What stands in the mirrored documents is generated from them, so
-- that daemons of the version before keep it right without knowing of it.

CREATE TABLE dongbo.shopify_shops (
    store          text        PRIMARY KEY,
    currency       text        NOT NULL,  -- that of the mirrored prices: only a full pull of the products replaces it
    taxes_included boolean     NOT NULL,
    vat_agreed     boolean     NOT NULL DEFAULT false,  -- a person has approved prices that hold VAT, or have lost it
    read_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Nhanh.vn documentation, product/list: 1 with VAT, 2 (the default) without it.
ALTER TABLE dongbo.nhanh_products
    ADD COLUMN price_vat_mode smallint GENERATED ALWAYS AS (
        CASE coalesce(document->>'priceVatMode', '')
            WHEN '1' THEN 1 WHEN '1.0' THEN 1 WHEN '2' THEN 2 WHEN '2.0' THEN 2 WHEN '' THEN 2 ELSE 0
        END
    ) STORED;

-- product/detail alone tells the VAT of a product.
CREATE TABLE dongbo.nhanh_vat (
    store              text          NOT NULL,
    product_id         bigint        NOT NULL,
    rate               numeric(7, 4),  -- percent; NULL: Nhanh.vn does not say, or says what nobody understands
    product_updated_at timestamptz,    -- of the product when it was asked: one that has changed since is asked again
    read_at            timestamptz   NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (store, product_id)
);

CREATE TABLE dongbo.nhanh_combo_items (
    store    text           NOT NULL,
    combo_id bigint         NOT NULL,
    item_id  bigint         NOT NULL,
    quantity numeric(20, 4) NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (store, combo_id, item_id)
);

ALTER TABLE dongbo.shopify_products
    ADD COLUMN is_gift_card boolean GENERATED ALWAYS AS (coalesce(document->>'isGiftCard', '') = 'true') STORED,
    ADD COLUMN is_subscription boolean
        GENERATED ALWAYS AS (coalesce(document->>'requiresSellingPlan', '') = 'true') STORED,
    ADD COLUMN is_combined_parent boolean
        GENERATED ALWAYS AS (coalesce(document->>'combinedListingRole', '') = 'PARENT') STORED;
ALTER TABLE dongbo.shopify_variants
    ADD COLUMN is_bundle boolean GENERATED ALWAYS AS (coalesce(document->>'requiresComponents', '') = 'true') STORED;
CREATE INDEX shopify_variants_by_item ON dongbo.shopify_variants (store, inventory_item_id);

ALTER TABLE dongbo.pushes
    ADD COLUMN made_value text;  -- what Shopify made of an applied one, '' for nothing; NULL: what was sent
CREATE INDEX pushes_made ON dongbo.pushes (store, owner_id) WHERE made_value IS NOT NULL;

-- Bundles and subscriptions are told by fields that were not asked for before: the next pull reads all products again.
UPDATE dongbo.shopify_products SET source_updated_at = NULL;
UPDATE dongbo.watermarks SET complete_to = 'epoch' WHERE stream ~ '^shopify_products(\?|$)';
