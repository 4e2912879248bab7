"""All SQL on `dongbo.job_failures`, the dead letters: rows that a job could not store."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.model import GROUPED_BY, FailureGroup, JobFailure
from daemon.jobs.types import JobType

MOST_GROUPED = 20_000  # dead letters that are looked at for their reasons
MOST_GROUPS = 100
MOST_MENDED = 100  # jobs of a stream whose rows a pull may mend
PAYLOAD_LIMIT = 16 * 1024  # characters kept of a row: enough to see what is wrong, however large the row

INSERT = """
INSERT INTO dongbo.job_failures (job_id, source_id, reason, payload, payload_truncated)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::boolean[])
"""

COLUMNS = "id, job_id, source_id, reason, payload, payload_truncated, created_at, resolved_at"

LIST = f"""
SELECT {COLUMNS} FROM dongbo.job_failures
WHERE job_id = $1 AND id > $2 AND ($4::text IS NULL OR left(reason, {GROUPED_BY}) = $4)
ORDER BY id LIMIT $3
"""

# Of as many rows as are looked at for a person; what fails further is of the same reasons as a rule.
LIST_GROUPS = """
SELECT reason, count(*) AS rows, count(*) FILTER (WHERE resolved_at IS NULL) AS unresolved,
    (array_agg(source_id ORDER BY id))[1] AS example_source_id
FROM (SELECT id, reason, resolved_at, source_id FROM dongbo.job_failures WHERE job_id = $1 ORDER BY id LIMIT $2) AS row
GROUP BY reason ORDER BY rows DESC, reason LIMIT $3
"""

REASONS = """
SELECT source_id, min(reason) AS reason FROM (
    SELECT source_id, reason FROM dongbo.job_failures WHERE job_id = $1 AND source_id IS NOT NULL ORDER BY id LIMIT $2
) AS row GROUP BY source_id
"""

LIST_UNRESOLVED = f"""
SELECT {COLUMNS} FROM dongbo.job_failures
WHERE job_id = $1 AND resolved_at IS NULL AND id > $2 ORDER BY id LIMIT $3
"""

COUNT_UNRESOLVED = "SELECT count(*) FROM dongbo.job_failures WHERE job_id = $1 AND resolved_at IS NULL"

RESOLVE = """
WITH resolved AS (
    UPDATE dongbo.job_failures SET resolved_at = clock_timestamp()
    WHERE job_id = $1 AND id = ANY ($2) AND resolved_at IS NULL
    RETURNING id
)
UPDATE dongbo.background_jobs SET taken_up = taken_up + (SELECT count(*) FROM resolved) WHERE id = $1
"""

# Jobs of a stream with rows that are not stored: the newest.
LIST_OPEN = f"""
SELECT id FROM dongbo.background_jobs AS job
WHERE facet = ANY (ARRAY(
        SELECT id FROM dongbo.job_facets
        WHERE store = $1 AND type = $2 AND outcome IN ('completed_with_failures', 'failed')
    ))
    AND EXISTS (SELECT FROM dongbo.job_failures WHERE job_id = job.id AND resolved_at IS NULL)
ORDER BY id DESC LIMIT {MOST_MENDED}
"""

# A job of which the last row is mended is repaired; of one that failed there was more to do than that.
MEND = """
WITH mended AS (
    UPDATE dongbo.job_failures SET resolved_at = clock_timestamp()
    WHERE job_id = ANY ($1) AND source_id = ANY ($2) AND resolved_at IS NULL
    RETURNING job_id
), counted AS (
    SELECT job_id, count(*) AS rows FROM mended GROUP BY job_id
)
UPDATE dongbo.background_jobs AS job
SET taken_up = taken_up + rows,
    repaired_by = CASE WHEN status = 'COMPLETED' AND taken_up + rows = failed THEN $3 ELSE repaired_by END
FROM counted WHERE job.id = counted.job_id
RETURNING parent_id
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row that can't be stored, as the mirror or the source client describes it."""

    source_id: str | None
    reason: str
    payload: bytes


async def insert(connection: Connection, job_id: JobId, letters: Sequence[DeadLetter]) -> None:
    """Keep what could not be stored, in the transaction of its page."""
    payloads = [_storable(letter.payload) for letter in letters]
    await connection.execute(
        INSERT,
        job_id,
        [None if letter.source_id is None else _without_nul(letter.source_id) for letter in letters],
        [_without_nul(letter.reason) for letter in letters],
        [payload[:PAYLOAD_LIMIT] for payload in payloads],
        [len(payload) > PAYLOAD_LIMIT for payload in payloads],
    )


async def list_failures(
    connection: Connection, job_id: JobId, after: int = 0, limit: int = 100, *, reason: str | None = None
) -> list[JobFailure]:
    """Dead letters of a job in the order they came, or those of a reason; `after` is the last id of the page before."""
    return [_failure(row) for row in await connection.fetch(LIST, job_id, after, limit, reason)]


async def list_groups(connection: Connection, job_id: JobId) -> list[FailureGroup]:
    """The reasons of a job's dead letters, the most frequent first, among the first MOST_GROUPED of them."""
    rows = await connection.fetch(LIST_GROUPS, job_id, MOST_GROUPED, MOST_GROUPS)
    return [FailureGroup(**dict(row)) for row in rows]


async def reasons(connection: Connection, job_id: JobId) -> dict[str, str]:
    """{source id: a reason} of a job's dead letters, among the first MOST_GROUPED of them."""
    return dict(await connection.fetch(REASONS, job_id, MOST_GROUPED))


async def list_unresolved(connection: Connection, job_id: JobId, after: int, limit: int) -> list[JobFailure]:
    """Dead letters that no retry has taken up yet; `after` is the last id of the previous page."""
    return [_failure(row) for row in await connection.fetch(LIST_UNRESOLVED, job_id, after, limit)]


async def count_unresolved(connection: Connection, job_id: JobId) -> int:
    """How many dead letters of the job no retry has taken up yet."""
    count: int = await connection.fetchval(COUNT_UNRESOLVED, job_id)
    return count


async def resolve(connection: Connection, job_id: JobId, letter_ids: Sequence[int]) -> None:
    """Mark dead letters as taken up by a retry."""
    await connection.execute(RESOLVE, job_id, letter_ids)


async def list_open(connection: Connection, store: StoreName, job_type: JobType) -> list[JobId]:
    """Ended jobs of a stream with rows that are not stored yet, the newest MOST_MENDED of them."""
    return [JobId(UUID(int=row["id"].int)) for row in await connection.fetch(LIST_OPEN, store, job_type)]


async def mend(
    connection: Connection, job_ids: Sequence[JobId], source_ids: Sequence[str], mended_by: JobId
) -> set[JobId]:
    """Resolve the dead letters of these jobs whose rows a later one has just stored; the chains that have such a job
    for a step."""
    rows = await connection.fetch(MEND, job_ids, source_ids, mended_by)
    return {JobId(UUID(int=row["parent_id"].int)) for row in rows if row["parent_id"] is not None}


def _storable(payload: bytes) -> str:
    return _without_nul(payload[: PAYLOAD_LIMIT * 4 + 1].decode("utf-8", errors="replace"))


def _without_nul(text: str) -> str:
    return text.replace("\x00", "\\u0000")


def _failure(row: Record) -> JobFailure:
    return JobFailure(**dict(row) | {"job_id": JobId(UUID(int=row["job_id"].int))})
