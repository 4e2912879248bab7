-- oldest-program: 16
-- What people have been told of conditions, by channel of [[alerts]]. A row that is not closed keeps a condition from being
-- told twice, by whichever daemon; a closed one is history, and pruned.
CREATE TABLE dongbo.alerts (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel       text        NOT NULL,
    condition     text        NOT NULL,  -- its id: source_unreachable:main:shopify
    store         text,                  -- NULL: it is about the daemon
    severity      text        NOT NULL,
    text          text        NOT NULL,  -- what was wrong, in the channel's language
    since         timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL DEFAULT statement_timestamp(),  -- when a daemon last saw it hold
    claimed_until timestamptz NOT NULL,  -- until then one daemon is at it: its message is on its way
    told_at       timestamptz,           -- when its beginning was told; NULL: it has not come through yet
    problem       text,                  -- why the last message did not go out
    closed_at     timestamptz            -- when its end was told, or it ended untold
);
CREATE UNIQUE INDEX alerts_open ON dongbo.alerts (channel, condition) WHERE closed_at IS NULL;
CREATE INDEX alerts_closed ON dongbo.alerts (closed_at) WHERE closed_at IS NOT NULL;
