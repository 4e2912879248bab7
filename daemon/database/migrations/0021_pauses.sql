-- oldest-program: 16
-- While a store is paused, everything is read and planned and nothing is written to Shopify. A row whose end has passed
-- pauses nothing any more.
CREATE TABLE dongbo.store_pauses (
    store  text        PRIMARY KEY,
    since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    until  timestamptz,  -- NULL: until somebody resumes it
    reason text,
    who    text,         -- as in steering_actions
    CHECK (until > since)
);

-- When the source was asked for what a row says, not later and by the database's clock: an answer to an older question
-- does not replace it. NULL: written by an older program. Where pushes write as well, pushed_at tells it.
ALTER TABLE dongbo.nhanh_products ADD COLUMN as_of timestamptz;
ALTER TABLE dongbo.nhanh_customers ADD COLUMN as_of timestamptz;
ALTER TABLE dongbo.nhanh_inventory ADD COLUMN as_of timestamptz;
ALTER TABLE dongbo.shopify_products ADD COLUMN as_of timestamptz;
