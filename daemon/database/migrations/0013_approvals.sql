-- What a person is asked before a job changes anything: one question a store and type of job, asked again by later runs
-- until somebody decides or there is nothing left to ask. Kept for good: it says who has decided what.
CREATE TABLE dongbo.approvals (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store         text        NOT NULL,
    type          text        NOT NULL,  -- of the jobs that ask
    state         text        NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'carried_out')),
    since         timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_runs    integer     NOT NULL DEFAULT 1,
    last_asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id        uuid        NOT NULL,  -- that waits, or asked last; jobs are pruned, so it may be gone
    reason        text        NOT NULL,  -- in the configured language
    facts         jsonb       NOT NULL DEFAULT '{}',  -- what the reason is made of, for other languages
    counts        jsonb       NOT NULL DEFAULT '{}',  -- {kind: changes}
    asked_changes integer     NOT NULL DEFAULT 0,  -- of them, those that a person is asked about
    ended_at      timestamptz,  -- when it was decided or withdrawn
    decided_way   text,  -- page, api, cli; NULL where nobody has decided
    CONSTRAINT ended_has_a_time CHECK ((state = 'open') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX approvals_one_open ON dongbo.approvals (store, type) WHERE state = 'open';
CREATE INDEX approvals_of_job ON dongbo.approvals (job_id, id);
CREATE INDEX approvals_of_store ON dongbo.approvals (store, id);

-- Questions of before are known by their jobs alone.
INSERT INTO dongbo.approvals (store, type, state, since, last_asked_at, job_id, reason, ended_at)
SELECT store, type, state, updated_at, updated_at, id, coalesce(error, ''), CASE WHEN state <> 'open' THEN updated_at END
FROM (
    SELECT *, CASE
        WHEN status = 'AWAITING_APPROVAL' THEN 'open'
        WHEN metadata ->> 'rejected_at' IS NOT NULL THEN 'rejected'
        WHEN metadata ->> 'approved_at' IS NOT NULL AND status = 'COMPLETED' THEN 'carried_out'
        WHEN metadata ->> 'approved_at' IS NOT NULL THEN 'approved'
    END AS state
    FROM dongbo.background_jobs
) AS job
WHERE state IS NOT NULL
ORDER BY id;

-- The changes that wait for the answer, the largest first. Those at risk are what a person is asked about: a run that was
-- approved makes exactly these, and asks again for others.
CREATE TABLE dongbo.approval_changes (
    approval_id bigint  NOT NULL REFERENCES dongbo.approvals (id) ON DELETE CASCADE,
    kind        text    NOT NULL,
    owner_id    bigint  NOT NULL,
    location_id bigint  NOT NULL DEFAULT 0,  -- 0 where there is none
    old_value   text,
    new_value   text,
    is_risky    boolean NOT NULL,
    share       double precision,  -- by how much of the old value it changes; NULL: there was nothing
    amount      double precision NOT NULL,  -- by how much it changes: what ranks equal shares
    sku         text,
    title       text,
    reason      text    NOT NULL,
    asked_in    integer NOT NULL,  -- the first of the question's runs that asked for this new value
    PRIMARY KEY (approval_id, kind, owner_id, location_id)
);
CREATE INDEX approval_changes_by_size ON dongbo.approval_changes
    (approval_id, is_risky DESC, share DESC NULLS LAST, amount DESC, kind, owner_id, location_id);
CREATE INDEX approval_changes_of_kind ON dongbo.approval_changes
    (approval_id, kind, is_risky DESC, share DESC NULLS LAST, amount DESC, owner_id, location_id);
CREATE INDEX approval_changes_asked_in ON dongbo.approval_changes (approval_id, asked_in) WHERE is_risky;

INSERT INTO dongbo.approval_changes
    (approval_id, kind, owner_id, location_id, amount, old_value, new_value, is_risky, reason, asked_in)
SELECT approval.id, kind, owner_id, location_id, 0, old_value, new_value, true, '', 1
FROM dongbo.approvals AS approval JOIN dongbo.approval_items USING (job_id);

UPDATE dongbo.approvals SET counts = counted.counts, asked_changes = counted.changes
FROM (
    SELECT approval_id, jsonb_object_agg(kind, changes) AS counts, sum(changes) AS changes
    FROM (SELECT approval_id, kind, count(*) AS changes FROM dongbo.approval_changes GROUP BY 1, 2) AS kinds
    GROUP BY approval_id
) AS counted
WHERE approvals.id = counted.approval_id;

DROP TABLE dongbo.approval_items;

-- What a run is about to ask, noted portion by portion; the question takes it over in the transaction that asks. What a
-- run has left here that was interrupted is of no account.
CREATE UNLOGGED TABLE dongbo.approval_drafts (
    job_id      uuid    NOT NULL REFERENCES dongbo.background_jobs (id) ON DELETE CASCADE,
    kind        text    NOT NULL,
    owner_id    bigint  NOT NULL,
    location_id bigint  NOT NULL,
    old_value   text,
    new_value   text,
    is_risky    boolean NOT NULL,
    share       double precision,
    amount      double precision NOT NULL,
    sku         text,
    title       text,
    reason      text    NOT NULL,
    PRIMARY KEY (job_id, kind, owner_id, location_id)
);

-- By which settings the last sync of a kind went through: what has changed since may be why the next one asks.
CREATE TABLE dongbo.synced_settings (
    store     text        NOT NULL,
    type      text        NOT NULL,
    settings  jsonb       NOT NULL,  -- {key: value as text}; no secrets
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (store, type)
);
