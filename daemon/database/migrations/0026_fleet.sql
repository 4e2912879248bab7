-- oldest-program: 16
-- The daemons that work on this database. Each says every few seconds that it lives, and when it stops in order; times are
-- the database's. Rewritten in place: half of each page is left free for it.
CREATE TABLE dongbo.daemons (
    name                 text        PRIMARY KEY,
    instance             uuid        NOT NULL,  -- of the process: the name goes to the next one that takes it
    host                 text        NOT NULL,
    pid                  integer     NOT NULL,
    version              text        NOT NULL,
    roles                text[]      NOT NULL,
    address              text        NOT NULL,  -- of its endpoint
    started_at           timestamptz NOT NULL,
    seen_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    left_at              timestamptz,           -- when it has said that it stops
    takes_no_jobs_since  timestamptz,           -- although that is one of its roles
    clock_offset_seconds double precision       -- by which its machine's clock is ahead, at least; NULL until measured
) WITH (fillfactor = 50);
