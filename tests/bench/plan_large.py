"""Planning 200,000 mapped variants at 5 locations, with nothing to push and with all: what a sync looks at first.

The plan is read in windows, each by a statement of its own, so that nothing is held up for longer than one of them
takes; how long that is at worst is measured, too. The reference is one bare join of the same rows, without what a value
should be and why, on the same server in the same round.
"""

import time
from collections.abc import AsyncIterator

import asyncpg
from daemon_process import running_daemon, state_directory
from figures import Figure, of_seconds, say

from daemon.config import ProductSyncSettings
from daemon.database.pool import Database, open_database
from daemon.database.postgres_socket import running_server_dsn
from daemon.ids import StoreName
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.rows import START
from daemon.sync.products.safety_limits import PlanSurvey, SafetyLimits

PRODUCTS = 50_000
VARIANTS_EACH = 4
VARIANTS = PRODUCTS * VARIANTS_EACH
LOCATIONS = 5
VALUES = VARIANTS * LOCATIONS
STORE = StoreName("main")
TARGET = 10.0  # seconds
FILL_TIMEOUT = 900.0  # seconds
SETTINGS = {
    "locations": {str(30 + number): [number] for number in range(1, LOCATIONS + 1)},
    "price": "retail",
    "max_zeroed": VALUES,
}

FILL = (
    f"""
    INSERT INTO dongbo.shopify_products (store, id, title, vendor, product_type, tags, document, digest)
    SELECT 'main', number, 'Áo ' || number, 'Hãng ' || number % 50, 'Loại ' || number % 20, ARRAY['Mùa ' || number % 4],
        '{{}}', ''
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
    INSERT INTO dongbo.nhanh_products (store, id, code, retail_price, document, digest, stock_known)
    SELECT 'main', number, 'SKU-' || number, 1000 * (number % 500 + 1), '{{"priceVatMode": 1}}', '', true
    FROM generate_series(1, {VARIANTS}) AS number
    """,
    f"""
    INSERT INTO dongbo.nhanh_inventory
        (store, product_id, depot_id, remain, available, holding, shipping, damaged, transferring)
    SELECT 'main', number, depot, 10, 10, 0, 0, 0, 0
    FROM generate_series(1, {VARIANTS}) AS number, generate_series(1, {LOCATIONS}) AS depot
    """,
    f"""
    INSERT INTO dongbo.shopify_inventory_levels (store, inventory_item_id, location_id, variant_id, available)
    SELECT 'main', number, 30 + place, number, 10
    FROM generate_series(1, {VARIANTS}) AS number, generate_series(1, {LOCATIONS}) AS place
    """,
    f"""
    INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source)
    SELECT 'main', number, number, 'sku' FROM generate_series(1, {VARIANTS}) AS number
    """,
    "VACUUM ANALYZE",
)

CHANGE_ALL = """
UPDATE dongbo.nhanh_inventory SET available = available + 1, remain = remain + 1;
UPDATE dongbo.nhanh_products SET retail_price = retail_price + 1000;
"""

BARE = """
SELECT count(*), sum(level.available - held.available)
FROM dongbo.shopify_variants AS variant
JOIN dongbo.product_mappings AS mapping ON mapping.store = 'main' AND mapping.variant_id = variant.id
JOIN dongbo.nhanh_products AS product ON product.store = 'main' AND product.id = mapping.nhanh_id
JOIN dongbo.nhanh_inventory AS held ON held.store = 'main' AND held.product_id = product.id
JOIN dongbo.shopify_inventory_levels AS level ON level.store = 'main'
    AND level.inventory_item_id = variant.inventory_item_id AND level.location_id = held.depot_id + 30
WHERE variant.store = 'main'
"""


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Rounds with nothing changed, then with every value."""
    rounds = 1 if quick else 3
    plans: dict[str, list[float]] = {"nothing": [], "everything": []}
    bare: dict[str, list[float]] = {name: [] for name in plans}
    longest: dict[str, float] = dict.fromkeys(plans, 0.0)
    async with state_directory() as state, running_daemon(state, shopify_url="http://127.0.0.1:1") as bench:
        say(f"plan_large: writing {VALUES:,} values")
        for statement in FILL:
            await bench.connection.execute(statement, timeout=FILL_TIMEOUT)
        dsn = await running_server_dsn(state)
        if dsn is None:
            raise RuntimeError("the daemon's own database does not run")
        async with open_database(dsn, max_connections=8, application_name="dongbo-bench") as database:
            for name in plans:
                if name == "everything":
                    await bench.connection.execute(CHANGE_ALL, timeout=FILL_TIMEOUT)
                    await bench.connection.execute("VACUUM ANALYZE", timeout=FILL_TIMEOUT)
                for _ in range(rounds):
                    bare[name].append(await _bare(bench.connection))
                    seconds, window = await _plan(database, changed=name == "everything")
                    plans[name].append(seconds)
                    longest[name] = max(longest[name], window)
                    say(f"plan_large: {name} {seconds:.2f} s, one window {window:.2f} s, bare {bare[name][-1]:.2f} s")
    for name, values in plans.items():
        yield of_seconds(
            f"plan_large_{name}",
            values,
            bare[name],
            TARGET,
            compared=VALUES + VARIANTS,
            longest_window_seconds=round(longest[name], 3),
        )


async def _bare(connection: asyncpg.Connection) -> float:
    began = time.perf_counter()
    count, _difference = await connection.fetchrow(BARE, timeout=FILL_TIMEOUT)
    assert count == VALUES, count
    return time.perf_counter() - began


async def _plan(database: Database, *, changed: bool) -> tuple[float, float]:
    """Seconds for the survey of the whole plan, and for its longest window."""
    settings = ProductSyncSettings.model_validate(SETTINGS)
    plan = ProductPlan(database, STORE, settings)
    survey = PlanSurvey(SafetyLimits(settings, ()))
    longest, began = 0.0, time.perf_counter()
    before = began
    kinds = (
        (plan.stock_survey(START), survey.add_stock, survey.add_other_stock),
        (plan.price_survey(START), survey.add_price, survey.add_other_prices),
    )
    for windows, add, add_others in kinds:
        async for window in windows:
            survey.rows += window.population
            add_others(window)
            for row in window.rows:
                add(row)
            longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
    await plan.left_alone()
    longest = max(longest, time.perf_counter() - before)
    differing = survey.stock_changes + survey.price_changes
    if survey.rows != VALUES + VARIANTS or differing != (survey.rows if changed else 0):
        raise RuntimeError(f"{differing} of {survey.rows} values differ")
    return time.perf_counter() - began, longest
