"""What is asked of the jobs' table costs the same however many jobs there are."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.conditions import queries
from daemon.database.pool import Database
from daemon.inbox.streams import StreamId
from daemon.jobs.types import JobType, Source
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


RUN = """
INSERT INTO dongbo.background_jobs
    (id, store, type, lane, status, trigger, params, processed, successful, updated, max_attempts, created_at,
     completed_at)
VALUES (gen_random_uuid(), $1, 'PULL_NHANH_INVENTORY', 'lane', 'COMPLETED', $2, $3::jsonb, $4, $4, $4, 1, $5, $5)
RETURNING id
"""


async def test_changes_of_which_no_webhook_told_are_found(database: Database) -> None:
    """Those of the first incremental pull by schedule that follows another one after the moment up to which they
    told: that one may have brought what they told of, or what was pushed just before."""
    stream, told_to = StreamId(STORE, Source.NHANH), datetime.now(UTC) - timedelta(hours=1)
    async with database.acquire() as connection:
        for minute, trigger, params, updated in (
            (-1, "schedule", "{}", 3),
            (1, "schedule", "{}", 3),
            (2, "schedule", "{}", 0),
            (3, "schedule", '{"full": true}', 3),
            (4, "webhook", "{}", 3),
            (5, "api", '{"ids": [1]}', 3),
        ):
            ended_at = told_to + timedelta(minutes=minute)
            await connection.execute(RUN, STORE, trigger, params, updated, ended_at)
        assert await queries.list_untold(connection, {stream: told_to}) == []
        later = told_to + timedelta(minutes=6)
        job = await connection.fetchval(RUN, STORE, "schedule", "{}", 1, later)
        await connection.execute(RUN, STORE, "schedule", "{}", 1, later + timedelta(minutes=1))
        [untold] = await queries.list_untold(connection, {stream: told_to})
    assert (untold.stream, str(untold.job_id), untold.since) == (stream, str(job), later)
