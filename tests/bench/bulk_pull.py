"""A full pull of a large shop's products from Shopify: by pages against in bulk, and the memory of a very large one.

By pages, a shop under standard limits is as fast as its points come back, 100 a second, and a page of 200 products
costs some 190. A bulk operation costs 10, and one for each look at it, but Shopify takes its time over it. How long is
not documented, and what people tell lies far apart: 10,000 products in hours (shopify-api-ruby#876, 2021), half a
million stock levels in 18 minutes (2026), which is 460 objects a second. So the time of the operation, at PACE, is told
apart from the time of the daemon, along with the slowest pace at which the target would be met and what it would be at
TOLD.
"""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import bulk_shop
import processes
from daemon_process import running_daemon, state_directory
from figures import Bound, Figure, say

JOB = "PULL_SHOPIFY_PRODUCTS"
PRODUCTS = 100_000
PACE = 20_000.0  # objects a second, which the sandbox can keep up
TOLD = 460.0
TARGET = 0.1  # of the time that pages take
MILLION = 1_000_000
MADE_OF = 1_000
MEMORY_TARGET = 150.0  # MB
# What the allocator keeps differs by a few MB between two runs of the same size.
GROWTH_TARGET = 15.0  # MB


@dataclass(frozen=True, slots=True)
class Pull:
    """What one pull took."""

    seconds: float
    points: int
    throttled: int
    objects: int  # of the bulk operation
    file_bytes: int
    peak_memory: float  # MB


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """One pull by each method into an empty mirror, each of a fresh shop by a fresh daemon; of a tenth with `quick`."""
    products = PRODUCTS // 10 if quick else PRODUCTS
    pulls = {}
    for method in ("bulk", "pages"):
        say(f"bulk_products: {products:,} products, {method}")
        made_of = products if method == "pages" else MADE_OF
        pulls[method] = await pull(products, method, PACE, made_of)
        say(f"bulk_products: {method}: {pulls[method].seconds:,.0f} s, {pulls[method].points:,} points")
    pages, bulk = pulls["pages"], pulls["bulk"]
    own_seconds = bulk.seconds - bulk.objects / PACE
    left = pages.seconds * TARGET - own_seconds
    yield Figure(
        "bulk_products_seconds",
        bulk.seconds,
        f"s for {products:,} products",
        Bound.AT_MOST,
        pages.seconds * TARGET,
        reference=pages.seconds,
        ratio=bulk.seconds / pages.seconds,
        detail={
            "objects": bulk.objects,
            "objects_per_second_of_the_operation": PACE,
            "seconds_besides_the_operation": round(own_seconds, 1),
            "slowest_pace_within_the_target": round(bulk.objects / left) if left > 0 else None,
            "ratio_at_460_objects_per_second": round((own_seconds + bulk.objects / TOLD) / pages.seconds, 3),
        },
    )
    yield Figure(
        "bulk_products_points",
        bulk.points,
        "points",
        Bound.AT_MOST,
        pages.points * TARGET,
        reference=pages.points,
        ratio=bulk.points / pages.points,
    )
    yield Figure("bulk_products_throttled", pages.throttled + bulk.throttled, "refused calls", Bound.AT_MOST, 0)


async def measure_million(quick: bool) -> AsyncIterator[Figure]:
    """The daemon's memory for 100,000 products and for 1,000,000, each in a fresh daemon: it must not grow with the
    shop."""
    few, many = (PRODUCTS // 10, PRODUCTS) if quick else (PRODUCTS, MILLION)
    pulls = {}
    for products in (few, many):
        say(f"bulk_million: {products:,} products")
        pulls[products] = await pull(products, "bulk", math.inf, MADE_OF)
        say(f"bulk_million: {pulls[products].seconds:,.0f} s, {pulls[products].peak_memory:.0f} MB")
    yield Figure(
        "bulk_million_peak_memory",
        pulls[many].peak_memory,
        f"MB for {many:,} products",
        Bound.LESS_THAN,
        MEMORY_TARGET,
        detail={
            "objects": pulls[many].objects,
            "file_megabytes": round(pulls[many].file_bytes / 1e6),
            "seconds": round(pulls[many].seconds),
        },
    )
    yield Figure(
        "bulk_million_memory_growth",
        pulls[many].peak_memory - pulls[few].peak_memory,
        f"MB more than for {few:,} products",
        Bound.AT_MOST,
        GROWTH_TARGET,
        reference=pulls[few].peak_memory,
        ratio=pulls[many].peak_memory / pulls[few].peak_memory,
    )


async def pull(products: int, method: str, pace: float, made_of: int) -> Pull:
    """Pull all products of a fresh shop by a method, with a fresh daemon; each of them must be created."""
    async with (
        bulk_shop.serving(products, pace, made_of) as url,
        state_directory() as state,
        running_daemon(state, shopify_url=url) as bench,
    ):
        processes.reset_peak_memory(bench.daemon_pid)
        job = await bench.completed(JOB, full=True, method=method)
        seen = await bulk_shop.seen(url)
        if seen["operations"] != (method == "bulk") or (job["created"], job["failed"]) != (products, 0):
            raise RuntimeError(f"{job['created']} created, {job['failed']} failed: {job['metadata']}")
        return Pull(
            seconds=(job["completed_at"] - job["created_at"]).total_seconds(),
            points=seen["points"],
            throttled=seen["throttled"],
            objects=seen.get("objects", 0),
            file_bytes=seen.get("file_bytes", 0),
            peak_memory=processes.peak_memory(bench.daemon_pid),
        )
