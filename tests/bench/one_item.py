"""One item by command, end to end, while a sync of everything runs under Shopify's standard limits.

From the start of `dongbo sync products --variant …` to its end: Python starts, the item is read at both sides, its
stock is set, and what was done is shown.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator

import sync_products
from daemon_process import PLAIN, Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox

PRODUCTS = 5_000
VARIANTS_EACH = 4
ROUNDS = 7

PROGRESS = "SELECT status, processed FROM dongbo.background_jobs WHERE id = $1"
# Of the jobs of single items: until they are taken, and until they end.
TIMES = """
SELECT extract(epoch FROM started_at - created_at)::float AS waited,
    extract(epoch FROM completed_at - started_at)::float AS took, metadata ->> 'api_calls' AS calls
FROM dongbo.background_jobs WHERE params ? 'variants' ORDER BY id
"""


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Change every stock value, let a sync of all run, and push one item after the other meanwhile."""
    settings = SandboxSettings(
        products=PRODUCTS, customers=1, variants_per_product=(VARIANTS_EACH, VARIANTS_EACH), depots=1
    )
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        (location,) = sandbox.shopify.locations.values()
        more = sync_products.SYNC.format(values=100_000, location=location.id, depot=location.depot_id)
        daemon = running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url, more_config=more)
        async with daemon as bench:
            say("one_item: mirroring 20,000 values")
            await sync_products.mirror(bench.connection, sandbox, location.depot_id)
            alone = [await _push_one(bench, sandbox, number) for number in range(ROUNDS)]
            await bench.connection.execute(sync_products.CHANGE_ALL)
            full = await bench.submit("SYNC_PRODUCTS")
            beside: list[float] = []
            for number in range(ROUNDS, ROUNDS + (2 if quick else ROUNDS)):
                await _is_pushing(bench, full)
                beside.append(await _push_one(bench, sandbox, number))
                say(f"one_item: beside the sync of everything {beside[-1]:.2f} s")
            ended = await bench.ended(full)
            times = await bench.connection.fetch(TIMES)
            twice = _written_twice(sandbox)
    yield Figure("one_item_alone", max(alone), "s for one item by command", Bound.LESS_THAN, 1.5, values=sorted(alone))
    yield Figure(
        "one_item",
        max(beside),
        "s for one item by command, beside a sync of 20,000",
        Bound.LESS_THAN,
        1.5,
        values=sorted(beside),
        detail={
            "full_sync": ended["status"],
            "throttled": sandbox.shopify.requests.throttled,
            "waited": [round(job["waited"], 3) for job in times],
            "took": [round(job["took"], 3) for job in times],
            "calls": [job["calls"] for job in times],
        },
    )
    yield Figure("one_item_twice", twice, "values written twice with effect", Bound.AT_MOST, 0)


async def _is_pushing(bench: Bench, job_id: str) -> None:
    """Wait until the sync of everything has pushed something, and make sure that it still has much to do."""
    while True:
        job = await bench.connection.fetchrow(
            "SELECT status, processed FROM dongbo.background_jobs WHERE id = $1", job_id
        )
        if job["status"] == "RUNNING" and job["processed"] > 0:
            return
        if job["status"] not in ("PENDING", "RUNNING"):
            raise RuntimeError(f"the sync of everything has ended too early: {job['status']}")
        await asyncio.sleep(0.05)


async def _push_one(bench: Bench, sandbox: Sandbox, number: int) -> float:
    """Change what Nhanh.vn has of an item, and push it by command; seconds until the command has ended."""
    variant = [*sandbox.shopify.variants.values()][-1 - 40 * number]
    nhanh_id = await bench.connection.fetchval(
        "SELECT nhanh_id FROM dongbo.product_mappings WHERE variant_id = $1", variant.id
    )
    depot, quantity = next(iter(sandbox.nhanh.products[nhanh_id].stock)), 5_000 + number
    sandbox.nhanh.change_stock(nhanh_id, depot, quantity)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *PLAIN,
        *("sync", "products", "--variant", str(variant.id), "--config", str(bench.state / "dongbo.toml")),
        env=os.environ | {"NHANH_TOKEN": "x", "NHANH_KEY": "x", "SHOPIFY_TOKEN": "x"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode or variant.levels[0].available != quantity:
        raise RuntimeError(f"{variant.levels[0].available} instead of {quantity}\n{out.decode()}\n{err.decode()}")
    return seconds


def _written_twice(sandbox: Sandbox) -> int:
    """How often a value was set with effect that had been set before."""
    effects = Counter((write.subject, write.after) for write in sandbox.shopify.writes if write.has_effect)
    return sum(times - 1 for times in effects.values())
