"""Lists of jobs by any single filter and any two, their first page and their hundredth; `/status` and `/metrics`.

With a million jobs in the table, of three stores, of which some kinds are rare and long ago: those are what makes a
scan of an index slow.
"""

import time
from collections.abc import AsyncIterator, Mapping
from itertools import combinations
from statistics import median
from typing import Any

from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

JOBS = 1_000_000
PAGE = 50
LARGEST_PAGE = 500
DEEP_PAGES = 10  # of the largest: as many rows as a hundred pages hold
ROUNDS = 3
MEDIAN_TARGET = 20.0  # ms
WORST_TARGET = 200.0  # ms
PROBE_TARGET = 50.0  # ms

# A job every three seconds for 35 days. One in fifty fails or has failed rows, half of which were made up for; the
# webhooks and the store "old" ended a month ago.
FILL = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, schedule, params, error, total, processed,
    successful, created, updated, skipped, failed, metadata, attempt, max_attempts, worker, repaired_by, parent_id,
    created_at, started_at, updated_at, completed_at)
SELECT id, store, type, 'bench', status, trigger, schedule, params,
    CASE WHEN status = 'FAILED' THEN 'Nhanh.vn did not answer (attempt 3 of 3)' END, 1000, 1000, 900, 400, 500,
    100 - failed, failed, jsonb_build_object('pages', 10, 'rows_per_second', 512.5, 'note', repeat('x', 300)), 1, 3,
    'bench', CASE WHEN n % 100 < 50 AND (failed > 0 OR status = 'FAILED') THEN id END,
    CASE WHEN n % 7 = 1 THEN lag(id) OVER (ORDER BY n) END, at, at, at, at
FROM (
    SELECT n, at,
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid
            AS id,
        CASE WHEN n < 5000 AND n % 5 = 0 THEN 'old' WHEN n % 9 = 0 THEN 'second' ELSE 'main' END AS store,
        (ARRAY['PULL_NHANH_PRODUCTS', 'PULL_NHANH_INVENTORY', 'PULL_SHOPIFY_PRODUCTS', 'MATCH_PRODUCTS',
            'SYNC_PRODUCTS', 'PRODUCT_CHAIN', 'PULL_NHANH_CUSTOMERS'])[n % 7 + 1] AS type,
        CASE WHEN n % 101 = 0 THEN 'FAILED' WHEN n % 503 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END AS status,
        CASE WHEN n % 97 = 0 THEN 3 ELSE 0 END AS failed,
        CASE WHEN n < 3000 THEN 'webhook' WHEN n % 211 = 0 THEN 'cli' ELSE 'schedule' END AS trigger,
        CASE WHEN n % 211 = 0 THEN NULL ELSE (ARRAY['chain', 'hourly', 'nightly'])[n % 3 + 1] END AS schedule,
        CASE WHEN n % 5003 = 0 THEN '{"query": "tag:vip"}' ELSE '{}' END::jsonb AS params
    FROM generate_series(1, $1::integer) AS n, LATERAL (SELECT now() - ($1 - n) * interval '3 s' AS at) AS moment
) AS job
ORDER BY n
"""


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """All filters, alone and in pairs."""
    jobs = JOBS // 20 if quick else JOBS
    async with state_directory() as state:
        async with running_daemon(state) as bench:
            say(f"job_lists: filling the table with {jobs:,} jobs")
            await bench.connection.execute(FILL, jobs, timeout=3600)
            await bench.connection.execute("VACUUM ANALYZE dongbo.background_jobs", timeout=3600)
        async with running_daemon(state) as bench:
            filters = await _filters(bench)
            say(f"job_lists: {len(filters)} filters")
            taken: dict[str, float] = {}
            for chosen in [*((one,) for one in filters), *combinations(filters, 2)]:
                names = [name for name, _ in chosen]
                if len(set(names)) < len(names):
                    continue
                params = dict(chosen)
                label = " ".join(f"{name}={value}" for name, value in params.items())
                cursor = await _time(bench, params, taken, f"{label} first")
                for _ in range(DEEP_PAGES):  # on to the hundredth page by larger ones
                    if cursor is None:
                        break
                    cursor = (await _page(bench, params, cursor))["next_cursor"]
                if cursor is not None:
                    await _time(bench, params, taken, f"{label} hundredth", cursor)
            slowest = sorted(taken, key=lambda label: taken[label], reverse=True)[:5]
            detail = {
                "jobs": jobs,
                "lists": len(taken),
                "slowest": {label: round(taken[label], 1) for label in slowest},
            }
            values = list(taken.values())
            yield Figure("job_lists_median", median(values), "ms", Bound.LESS_THAN, MEDIAN_TARGET, detail=detail)
            yield Figure("job_lists_worst", max(values), "ms", Bound.LESS_THAN, WORST_TARGET)
            for path in ("status", "metrics"):
                probes = [await _get(bench, path, {}) for _ in range(10)]
                times = [milliseconds for milliseconds, _ in probes[1:]]  # the first one plans its statements
                yield Figure(f"{path}_median", median(times), "ms", Bound.LESS_THAN, PROBE_TARGET, times)


async def _filters(bench: Bench) -> list[tuple[str, str]]:
    """The filters with values that are common, rare, long ago, and nowhere."""
    row = await bench.connection.fetchrow(
        "SELECT min(created_at) + (max(created_at) - min(created_at)) / 2 AS middle FROM dongbo.background_jobs"
    )
    parent = await bench.connection.fetchval(
        "SELECT parent_id FROM dongbo.background_jobs WHERE parent_id IS NOT NULL LIMIT 1"
    )
    return [
        ("store", "main"),
        ("store", "old"),
        ("type", "SYNC_PRODUCTS"),
        ("type", "MATCH_CUSTOMERS"),
        ("status", "COMPLETED"),
        ("status", "FAILED"),
        ("outcome", "completed_with_failures"),
        ("outcome", "repaired"),
        ("outcome", "superseded"),
        ("trigger", "webhook"),
        ("trigger", "schedule"),
        ("schedule", "nightly"),
        ("parent", str(parent)),
        ("since", row["middle"].isoformat()),
        ("until", row["middle"].isoformat()),
        ("search", "did not answer"),
        ("search", "tag:vip"),
        ("search", "no such text"),
        ("runs", "true"),
    ]


async def _time(
    bench: Bench, params: Mapping[str, str], taken: dict[str, float], label: str, cursor: str | None = None
) -> str | None:
    """Note the median of some rounds; where the page ends."""
    rounds = []
    for _ in range(ROUNDS):
        more = {"cursor": cursor} if cursor is not None else {}
        milliseconds, answer = await _get(bench, "api/jobs", {**params, **more, "limit": str(PAGE)})
        rounds.append(milliseconds)
    taken[label] = median(rounds)
    following: str | None = answer["next_cursor"]
    return following


async def _page(bench: Bench, params: Mapping[str, str], cursor: str) -> Any:
    _, answer = await _get(bench, "api/jobs", {**params, "cursor": cursor, "limit": str(LARGEST_PAGE)})
    return answer


async def _get(bench: Bench, path: str, params: Mapping[str, str]) -> tuple[float, Any]:
    began = time.perf_counter()
    async with bench.session.get(f"{bench.address}{path}", params=params) as response:
        response.raise_for_status()
        body = await response.read()
    milliseconds = (time.perf_counter() - began) * 1_000
    return milliseconds, await response.json() if body.startswith(b"{") else None
