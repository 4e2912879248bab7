"""What an incremental pull of Shopify's products costs in points, in a shop where little has changed.

600 products of 20,000 have changed within the overlap of the watermark, some of them since the last pull. Before ids
and times were asked for first, all 600 were read whole each time: 889 points, measured by this benchmark there.

To find out that nothing is new costs a twentieth of that. What has changed is read whole. By pages that would be a
third of the points for 100 products, since a list costs by the logarithm of its size: 100 products with their variants
and levels cost 270 points, where 15 cost 150. A bulk operation costs 10 and one for each look at it, whatever it reads.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox

JOB = "PULL_SHOPIFY_PRODUCTS"
PRODUCTS = 20_000
IN_OVERLAP = 600
CHANGED = (0, 15, 100)
TARGET = 0.1  # of BEFORE, whatever has changed
BEFORE = 889  # points
TICK = 2.1  # seconds, in which a change can be told from the one before


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Pull everything, let products change, pull, let some of them change again, and pull once more."""
    settings = SandboxSettings(products=2_000 if quick else PRODUCTS, customers=1, limits=False)
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        daemon = running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url)
        async with daemon as bench:
            say(f"pull_incremental: pulling {settings.products:,} products")
            await bench.completed(JOB)
            ids = sorted(sandbox.shopify.products)
            chosen = ids[:: len(ids) // IN_OVERLAP][:IN_OVERLAP]
            await _pull(bench, sandbox, chosen)
            points = {changed: await _pull(bench, sandbox, chosen[:changed]) for changed in CHANGED}
    say(f"pull_incremental: {points}")
    for changed, spent in points.items():
        yield Figure(
            f"pull_incremental_{changed}_changed",
            spent,
            "points",
            Bound.AT_MOST,
            BEFORE * TARGET,
            reference=BEFORE,
            ratio=spent / BEFORE,
            detail={"products": settings.products, "in_overlap": IN_OVERLAP},
        )


async def _pull(bench: Bench, sandbox: Sandbox, changed: Sequence[int]) -> int:
    """The points that a pull spends after a change of these products, of which none may be missed."""
    for number in changed:
        sandbox.shopify.touch_product(number)
    await asyncio.sleep(TICK)
    before = sandbox.shopify.requests.points
    job = await bench.completed(JOB)
    if job["updated"] != len(changed) or job["processed"] < IN_OVERLAP:
        raise RuntimeError(f"{job['processed']} processed, {job['updated']} updated, {len(changed)} have changed")
    return sandbox.shopify.requests.points - before
