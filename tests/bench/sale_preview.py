"""Previewing a sale of a whole shop from the mirror: in the service, and over the endpoint.

The reference is a bare SELECT of the same rows by the same driver. How long a loop was blocked is told by a timer that
is due every millisecond, and for the daemon by the slowest answer of `/livez` meanwhile.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.config import SaleSettings
from daemon.database.pool import Database, open_database
from daemon.database.postgres_socket import running_server_dsn
from daemon.jobs.events import JobNotifier
from daemon.jobs.service import Jobs
from daemon.mirror.keys import match_key
from daemon.sales.service import Sales
from daemon.sandbox.catalogue import generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import ShopifySandbox
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.tasks import JobPolicy, TaskRegistry

PRODUCTS = 5_000
VARIANTS_EACH = 4
VARIANTS = PRODUCTS * VARIANTS_EACH
ROUNDS = 5
SEED = 7
TARGET = 2.0  # seconds
TICK = 0.001  # seconds
NOWHERE = "http://127.0.0.1:1"
FAR = {"starts": "2900-01-01T00:00:00Z", "ends": "2900-01-08T00:00:00Z"}
SALE: dict[str, Any] = {"name": "preview", "store": "main", "percent": 20, "round_to": 1000}

BARE = """
SELECT variant.id, variant.product_id, variant.sku, variant.price, variant.compare_at_price, product.title
FROM dongbo.shopify_variants AS variant
JOIN dongbo.shopify_products AS product ON product.store = variant.store AND product.id = variant.product_id
WHERE variant.store = 'main' AND variant.deleted_at IS NULL AND product.deleted_at IS NULL
ORDER BY variant.product_id, variant.position, variant.id
"""

# Nothing is planned before the shop has been pulled in full.
KNOW_SHOP = """
INSERT INTO dongbo.watermarks (store, stream, complete_to, full_pull_at)
VALUES ('main', 'shopify_products', now(), now())
"""

Timed = tuple[float, float]  # seconds, and for how many of them the loop was blocked at once


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Everything, by names, and with every variant in conflict with another campaign."""
    rounds = 1 if quick else ROUNDS
    shop = ShopifySandbox(
        generate(SEED, products=PRODUCTS, customers=1, variants_per_product=(VARIANTS_EACH, VARIANTS_EACH), depots=1),
        seed=SEED,
        limits=False,
        faults=Faults(),
    )
    named = {
        "tags": sorted({tag for product in shop.products.values() for tag in product.tags}),
        "skus": [variant.sku for variant in shop.variants.values() if variant.sku][:10_000],
    }
    async with state_directory() as state, running_daemon(state, shopify_url=NOWHERE) as bench:
        say(f"sale_preview: mirroring {VARIANTS:,} variants")
        await _mirror(bench.connection, shop)
        bare = [await _bare(bench.connection) for _ in range(rounds)]
        gc.freeze()  # what the benchmark itself has in memory is not to be looked through again and again
        async with opened_sales(bench) as (_database, sales, _shopify):
            for name, targets in (("all", {"all": True}), ("named", named)):
                definition = sales.read(SaleSettings.model_validate(SALE | FAR | {"targets": targets}))
                found = [await _timed(lambda: _preview(sales, definition)) for _ in range(rounds)]  # noqa: B023
                yield _figure(f"sale_preview_{name}", found, bare)
            for form in ("json", "csv"):
                found = [await _over_http(bench, form) for _ in range(rounds)]
                yield _figure(f"sale_preview_{form}", found, bare)
            say("sale_preview: beside a campaign that holds everything at that time")
            await _hold_everything(bench)
            definition = sales.read(SaleSettings.model_validate(SALE | FAR | {"targets": {"all": True}}))
            found = [await _timed(lambda: _preview(sales, definition)) for _ in range(rounds)]
            yield _figure("sale_preview_conflicts", found, bare)
            found = [await _over_http(bench, "json") for _ in range(rounds)]
            yield _figure("sale_preview_conflicts_json", found, bare)


def _figure(name: str, found: list[Timed], bare: list[float]) -> Figure:
    seconds = [one for one, _ in found]
    return Figure(
        name,
        median(seconds),
        "s",
        Bound.LESS_THAN,
        TARGET,
        values=seconds,
        reference=median(bare),
        ratio=median(seconds) / median(bare),
        detail={"variants": VARIANTS, "loop_blocked_ms": round(max(blocked for _, blocked in found) * 1000, 1)},
    )


async def _preview(sales: Sales, definition: SaleSettings) -> None:
    preview = await sales.preview(definition)
    if len(preview.items) < VARIANTS / 4 or not preview.on_sale + sum(preview.conflicts.values()):
        raise RuntimeError(f"the preview has only {len(preview.items)} variants, {preview.on_sale} of them on sale")


async def _timed(call: Callable[[], Awaitable[None]]) -> Timed:
    """Seconds for a call on this loop, and the longest time for which the loop did not turn."""
    loop, longest = asyncio.get_running_loop(), 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            longest = max(longest, loop.time() - due)

    ticker = asyncio.create_task(tick(), name="ticker")
    await asyncio.sleep(5 * TICK)
    longest, began = 0.0, time.perf_counter()
    await call()
    seconds = time.perf_counter() - began
    await asyncio.sleep(TICK)
    ticker.cancel()
    await asyncio.wait([ticker])
    return seconds, longest


async def _over_http(bench: Bench, form: str) -> Timed:
    """Seconds for a preview over the endpoint, and its slowest answer to something else meanwhile."""
    body = SALE | FAR | {"targets": {"all": True}}

    async def ask() -> None:
        async with bench.session.post(f"{bench.address}api/sales/preview?format={form}", json=body) as response:
            response.raise_for_status()
            if len(await response.read()) < VARIANTS * 50:
                raise RuntimeError("the preview is too short")

    slowest, asking = 0.0, asyncio.create_task(_stopwatch(ask), name="preview")
    while not asking.done():
        slowest = max(slowest, await _stopwatch(lambda: _alive(bench)))
        await asyncio.sleep(TICK)
    return asking.result(), slowest


async def _stopwatch(call: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def _alive(bench: Bench) -> None:
    async with bench.session.get(f"{bench.address}livez") as response:
        await response.read()


async def _bare(connection: asyncpg.Connection) -> float:
    began = time.perf_counter()
    rows = await connection.fetch(BARE)
    assert len(rows) == VARIANTS, len(rows)
    return time.perf_counter() - began


async def _hold_everything(bench: Bench) -> None:
    """A campaign of the same time, planned for every variant."""
    body = SALE | FAR | {"name": "rival", "targets": {"all": True}}
    async with bench.session.post(f"{bench.address}api/sales", json=body) as response:
        if response.status != 201:
            raise RuntimeError(f"the sale was refused: {await response.text()}")


@asynccontextmanager
async def opened_sales(bench: Bench) -> AsyncIterator[tuple[Database, Sales, ShopifyClient]]:
    """The service on this process's loop. It asks for no job here, and Shopify for nothing."""
    dsn = await running_server_dsn(bench.state)
    async with open_database(dsn, application_name="dongbo-bench") as database, open_session() as session:
        shopify = ShopifyClient(
            session, shop="none", credential=PermanentToken(""), base_url=NOWHERE, limits=LimiterRegistry()
        )
        jobs = Jobs(database, JobNotifier(database, 1.0), TaskRegistry({}, JobPolicy()), 1)
        sales = Sales(database, jobs, lambda _: shopify, lambda: ZoneInfo("Asia/Ho_Chi_Minh"))
        yield database, sales, shopify


async def _mirror(connection: asyncpg.Connection, shop: ShopifySandbox) -> None:
    """The shop as a pull would leave it."""
    await _copy(
        connection,
        "shopify_products (store, id, handle, title, status, vendor, product_type, tags, document, digest)",
        (
            (
                "main",
                product.id,
                product.handle,
                product.title,
                product.status,
                product.vendor,
                product.product_type,
                product.tags,
                "{}",
                b"",
            )
            for product in shop.products.values()
        ),
    )
    await _copy(
        connection,
        "shopify_variants "
        "(store, id, product_id, sku, title, position, price, compare_at_price, document, digest, sku_key)",
        (
            (
                "main",
                variant.id,
                variant.product_id,
                variant.sku,
                variant.title,
                variant.position,
                variant.price,
                variant.compare_at_price,
                "{}",
                b"",
                match_key(variant.sku),
            )
            for variant in shop.variants.values()
        ),
    )
    await connection.execute(KNOW_SHOP)
    await connection.execute("ANALYZE dongbo.shopify_products, dongbo.shopify_variants")


async def _copy(connection: asyncpg.Connection, target: str, records: Iterable[tuple[Any, ...]]) -> None:
    table, _, columns = target.partition(" ")
    names = columns.strip("()").split(", ")
    await connection.copy_records_to_table(table, schema_name="dongbo", columns=names, records=list(records))
