"""Rule 3 as a check: the counters of the jobs against what is in the tables, in one snapshot."""

from dataclasses import dataclass

import asyncpg

COUNTERS = """
SELECT id::text, status, processed, successful, created, updated, skipped, failed,
       (checkpoint ->> 'rows')::bigint AS rows,
       (SELECT count(*) FROM dongbo.job_failures WHERE job_id = job.id) AS letters
FROM dongbo.background_jobs AS job
WHERE store = $1 AND type = 'PULL_NHANH_CUSTOMERS' AND NOT params ? 'retry_of'
ORDER BY id
"""

# A row is changed at most once over all pulls of a test, so that what was updated can be told from the table.
ROWS = """
SELECT count(*) AS created, count(*) FILTER (WHERE changed_at > first_seen_at) AS updated
FROM dongbo.nhanh_customers WHERE store = $1
"""


@dataclass(frozen=True)
class Totals:
    """The counters of all pulls of the customers together."""

    processed: int
    created: int
    updated: int
    skipped: int
    failed: int


async def check_ledger(connection: asyncpg.Connection, store: str = "main") -> Totals:
    """Compare the counters of all customer pulls with the tables, at this very moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        jobs = await connection.fetch(COUNTERS, store)
        rows = await connection.fetchrow(ROWS, store)
    for job in jobs:
        assert job["processed"] == job["successful"] + job["skipped"] + job["failed"], job
        assert job["successful"] == job["created"] + job["updated"], job
        assert job["failed"] == job["letters"], job
        assert job["processed"] == (job["rows"] or 0), job
    totals = Totals(*(sum(job[name] for job in jobs) for name in Totals.__dataclass_fields__))
    assert (totals.created, totals.updated) == (rows["created"], rows["updated"]), jobs
    return totals
