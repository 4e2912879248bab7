-- Until when jobs were pruned last, for readers that show jobs which are gone. One row at most; none before the first time.
CREATE TABLE dongbo.job_pruning (
    is_last     boolean     PRIMARY KEY DEFAULT true CHECK (is_last),
    ended_until timestamptz NOT NULL,  -- the latest end of a pruned job: all that ended before were pruned, or are kept
    version     bigint      NOT NULL   -- of dongbo.job_version: a reader of an earlier one has not heard of it
);
