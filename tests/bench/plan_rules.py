"""Planning 20,000 mapped variants in step with 20 rules, beside the same plan without any."""

import time
from collections.abc import AsyncIterator
from statistics import median
from typing import Any

from daemon_process import running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.config import ProductSyncSettings
from daemon.database.pool import Database, open_database
from daemon.database.postgres_socket import running_server_dsn
from daemon.ids import StoreName
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.rows import START

PRODUCTS = 5_000
VARIANTS_EACH = 4
VARIANTS = PRODUCTS * VARIANTS_EACH
ROUNDS = 5
STORE = StoreName("main")

FILL = (
    f"""
    INSERT INTO dongbo.shopify_products (store, id, title, vendor, product_type, tags, document, digest)
    SELECT 'main', number, 'Áo ' || number, 'Hãng ' || number % 50, 'Loại ' || number % 20,
        ARRAY['Nhóm ' || number % 100, 'Mùa ' || number % 4, 'Đợt ' || number % 300], '{{}}', ''
    FROM generate_series(1, {PRODUCTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.shopify_variants
        (store, id, product_id, inventory_item_id, sku, price, document, digest, tracked)
    SELECT 'main', number, 1 + (number - 1) / {VARIANTS_EACH}, number, 'SKU-' || number, 1000 * (number % 500 + 1),
        '{{}}', '', true
    FROM generate_series(1, {VARIANTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.nhanh_products
        (store, id, code, retail_price, category_id, brand_id, document, digest, stock_known)
    SELECT 'main', number, 'SKU-' || number, 1000 * (number % 500 + 1), 301 + number % 30, 701 + number % 40,
        '{{"priceVatMode": 1}}', '', true
    FROM generate_series(1, {VARIANTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.nhanh_inventory
        (store, product_id, depot_id, remain, available, holding, shipping, damaged, transferring)
    SELECT 'main', number, 1, 10, 10, 0, 0, 0, 0 FROM generate_series(1, {VARIANTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.shopify_inventory_levels (store, inventory_item_id, location_id, variant_id, available)
    SELECT 'main', number, 31, number, 10 FROM generate_series(1, {VARIANTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source)
    SELECT 'main', number, number, 'sku' FROM generate_series(1, {VARIANTS}) AS number
    """,
    "ANALYZE",
)


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """How many times as long all stock and all prices take to plan."""
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    async with state_directory() as state, running_daemon(state) as bench:
        say(f"plan_rules: writing {VARIANTS:,} variants")
        for statement in FILL:
            await bench.connection.execute(statement)
        dsn = await running_server_dsn(state)
        if dsn is None:
            raise RuntimeError("the daemon's own database does not run")
        async with open_database(dsn, max_connections=4, application_name="dongbo-bench") as database:
            for _ in range(2 if quick else ROUNDS):
                for name, rules in (("without", []), ("with", twenty_rules())):
                    seconds[name].append(await _plan(database, rules))
    without, with_rules = (median(seconds[name]) for name in ("without", "with"))
    yield Figure(
        "plan_rules",
        with_rules / without,
        "times as long with 20 rules",
        Bound.AT_MOST,
        2.5,
        reference=without,
        detail={"variants": VARIANTS, "seconds": seconds},
    )


def twenty_rules() -> list[dict[str, Any]]:
    """Each condition several times; what they hold back is nothing, so that there is as little to push."""
    made = [
        {
            "vendor": [f"HÃNG {number}", f"hãng {number + 20}"],
            "tag": f"nhóm {number}",
            "type": f"loại {number}",
            "category": [301 + number, 311 + number],
            "brand": 701 + number,
            "price": {"from": 1000 * number, "to": 100_000},
            "stock": {"from": number, "to": 1_000},
        }
        for number in range(20)
    ]
    kinds = list(made[0])
    return [
        {"name": f"rule {number}", "when": {kinds[number % len(kinds)]: when[kinds[number % len(kinds)]]}, "reserve": 0}
        for number, when in enumerate(made)
    ]


async def _plan(database: Database, rules: list[dict[str, Any]]) -> float:
    settings = ProductSyncSettings.model_validate({"locations": {"31": [1]}, "price": "retail", "rules": rules})
    plan = ProductPlan(database, STORE, settings)
    began = time.perf_counter()
    population = 0
    async for stock in plan.stock_windows(START):
        population += stock.population
    async for prices in plan.price_windows(START):
        population += prices.population
    if population != 2 * VARIANTS:
        raise RuntimeError(f"{population} values planned of {2 * VARIANTS}")
    return time.perf_counter() - began
