"""Pruning of jobs: what goes is what the rule says, however many there are, and each batch of it is short."""

import re
from datetime import timedelta
from uuid import UUID

from daemon.database.pool import Connection, Database
from daemon.jobs import store

OLD = timedelta(days=30)
# Jobs of some kinds, a minute apart, the last one now; some have not ended, and build on others.
FILL = """
INSERT INTO dongbo.background_jobs
    (id, store, type, lane, status, trigger, params, max_attempts, run_token, completed_at, parent_id)
SELECT ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'store' || n % 3,
    (ARRAY['MATCH_PRODUCTS', 'SYNC_PRODUCTS', 'APPLY_SALE'])[1 + n / 3 % 3], 'lane',
    CASE WHEN n % 97 = 0 OR n < 40 THEN 'FAILED' WHEN n % 89 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END, 'schedule',
    CASE WHEN n % 50 = 0 THEN jsonb_build_object('retry_of', n) WHEN n % 7 = 0 THEN '{"full": true}' ELSE '{}' END,
    4, NULL, now() - make_interval(mins => $1 - n), NULL
FROM generate_series(1, $1) AS n
"""
UNENDED = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, params, max_attempts, parent_id)
SELECT ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'store0', 'MATCH_PRODUCTS', 'lane', 'PENDING',
    'retry', CASE WHEN n % 2 = 0 THEN jsonb_build_object('retry_of', id) ELSE jsonb_build_object('n', n) END, 4,
    CASE WHEN n % 2 = 1 THEN id END
FROM (SELECT row_number() OVER (ORDER BY id) AS n, id FROM dongbo.background_jobs ORDER BY id LIMIT 5) AS needed
"""
JOBS = """
SELECT id, (store, type, status, params ?| ARRAY['retry_of', 'filters', 'query', 'dry_run'])::text AS kind,
    completed_at < now() - $1::interval AS is_old, params ->> 'retry_of' AS retry_of, parent_id, completed_at IS NULL
    AS is_live
FROM dongbo.background_jobs ORDER BY id
"""


async def expected(connection: Connection) -> set[UUID]:
    """What is to go, by the rule in words: it ended long ago, has a newer one of its kind, and nobody needs it."""
    rows = await connection.fetch(JOBS, OLD)
    newest = {row["kind"]: row["id"] for row in rows}
    needed = {str(row[column]) for row in rows if row["is_live"] for column in ("retry_of", "parent_id")}
    return {
        row["id"] for row in rows if row["is_old"] and newest[row["kind"]] != row["id"] and str(row["id"]) not in needed
    }


async def test_what_goes_is_what_the_rule_says(database: Database) -> None:
    """Batch by batch, the oldest first; and as many as were announced."""
    async with database.acquire() as connection:
        await connection.execute(FILL, 50_000)
        await connection.execute(UNENDED)
        going = await expected(connection)
        before = {row["id"] for row in await connection.fetch("SELECT id FROM dongbo.background_jobs")}
        plan = await store.plan_pruning(connection, OLD)
        assert plan.prunable == len(going) > 2_000
        assert plan.prunable + plan.unended + plan.recent + plan.newest + plan.needed == len(before)
        assert (plan.unended, plan.needed) == (5, 5)
        assert await store.prune(connection, OLD, 100) == 100
        gone = before - {row["id"] for row in await connection.fetch("SELECT id FROM dongbo.background_jobs")}
        assert gone == set(sorted(going)[:100])
        while await store.prune(connection, OLD):
            pass
        left = {row["id"] for row in await connection.fetch("SELECT id FROM dongbo.background_jobs")}
        assert before - left == going


async def test_a_batch_reads_no_more_than_it_deletes(database: Database) -> None:
    """And as many as may stay: by the plan, also of a database that has not been analysed, all comes by indexes."""
    async with database.acquire() as connection:
        await connection.execute(FILL, 50_000)
        async with connection.transaction():
            lines = [row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE) {store.PRUNE}", OLD, 500)]
        plan = "\n".join(lines)
        assert "Index Scan using background_jobs_ended" in plan
        assert "Seq Scan on background_jobs" not in plan
        assert max(int(rows) for rows in re.findall(r"actual time=\S+ rows=([0-9]+)", plan)) < 5_000
