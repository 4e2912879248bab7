"""From a sale at Nhanh.vn to the value at Shopify, by webhooks and under the limits of both: how soon, at what cost.

Shopify tells of each value that is set, as the real one does: those echoes are part of the load.
"""

import asyncio
import math
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

from daemon_process import Bench, free_port, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.sandbox.server import VERIFY_TOKEN, Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.writes import AppliedWrite

RATE = 20  # sales a second
SECONDS = 120
PRODUCTS = 2_000
REST = 30.0  # seconds at most, after the last sale, until all is pushed
MEDIAN_TARGET, P95_TARGET, ALONE_TARGET = 1.0, 3.0, 0.6  # seconds
ALONE = 20  # sales one by one, while nothing else happens

CONFIG = """
[webhooks]
listen = "127.0.0.1:{port}"
[stores.main.nhanh.webhook_token]
file = "{state}/token"
[stores.main.shopify.webhook_secret]
file = "{state}/secret"
[stores.main.product_sync]
max_zeroed = 1000000
locations = {{ "{location}" = [{depot}] }}
"""
MAPPED = """
SELECT mapping.nhanh_id, variant.inventory_item_id FROM dongbo.product_mappings AS mapping
JOIN dongbo.shopify_variants AS variant ON variant.store = mapping.store AND variant.id = mapping.variant_id
WHERE mapping.retired_at IS NULL AND variant.tracked ORDER BY mapping.nhanh_id
"""
EVENTS = "SELECT state, count(*) AS events FROM dongbo.webhook_events GROUP BY state"
JOBS = """
SELECT count(*) AS jobs, coalesce(sum(failed), 0)::bigint AS failed FROM dongbo.background_jobs
WHERE type = 'SYNC_CHANGED_PRODUCTS'
"""


@dataclass
class Sales:
    """What was sold when, by inventory item: [(Unix seconds, what is left)]."""

    of: defaultdict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(map(len, self.of.values()))


class Journal(list[AppliedWrite]):
    """The sandbox's journal of writes; it gives their times in whole seconds, so this one notes when each came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []  # Unix seconds

    def append(self, write: AppliedWrite) -> None:
        """Enter a write."""
        super().append(write)
        self.times.append(time.time())

    def clear(self) -> None:
        """Forget all writes."""
        super().clear()
        self.times.clear()


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """One sale after the other on an idle daemon; then many a second."""
    seconds = 15 if quick else SECONDS
    settings = SandboxSettings(products=PRODUCTS, customers=1, variants_per_product=(1, 1), depots=1)
    port = free_port()
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        (location,) = sandbox.shopify.locations.values()
        (state / "token").write_text(VERIFY_TOKEN)
        (state / "secret").write_text(sandbox.shopify.app.client_secret)
        more = CONFIG.format(port=port, state=state, location=location.id, depot=location.depot_id)
        daemon = running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url, more_config=more)
        async with daemon as bench:
            say(f"webhooks_pushed: bringing {PRODUCTS:,} products in step")
            for job in ("PULL_NHANH_PRODUCTS", "PULL_SHOPIFY_PRODUCTS", "MATCH_PRODUCTS", "SYNC_PRODUCTS"):
                await bench.completed(job)
            items = {row["nhanh_id"]: row["inventory_item_id"] for row in await bench.connection.fetch(MAPPED)}
            journal = sandbox.shopify.writes = Journal()
            sandbox.send_webhooks(f"http://127.0.0.1:{port}", store="main")
            alone = await _sell_alone(sandbox, journal, items, location.depot_id)
            say(f"webhooks_pushed: {RATE} a second for {seconds} s")
            before = (sandbox.shopify.requests.points, sandbox.shopify.requests.throttled)
            journal.clear()
            sales = await _sell(sandbox, items, location.depot_id, RATE, seconds)
            await _until_quiet(bench, sandbox)
            latencies, lost = _latencies(journal, sales)
            points = sandbox.shopify.requests.points - before[0]
            throttled = sandbox.shopify.requests.throttled - before[1]
            states = {row["state"]: row["events"] for row in await bench.connection.fetch(EVENTS)}
            jobs = await bench.connection.fetchrow(JOBS)
    idle_writes = sum(not write.has_effect for write in journal)
    detail = {"sales": sales.count, "events": states, "jobs": jobs["jobs"], "failed_rows": jobs["failed"]}
    yield Figure("alone_p50", sorted(alone)[len(alone) // 2], "s", Bound.LESS_THAN, ALONE_TARGET, values=sorted(alone))
    yield Figure("pushed_p50", quantiles(latencies, n=100)[49], "s", Bound.LESS_THAN, MEDIAN_TARGET, detail=detail)
    yield Figure("pushed_p95", quantiles(latencies, n=100)[94], "s", Bound.LESS_THAN, P95_TARGET)
    yield Figure("throttled", throttled, "calls", Bound.AT_MOST, 0)
    yield Figure("lost", lost, "sales that Shopify does not know of", Bound.AT_MOST, 0)
    yield Figure("twice", idle_writes, "values written that were there", Bound.AT_MOST, 0)
    yield Figure("points_per_sale", points / sales.count, "points of Shopify's")


async def _sell_alone(sandbox: Sandbox, journal: Journal, items: Mapping[int, int], depot_id: int) -> list[float]:
    """Seconds that each of some sales takes, one after the other."""
    taken = []
    for product_id, item_id in list(items.items())[:ALONE]:
        journal.clear()
        sales = Sales()
        _sell_one(sandbox, sales, product_id, item_id, depot_id)
        async with asyncio.timeout(REST):
            while not journal:
                await asyncio.sleep(0.005)
        latencies, _lost = _latencies(journal, sales)
        taken += latencies
        await sandbox.webhooks.settled()  # the echo, too
        await asyncio.sleep(0.5)
    return taken


async def _sell(sandbox: Sandbox, items: Mapping[int, int], depot_id: int, rate: int, seconds: int) -> Sales:
    sales, chance, products = Sales(), random.Random(20), list(items)
    began = time.monotonic()
    for number in range(rate * seconds):
        await asyncio.sleep(max(began + number / rate - time.monotonic(), 0.0))
        product_id = chance.choice(products)
        _sell_one(sandbox, sales, product_id, items[product_id], depot_id)
    return sales


def _sell_one(sandbox: Sandbox, sales: Sales, product_id: int, item_id: int, depot_id: int) -> None:
    """One piece less of a product, or a delivery where nothing is left."""
    left = math.floor(sandbox.nhanh.products[product_id].stock.get(depot_id, 0))
    left = left - 1 if left > 0 else 50
    sales.of[item_id].append((time.time(), left))
    sandbox.nhanh.change_stock(product_id, depot_id, left)


async def _until_quiet(bench: Bench, sandbox: Sandbox) -> None:
    """Until nothing waits or is being dealt with."""
    began = time.monotonic()
    while time.monotonic() - began < REST:
        await sandbox.webhooks.settled()
        states = {row["state"] for row in await bench.connection.fetch(EVENTS)}
        if states.isdisjoint({"WAITING", "TAKEN"}):
            return
        await asyncio.sleep(0.1)


def _latencies(journal: Journal, sales: Sales) -> tuple[list[float], int]:
    """Seconds from each sale to the first write of what was left then or after a later sale; how many had none."""
    written: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for write, at in zip(journal, journal.times, strict=True):
        if write.subject[0] == "stock":
            written[int(write.subject[1])].append((at, int(str(write.after))))
    found, lost = [], 0
    for item_id, sold in sales.of.items():
        for place, (at, _left) in enumerate(sold):
            time_of_write = _first(written[item_id], at, [left for _at, left in sold[place:]])
            if time_of_write is None:
                lost += 1
            else:
                found.append(time_of_write - at)
    return found, lost


def _first(writes: Sequence[tuple[float, int]], since: float, values: Sequence[int]) -> float | None:
    return next((at for at, value in writes if at >= since and value in values), None)
