"""What is asked of the jobs' table costs the same however many jobs there are."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.conditions import queries
from daemon.database.pool import Database
from daemon.jobs.types import JobType
from tests.support.scenes import STORE

MANY = 5_000
SEED = """
INSERT INTO dongbo.background_jobs
    (id, store, type, lane, status, trigger, params, processed, failed, max_attempts, created_at, completed_at)
SELECT gen_random_uuid(), $1, $2, 'lane', 'COMPLETED', 'api', $3::jsonb, $4, $4, 1, ended_at, ended_at
FROM generate_series(now() - $5::int * interval '1 s', now(), '1 s') AS ended_at
"""


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def test_streams_are_read_by_index(database: Database) -> None:
    """Neither narrowed jobs without end, nor whole ones, nor such with failed rows are passed over one by one."""
    async with database.acquire() as connection:
        for params, failed, job_type in (
            ('{"filters": {"ids": [1]}}', 0, JobType.PULL_NHANH_PRODUCTS),
            ("{}", 0, JobType.PULL_NHANH_INVENTORY),
            ('{"filters": {"ids": [1]}}', 1, JobType.PULL_SHOPIFY_PRODUCTS),
        ):
            await connection.execute(SEED, STORE, job_type, params, failed, MANY)
        await connection.execute("ANALYZE dongbo.background_jobs")
        types = [str(job_type) for job_type in JobType]
        text = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {queries.STREAMS}", [STORE] * len(types), types
        )
    (found,) = text if isinstance(text, list) else json.loads(text)
    passed = {
        f"{node['Node Type']} {node.get('Index Name', '')}": touched
        for node in nodes(found["Plan"])
        if (touched := node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))) > 1_000
    }
    assert passed == {}
