"""Pulling under the sources' real limits: how much of what they allow is used, and that they never have to refuse.

The sandbox keeps the limits and counts what it saw.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import orjson
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.database.embedded import embedded_server
from daemon.sandbox.nhanh.limits import REQUESTS, WINDOW_SECONDS
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox

NHANH_WINDOWS = 3
BURST_PAGES = 140  # what fits into a window of which nothing is used
HANDED_OVER_PAGES = 300
HANDED_OVER_AT = 100  # pages
SHOPIFY_SECONDS = 60.0
MARGIN_SECONDS = 5.0
POLL_SECONDS = 0.002
QUERY_TIMEOUT = 30.0  # seconds


async def measure_nhanh(quick: bool) -> AsyncIterator[Figure]:
    """Pull customers for three windows: of 450 requests allowed in any 90 s, how many come?"""
    windows = 1 if quick else NHANH_WINDOWS
    customers = REQUESTS * 100 * (windows + 2)  # more than can be pulled meanwhile
    async with running_sandbox(SandboxSettings(products=1, customers=customers)) as sandbox, state_directory() as state:
        async with running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url) as bench:
            say(f"limits_nhanh: pulling for {windows * WINDOW_SECONDS:.0f} s")
            job_id = await bench.submit("PULL_NHANH_CUSTOMERS", full=True)
            await asyncio.sleep(windows * WINDOW_SECONDS + MARGIN_SECONDS)
            await bench.cancel(job_id)
            job = await bench.ended(job_id)
        requests = [request for request in sandbox.nhanh.requests if request.path.endswith("customer/list")]
        refused = sum(request.outcome != "ok" for request in requests)
        end = requests[0].at + windows * WINDOW_SECONDS
        used = sum(request.at < end for request in requests)
        most = max(_within(request.at, [other.at for other in requests]) for request in requests)
    yield Figure(
        "limits_nhanh_used",
        used / (REQUESTS * windows),
        "of the requests allowed",
        Bound.AT_LEAST,
        0.98,
        detail={
            "requests": used,
            "allowed": REQUESTS * windows,
            "seconds": windows * WINDOW_SECONDS,
            "most_in_any_30_s": most,
            "rows": job["processed"],
        },
    )
    yield Figure("limits_nhanh_refused", refused, "answers other than success", Bound.AT_MOST, 0)


async def measure_nhanh_burst(quick: bool) -> AsyncIterator[Figure]:
    """A pull that fits into the window, after the window has been idle: as quick as without a limit, or nearly so."""
    times = {unlimited: await _second_pull(unlimited=unlimited) for unlimited in (True, False)}
    reference, seconds = times[True], times[False]
    yield Figure(
        "limits_nhanh_at_once",
        seconds,
        f"s for {BURST_PAGES} pages",
        Bound.AT_MOST,
        1.5 * reference + 1.0,
        reference=reference,
        ratio=seconds / reference,
    )


async def _second_pull(*, unlimited: bool) -> float:
    """Seconds that a pull takes when the one before it has been over for as long as a window."""
    # Without quirks, as with them some pages are short: here each has its 100 rows.
    settings = SandboxSettings(products=1, customers=BURST_PAGES * 100, limits=not unlimited, quirks=False)
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        async with running_daemon(state, nhanh_url=sandbox.nhanh_url, unlimited=unlimited) as bench:
            await bench.completed("PULL_NHANH_CUSTOMERS", full=True)
            say(f"limits_nhanh_burst: idle for {WINDOW_SECONDS:.0f} s")
            await asyncio.sleep(WINDOW_SECONDS + 1)
            job = await bench.completed("PULL_NHANH_CUSTOMERS", full=True)
        assert orjson.loads(job["metadata"])["pages"] == BURST_PAGES
        assert all(request.outcome == "ok" for request in sandbox.nhanh.requests)
    return _seconds(job)


async def measure_nhanh_handover(quick: bool) -> AsyncIterator[Figure]:
    """A daemon is killed in the middle of a pull, and another one goes on with it."""
    settings = SandboxSettings(products=1, customers=HANDED_OVER_PAGES * 100)
    async with (
        running_sandbox(settings) as sandbox,
        state_directory() as database,
        state_directory() as one,
        state_directory() as other,
        embedded_server(database) as server,
    ):
        async with running_daemon(one, nhanh_url=sandbox.nhanh_url, database_url=server.dsn) as bench:
            job_id = await bench.submit("PULL_NHANH_CUSTOMERS", full=True)
            await _has_processed(bench, job_id, HANDED_OVER_AT * 100)
            bench.process.kill()
            await bench.process.wait()
        before = len(sandbox.nhanh.requests)
        async with running_daemon(other, nhanh_url=sandbox.nhanh_url, database_url=server.dsn) as bench:
            say(f"limits_nhanh_handover: after {before} calls another daemon goes on")
            if quick:
                await asyncio.sleep(MARGIN_SECONDS)
                await bench.cancel(job_id)
            job = await bench.ended(job_id)
        requests = list(sandbox.nhanh.requests)
    refused = sum(request.outcome != "ok" for request in requests)
    yield Figure(
        "limits_nhanh_handover_refused",
        refused,
        "answers other than success",
        Bound.AT_MOST,
        0,
        detail={
            "calls_before": before,
            "calls_after": len(requests) - before,
            "seconds": round(_seconds(job), 1),
            "rows": job["processed"],
        },
    )


async def _has_processed(bench: Bench, job_id: str, rows: int) -> None:
    query = "SELECT processed >= $2 FROM dongbo.background_jobs WHERE id = $1"
    async with asyncio.timeout(QUERY_TIMEOUT):
        while not await bench.connection.fetchval(query, job_id, rows):
            await asyncio.sleep(POLL_SECONDS)


def _seconds(job: asyncpg.Record) -> float:
    return float((job["completed_at"] - job["created_at"]).total_seconds())


def _within(start: float, times: list[float]) -> int:
    return sum(start <= at < start + WINDOW_SECONDS for at in times)


async def measure_shopify(quick: bool) -> AsyncIterator[Figure]:
    """Pull customers until the first bucket is used up, and then for a minute: how many restored points are spent?"""
    seconds = 15.0 if quick else SHOPIFY_SECONDS
    # More than can be pulled meanwhile: 57 points for 250 of them, and not all of Nhanh's customers are Shopify's too.
    settings = SandboxSettings(products=1, customers=100_000)
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        async with running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url) as bench:
            job_id = await bench.submit("PULL_SHOPIFY_CUSTOMERS", full=True, method="pages")
            began, points_before = await _bucket_used_up(sandbox)
            say(f"limits_shopify: the first bucket is used up, pulling for {seconds:.0f} s")
            await asyncio.sleep(seconds)
            ended, points_after = await _next_query(sandbox)
            await bench.cancel(job_id)
            job = await bench.ended(job_id)
        restored = (ended - began) * settings.shopify_restore_rate
        used = points_after - points_before
        throttled = sandbox.shopify.requests.throttled
    yield Figure(
        "limits_shopify_used",
        used / restored,
        "of the points restored",
        Bound.AT_LEAST,
        0.95,
        detail={
            "points": used,
            "restored": round(restored),
            "seconds": round(ended - began, 1),
            "rows": job["processed"],
        },
    )
    yield Figure("limits_shopify_throttled", throttled, "queries", Bound.AT_MOST, 0)


async def _bucket_used_up(sandbox: Sandbox) -> tuple[float, int]:
    """Wait until the daemon has to wait for points; the time of that query, and all points spent until then."""
    while True:
        at, points = await _next_query(sandbox)
        last = sandbox.shopify.requests.last[-1]
        if last.requested_cost is not None and sandbox.shopify.bucket.available < last.requested_cost:
            return at, points


async def _next_query(sandbox: Sandbox) -> tuple[float, int]:
    """Wait for the next query, so that spans between two of these hold whole queries; its time and all points spent."""
    calls = sandbox.shopify.requests.calls
    async with asyncio.timeout(QUERY_TIMEOUT):
        while sandbox.shopify.requests.calls == calls:
            await asyncio.sleep(POLL_SECONDS)
    return time.monotonic(), sandbox.shopify.requests.points
