-- What a sale needs to know of calls that may be carried out late, of prices that are not its own, and of a start that
-- came before its time. Older daemons leave all of it empty.

-- A call was sent for this write that was not answered.
ALTER TABLE dongbo.sale_writes ADD COLUMN in_doubt boolean NOT NULL DEFAULT false;

ALTER TABLE dongbo.sale_campaigns
    ADD COLUMN verify_at    timestamptz,  -- when a campaign that is over is looked at once more; NULL: it is not
    ADD COLUMN price_notice text,         -- what a person should know of its prices, beside `notice`
    ADD COLUMN recalled_at  timestamptz;  -- when it was taken back because it had begun before its time

CREATE INDEX sale_campaigns_to_verify ON dongbo.sale_campaigns (store, verify_at) WHERE verify_at IS NOT NULL;
CREATE INDEX sale_items_restored ON dongbo.sale_items (store, variant_id) WHERE state = 'REVERTED';
