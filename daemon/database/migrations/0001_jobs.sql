-- Jobs, their dead letters, and the schedules' memory.

CREATE SEQUENCE dongbo.job_version;

CREATE TABLE dongbo.background_jobs (
    id               uuid        PRIMARY KEY,
    store            text        NOT NULL,
    type             text        NOT NULL,
    lane             text        NOT NULL,  -- the queue's entry point: jobs of one lane share a concurrency limit
    status           text        NOT NULL
        CHECK (status IN ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    trigger          text        NOT NULL,
    schedule         text,
    fire_time        timestamptz,
    params           jsonb       NOT NULL DEFAULT '{}',
    total            bigint,
    processed        bigint      NOT NULL DEFAULT 0,
    successful       bigint      NOT NULL DEFAULT 0,
    created          bigint      NOT NULL DEFAULT 0,
    updated          bigint      NOT NULL DEFAULT 0,
    skipped          bigint      NOT NULL DEFAULT 0,
    failed           bigint      NOT NULL DEFAULT 0,
    metadata         jsonb       NOT NULL DEFAULT '{}',
    checkpoint       jsonb,
    attempt          integer     NOT NULL DEFAULT 0,
    max_attempts     integer     NOT NULL CHECK (max_attempts > 0),
    not_before       timestamptz,
    run_token        uuid,
    worker           text,
    cancel_requested boolean     NOT NULL DEFAULT false,
    error            text,
    version          bigint      NOT NULL DEFAULT nextval('dongbo.job_version'),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at       timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at     timestamptz,
    CONSTRAINT counters_add_up CHECK (
        successful = created + updated AND processed = successful + skipped + failed
    ),
    CONSTRAINT running_has_an_owner CHECK (status <> 'RUNNING' OR run_token IS NOT NULL),
    CONSTRAINT ended_has_a_time CHECK (
        (status IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (completed_at IS NOT NULL)
    )
-- A running job is updated after every page: room on its page keeps those updates off the indexes (HOT).
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

ALTER SEQUENCE dongbo.job_version OWNED BY dongbo.background_jobs.version;

CREATE UNIQUE INDEX background_jobs_one_live ON dongbo.background_jobs (store, type)
    WHERE status IN ('PENDING', 'RUNNING');
CREATE INDEX background_jobs_live ON dongbo.background_jobs (id)
    WHERE status IN ('PENDING', 'RUNNING');
CREATE INDEX background_jobs_latest ON dongbo.background_jobs (store, type, id DESC);
CREATE INDEX background_jobs_ended ON dongbo.background_jobs (completed_at)
    WHERE completed_at IS NOT NULL;
-- BRIN, not B-tree: the column changes with every page, and a BRIN index does not stand in the way of HOT updates
-- on PostgreSQL 16 and newer. It serves the catch-up by version.
CREATE INDEX background_jobs_version ON dongbo.background_jobs USING brin (version) WITH (pages_per_range = 4, autosummarize = on);

CREATE TABLE dongbo.job_failures (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id            uuid        NOT NULL REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    source_id         text,
    reason            text        NOT NULL,
    payload           text        NOT NULL,  -- JSON text as it came: jsonb would refuse \u0000, which is one of the reasons
    payload_truncated boolean     NOT NULL DEFAULT false,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at       timestamptz
);
CREATE INDEX job_failures_by_job ON dongbo.job_failures (job_id, id);

CREATE TABLE dongbo.schedule_fires (
    store     text        NOT NULL,
    schedule  text        NOT NULL,
    fire_time timestamptz NOT NULL,
    job_id    uuid,                  -- the submitted job, or the live one that answered in its place
    outcome   text        NOT NULL,  -- submitted, already_live, skipped, failed
    detail    text,
    worker    text,
    fired_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, schedule, fire_time)
);
CREATE INDEX schedule_fires_by_age ON dongbo.schedule_fires (fired_at);

CREATE TABLE dongbo.schedule_states (
    store       text        NOT NULL,
    schedule    text        NOT NULL,
    paused      boolean     NOT NULL DEFAULT false,
    paused_at   timestamptz,
    resumed_at  timestamptz,
    known_since timestamptz NOT NULL DEFAULT now(),
    timetable   text,  -- what `known_since` holds for: with another expression or zone there is nothing to make up
    PRIMARY KEY (store, schedule)
);
