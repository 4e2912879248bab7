-- oldest-program: 16
-- When the page was asked for that lacks the row, not later and by the database's clock; NULL: noted by an older program.
ALTER TABLE dongbo.deletion_candidates ADD COLUMN asked_at timestamptz;

-- The runs that make a stream fresh, as background_jobs_whole has them, and those without the ones of rows that somebody
-- has named, of which there may be any number. The older programs go on by the index that they know.
CREATE INDEX background_jobs_entire ON dongbo.background_jobs (store, type, completed_at)
    WHERE status = 'COMPLETED'
        AND NOT params ?| ARRAY['retry_of', 'filters', 'query', 'dry_run', 'ids', 'customers', 'skus', 'variants'];

-- Likewise background_jobs_broad.
CREATE INDEX background_jobs_wide ON dongbo.background_jobs (store, type, id)
    WHERE NOT params ?| ARRAY['filters', 'query', 'dry_run', 'ids', 'customers', 'skus', 'variants'];
