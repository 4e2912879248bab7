"""Questions to a person: asked by jobs, asked again by later ones, decided once. All SQL on `dongbo.approvals`.

A question is of one store and type of job, and so is its id: whichever run asks it last, it is the same one until
somebody decides, or a run finds nothing left to ask. What it is about are rows of `dongbo.approval_changes`, which are
drafted by the run that asks and taken over in the transaction in which its job begins to wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.actions import Asker, Way
from daemon.jobs.model import ApprovalState, Job
from daemon.jobs.types import JobType

NAMED = 3  # new changes that a refusal names


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A row of `dongbo.approvals`. Times are aware UTC.

    Args:
        asked_runs: how many runs have asked it.
        job_id: the job that waits, or asked last, or was approved; jobs are pruned, so it may be gone.
        reason: what the job would do and what to look at, in the configured language.
        facts: what the reason is made of, as the job's task understands it.
        counts: {kind: changes that wait}.
        asked_changes: of them, those that a person is asked about.
        ended_at: when it was decided or withdrawn.
        decided_way, decided_by: None where nobody has decided; the name also where none is known.
    """

    id: int
    store: StoreName
    type: JobType
    state: ApprovalState
    since: datetime
    asked_runs: int
    last_asked_at: datetime
    job_id: JobId
    reason: str
    facts: Mapping[str, Any]
    counts: Mapping[str, int]
    asked_changes: int
    ended_at: datetime | None
    decided_way: Way | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class NewChanges:
    """What a question asks about that it did not when it was looked at."""

    changes: int
    examples: Sequence[str]


# Of changes: the largest first, those that a person is asked about before the others (`approval_changes_by_size`).
BY_SIZE = "is_risky DESC, share DESC NULLS LAST, amount DESC, kind, owner_id, location_id"

COLUMNS = ", ".join(AskedQuestion.__slots__)

ASK = """
INSERT INTO dongbo.approvals AS approval (store, type, job_id, reason, facts) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (store, type) WHERE state = 'open' DO UPDATE SET
    job_id = excluded.job_id, reason = excluded.reason, facts = excluded.facts,
    asked_runs = approval.asked_runs + 1, last_asked_at = clock_timestamp()
RETURNING id, asked_runs
"""

DROP_PAST_CHANGES = """
DELETE FROM dongbo.approval_changes AS change WHERE approval_id = $1 AND NOT EXISTS (
    SELECT FROM dongbo.approval_drafts AS draft WHERE job_id = $2
      AND (draft.kind, draft.owner_id, draft.location_id) = (change.kind, change.owner_id, change.location_id)
)
"""

# A change that is as it was is not even locked: most are, each time the question is asked. One with another new value,
# or that has become risky, is new to people.
TAKE_DIFFERENT = """
UPDATE dongbo.approval_changes AS known SET
    old_value = draft.old_value, new_value = draft.new_value, is_risky = draft.is_risky,
    share = draft.share, amount = draft.amount, sku = draft.sku, title = draft.title, reason = draft.reason,
    asked_in = CASE
        WHEN known.new_value IS DISTINCT FROM draft.new_value OR (draft.is_risky AND NOT known.is_risky)
        THEN $3 ELSE known.asked_in
    END
FROM dongbo.approval_drafts AS draft
WHERE known.approval_id = $1 AND draft.job_id = $2
  AND (known.kind, known.owner_id, known.location_id) = (draft.kind, draft.owner_id, draft.location_id)
  AND (
    known.old_value, known.new_value, known.is_risky, known.share, known.amount, known.sku, known.title, known.reason
  ) IS DISTINCT FROM (
    draft.old_value, draft.new_value, draft.is_risky, draft.share, draft.amount, draft.sku, draft.title, draft.reason
  )
"""

TAKE_NEW = """
INSERT INTO dongbo.approval_changes (
    approval_id, kind, owner_id, location_id, old_value, new_value, is_risky, share, amount, sku, title, reason,
    asked_in
)
SELECT $1, kind, owner_id, location_id, old_value, new_value, is_risky, share, amount, sku, title, reason, $3
FROM dongbo.approval_drafts AS draft WHERE job_id = $2 AND NOT EXISTS (
    SELECT FROM dongbo.approval_changes AS known WHERE approval_id = $1
      AND (known.kind, known.owner_id, known.location_id) = (draft.kind, draft.owner_id, draft.location_id)
)
"""

DROP_DRAFTS = "DELETE FROM dongbo.approval_drafts WHERE job_id = $1"

COUNT = """
UPDATE dongbo.approvals SET counts = counted.counts, asked_changes = counted.risky
FROM (
    SELECT coalesce(jsonb_object_agg(kind, changes), '{}') AS counts, coalesce(sum(risky), 0) AS risky
    FROM (
        SELECT kind, count(*) AS changes, count(*) FILTER (WHERE is_risky) AS risky
        FROM dongbo.approval_changes WHERE approval_id = $1 GROUP BY kind
    ) AS kinds
) AS counted
WHERE id = $1
"""

GET = f"SELECT {COLUMNS} FROM dongbo.approvals WHERE id = $1"

OPEN_OF_JOB = f"SELECT {COLUMNS} FROM dongbo.approvals WHERE job_id = $1 AND state = 'open' FOR UPDATE"

LATEST_OF_JOB = f"""
SELECT {COLUMNS} FROM dongbo.approvals
WHERE job_id = ANY (ARRAY(SELECT $1::uuid UNION ALL SELECT id FROM dongbo.background_jobs WHERE parent_id = $1))
ORDER BY id DESC LIMIT 1
"""

LIST_OPEN = f"""
SELECT {COLUMNS} FROM dongbo.approvals
WHERE state = 'open' AND ($1::text IS NULL OR store = $1) AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""

LIST_OPEN_OF_STORES = f"""
SELECT {COLUMNS} FROM dongbo.approvals WHERE state = 'open' AND store = ANY ($1) ORDER BY id DESC LIMIT $2
"""

LIST_ENDED = f"""
SELECT {COLUMNS} FROM dongbo.approvals
WHERE state <> 'open' AND ($1::text IS NULL OR store = $1) AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""

LIST = f"""
SELECT {COLUMNS} FROM dongbo.approvals
WHERE ($1::text IS NULL OR store = $1) AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""

COUNT_NEW = """
SELECT count(*) FROM dongbo.approval_changes WHERE approval_id = $1 AND asked_in > $2 AND is_risky
"""

NAME_NEW = f"""
SELECT coalesce(nullif(sku, ''), owner_id::text) AS name, old_value, new_value FROM dongbo.approval_changes
WHERE approval_id = $1 AND asked_in > $2 AND is_risky ORDER BY {BY_SIZE} LIMIT $3
"""

DECIDE = f"""
UPDATE dongbo.approvals SET state = $2, ended_at = clock_timestamp(), decided_way = $3, decided_by = $4
WHERE job_id = $1 AND state = 'open'
RETURNING {COLUMNS}
"""

WITHDRAW = """
UPDATE dongbo.approvals SET state = 'withdrawn', ended_at = clock_timestamp()
WHERE store = $1 AND type = $2 AND state = 'open'
RETURNING id
"""

# Nobody has decided about them, and a shop may ask and have nothing to ask again and again.
DROP_CHANGES = "DELETE FROM dongbo.approval_changes WHERE approval_id = $1"

# What was decided is kept for good, and with it how many changes of which kind it was about.
PRUNE_CHANGES = """
DELETE FROM dongbo.approval_changes WHERE ctid = ANY (ARRAY(
    SELECT change.ctid FROM dongbo.approvals AS approval
    JOIN dongbo.approval_changes AS change ON change.approval_id = approval.id
    WHERE approval.ended_at < clock_timestamp() - $1::interval AND (
        approval.state <> 'approved' OR NOT EXISTS (SELECT FROM dongbo.background_jobs WHERE id = approval.job_id)
    )
    LIMIT $2
))
"""

CARRY_OUT = "UPDATE dongbo.approvals SET state = 'carried_out' WHERE job_id = $1 AND state = 'approved'"


async def ask(connection: Connection, job: Job, reason: str, facts: Mapping[str, Any]) -> None:
    """Ask the question of a job that begins to wait, with the changes that its run has drafted; within a transaction.

    Where the question of its store and type is open already, it is asked again: with the same id and since.
    """
    row = await connection.fetchrow(ASK, job.store, job.type, job.id, reason, orjson.dumps(facts).decode())
    await connection.execute(DROP_PAST_CHANGES, row["id"], job.id)
    for statement in (TAKE_DIFFERENT, TAKE_NEW):
        await connection.execute(statement, row["id"], job.id, row["asked_runs"])
    await connection.execute(DROP_DRAFTS, job.id)
    await connection.execute(COUNT, row["id"])


async def drop_drafts(connection: Connection, job_id: JobId) -> None:
    """Forget what a run of the job has drafted."""
    await connection.execute(DROP_DRAFTS, job_id)


async def get(connection: Connection, approval_id: int) -> AskedQuestion | None:
    """A question by its id."""
    row = await connection.fetchrow(GET, approval_id)
    return _question(row) if row else None


async def lock_open(connection: Connection, job_id: JobId) -> AskedQuestion | None:
    """The open question of a job that waits; nobody else decides it before the caller's transaction ends."""
    row = await connection.fetchrow(OPEN_OF_JOB, job_id)
    return _question(row) if row else None


async def latest_of(connection: Connection, job_id: JobId) -> AskedQuestion | None:
    """The last question that a job or a step of it has asked, unless a later job has asked it again."""
    row = await connection.fetchrow(LATEST_OF_JOB, job_id)
    return _question(row) if row else None


async def list_open(
    connection: Connection, store: StoreName | None = None, *, before: int | None = None, limit: int = 500
) -> list[AskedQuestion]:
    """Questions that wait for somebody, newest first; `before` is the last id of the previous page."""
    return [_question(row) for row in await connection.fetch(LIST_OPEN, store, before, limit)]


async def list_open_of_stores(
    connection: Connection, stores: Sequence[StoreName], *, limit: int
) -> list[AskedQuestion]:
    """Questions about these stores that wait for somebody, newest first."""
    return [_question(row) for row in await connection.fetch(LIST_OPEN_OF_STORES, stores, limit)]


async def list_ended(
    connection: Connection, store: StoreName | None = None, *, before: int | None = None, limit: int = 50
) -> list[AskedQuestion]:
    """Those that were decided or withdrawn, likewise."""
    return [_question(row) for row in await connection.fetch(LIST_ENDED, store, before, limit)]


async def list_all(
    connection: Connection, store: StoreName | None = None, *, before: int | None = None, limit: int = 50
) -> list[AskedQuestion]:
    """All of them, likewise."""
    return [_question(row) for row in await connection.fetch(LIST, store, before, limit)]


async def new_changes(connection: Connection, approval_id: int, seen: int) -> NewChanges:
    """What a question asks about that it did not when `seen` runs had asked it."""
    count: int = await connection.fetchval(COUNT_NEW, approval_id, seen)
    rows = await connection.fetch(NAME_NEW, approval_id, seen, NAMED) if count else ()
    return NewChanges(count, [f"{row['name']} ({row['old_value'] or '–'} → {row['new_value'] or '–'})" for row in rows])


async def decide(
    connection: Connection, job_id: JobId, state: ApprovalState, asker: Asker | None
) -> AskedQuestion | None:
    """Note what a person has decided about the open question of a job; None where there is none."""
    way, who = (asker.way, asker.who) if asker is not None else (None, None)
    row = await connection.fetchrow(DECIDE, job_id, state, way, who)
    return _question(row) if row else None


async def withdraw(connection: Connection, store: StoreName, job_type: JobType) -> None:
    """Take back the open question of a store and type, if there is one: a run has found nothing left to ask."""
    approval_id = await connection.fetchval(WITHDRAW, store, job_type)
    if approval_id is not None:
        await connection.execute(DROP_CHANGES, approval_id)


async def prune_changes(connection: Connection, older_than: timedelta, limit: int = 5_000) -> None:
    """Delete the changes of questions that ended so long ago; not what an approved job has still to carry out."""
    while await connection.execute(PRUNE_CHANGES, older_than, limit) == f"DELETE {limit}":
        pass


async def note_carried_out(connection: Connection, job_id: JobId) -> None:
    """Note that a job has completed, with what was approved for it."""
    await connection.execute(CARRY_OUT, job_id)


def _question(row: Record) -> AskedQuestion:
    columns: dict[str, Any] = dict(row)
    return AskedQuestion(
        **columns
        | {
            "type": JobType(columns["type"]),
            "state": ApprovalState(columns["state"]),
            "job_id": JobId(UUID(int=columns["job_id"].int)),  # asyncpg's own kind of UUID is unknown to JSON encoders
            "facts": orjson.loads(columns["facts"]),
            "counts": orjson.loads(columns["counts"]),
            "decided_way": columns["decided_way"] and Way(columns["decided_way"]),
        }
    )
