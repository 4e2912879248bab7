-- One live job for the same work, which is store, type and canonical params, instead of one for each store and type: a
-- nightly full pull that fires while an incremental one runs waits for its turn, and is not dropped.
--
-- A daemon of the version before, which names the old index when it submits, submits nothing more on this schema: its
-- claim of a fire is rolled back with the job, and the daemon that has brought the schema here carries the fire out.
DROP INDEX dongbo.background_jobs_one_live;
CREATE UNIQUE INDEX background_jobs_one_live ON dongbo.background_jobs (store, type, md5(params::text))
    WHERE status IN ('PENDING', 'RUNNING');
