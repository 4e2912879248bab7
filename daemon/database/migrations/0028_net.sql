-- oldest-program: 16
-- Shopify's buckets of points, of which every process takes its part in sight of all others.

CREATE TABLE dongbo.source_buckets (
    account text        PRIMARY KEY,
    free    real        NOT NULL,  -- points that nobody had claimed
    process uuid        NOT NULL,  -- that claimed last: nobody else has since
    as_of   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE dongbo.source_points (
    account text        NOT NULL,
    process uuid        NOT NULL,  -- another one after every start
    held    real        NOT NULL,  -- points that it may spend before it claims again, and those of calls under way
    wanted  real        NOT NULL,  -- points that it waits for; 0: none
    rank    smallint    NOT NULL,  -- of the call that waits: those of a lower one go first
    since   timestamptz NOT NULL,  -- when that call began to wait
    as_of   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, process)
);
