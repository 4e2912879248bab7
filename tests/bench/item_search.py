"""Searching 200,000 variants of Shopify and 100,000 products of Nhanh.vn: what people type, asked over HTTP.

First as the daemon finds it; then without the index over parts of texts, as on a PostgreSQL that has no pg_trgm. The
reference is one bare pass of LIKE over the variants' own texts, on the same server in the same round.
"""

import time
from collections.abc import AsyncIterator
from statistics import median

import asyncpg
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say
from matching import (
    FILL_TIMEOUT,
    PRODUCTS,
    PULLED_IN_FULL,
    PUT_PRODUCTS,
    PUT_SHOPIFY_PRODUCTS,
    PUT_VARIANTS,
    VARIANTS,
)

TARGET = 100.0  # milliseconds
ROUNDS = 20

SEARCHES = {
    "a part of an SKU": "t-0123",
    "a whole SKU": "AT-012345-Đỏ-XL",
    "a part of a barcode": "8930097",
    "words of a name": "áo thun 4321",
    "words in another order": "xl 77777 đỏ",
    "what all have": "đỏ",
    "two letters that nobody has": "zq",
    "what nobody has": "không có",
    "an id": "47000000012345",
    "a gid": "gid://shopify/ProductVariant/47000000012345",
    "a page of a common word": "xl",
}

PRODUCT_SYNC = """
[stores.main.product_sync]
price = "retail"
[stores.main.product_sync.locations]
31 = [1, 2]
"""

SCAN = "SELECT count(*) FROM dongbo.shopify_variants WHERE sku LIKE '%' || $1 || '%' OR title LIKE '%' || $1 || '%'"


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """The slowest search's median, and the slowest answer of all; with the index, and without it."""
    rounds = 5 if quick else ROUNDS
    async with (
        state_directory() as state,
        running_daemon(state, shopify_url="http://127.0.0.1:1", more_config=PRODUCT_SYNC) as bench,
    ):
        say(f"item_search: writing {PRODUCTS:,} products and {VARIANTS:,} variants")
        for statement in (PUT_PRODUCTS, PUT_VARIANTS, PUT_SHOPIFY_PRODUCTS, PULLED_IN_FULL):
            await bench.connection.execute(statement, timeout=FILL_TIMEOUT)
        await bench.completed("MATCH_PRODUCTS")
        await bench.connection.execute("VACUUM ANALYZE", timeout=FILL_TIMEOUT)
        scan = median([await scanned(bench.connection) for _ in range(rounds)])
        yield figure("item_search", await answers(bench, rounds), scan, TARGET)
        await bench.connection.execute("DROP INDEX dongbo.item_texts_by_part")
        yield figure("item_search_without_index", await answers(bench, rounds), scan, None)


def figure(name: str, found: dict[str, list[float]], scan: float, target: float | None) -> Figure:
    """The median of the slowest search, beside those of all."""
    medians = {search: median(times) for search, times in found.items()}
    slowest = max(medians.values())
    return Figure(
        name,
        slowest,
        "ms",
        Bound.LESS_THAN if target is not None else None,
        target,
        reference=scan,
        ratio=slowest / scan,
        detail={
            "medians": {search: round(value, 1) for search, value in medians.items()},
            "worst": round(max(map(max, found.values())), 1),
        },
    )


async def answers(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each search; the first answer, for which statements are prepared, does not count."""
    found: dict[str, list[float]] = {}
    for search, text in SEARCHES.items():
        await asked(bench, text)
        found[search] = [await asked(bench, text) for _ in range(rounds)]
        say(f"item_search: {search}: {median(found[search]):.0f} ms")
    return found


async def asked(bench: Bench, text: str) -> float:
    """Milliseconds until the whole answer is there."""
    began = time.perf_counter()
    async with bench.session.get(f"{bench.address}api/items", params={"store": "main", "q": text}) as response:
        response.raise_for_status()
        await response.read()
    return (time.perf_counter() - began) * 1000


async def scanned(connection: asyncpg.Connection) -> float:
    """Milliseconds of one pass over the variants."""
    began = time.perf_counter()
    await connection.fetchval(SCAN, "zq")
    return (time.perf_counter() - began) * 1000
