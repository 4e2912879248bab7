-- Since when conditions hold whose beginning nothing else tells, such as a source that can't be reached: a restart of the
-- daemon does not make them young again. A row goes as soon as a daemon knows that its condition holds no longer.
CREATE TABLE dongbo.conditions (
    id    text        PRIMARY KEY,  -- name, store and what of it the condition is about: source_unreachable:main:shopify
    store text,                     -- NULL: it is about the daemon
    since timestamptz NOT NULL,
    cause text
);

-- The runs that make a stream fresh: whole ones, neither of single rows or a filter, nor dry. No column of it changes
-- after the end of a run.
CREATE INDEX background_jobs_whole ON dongbo.background_jobs (store, type, completed_at)
    WHERE status = 'COMPLETED' AND NOT params ?| ARRAY['retry_of', 'filters', 'query', 'dry_run'];

-- The newest runs but those of a filter and dry ones, which may be any number.
CREATE INDEX background_jobs_broad ON dongbo.background_jobs (store, type, id)
    WHERE NOT params ?| ARRAY['filters', 'query', 'dry_run'];

-- Runs with rows that failed. A page without such a row changes nothing of it (HOT).
CREATE INDEX background_jobs_with_failures ON dongbo.background_jobs (store, type, completed_at)
    WHERE status = 'COMPLETED' AND failed > 0;

CREATE INDEX job_failures_unresolved ON dongbo.job_failures (job_id) WHERE resolved_at IS NULL;
