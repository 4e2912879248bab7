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
CREATE INDEX steering_actions_by_age ON dongbo.steering_actions (at);
