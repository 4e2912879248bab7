-- Pulls go by the clock of the source, and know of which shop or business the mirrored rows are. Watermarks of before
-- are in the time of the daemon's machine and of no known shop: the next pull of each stream asks for a day more.

ALTER TABLE dongbo.watermarks
    ADD COLUMN source_complete_to timestamptz,  -- by the source's clock
    ADD COLUMN identity           text;         -- of the shop or business; a pull of another one is a full one

-- Shopify's time of change at which a row was read whole, and not within that very second: the same again means that
-- the row need not be read. Daemons of before leave it alone, so that a row which they write is read once more.
ALTER TABLE dongbo.shopify_products ADD COLUMN version timestamptz;
ALTER TABLE dongbo.shopify_customers ADD COLUMN version timestamptz;
