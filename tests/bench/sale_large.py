"""A campaign for 200,000 variants: previewed, created, and planned again before its start when every price has changed.

What its start takes is measured elsewhere (`sale_apply`): that is bound by Shopify's limits, and decides about some
hundred products at a time. The reference is one bare copy of as many rows of the journal, without its constraints.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from daemon_process import Bench, running_daemon, state_directory
from figures import Figure, of_seconds, say
from held_up import HeldUp, of_held_up, watched
from plan_large import FILL_TIMEOUT, PRODUCTS, VARIANTS, VARIANTS_EACH
from sale_preview import FAR, KNOW_SHOP, NOWHERE, SALE, opened_sales

from daemon.config import SaleSettings
from daemon.database.pool import Database
from daemon.jobs.context import PageTransaction
from daemon.sales.preparation import Preparation
from daemon.sales.service import Sales
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient

TARGET = 10.0  # seconds
HELD_UP = 1.0  # seconds

FILL = (
    f"""
    INSERT INTO dongbo.shopify_products (store, id, title, vendor, product_type, tags, document, digest)
    SELECT 'main', number, 'Áo ' || number, 'Hãng ' || number % 50, 'Loại ' || number % 20, ARRAY['Mùa ' || number % 4],
        '{{}}', ''
    FROM generate_series(1, {PRODUCTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.shopify_variants
        (store, id, product_id, inventory_item_id, sku, title, position, price, document, digest, tracked)
    SELECT 'main', number, 1 + (number - 1) / {VARIANTS_EACH}, number, 'SKU-' || number, 'Đỏ', number % 4,
        1000 * (number % 500 + 50), '{{}}', '', true
    FROM generate_series(1, {VARIANTS}) AS number
    """,
    KNOW_SHOP,
    "VACUUM ANALYZE",
)

RAISE_PRICES = "UPDATE dongbo.shopify_variants SET price = price + 1000"

BARE = """
CREATE TABLE public.bare AS SELECT * FROM dongbo.sale_items;
DROP TABLE public.bare;
"""

# What goes on meanwhile: somebody writes another price to the mirror, and somebody wants to know, or end, the campaign.
WORKS = {
    "variant_row": "UPDATE dongbo.shopify_variants SET changed_at = now() WHERE store = 'main' AND id = 7",
    "campaign": "SELECT state FROM dongbo.sale_campaigns WHERE name = 'preview' FOR UPDATE",
}

COUNT = """
SELECT count(*) FROM dongbo.sale_items AS item
JOIN dongbo.shopify_variants AS variant ON variant.store = 'main' AND variant.id = item.variant_id
WHERE state = 'PLANNED' AND base_price = price
"""


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Rounds of all three; a single one with `quick`."""
    seconds: dict[str, list[float]] = {"preview": [], "create": [], "again": []}
    bare: list[float] = []
    held: list[HeldUp] = []
    async with state_directory() as state, running_daemon(state, shopify_url=NOWHERE) as bench:
        say(f"sale_large: writing {VARIANTS:,} variants")
        for statement in FILL:
            await bench.connection.execute(statement, timeout=FILL_TIMEOUT)
        async with opened_sales(bench) as (database, sales, shopify):
            for number in range(1 if quick else 3):
                await bench.connection.execute("TRUNCATE dongbo.sale_items, dongbo.sale_campaigns CASCADE")
                async with watched(bench, WORKS) as held_up:
                    seconds["preview"].append(await _timed(lambda: _preview(sales)))
                    seconds["create"].append(await _timed(lambda: _create(bench)))
                await bench.connection.execute(RAISE_PRICES, timeout=FILL_TIMEOUT)
                async with watched(bench, WORKS) as held_up_again:
                    seconds["again"].append(await _timed(lambda: _plan_again(database, sales, shopify)))
                if (planned := await bench.connection.fetchval(COUNT)) != VARIANTS:
                    raise RuntimeError(f"{planned} variants are planned by their present prices")
                held.append(max(held_up, held_up_again, key=lambda each: each.longest))
                bare.append(await _timed(lambda: bench.connection.execute(BARE, timeout=FILL_TIMEOUT)))
                times = ", ".join(f"{name} {values[-1]:.2f}" for name, values in seconds.items())
                say(f"sale_large: round {number + 1}: {times}, bare {bare[-1]:.2f} s, {held[-1]}")
    for name, values in seconds.items():
        yield of_seconds(f"sale_large_{name}", values, bare, TARGET, variants=VARIANTS)
    yield of_held_up("sale_large_holds_up", held, HELD_UP)


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def _preview(sales: Sales) -> None:
    definition = sales.read(SaleSettings.model_validate(SALE | FAR | {"targets": {"all": True}}))
    if len((await sales.preview(definition)).items) != VARIANTS:
        raise RuntimeError("the preview is too short")


async def _create(bench: Bench) -> None:
    body = SALE | FAR | {"targets": {"all": True}}
    async with bench.session.post(f"{bench.address}api/sales", json=body) as response:
        if response.status != 201:
            raise RuntimeError(f"the sale was refused: {await response.text()}")


async def _plan_again(database: Database, sales: Sales, shopify: ShopifyClient) -> None:
    """What a job does when the prices have been read."""

    @asynccontextmanager
    async def page() -> AsyncIterator[PageTransaction]:
        async with database.acquire_for_work() as connection, connection.transaction():
            yield PageTransaction(connection, None)

    async def wait(call: Awaitable[object]) -> object:
        return await call

    campaign = await sales.find(SALE["name"])
    preparation = Preparation(database, campaign.store, shopify, CallMeter(), wait, page)
    await preparation.write(campaign, datetime.now(UTC))
