-- Until when jobs were pruned last, for readers that show jobs which are gone. One row at most; none before the first time.
CREATE TABLE dongbo.job_pruning (
    is_last     boolean     PRIMARY KEY DEFAULT true CHECK (is_last),
    ended_until timestamptz NOT NULL,  -- the latest end of a pruned job: all that ended before were pruned, or are kept
    version     bigint      NOT NULL   -- of dongbo.job_version: a reader of an earlier one has not heard of it
);

-- So that no list, status or scrape reads the whole table. None of these columns changes while a job runs (HOT).
CREATE INDEX background_jobs_completed ON dongbo.background_jobs (store, type, completed_at) WHERE status = 'COMPLETED';
CREATE INDEX background_jobs_unsuccessful ON dongbo.background_jobs (status, id) WHERE status IN ('FAILED', 'CANCELLED');
CREATE INDEX background_jobs_counted ON dongbo.background_jobs (type, status);
