"""Finds jobs by any mix of properties, newest first, at a cost that does not depend on how many jobs there are.

What jobs are listed by most is their facet (`daemon/jobs/facets.py`): the newest jobs of each facet that matches are
merged. Times become bounds of the ids, which begin with the time. A text is looked for in portions of jobs, as long as
there is time: then the answer says where to go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, ScheduleName, StoreName
from daemon.jobs import facets, store
from daemon.jobs.model import Job, JobOutcome, JobStatus, JobTrigger
from daemon.jobs.store import COLUMNS
from daemon.jobs.types import JobType

LOWEST, HIGHEST = UUID(int=0), UUID(int=2**128 - 1)
# An id has the time of the daemon that made it, `created_at` that of the database: so far may they lie apart. Clocks
# that are further apart than a minute or two are a condition of their own.
CLOCKS_APART = timedelta(hours=1)
FEWEST_DIGITS = 4  # of an id's beginning
FEW = 4_000  # jobs that are all looked at for a text
PORTION = 4_000  # jobs that are looked at by a query
BUDGET = 0.04  # seconds after which a search is answered with what has been found

DATED = """
AND ($5::timestamptz IS NULL OR created_at >= $5) AND ($6::timestamptz IS NULL OR created_at < $6)"""
TEXT = "(error ILIKE $7 OR params::text ILIKE $7)"


def _newest(condition: str) -> str:
    return f"""
SELECT {COLUMNS} FROM dongbo.background_jobs
WHERE id >= $2 AND id < $3 AND $1::integer[] IS NULL {condition} ORDER BY id DESC LIMIT $4
"""


# Only a facet whose newest job is among the newest of all can have one of the jobs wanted. Compared as rows, so that
# the planner has no way but along the index by facet and id: by the id alone it might pass by all jobs.
def _merged(condition: str) -> str:
    return f"""
WITH heads AS MATERIALIZED (
    SELECT head.facet, head.id FROM unnest($1::integer[]) AS wanted (facet) CROSS JOIN LATERAL (
        SELECT facet, id FROM dongbo.background_jobs
        WHERE (facet, id) >= (wanted.facet, $2) AND (facet, id) < (wanted.facet, $3) {condition}
        ORDER BY facet DESC, id DESC LIMIT 1
    ) AS head
    ORDER BY head.id DESC LIMIT $4
)
SELECT {COLUMNS} FROM dongbo.background_jobs WHERE id = ANY (ARRAY(
    SELECT job.id FROM heads CROSS JOIN LATERAL (
        SELECT id FROM dongbo.background_jobs
        WHERE (facet, id) >= (heads.facet, $2) AND (facet, id) <= (heads.facet, heads.id) {condition}
        ORDER BY facet DESC, id DESC LIMIT $4
    ) AS job
    ORDER BY job.id DESC LIMIT $4
))
ORDER BY id DESC
"""


NEWEST, NEWEST_DATED = _newest(""), _newest(DATED)
MERGED, MERGED_DATED = _merged(""), _merged(DATED)


# Of a few jobs, all of which may be looked at: those of $8, or the steps of $9.
def _among(condition: str) -> str:
    return f"""
SELECT {COLUMNS} FROM dongbo.background_jobs
WHERE {condition} AND ($1::integer[] IS NULL OR facet = ANY ($1)) AND id >= $2 AND id < $3 {DATED}
  AND ($7::text IS NULL OR {TEXT})
ORDER BY id DESC LIMIT $4
"""


AMONG_IDS = _among("id = ANY ($8::uuid[]) AND ($9::uuid IS NULL OR parent_id = $9)")
AMONG_STEPS = _among("$8::uuid[] IS NULL AND parent_id = $9")

SEARCHED = f"""
WITH looked_at AS MATERIALIZED (
    SELECT id, error, params, created_at FROM dongbo.background_jobs
    WHERE facet = ANY ($1::integer[]) AND id >= $2 AND id < $3
)
SELECT id FROM looked_at WHERE {TEXT} {DATED} ORDER BY id DESC LIMIT $4
"""

SEARCHED_PORTION = f"""
WITH looked_at AS MATERIALIZED (
    SELECT id, facet, error, params, created_at FROM dongbo.background_jobs
    WHERE id >= $2 AND id < $3 ORDER BY id DESC LIMIT $8
)
SELECT (SELECT count(*) FROM looked_at) AS looked_at, (SELECT id FROM looked_at ORDER BY id LIMIT 1) AS last, ARRAY(
    SELECT id FROM looked_at
    WHERE ($1::integer[] IS NULL OR facet = ANY ($1)) AND {TEXT} {DATED} ORDER BY id DESC LIMIT $4
) AS found
"""

HAS_ID = "SELECT EXISTS (SELECT FROM dongbo.background_jobs WHERE id >= $1 AND id <= $2)"


@dataclass(frozen=True, slots=True)
class JobFilters:
    """Which jobs are wanted: those with all of these properties.

    Args:
        only_runs: no steps of chains, and no tests of `dongbo doctor`.
        since, until: aware; by the time at which they were asked for, `until` excluded.
        search: in the error or the parameters; or an id, or its beginning of at least FEWEST_DIGITS digits.
        ids: only these.
    """

    store: StoreName | None = None
    type: JobType | None = None
    status: JobStatus | None = None
    outcome: JobOutcome | None = None
    trigger: JobTrigger | None = None
    schedule: ScheduleName | None = None
    only_runs: bool = False
    parent: JobId | None = None
    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None
    ids: Sequence[JobId] | None = None


ALL_JOBS = JobFilters()


class FoundJobs(NamedTuple):
    """Jobs, newest first; `before`: further ones may be older than this one, None where there are none."""

    jobs: list[Job]
    before: JobId | None


async def find(
    connection: Connection, filters: JobFilters, *, before: JobId | None = None, limit: int = 50
) -> FoundJobs:
    """At most `limit` of the jobs that are older than `before`. A search may find fewer though there are more.

    All of one moment: a job that changes its facet between two statements would be in neither list.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        query = _Query(connection, filters, await _facets(connection, filters), before, limit)
        return await query.run()


async def _facets(connection: Connection, filters: JobFilters) -> list[int] | None:
    """The facets of the jobs that are wanted; None where all are."""
    wanted = (filters.store, filters.type, filters.status, filters.outcome, filters.trigger, filters.schedule)
    if not filters.only_runs and all(each is None for each in wanted):
        return None
    return await facets.find(
        connection,
        store=filters.store,
        job_type=filters.type,
        status=filters.status,
        outcome=filters.outcome,
        trigger=filters.trigger,
        schedule=filters.schedule,
        only_runs=filters.only_runs,
    )


class _Query:
    """One page of a list. `low` and `high`: the ids looked at, `high` excluded."""

    def __init__(
        self,
        connection: Connection,
        filters: JobFilters,
        wanted: list[int] | None,
        before: JobId | None,
        limit: int,
    ) -> None:
        self.facets = wanted
        self._connection = connection
        self._filters = filters
        self._limit = limit
        self._low = LOWEST if filters.since is None else _id_at(filters.since - CLOCKS_APART)
        latest = HIGHEST if filters.until is None else _id_at(filters.until + CLOCKS_APART)
        self._high = min(before, latest) if before is not None else latest

    async def run(self) -> FoundJobs:
        """The page, by the way that costs least."""
        filters = self._filters
        if self.facets == []:
            return FoundJobs([], None)
        is_among_few = filters.ids is not None or filters.parent is not None
        if filters.search is not None and not await self.names_an_id(filters.search):
            pattern = _pattern(filters.search)
            return await (self.among(pattern) if is_among_few else self.search(pattern))
        return await (self.among(None) if is_among_few else self.newest())

    async def names_an_id(self, text: str) -> bool:
        """Whether the text is the id of a job or the beginning of one: then only that is looked for."""
        digits = text.replace("-", "").lower()
        if not FEWEST_DIGITS <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
            return False
        first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        if not await self._connection.fetchval(HAS_ID, first, last):
            return False
        self._low, self._high = max(self._low, first), min(self._high, UUID(int=min(last.int + 1, HIGHEST.int)))
        return True

    async def newest(self) -> FoundJobs:
        """By facets and times."""
        is_dated = self._filters.since is not None or self._filters.until is not None
        if self.facets is None:
            statement = NEWEST_DATED if is_dated else NEWEST
        else:
            statement = MERGED_DATED if is_dated else MERGED
        dates = (self._filters.since, self._filters.until) if is_dated else ()
        return await self._page(
            await self._connection.fetch(statement, self.facets, self._low, self._high, self._limit + 1, *dates)
        )

    async def among(self, pattern: str | None) -> FoundJobs:
        """Among the jobs that are named, or the steps of one."""
        ids, parent = self._filters.ids, self._filters.parent
        statement = AMONG_STEPS if ids is None else AMONG_IDS
        rows = await self._connection.fetch(statement, *self._arguments(self._limit + 1), pattern, ids, parent)
        return await self._page(rows)

    async def search(self, pattern: str) -> FoundJobs:
        """By a text, from the newest on."""
        if self.facets is not None and await facets.count(self._connection, self.facets) <= FEW:
            rows = await self._connection.fetch(SEARCHED, *self._arguments(self._limit + 1), pattern)
            return await self._read([row["id"] for row in rows[: self._limit]], is_last=len(rows) <= self._limit)
        found: list[JobId] = []
        end = monotonic() + BUDGET
        while True:
            wanted = self._limit - len(found)
            portion = await self._connection.fetchrow(SEARCHED_PORTION, *self._arguments(wanted), pattern, PORTION)
            found += portion["found"]
            if len(found) == self._limit:
                return await self._read(found, is_last=False)
            if portion["looked_at"] < PORTION:
                return await self._read(found, is_last=True)
            self._high = portion["last"]
            if monotonic() >= end:
                return FoundJobs((await self._read(found, is_last=True)).jobs, store.plain_id(portion["last"]))

    def _arguments(self, limit: int) -> tuple[object, ...]:
        return self.facets, self._low, self._high, limit, self._filters.since, self._filters.until

    async def _page(self, rows: Sequence[Record]) -> FoundJobs:
        shown = rows[: self._limit]
        cursor = store.plain_id(shown[-1]["id"]) if len(rows) > self._limit else None
        return FoundJobs(await store.read_jobs(shown), cursor)

    async def _read(self, ids: Sequence[JobId], *, is_last: bool) -> FoundJobs:
        jobs = sorted(await store.get_many(self._connection, ids), key=lambda job: job.id, reverse=True)
        return FoundJobs(jobs, None if is_last or not ids else store.plain_id(ids[-1]))


def _id_at(moment: datetime) -> UUID:
    """The least id of a job that was made then (see `daemon.ids.new_job_id`)."""
    milliseconds = max(int(moment.timestamp() * 1_000), 0)
    return UUID(int=min(milliseconds, 2**48 - 1) << 80)


def _pattern(text: str) -> str:
    """What `ILIKE` takes for a text that holds it, whatever signs are in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
