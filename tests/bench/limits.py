"""Pulling under the sources' real limits: how much of what they allow is used, and that they never have to refuse.

The sandbox keeps the limits and counts what it saw.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from daemon_process import running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.sandbox.nhanh.limits import REQUESTS, WINDOW_SECONDS
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox

NHANH_WINDOWS = 3
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


def _within(start: float, times: list[float]) -> int:
    return sum(start <= at < start + WINDOW_SECONDS for at in times)


async def measure_shopify(quick: bool) -> AsyncIterator[Figure]:
    """Pull customers until the first bucket is used up, and then for a minute: how many restored points are spent?"""
    seconds = 15.0 if quick else SHOPIFY_SECONDS
    # More than can be pulled meanwhile: 57 points for 250 of them, and not all of Nhanh's customers are Shopify's too.
    settings = SandboxSettings(products=1, customers=100_000)
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        async with running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url) as bench:
            job_id = await bench.submit("PULL_SHOPIFY_CUSTOMERS", full=True)
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
