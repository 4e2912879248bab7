"""All SQL on `dongbo.background_jobs`: one function a statement, each on a connection that the caller owns.

Every write to a running job names its run token (`WHERE id = … AND run_token = …`), so that a run which has been
taken over finds no row and stops without effects. Every write takes a new `version`, by which readers catch up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, Lane, RunToken, ScheduleName, StoreName, WorkerName
from daemon.jobs import attempts, pace
from daemon.jobs.model import Aftermath, Counters, Job, JobStatus, JobTrigger, PruningPlan
from daemon.jobs.types import JobType

COLUMNS = ", ".join(name for name in Job.__slots__ if name != "eta_seconds")
MOST_RUNNING = 5_000  # jobs of all workers that are counted
AT_ONCE = 100  # rows that are decoded between two turns of the loop: some two milliseconds
KNOWN_TYPES, KNOWN_TRIGGERS = frozenset(JobType), frozenset(JobTrigger)
TOUCH = "updated_at = clock_timestamp(), version = nextval('dongbo.job_version')"
# Parameters of jobs that have not done all of what their type is for; the index background_jobs_entire has them, too.
PARTIAL = "ARRAY['retry_of', 'filters', 'query', 'dry_run', 'ids', 'customers', 'skus', 'variants']"
# A job that has done all of it; one that met with a pause of its store has only planned. That is not in the index,
# because metadata changes with every page, which an index on it would make dear.
IS_WHOLE = f"job.status = 'COMPLETED' AND NOT job.params ?| {PARTIAL} AND NOT job.metadata ? 'paused'"
IS_LIVE = "status IN ('PENDING', 'RUNNING')"
# What a job is to do, apart from its store and type. As a hash: a search query may be longer than an index takes.
WORK = "md5(params::text)"

# In order, so that two who submit the same jobs at once never wait for each other.
INSERT_UNLESS_LIVE = f"""
INSERT INTO dongbo.background_jobs
    (id, store, type, lane, status, trigger, schedule, fire_time, params, max_attempts, parent_id)
SELECT id, store, type, lane, 'PENDING', trigger, schedule, fire_time, params::jsonb, max_attempts, parent_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[],
    $9::integer[], $10::uuid[])
    AS new (id, store, type, lane, trigger, schedule, fire_time, params, max_attempts, parent_id)
ORDER BY store, type, params, id
ON CONFLICT (store, type, {WORK}) WHERE {IS_LIVE} DO NOTHING
RETURNING {COLUMNS}
"""

FIND_LIVE = f"""
SELECT {COLUMNS} FROM dongbo.background_jobs
WHERE store = $1 AND type = $2 AND {WORK} = md5($3::jsonb::text) AND {IS_LIVE}
"""

GET = f"SELECT {COLUMNS} FROM dongbo.background_jobs WHERE id = $1"

GET_MANY = f"SELECT {COLUMNS} FROM dongbo.background_jobs WHERE id = ANY($1)"

AFTERMATHS = """
SELECT id, repaired_by, superseded_by, taken_up FROM dongbo.background_jobs WHERE id = ANY($1)
"""

# What is newer than a version, and what may have become visible late: an older version of a later time.
CHANGES = """
SELECT id, version FROM dongbo.background_jobs
WHERE version > $1 AND (version > $2 OR $3::timestamptz IS NULL OR updated_at > $3)
ORDER BY version
"""

# One statement, so that all of it is from one moment.
NEWEST_AND_UNENDED = f"""
SELECT {COLUMNS} FROM dongbo.background_jobs WHERE id = ANY (ARRAY(
    (SELECT id FROM dongbo.background_jobs ORDER BY id DESC LIMIT $1)
    UNION (SELECT id FROM dongbo.background_jobs WHERE status = 'RUNNING' ORDER BY id DESC LIMIT $1)
    UNION (SELECT id FROM dongbo.background_jobs WHERE status = 'PENDING' ORDER BY id DESC LIMIT $1)
    UNION (SELECT id FROM dongbo.background_jobs WHERE status = 'AWAITING_APPROVAL' ORDER BY id DESC LIMIT $1)
))
ORDER BY id DESC
"""

LAST_PRUNING = "SELECT version, ended_until FROM dongbo.job_pruning"

LIST_ENDED_UNTIL = """
SELECT id FROM dongbo.background_jobs WHERE completed_at <= $1 ORDER BY completed_at, id LIMIT $2
"""

LATEST_VERSION = "SELECT last_value FROM dongbo.job_version"

CLAIM = attempts.begun_by(
    f"""
UPDATE dongbo.background_jobs
SET status = 'RUNNING', run_token = $2, worker = $3, attempt = attempt + 1, not_before = NULL,
    started_at = coalesce(started_at, clock_timestamp()), {TOUCH}
WHERE id = $1 AND {IS_LIVE}
""",
    COLUMNS,
)

# A committed page is progress, so the run counts as the first attempt again, and what the one before failed of is of
# the past: a job fails only after `max_attempts` runs in a row that got nowhere.
STORE_PAGE = pace.sampled_by(
    f"""
UPDATE dongbo.background_jobs
SET created = created + $3, updated = updated + $4, skipped = skipped + $5, failed = failed + $6,
    successful = successful + $3 + $4, processed = processed + $3 + $4 + $5 + $6,
    checkpoint = $7, metadata = metadata || $8, attempt = CASE WHEN $9 THEN 1 ELSE attempt END,
    error = CASE WHEN $9 THEN NULL ELSE error END, {TOUCH}
WHERE id = $1 AND run_token = $2
""",
    "cancel_requested",
    is_sample="$10::boolean",
    waited="$11::double precision",
)

OWNS = """
SELECT EXISTS (SELECT FROM dongbo.background_jobs WHERE id = $1 AND run_token = $2 AND status = 'RUNNING')
"""

DESCRIBE = f"""
UPDATE dongbo.background_jobs
SET total = $3, metadata = metadata || $4, checkpoint = coalesce($5, checkpoint), {TOUCH}
WHERE id = $1 AND run_token = $2
RETURNING id
"""

FINISH = attempts.ended_by(
    f"""
UPDATE dongbo.background_jobs
SET status = $3, error = $4, metadata = metadata || $5, run_token = NULL, completed_at = clock_timestamp(), {TOUCH}
WHERE id = $1 AND run_token = $2
""",
    COLUMNS,
    result="lower(ended.status)",
    error="ended.error",
)

# A run that goes back to the queue goes nowhere if cancelling was asked for meanwhile.
BACK_TO_QUEUE = """
run_token = NULL, status = CASE WHEN cancel_requested THEN 'CANCELLED' ELSE 'PENDING' END,
    completed_at = CASE WHEN cancel_requested THEN clock_timestamp() END"""

DEFER = attempts.ended_by(
    f"""
UPDATE dongbo.background_jobs
SET {BACK_TO_QUEUE}, error = $3, not_before = clock_timestamp() + $4, metadata = metadata || $5, {TOUCH}
WHERE id = $1 AND run_token = $2
""",
    COLUMNS,
    result="'retried'",
    error="ended.error",
)

RELEASE = attempts.ended_by(
    f"""
UPDATE dongbo.background_jobs
SET {BACK_TO_QUEUE}, worker = NULL, attempt = greatest(attempt - 1, 0), {TOUCH}
WHERE id = $1 AND run_token = $2
""",
    COLUMNS,
    result="'released'",
    error="$3",
)

AWAIT_APPROVAL = attempts.ended_by(
    f"""
UPDATE dongbo.background_jobs
SET run_token = NULL, worker = NULL, error = $3, metadata = metadata || $4,
    status = CASE WHEN cancel_requested THEN 'CANCELLED' ELSE 'AWAITING_APPROVAL' END,
    completed_at = CASE WHEN cancel_requested THEN clock_timestamp() END, {TOUCH}
WHERE id = $1 AND run_token = $2
""",
    COLUMNS,
    result="'asked'",
)

# What an older run asks about is of the past once a newer one has looked.
REPLACE_WAITING = f"""
UPDATE dongbo.background_jobs
SET status = 'CANCELLED', completed_at = clock_timestamp(), error = $4, superseded_by = $3, {TOUCH}
WHERE store = $1 AND type = $2 AND id <> $3 AND status = 'AWAITING_APPROVAL'
  AND EXISTS (SELECT FROM dongbo.background_jobs AS newer WHERE newer.id = $3 AND newer.run_token = $5)
RETURNING id, parent_id
"""

# A job whose step waits, waits along: the person is asked by the step.
LOCK_ASKING = f"""
SELECT {COLUMNS} FROM dongbo.background_jobs
WHERE (id = $1 OR parent_id = $1) AND status = 'AWAITING_APPROVAL' ORDER BY id = $1 LIMIT 1
FOR UPDATE
"""

END_WAITING = f"""
UPDATE dongbo.background_jobs
SET status = 'CANCELLED', completed_at = clock_timestamp(), error = $2, superseded_by = $3, {TOUCH}
WHERE id = $1 AND status = 'AWAITING_APPROVAL'
RETURNING id
"""

# Of a job that waited for its step.
RESUME = f"""
UPDATE dongbo.background_jobs
SET status = 'PENDING', attempt = 0, not_before = NULL, error = NULL, {TOUCH}
WHERE id = $1 AND status = 'AWAITING_APPROVAL'
RETURNING {COLUMNS}
"""

APPROVE = f"""
UPDATE dongbo.background_jobs
SET status = 'PENDING', attempt = 0, max_attempts = $2, not_before = NULL, error = NULL, {TOUCH},
    metadata = metadata || jsonb_build_object('approved_at', clock_timestamp())
WHERE id = $1 AND status = 'AWAITING_APPROVAL'
RETURNING {COLUMNS}
"""

REJECT = f"""
UPDATE dongbo.background_jobs
SET status = 'CANCELLED', completed_at = clock_timestamp(), error = $2, {TOUCH},
    metadata = metadata || jsonb_build_object('rejected_at', clock_timestamp())
WHERE id = $1 AND status = 'AWAITING_APPROVAL'
RETURNING {COLUMNS}
"""

RELEASE_ORPHANS = attempts.ended_by(
    f"""
UPDATE dongbo.background_jobs
SET {BACK_TO_QUEUE}, attempt = CASE WHEN $2 THEN greatest(attempt - 1, 0) ELSE attempt END, {TOUCH}
WHERE status = 'RUNNING' AND worker = $1
""",
    "id",
    result="CASE WHEN $2 THEN 'released' ELSE 'lost' END",
)

REQUEST_CANCEL = f"""
UPDATE dongbo.background_jobs
SET cancel_requested = true,
    completed_at = CASE WHEN status <> 'RUNNING' THEN clock_timestamp() END,
    status = CASE WHEN status <> 'RUNNING' THEN 'CANCELLED' ELSE status END, {TOUCH}
WHERE id = $1 AND ({IS_LIVE} OR status = 'AWAITING_APPROVAL')
RETURNING {COLUMNS}
"""

CANCEL_UNATTENDED = attempts.ended_by(
    f"""
UPDATE dongbo.background_jobs
SET status = 'CANCELLED', run_token = NULL, completed_at = clock_timestamp(), {TOUCH}
WHERE id = $1 AND status = 'RUNNING' AND cancel_requested
""",
    COLUMNS,
    result="'lost'",
)

REVIVE = f"""
UPDATE dongbo.background_jobs
SET status = 'PENDING', run_token = NULL, worker = NULL, attempt = 0, max_attempts = $2, not_before = NULL,
    error = NULL, cancel_requested = false, completed_at = NULL, trigger = 'retry', repaired_by = NULL,
    superseded_by = NULL, {TOUCH},
    metadata = metadata - 'approved_at'  -- what was approved then need not be right now
WHERE id = $1 AND status IN ('FAILED', 'CANCELLED')
RETURNING {COLUMNS}
"""

# Two jobs that webhooks have started are about different things: what failed of one, a sync of everything makes up for.
MADE_UP_FOR_BY: Mapping[JobType, Sequence[JobType]] = {
    JobType.SYNC_PRODUCTS: (JobType.SYNC_PRODUCTS, JobType.SYNC_CHANGED_PRODUCTS),
    JobType.SYNC_CUSTOMERS: (JobType.SYNC_CUSTOMERS, JobType.SYNC_CHANGED_CUSTOMERS),
    JobType.SYNC_CHANGED_PRODUCTS: (),
    JobType.SYNC_CHANGED_CUSTOMERS: (),
}

# A later job that has completed makes up for what failed where it has done all that was to be done then, with no row
# failing: the very same, or the whole where that was a part. A pull of what has changed reads no row again that has
# failed, and finds nothing that was deleted.
REPAIR = f"""
WITH later AS (
    SELECT id, params, failed, coalesce(metadata ->> 'mode', 'full') = 'full' AS is_full,
        NOT params ?| {PARTIAL} AND NOT params @> '{{"pull_products": false}}' AS is_whole
    FROM dongbo.background_jobs WHERE id = $1
), repaired AS (
    UPDATE dongbo.background_jobs AS earlier SET repaired_by = later.id, taken_up = earlier.failed
    FROM later
    WHERE facet = ANY (ARRAY(
            SELECT facet.id FROM dongbo.job_facets AS facet
            WHERE store = $2 AND type = ANY ($3) AND outcome IN ('failed', 'completed_with_failures')
        ))
        AND earlier.id <> later.id
        AND (earlier.params = later.params
            OR (is_whole AND (is_full OR NOT earlier.params ?| ARRAY['full', 'retry_of'])))
        AND (earlier.failed = earlier.taken_up OR (later.failed = 0 AND is_full)
            OR (earlier.type = 'PRODUCT_CHAIN' AND earlier.status = 'FAILED'))  -- its steps tell of their rows
    RETURNING earlier.id, earlier.parent_id
), resolved AS (
    UPDATE dongbo.job_failures AS failure SET resolved_at = clock_timestamp()
    FROM repaired WHERE failure.job_id = repaired.id AND resolved_at IS NULL
)
SELECT DISTINCT parent_id FROM repaired WHERE parent_id IS NOT NULL
"""

# Those whose failed rows the job has taken up, by way of others or not, if none of them has failed once more.
REPAIR_ORIGINS = """
WITH RECURSIVE origins AS (
    SELECT (params ->> 'retry_of')::uuid AS id, 1 AS depth FROM dongbo.background_jobs
    WHERE id = $1 AND params ? 'retry_of' AND failed = 0
    UNION ALL
    SELECT (params ->> 'retry_of')::uuid, depth + 1 FROM origins JOIN dongbo.background_jobs AS job USING (id)
    WHERE params ? 'retry_of' AND depth < 100
)
UPDATE dongbo.background_jobs AS origin SET repaired_by = $1
FROM origins WHERE origin.id = origins.id AND status = 'COMPLETED' AND failed = taken_up AND repaired_by IS NULL
RETURNING origin.parent_id
"""

# The last of several steps that are repaired at a time must see the others.
LOCK_CHAINS = "SELECT FROM dongbo.background_jobs WHERE id = ANY ($1) ORDER BY id FOR UPDATE"

# A chain is repaired once all of its steps are that completed with failed rows, by what repaired the last of them.
REPAIR_CHAINS = """
UPDATE dongbo.background_jobs AS chain SET repaired_by = step.repaired_by, taken_up = chain.failed
FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT repaired_by FROM dongbo.background_jobs
    WHERE parent_id = wanted.id AND status = 'COMPLETED' AND failed > 0 ORDER BY repaired_by DESC NULLS FIRST LIMIT 1
) AS step
WHERE chain.id = wanted.id AND chain.status = 'COMPLETED' AND chain.failed > 0 AND chain.repaired_by IS NULL
    AND step.repaired_by IS NOT NULL
"""

LATEST_OTHER = f"""
SELECT {COLUMNS} FROM dongbo.background_jobs
WHERE store = $1 AND type = $2 AND id < $3 AND NOT params ?| ARRAY['retry_of', 'ids']
ORDER BY id DESC LIMIT 1
"""

NEWEST_OTHER = f"""
SELECT {COLUMNS} FROM dongbo.background_jobs
WHERE store = $1 AND type = $2 AND id <> $3 AND started_at IS NOT NULL AND NOT params ? 'ids'
ORDER BY id DESC LIMIT 1
"""

# Only whole jobs make a stream fresh, not those of some rows, and none that has only planned. From kind to kind by the
# indexes background_jobs_completed and background_jobs_entire, so that it costs the same however many jobs there are.
LAST_COMPLETED = f"""
WITH RECURSIVE kinds AS (
    (SELECT store, type FROM dongbo.background_jobs WHERE status = 'COMPLETED' ORDER BY store, type LIMIT 1)
    UNION ALL
    SELECT next.store, next.type FROM kinds, LATERAL (
        SELECT store, type FROM dongbo.background_jobs
        WHERE status = 'COMPLETED' AND (store, type) > (kinds.store, kinds.type) ORDER BY store, type LIMIT 1
    ) AS next
)
SELECT store, type, last.completed_at FROM kinds, LATERAL (
    SELECT completed_at FROM dongbo.background_jobs AS job
    WHERE job.store = kinds.store AND job.type = kinds.type AND {IS_WHOLE}
    ORDER BY completed_at DESC LIMIT 1
) AS last
ORDER BY store, type
"""

# By the index background_jobs_live.
RUNNING_BY_WORKER = f"""
SELECT worker, count(*)::integer AS jobs, array_agg(DISTINCT lane ORDER BY lane) AS lanes
FROM (
    SELECT worker, lane FROM dongbo.background_jobs
    WHERE {IS_LIVE} AND status = 'RUNNING' AND worker IS NOT NULL ORDER BY id LIMIT $1
) AS running
GROUP BY worker
"""

# Of each store the newest job of a type that has said something by this name, among so many: what all of these have
# failed to look at is not known now.
LATEST_SAID = """
SELECT wanted.store, latest.metadata
FROM unnest($1::text[]) AS wanted (store) CROSS JOIN LATERAL (
    SELECT metadata FROM (
        SELECT id, metadata FROM dongbo.background_jobs
        WHERE store = wanted.store AND type = $2 ORDER BY id DESC LIMIT 100
    ) AS recent
    WHERE metadata ? $3 ORDER BY id DESC LIMIT 1
) AS latest
"""

LIST_UNENDED_STEPS = """
SELECT id FROM dongbo.background_jobs
WHERE parent_id = $1 AND status IN ('PENDING', 'RUNNING', 'AWAITING_APPROVAL')
"""

NOT_ENDED = """facet = ANY (ARRAY(
    SELECT id FROM dongbo.job_facets WHERE status IN ('PENDING', 'RUNNING', 'AWAITING_APPROVAL')
))"""
ENDED_LONG_AGO = "completed_at < statement_timestamp() - $1::interval"


def _ended(limit: str) -> str:
    """The oldest jobs that ended long ago, as many as `limit` says, as CTE `ended`: which of them stay, and why.

    The newest of each store, type and status stays: it says how fresh the stream is and where an interrupted pull goes
    on. So does one that a job which has not ended builds on: it takes up its dead letters, is a step of it, or has it
    for a step. The newest are looked for once for each kind of jobs that is there, from the newest of the stream on,
    and never by comparing each job with all others.
    """
    return f"""
WITH RECURSIVE streams AS (
    (SELECT store, type FROM dongbo.background_jobs ORDER BY store, type LIMIT 1)
    UNION ALL
    SELECT next.store, next.type FROM streams, LATERAL (
        SELECT store, type FROM dongbo.background_jobs
        WHERE (store, type) > (streams.store, streams.type) ORDER BY store, type LIMIT 1
    ) AS next
),
needed AS MATERIALIZED (
    SELECT unnest(ARRAY[params ->> 'retry_of', parent_id::text]) AS id FROM dongbo.background_jobs WHERE {NOT_ENDED}
    UNION
    SELECT step.id::text FROM dongbo.background_jobs AS job CROSS JOIN LATERAL (
        SELECT id FROM dongbo.background_jobs WHERE parent_id = job.id OFFSET 0
    ) AS step
    WHERE job.{NOT_ENDED}
),
oldest AS MATERIALIZED (
    SELECT id, store, type, status, params ?| {PARTIAL} AS is_partial, completed_at FROM dongbo.background_jobs
    WHERE {ENDED_LONG_AGO} ORDER BY completed_at LIMIT {limit}
),
newest AS MATERIALIZED (
    SELECT job.id FROM (SELECT DISTINCT store, type, status, is_partial FROM oldest) AS kind, LATERAL (
        SELECT id FROM dongbo.background_jobs AS job
        WHERE job.store = kind.store AND job.type = kind.type AND job.status = kind.status
          AND params ?| {PARTIAL} = kind.is_partial
        ORDER BY id DESC LIMIT 1
    ) AS job
),
ended AS (
    SELECT id, completed_at, id IN (SELECT id FROM newest) AS is_newest,
        id::text IN (SELECT id FROM needed WHERE id IS NOT NULL) AS is_needed
    FROM oldest
)"""


IS_PRUNABLE = "NOT is_newest AND NOT is_needed"

# The oldest go first, and it is noted until when: of what ended until then, readers need only know what is kept.
# Looked at besides those that go: as many as can stay at most, which is three statuses, partial or not, of each stream.
PRUNE = f"""{_ended("$2 + 6 * (SELECT count(*) FROM streams) + (SELECT count(*) FROM needed)")},
pruned AS (DELETE FROM dongbo.background_jobs WHERE id = ANY (ARRAY(
    SELECT id FROM ended WHERE {IS_PRUNABLE} ORDER BY completed_at LIMIT $2
)) RETURNING completed_at),
noted AS (
    INSERT INTO dongbo.job_pruning AS pruning (ended_until, version)
    SELECT max(completed_at), nextval('dongbo.job_version') FROM pruned HAVING count(*) > 0
    ON CONFLICT (is_last) DO UPDATE
    SET ended_until = greatest(pruning.ended_until, excluded.ended_until), version = excluded.version
)
SELECT count(*) FROM pruned
"""

# Each job counts once: by the first reason for which it stays, or as one that goes.
PLAN_PRUNING = f"""{_ended("ALL")}
SELECT
    count(*) FILTER (WHERE {IS_PRUNABLE}) AS prunable,
    (SELECT count(*) FROM dongbo.background_jobs WHERE {NOT_ENDED}) AS unended,
    (SELECT count(*) FROM dongbo.background_jobs WHERE NOT {ENDED_LONG_AGO}) AS recent,
    count(*) FILTER (WHERE is_newest) AS newest,
    count(*) FILTER (WHERE is_needed AND NOT is_newest) AS needed
FROM ended
"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """The columns of a job that is asked for."""

    id: JobId
    store: StoreName
    type: JobType
    lane: str
    trigger: JobTrigger
    schedule: ScheduleName | None
    fire_time: datetime | None
    params: Mapping[str, Any]
    max_attempts: int
    parent_id: JobId | None = None


@dataclass(frozen=True, slots=True)
class LastPruning:
    """Until which end jobs have been pruned, and the version that this took."""

    version: int
    ended_until: datetime


async def insert_unless_live(connection: Connection, new: Sequence[NewJob]) -> dict[JobId, Job]:
    """Insert PENDING jobs, but for those that have a live one for the same work; {id: job} of those inserted."""
    rows = await connection.fetch(
        INSERT_UNLESS_LIVE,
        [job.id for job in new],
        [job.store for job in new],
        [job.type for job in new],
        [job.lane for job in new],
        [job.trigger for job in new],
        [job.schedule for job in new],
        [job.fire_time for job in new],
        [encode(job.params) for job in new],
        [job.max_attempts for job in new],
        [job.parent_id for job in new],
    )
    return {job.id: job for job in await read_jobs(rows)}


async def find_live(
    connection: Connection, store: StoreName, job_type: JobType, params: Mapping[str, Any]
) -> Job | None:
    """The live job for this work, if there is one."""
    row = await connection.fetchrow(FIND_LIVE, store, job_type, encode(params))
    return _job(row) if row else None


async def get(connection: Connection, job_id: JobId) -> Job | None:
    """One job by its id; None for one of a newer program that this one does not know."""
    row = await connection.fetchrow(GET, job_id)
    return _job(row) if row and _is_known(row) else None


async def get_many(connection: Connection, job_ids: Sequence[JobId]) -> list[Job]:
    """Those of the jobs that exist, in no order."""
    return await read_jobs(await connection.fetch(GET_MANY, job_ids))


async def aftermaths(connection: Connection, job_ids: Sequence[JobId]) -> dict[JobId, Aftermath]:
    """What has happened since to those of the jobs that exist."""
    rows = await connection.fetch(AFTERMATHS, job_ids)
    return {
        JobId(UUID(int=row["id"].int)): Aftermath(
            plain_id(row["repaired_by"]), plain_id(row["superseded_by"]), row["taken_up"]
        )
        for row in rows
    }


async def open_changes(
    connection: Connection, floor: int, version: int, late_since: datetime | None
) -> Callable[[int], Awaitable[dict[JobId, int]]]:
    """What reads the next `n` jobs, {id: version}, that have changed since `version`, by version; within a transaction.

    With those of a version behind `floor` that changed after `late_since` (None: at any time), which may have become
    visible late.
    """
    cursor = await connection.cursor(CHANGES, floor, version, late_since)

    async def fetch(limit: int) -> dict[JobId, int]:
        return {JobId(UUID(int=row["id"].int)): row["version"] for row in await cursor.fetch(limit)}

    return fetch


async def list_newest_and_unended(connection: Connection, limit: int) -> list[Job]:
    """The newest jobs, and the newest of each status that has not ended, at most `limit` of each; newest first."""
    return await read_jobs(await connection.fetch(NEWEST_AND_UNENDED, limit))


async def last_pruning(connection: Connection) -> LastPruning | None:
    """What was pruned last; None where nothing was."""
    row = await connection.fetchrow(LAST_PRUNING)
    return LastPruning(**dict(row)) if row else None


async def list_ended_until(connection: Connection, until: datetime, limit: int) -> list[JobId]:
    """Jobs that ended at `until` or before."""
    return [JobId(UUID(int=row["id"].int)) for row in await connection.fetch(LIST_ENDED_UNTIL, until, limit)]


async def now(connection: Connection) -> datetime:
    """The time by the database's clock, which stamps the jobs."""
    time: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return time


async def latest_version(connection: Connection) -> int:
    """The greatest version given out so far, committed or not."""
    version: int = await connection.fetchval(LATEST_VERSION)
    return version


async def claim(connection: Connection, job_id: JobId, token: RunToken, worker: WorkerName) -> Job | None:
    """Make `token` the owner of a live job; None if the job has ended or is gone."""
    row = await connection.fetchrow(CLAIM, job_id, token, worker)
    return _job(row) if row else None


async def store_page(
    connection: Connection,
    job_id: JobId,
    token: RunToken,
    counted: Counters,
    checkpoint: object,
    metadata: Mapping[str, Any],
    *,
    is_progress: bool,
    waited: float | None = None,
) -> bool | None:
    """Add a page's counters, set the checkpoint; whether cancelling was asked for, None if the run lost the job.

    `waited`: how many seconds the job has waited so far, where a point of its pace is to be kept.
    """
    requested: bool | None = await connection.fetchval(
        STORE_PAGE,
        job_id,
        token,
        counted.created,
        counted.updated,
        counted.skipped,
        counted.failed,
        encode(checkpoint),
        encode(metadata),
        is_progress,
        waited is not None,
        waited or 0.0,
    )
    return requested


async def owns(connection: Connection, job_id: JobId, token: RunToken) -> bool:
    """Whether this run has the job at this moment."""
    owned: bool = await connection.fetchval(OWNS, job_id, token)
    return owned


async def describe(
    connection: Connection,
    job_id: JobId,
    token: RunToken,
    total: int | None,
    metadata: Mapping[str, Any],
    checkpoint: object | None = None,
) -> bool:
    """Set the total, add metadata and, where given, set the checkpoint; False if the run lost the job."""
    encoded = None if checkpoint is None else encode(checkpoint)
    found = await connection.fetchval(DESCRIBE, job_id, token, total, encode(metadata), encoded)
    return found is not None


async def finish(
    connection: Connection,
    job_id: JobId,
    token: RunToken,
    status: JobStatus,
    error: str | None,
    metadata: Mapping[str, Any],
) -> Job | None:
    """End a run in a terminal status; None if the run lost the job."""
    row = await connection.fetchrow(FINISH, job_id, token, status, _storable(error), encode(metadata))
    return _job(row) if row else None


async def defer(
    connection: Connection,
    job_id: JobId,
    token: RunToken,
    error: str,
    delay: timedelta,
    metadata: Mapping[str, Any],
) -> Job | None:
    """Put a failed run back for another attempt after `delay`; None if the run lost the job."""
    row = await connection.fetchrow(DEFER, job_id, token, _storable(error), delay, encode(metadata))
    return _job(row) if row else None


async def release(connection: Connection, job_id: JobId, token: RunToken, reason: str) -> Job | None:
    """Put a run that was stopped back at no cost in attempts; None if the run lost the job."""
    row = await connection.fetchrow(RELEASE, job_id, token, _storable(reason))
    return _job(row) if row else None


async def release_orphans(connection: Connection, worker: WorkerName, *, at_no_cost: bool) -> list[JobId]:
    """Put back what `worker` ran, at no cost in attempts or as a failed one; the ids of the jobs that were freed."""
    return [JobId(row["id"]) for row in await connection.fetch(RELEASE_ORPHANS, worker, at_no_cost)]


async def request_cancel(connection: Connection, job_id: JobId) -> Job | None:
    """Cancel a pending job, or ask a running one to stop at its next checkpoint; None if the job is not live."""
    row = await connection.fetchrow(REQUEST_CANCEL, job_id)
    return _job(row) if row else None


async def cancel_unattended(connection: Connection, job_id: JobId) -> Job | None:
    """End a running job that was to be cancelled and that no worker has; None if it has just ended by itself."""
    row = await connection.fetchrow(CANCEL_UNATTENDED, job_id)
    return _job(row) if row else None


async def await_approval(
    connection: Connection, job_id: JobId, token: RunToken, reason: str, metadata: Mapping[str, Any]
) -> Job | None:
    """End a run with a question to a person; None if the run lost the job."""
    row = await connection.fetchrow(AWAIT_APPROVAL, job_id, token, _storable(reason), encode(metadata))
    return _job(row) if row else None


async def replace_waiting(connection: Connection, job: Job, token: RunToken, reason: str) -> list[JobId]:
    """Cancel what waits for approval of the same (store, type) as the run's job, itself apart, and what waits along
    because that is a step of it; the ids."""
    ended = []
    for row in await connection.fetch(REPLACE_WAITING, job.store, job.type, job.id, reason, token):
        ended.append(JobId(UUID(int=row["id"].int)))
        if row["parent_id"] is not None:
            ended += await end_waiting(connection, JobId(UUID(int=row["parent_id"].int)), reason, superseded_by=job.id)
    return ended


async def lock_asking(connection: Connection, job_id: JobId) -> Job | None:
    """The job that waits for approval: this one, or the step for which it waits; nothing else happens to it before the
    caller's transaction ends."""
    row = await connection.fetchrow(LOCK_ASKING, job_id)
    return _job(row) if row else None


async def end_waiting(
    connection: Connection, job_id: JobId, reason: str, *, superseded_by: JobId | None = None
) -> list[JobId]:
    """Cancel a job that waits along with its step, if it does; its id, or none. `superseded_by`: the newer run."""
    rows = await connection.fetch(END_WAITING, job_id, _storable(reason), superseded_by)
    return [JobId(UUID(int=row["id"].int)) for row in rows]


async def resume(connection: Connection, job_id: JobId) -> Job | None:
    """Let a job run on that waits along with its step; None if it does not wait.

    Raises asyncpg.UniqueViolationError where another job for the same work is live.
    """
    row = await connection.fetchrow(RESUME, job_id)
    return _job(row) if row else None


async def approve(connection: Connection, job_id: JobId, max_attempts: int) -> Job | None:
    """Let a waiting job run; None if it does not wait.

    Raises asyncpg.UniqueViolationError where another job for the same work is live.
    """
    row = await connection.fetchrow(APPROVE, job_id, max_attempts)
    return _job(row) if row else None


async def reject(connection: Connection, job_id: JobId, reason: str) -> Job | None:
    """End a waiting job; None if it does not wait."""
    row = await connection.fetchrow(REJECT, job_id, reason)
    return _job(row) if row else None


async def revive(connection: Connection, job_id: JobId, max_attempts: int) -> Job | None:
    """Make a failed or cancelled job pending again, counters and checkpoint kept; None if it is neither.

    Raises asyncpg.UniqueViolationError where another job for the same work is live.
    """
    row = await connection.fetchrow(REVIVE, job_id, max_attempts)
    return _job(row) if row else None


async def repair(connection: Connection, job: Job) -> None:
    """Note of earlier jobs that this one, which has completed, has made up for what failed of them."""
    repaired = await connection.fetch(REPAIR, job.id, job.store, MADE_UP_FOR_BY.get(job.type, (job.type,)))
    repaired += await connection.fetch(REPAIR_ORIGINS, job.id)
    chains = {JobId(UUID(int=row["parent_id"].int)) for row in repaired if row["parent_id"] is not None}
    if job.type is JobType.PRODUCT_CHAIN:
        chains.add(job.id)
    await repair_chains(connection, chains)


async def repair_chains(connection: Connection, chains: Collection[JobId]) -> None:
    """Note of chains, steps of which have just been repaired, that they are too where that was the last of them."""
    if chains:
        await connection.execute(LOCK_CHAINS, list(chains))
        await connection.execute(REPAIR_CHAINS, list(chains))


async def latest_before(connection: Connection, job: Job) -> Job | None:
    """The newest job of the same (store, type) that is older than `job`, retries and pulls of single rows apart."""
    row = await connection.fetchrow(LATEST_OTHER, job.store, job.type, job.id)
    return _job(row) if row else None


async def newest_other(connection: Connection, job: Job) -> Job | None:
    """The newest other job of the same (store, type) that has run: one that waits for its turn has changed nothing.

    A pull of single rows is none: it runs beside the others, and withdraws the notes of what it has seen.
    """
    row = await connection.fetchrow(NEWEST_OTHER, job.store, job.type, job.id)
    return _job(row) if row else None


async def unended_steps(connection: Connection, job_id: JobId) -> list[JobId]:
    """The steps of a job that still have to run, run, or wait for a person."""
    return [JobId(UUID(int=row["id"].int)) for row in await connection.fetch(LIST_UNENDED_STEPS, job_id)]


async def last_completed(connection: Connection) -> list[tuple[StoreName, str, datetime]]:
    """When each (store, type) completed last."""
    rows = await connection.fetch(LAST_COMPLETED)
    return [(StoreName(row["store"]), row["type"], row["completed_at"]) for row in rows]


async def running_by_worker(connection: Connection) -> dict[WorkerName, tuple[int, Sequence[Lane]]]:
    """How many jobs each worker runs, and the lanes of these."""
    rows = await connection.fetch(RUNNING_BY_WORKER, MOST_RUNNING)
    return {WorkerName(row["worker"]): (row["jobs"], [Lane(lane) for lane in row["lanes"]]) for row in rows}


async def latest_said(
    connection: Connection, stores: Collection[StoreName], job_type: JobType, name: str
) -> dict[StoreName, Mapping[str, Any]]:
    """{store: metadata} of the newest jobs of this type whose metadata has this name; of stores that have one."""
    rows = await connection.fetch(LATEST_SAID, list(stores), job_type, name)
    return {StoreName(row["store"]): orjson.loads(row["metadata"]) for row in rows}


async def plan_pruning(connection: Connection, older_than: timedelta) -> PruningPlan:
    """What `prune` would delete and keep, by the very same rule."""
    return PruningPlan(**dict(await connection.fetchrow(PLAN_PRUNING, older_than)))


async def prune(connection: Connection, older_than: timedelta, limit: int = 2_000) -> int:
    """Delete at most `limit` jobs that ended longer ago than `older_than`; how many were deleted."""
    deleted: int = await connection.fetchval(PRUNE, older_than, limit)
    return deleted


def encode(value: object) -> str:
    """JSON text for a jsonb parameter."""
    return orjson.dumps(value).decode()


async def read_jobs(rows: Sequence[Record]) -> list[Job]:
    """The jobs of many rows, but for what only a newer program knows; the loop turns in between."""
    jobs: list[Job] = []
    for start in range(0, len(rows), AT_ONCE):
        if start:
            await asyncio.sleep(0)
        jobs += [_job(row) for row in rows[start : start + AT_ONCE] if _is_known(row)]
    return jobs


def plain_id(value: UUID | None) -> JobId | None:
    """The id as Python's own UUID: asyncpg's kind is unknown to JSON encoders."""
    return JobId(UUID(int=value.int)) if value is not None else None


def _storable(text: str | None) -> str | None:
    """Texts of a source may hold NUL characters, which PostgreSQL refuses."""
    return None if text is None else text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _is_known(row: Record) -> bool:
    """Whether this program knows such jobs: daemons of two versions may work on one database."""
    return row["type"] in KNOWN_TYPES and row["trigger"] in KNOWN_TRIGGERS


def _job(row: Record) -> Job:
    columns = dict(row)
    for name in ("params", "metadata", "checkpoint"):
        columns[name] = orjson.loads(columns[name]) if columns[name] is not None else None
    for name in ("id", "parent_id"):
        columns[name] = plain_id(columns[name])
    columns["type"] = JobType(columns["type"])
    columns["status"] = JobStatus(columns["status"])
    columns["trigger"] = JobTrigger(columns["trigger"])
    return Job(**columns, eta_seconds=_eta(columns))


def _eta(columns: Mapping[str, Any]) -> float | None:
    rate: float | None = columns["metadata"].get("rows_per_second")
    if columns["status"] is not JobStatus.RUNNING or columns["total"] is None or not rate:
        return None
    remaining: int = max(columns["total"] - columns["processed"], 0)
    return round(remaining / rate, 1)
