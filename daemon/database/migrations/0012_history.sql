-- The history of jobs: what people have done, found by any mix of properties however many jobs there are, how each
-- attempt went, how fast, and what was logged.

-- What people have done to jobs, schedules, approvals, mappings and sales, and the way by which they asked for it.
CREATE TABLE dongbo.steering_actions (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    way          text        NOT NULL,  -- page, api, cli
    kind         text        NOT NULL,
    store        text        NOT NULL,
    subject_kind text        NOT NULL,
    subject      text        NOT NULL,  -- the id or name of what it was done to
    job_id       uuid,                  -- the job that came of it; jobs are pruned, so it may be gone
    detail       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX steering_actions_of_subject ON dongbo.steering_actions (store, subject_kind, subject, id DESC);
CREATE INDEX steering_actions_of_store ON dongbo.steering_actions (store, id DESC);
CREATE INDEX steering_actions_of_job ON dongbo.steering_actions (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX steering_actions_by_age ON dongbo.steering_actions (at);

-- Each combination of what jobs are listed by. There are as many as stores, types, schedules and outcomes make, some
-- thousands at most, whatever the number of jobs.
CREATE TABLE dongbo.job_facets (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store    text    NOT NULL,
    type     text    NOT NULL,
    status   text    NOT NULL,
    outcome  text    NOT NULL,  -- daemon/jobs/results.py says the same of one job
    trigger  text    NOT NULL,
    schedule text,
    is_run   boolean NOT NULL   -- neither a step of a chain nor a test of `dongbo doctor`
);
CREATE UNIQUE INDEX job_facets_once ON dongbo.job_facets
    (store, type, status, outcome, trigger, coalesce(schedule, ''), is_run);

-- How many jobs each facet has: the counts, and what has come on top since they were last summed up. Changes are only
-- ever added, so that no job waits for another one's transaction.
CREATE TABLE dongbo.job_counts (
    facet integer PRIMARY KEY,
    jobs  bigint  NOT NULL
);
CREATE TABLE dongbo.job_count_changes (
    facet  integer NOT NULL,
    change bigint  NOT NULL
);

-- None of these columns changes with a page (HOT).
ALTER TABLE dongbo.background_jobs
    ADD COLUMN facet         integer,
    ADD COLUMN repaired_by   uuid,  -- the later job that has done what this one failed to do
    ADD COLUMN superseded_by uuid,  -- the newer job that took the place of this one
    ADD COLUMN taken_up      bigint NOT NULL DEFAULT 0;  -- failed rows that a later job has taken up

CREATE FUNCTION dongbo.set_job_facet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_run     boolean := NEW.parent_id IS NULL AND NEW.type <> 'NOOP';
    now_outcome text := CASE NEW.status
        WHEN 'PENDING' THEN CASE WHEN NEW.error IS NULL THEN 'pending' ELSE 'retrying' END
        WHEN 'COMPLETED' THEN CASE
            WHEN NEW.failed = 0 THEN 'completed'
            WHEN NEW.repaired_by IS NULL THEN 'completed_with_failures'
            ELSE 'repaired' END
        WHEN 'FAILED' THEN CASE WHEN NEW.repaired_by IS NULL THEN 'failed' ELSE 'repaired' END
        WHEN 'CANCELLED' THEN CASE WHEN NEW.superseded_by IS NULL THEN 'cancelled' ELSE 'superseded' END
        ELSE lower(NEW.status) END;
BEGIN
    IF TG_OP = 'UPDATE' THEN  -- a step stays one when its chain is pruned
        now_run := now_run AND coalesce((SELECT is_run FROM dongbo.job_facets WHERE id = OLD.facet), true);
    END IF;
    FOR attempt IN 1..2 LOOP
        SELECT id INTO NEW.facet FROM dongbo.job_facets
        WHERE store = NEW.store AND type = NEW.type AND status = NEW.status AND outcome = now_outcome
          AND trigger = NEW.trigger AND coalesce(schedule, '') = coalesce(NEW.schedule, '') AND is_run = now_run;
        EXIT WHEN FOUND;
        INSERT INTO dongbo.job_facets (store, type, status, outcome, trigger, schedule, is_run)
        VALUES (NEW.store, NEW.type, NEW.status, now_outcome, NEW.trigger, NEW.schedule, now_run)
        ON CONFLICT DO NOTHING;  -- another transaction has just made it
    END LOOP;
    RETURN NEW;
END $$;

CREATE FUNCTION dongbo.count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_OP
        WHEN 'INSERT' THEN
            INSERT INTO dongbo.job_count_changes SELECT facet, count(*) FROM changed GROUP BY facet;
        WHEN 'DELETE' THEN
            INSERT INTO dongbo.job_count_changes SELECT facet, -count(*) FROM changed GROUP BY facet;
        ELSE
            INSERT INTO dongbo.job_count_changes VALUES (OLD.facet, -1), (NEW.facet, 1);
    END CASE;
    RETURN NULL;
END $$;

-- The facets of the jobs that are there: what `set_job_facet` says, but of all at once, while no trigger slows it down.
DROP INDEX dongbo.background_jobs_counted;
DROP INDEX dongbo.background_jobs_unsuccessful;
CREATE FUNCTION pg_temp.outcome(status text, error text, failed bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN status = 'PENDING' AND error IS NOT NULL THEN 'retrying'
        WHEN status = 'COMPLETED' AND failed > 0 THEN 'completed_with_failures'
        ELSE lower(status) END
$$;
INSERT INTO dongbo.job_facets (store, type, status, outcome, trigger, schedule, is_run)
SELECT DISTINCT store, type, status, pg_temp.outcome(status, error, failed), trigger, schedule,
    parent_id IS NULL AND type <> 'NOOP'
FROM dongbo.background_jobs;
SET LOCAL enable_nestloop = off;  -- nothing is known yet of the facets: an index would be read once for each of them
UPDATE dongbo.background_jobs AS job SET facet = facet.id FROM dongbo.job_facets AS facet
WHERE (facet.store, facet.type, facet.status, facet.trigger) = (job.store, job.type, job.status, job.trigger)
  AND facet.outcome = pg_temp.outcome(job.status, job.error, job.failed)
  AND coalesce(facet.schedule, '') = coalesce(job.schedule, '')
  AND facet.is_run = (job.parent_id IS NULL AND job.type <> 'NOOP');
SET LOCAL enable_nestloop TO DEFAULT;
DROP FUNCTION pg_temp.outcome;

CREATE TRIGGER set_facet BEFORE INSERT OR UPDATE OF status
    ON dongbo.background_jobs FOR EACH ROW EXECUTE FUNCTION dongbo.set_job_facet();
-- A page clears the error of the attempt before it; most have none to clear.
CREATE TRIGGER set_other_facet BEFORE UPDATE OF error, repaired_by, superseded_by, parent_id
    ON dongbo.background_jobs FOR EACH ROW WHEN (
        OLD.error IS DISTINCT FROM NEW.error OR OLD.repaired_by IS DISTINCT FROM NEW.repaired_by
        OR OLD.superseded_by IS DISTINCT FROM NEW.superseded_by OR OLD.parent_id IS DISTINCT FROM NEW.parent_id
    ) EXECUTE FUNCTION dongbo.set_job_facet();

ALTER TABLE dongbo.background_jobs ALTER COLUMN facet SET NOT NULL;
INSERT INTO dongbo.job_counts SELECT facet, count(*) FROM dongbo.background_jobs GROUP BY facet;

CREATE TRIGGER count_inserted AFTER INSERT ON dongbo.background_jobs
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dongbo.count_jobs();
CREATE TRIGGER count_deleted AFTER DELETE ON dongbo.background_jobs
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dongbo.count_jobs();
CREATE TRIGGER count_changed AFTER UPDATE OF status, error, repaired_by, superseded_by, parent_id
    ON dongbo.background_jobs FOR EACH ROW WHEN (OLD.facet <> NEW.facet) EXECUTE FUNCTION dongbo.count_jobs();

CREATE INDEX background_jobs_by_facet ON dongbo.background_jobs (facet, id);

-- One row a run of a job, from its claim to how it ended.
CREATE TABLE dongbo.job_attempts (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id          uuid        NOT NULL REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    worker          text,
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at        timestamptz,
    result          text        NOT NULL DEFAULT 'running',
    error           text,
    next_attempt_at timestamptz
);
CREATE INDEX job_attempts_of_job ON dongbo.job_attempts (job_id, id);

-- Of failed rows taken up before there was a count of them.
UPDATE dongbo.background_jobs AS job SET taken_up = failure.resolved
FROM (
    SELECT job_id, count(*) AS resolved FROM dongbo.job_failures WHERE resolved_at IS NOT NULL GROUP BY job_id
) AS failure WHERE failure.job_id = job.id;

-- How far a job was at some moments: [[unix seconds, rows, seconds waited for limits], …], oldest first.
CREATE TABLE dongbo.job_pace (
    job_id uuid  PRIMARY KEY REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    points jsonb NOT NULL
);

-- What was logged while a job ran: the newest lines of each.
CREATE TABLE dongbo.job_log (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid        NOT NULL REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    at     timestamptz NOT NULL,
    level  text        NOT NULL,
    event  text        NOT NULL,
    fields jsonb       NOT NULL
);
CREATE INDEX job_log_of_job ON dongbo.job_log (job_id, id);
