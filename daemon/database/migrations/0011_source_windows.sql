-- What the processes have used of the sources' rate limits, so that a job that goes on elsewhere goes by it, too.

CREATE TABLE dongbo.source_windows (
    account text        NOT NULL,
    url     text        NOT NULL,
    process uuid        NOT NULL,  -- another one after every start
    free_in smallint[]  NOT NULL,  -- of each place that it holds: seconds from `as_of` until it is free at the latest
    as_of   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- by the database's clock, the only one that all share
    PRIMARY KEY (account, url, process)
);
