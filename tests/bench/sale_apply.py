"""Putting a whole shop on sale under Shopify's standard limits while a full pull wants the same points.

Planning and preparing happen ahead of a start, and are made quick here by filling the bucket up again and again. Before
the start that ends, and pulls follow one another, so that the start finds the bucket as a busy day leaves it. The best
that the limits allow follows from what is in the sandbox's bucket at the start, what it restores, and what it charges
for the calls that put the variants on sale.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from daemon_process import ENDED, Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.sandbox import AnsweredRequest
from daemon.sandbox.shopify.writes import AppliedWrite

PRODUCTS = 5_000
FEWER_PRODUCTS = 1_200
VARIANTS_EACH = 4
AHEAD = 60.0  # seconds from planning to the start
PULLING_AHEAD = 15.0  # of which at least so many belong to the pulls: they use up a full bucket in less
PULL = "PULL_SHOPIFY_PRODUCTS"
SALE = "everything"
POLL_SECONDS = 0.2
FILL_UP_SECONDS = 0.02

FIRST_TARGET = 2.0  # seconds
ALL_TARGET = 1.15

Begin = Callable[[], Awaitable[None]]

SUMMARY = """
SELECT
    (SELECT count(*) FROM dongbo.sale_items WHERE state = 'APPLIED') AS applied,
    (SELECT count(*) FROM dongbo.sale_writes) AS intents,
    (SELECT count(*) FROM dongbo.sale_items AS item JOIN dongbo.shopify_variants AS variant
        ON variant.store = item.store AND variant.id = item.variant_id
     WHERE item.state = 'APPLIED' AND (variant.price, variant.compare_at_price)
        IS DISTINCT FROM (item.sale_price, item.sale_compare_at)) AS mirrored_otherwise
"""


class Journal(list[AppliedWrite]):
    """What the sandbox was made to write, with the wall clock's time of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.expected: int | None = None
        self.is_complete = asyncio.Event()

    def append(self, write: AppliedWrite) -> None:
        """Enter a value that was set."""
        super().append(write)
        self.times.append(time.time())
        if len(self) == self.expected:
            self.is_complete.set()


@dataclass(frozen=True, slots=True)
class Start:
    """One start: from when on, until when, and with which points."""

    planned: float  # by the wall clock
    points: float  # in the bucket
    journal: Journal
    requests: list[AnsweredRequest]
    variants: int
    pulled: int  # products, by the pull that runs
    sale: Mapping[str, Any]  # as the endpoint shows it at the end
    job: Mapping[str, Any]
    throttled: int  # from the daemon's start on

    @property
    def first(self) -> float:
        """Seconds to the first price changed."""
        return self.journal.times[0] - self.planned

    @property
    def last(self) -> float:
        """Seconds to the last one."""
        return self.journal.times[-1] - self.planned

    def points_of(self, *operations: str) -> int:
        """What the sandbox charged for calls from the start on."""
        return sum(request.actual_cost or 0 for request in self.requests if request.operation in operations)


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """A start that was planned and prepared; a smaller shop with `quick`."""
    settings = _settings(FEWER_PRODUCTS if quick else PRODUCTS)
    async with _open_shop(settings) as (sandbox, bench):
        say(f"sale_apply: planning {settings.products * VARIANTS_EACH:,} variants, {AHEAD:.0f} s ahead")
        starts = datetime.now(UTC) + timedelta(seconds=AHEAD)
        async with _filled_up(sandbox):
            await _create(bench, {"starts": starts.isoformat()})
            await _until(bench, lambda sale: sale["prepared_at"] is not None)
        if (ahead := (starts - datetime.now(UTC)).total_seconds()) < PULLING_AHEAD:
            raise RuntimeError(f"prepared only {ahead:.1f} s before the start")
        async with _pulling(bench):
            start = await _started(bench, sandbox, starts.timestamp())
    for figure in _figures("sale", start, settings.shopify_restore_rate, "SetPrices"):
        yield figure


async def measure_now(quick: bool) -> AsyncIterator[Figure]:
    """A start that nobody could prepare: created without one, so that each price is read before it is changed."""
    settings = _settings(FEWER_PRODUCTS // 2 if quick else FEWER_PRODUCTS)
    async with _open_shop(settings) as (sandbox, bench), _pulling(bench):
        say(f"sale_start_now: {settings.products * VARIANTS_EACH:,} variants")
        await asyncio.sleep(PULLING_AHEAD)

        async def begin() -> None:
            await _create(bench, {})

        start = await _started(bench, sandbox, time.time(), begin)
    for figure in _figures("sale_now", start, settings.shopify_restore_rate, "SetPrices", "PresentPrices"):
        yield figure


def _settings(products: int) -> SandboxSettings:
    return SandboxSettings(
        products=products, variants_per_product=(VARIANTS_EACH, VARIANTS_EACH), customers=10, depots=1
    )


@asynccontextmanager
async def _open_shop(settings: SandboxSettings) -> AsyncIterator[tuple[Sandbox, Bench]]:
    """A shop and a daemon that has pulled all of it."""
    async with (
        running_sandbox(settings) as sandbox,
        state_directory() as state,
        running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url) as bench,
    ):
        say(f"sale: mirroring {settings.products:,} products")
        async with _filled_up(sandbox):
            await bench.completed(PULL, full=True)
        yield sandbox, bench


@asynccontextmanager
async def _filled_up(sandbox: Sandbox) -> AsyncIterator[None]:
    """Let nobody wait for points meanwhile."""
    bucket = sandbox.shopify.bucket

    async def fill_up() -> None:
        while True:
            bucket.refund(bucket.capacity)
            await asyncio.sleep(FILL_UP_SECONDS)

    async with _beside(fill_up(), "fill-up"):
        yield


@asynccontextmanager
async def _pulling(bench: Bench) -> AsyncIterator[None]:
    """Have a full pull run all the time."""

    async def pull() -> None:
        while True:
            job_id = await bench.submit(PULL, full=True, restart=True)
            while (await _get(bench, f"jobs/{job_id}"))["status"] not in ENDED:
                await asyncio.sleep(POLL_SECONDS)

    async with _beside(pull(), "pulls"):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Do something as long as the context lasts; what it raises ends the context."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work, name=name)
        yield
        task.cancel()


async def _create(bench: Bench, times: dict[str, str]) -> None:
    body = {"name": SALE, "store": "main", "percent": 20, "discount_from": "price", "targets": {"all": True}}
    async with bench.session.post(f"{bench.address}api/sales", json=body | times) as response:
        if response.status != 201:
            raise RuntimeError(f"the sale was refused: {await response.text()}")


async def _started(bench: Bench, sandbox: Sandbox, planned: float, begin: Begin | None = None) -> Start:
    """Wait for the start, or `begin`, and until all variants are on sale."""
    journal = sandbox.shopify.writes = Journal()
    await asyncio.sleep(max(planned - time.time(), 0))
    points = sandbox.shopify.bucket.available
    requests = sandbox.shopify.requests.last = deque()  # keeps all from now on
    (pull,) = (await _get(bench, f"jobs?type={PULL}&limit=1"))["jobs"]
    if pull["status"] not in ("RUNNING", "PENDING", "COMPLETED"):  # one that has just ended is followed by the next
        raise RuntimeError(f"a pull is {pull['status']} at the start: {pull['error']}")
    if begin is not None:
        await begin()
    sale = await _get(bench, f"sales/{SALE}")
    variants = sum(sale["counts"].values())  # with a discount from the price that it has, none is skipped
    journal.expected = 2 * variants  # price and compare-at price
    best = variants / VARIANTS_EACH * 14 / sandbox.shopify.bucket.restore_rate
    say(f"sale: started, {variants:,} variants to be put on sale in some {best:.0f} s, {points:.0f} points there")
    async with asyncio.timeout(2 * best + 60):
        await journal.is_complete.wait()
        answered = list(requests)
        sale = await _until(bench, lambda sale: sale["state"] == "ACTIVE")
        jobs = await _get(bench, "jobs?type=APPLY_SALE&limit=1")
    summary = await bench.connection.fetchrow(SUMMARY)
    if summary["applied"] != variants or summary["mirrored_otherwise"]:
        raise RuntimeError(f"{variants} variants were to be on sale: {dict(summary)}")
    if summary["intents"] != variants or len({write.subject for write in journal}) != len(journal):
        raise RuntimeError(f"variants were written twice: {dict(summary)}, {len(journal)} writes")
    throttled = sandbox.shopify.requests.throttled
    return Start(planned, points, journal, answered, variants, pull["processed"], sale, jobs["jobs"][0], throttled)


async def _until(bench: Bench, condition: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
    """The sale as soon as it is as it should be."""
    while True:
        sale = await _get(bench, f"sales/{SALE}")
        if condition(sale):
            return sale
        if sale["state"] not in ("SCHEDULED", "APPLYING", "ACTIVE"):
            raise RuntimeError(f"the sale is {sale['state']}: {sale['notice']}")
        await asyncio.sleep(POLL_SECONDS)


async def _get(bench: Bench, path: str) -> Any:
    async with bench.session.get(f"{bench.address}api/{path}") as response:
        response.raise_for_status()
        return await response.json()


def _figures(name: str, start: Start, rate: float, *operations: str) -> list[Figure]:
    needed = start.points_of(*operations)
    best = (needed - start.points) / rate
    metadata = start.job["metadata"]
    begun = datetime.fromisoformat(start.sale["started_at"]).timestamp() - start.planned
    return [
        Figure(
            f"{name}_first_price",
            start.first,
            "s from the planned start",
            Bound.AT_MOST,
            FIRST_TARGET,
            detail={
                "started_late": round(begun, 3),
                "late": start.sale["late"],
                "points_at_start": round(start.points),
                "pulled_until_then": start.pulled,
            },
        ),
        Figure(
            f"{name}_all_on_sale",
            start.last / best,
            "times the best that the limits allow",
            Bound.AT_MOST,
            ALL_TARGET,
            reference=best,
            detail={
                "seconds": round(start.last, 2),
                "variants": start.variants,
                "points_needed": needed,
                "points_of_others": sum(request.actual_cost or 0 for request in start.requests) - needed,
                "api_calls": metadata["api_calls"],
                "rate_limit_wait_seconds": metadata["rate_limit_wait_seconds"],
                "retries": metadata["retries"],
            },
        ),
        Figure(f"{name}_throttled", start.throttled, "queries refused by Shopify", Bound.AT_MOST, 0),
    ]
