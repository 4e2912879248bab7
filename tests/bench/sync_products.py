"""Pushing stock under Shopify's standard limits, beside the best that these limits allow, and with nothing to push.

The mirror is filled from the sandbox's shops directly: pulling them is measured elsewhere.
"""

import math
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
from daemon_process import Bench, running_daemon, state_directory
from figures import Bound, Figure, say

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox

PRODUCTS = 5_000
VARIANTS_EACH = 4
VALUES = PRODUCTS * VARIANTS_EACH
VALUES_A_CALL = 250  # Shopify documentation, "API limits"
ROUNDS = 3

SYNC = """
[stores.main.product_sync]
max_zeroed = {values}
locations = {{ "{location}" = [{depot}] }}
"""

# A depot that came into sight just now would have all stock asked for anew.
KNOW_DEPOT = "INSERT INTO dongbo.nhanh_depots (store, id, name) VALUES ('main', $1, $2)"

CHANGE_ALL = "UPDATE dongbo.nhanh_inventory SET available = available + 1, remain = remain + 1"


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Change every stock value and sync, from an empty bucket on; then sync again."""
    settings = SandboxSettings(
        products=PRODUCTS, customers=1, variants_per_product=(VARIANTS_EACH, VARIANTS_EACH), depots=1
    )
    full: list[float] = []
    again: list[float] = []
    wasted = 0
    async with running_sandbox(settings) as sandbox, state_directory() as state:
        (location,) = sandbox.shopify.locations.values()
        more = SYNC.format(values=VALUES, location=location.id, depot=location.depot_id)
        daemon = running_daemon(state, nhanh_url=sandbox.nhanh_url, shopify_url=sandbox.shopify_url, more_config=more)
        async with daemon as bench:
            say(f"sync_products: mirroring {VALUES:,} values")
            await mirror(bench.connection, sandbox, location.depot_id)
            for number in range(1 if quick else ROUNDS):
                await bench.connection.execute(CHANGE_ALL)
                full.append(await _full_sync(bench, sandbox))
                writes = len(sandbox.shopify.writes)
                again.append(await _seconds(bench))
                wasted += len(sandbox.shopify.writes) - writes
                say(f"sync_products: round {number + 1}: all {full[-1]:.2f} s, nothing {again[-1]:.2f} s")
        best = math.ceil(VALUES / VALUES_A_CALL) * _cost_of_call(sandbox) / settings.shopify_restore_rate
        throttled = sandbox.shopify.requests.throttled
    ratios = sorted(seconds / best for seconds in full)
    yield Figure(
        "sync_full",
        ratios[len(ratios) // 2],
        "times the best that the limits allow",
        Bound.AT_MOST,
        1.15,
        values=ratios,
        reference=best,
        detail={
            "values_pushed": VALUES,
            "seconds": [round(seconds, 2) for seconds in full],
            "throttled": throttled,  # one a round: the daemon does not know that its bucket was emptied
        },
    )
    yield Figure("sync_nothing", max(again), "s with nothing changed", Bound.LESS_THAN, 3.0, values=again)
    yield Figure("sync_nothing_writes", wasted, "values written with nothing changed", Bound.AT_MOST, 0)


async def _full_sync(bench: Bench, sandbox: Sandbox) -> float:
    """A sync of all values from an empty bucket on; each must be written once."""
    sandbox.shopify.bucket.spend(sandbox.shopify.bucket.available)
    sandbox.shopify.writes.clear()
    seconds = await _seconds(bench)
    effective = sum(write.has_effect for write in sandbox.shopify.writes)
    if not effective == len(sandbox.shopify.writes) == VALUES:
        raise RuntimeError(
            f"{len(sandbox.shopify.writes)} writes, {effective} of them with effect, for {VALUES} values"
        )
    return seconds


async def _seconds(bench: Bench) -> float:
    job = await bench.completed("SYNC_PRODUCTS")
    return float((job["completed_at"] - job["started_at"]).total_seconds())


def _cost_of_call(sandbox: Sandbox) -> int:
    """Points that a call which sets stock was charged."""
    costs = (request.actual_cost for request in sandbox.shopify.requests.last if request.operation == "SetStock")
    return next(cost for cost in costs if cost is not None)


async def mirror(connection: asyncpg.Connection, sandbox: Sandbox, depot_id: int) -> None:
    """Everything of both shops as pulls and matching would leave it, in step."""
    variants = list(sandbox.shopify.variants.values())
    products = [number for number, product in sandbox.nhanh.products.items() if product.parent_id != -2][
        : len(variants)
    ]
    for variant in variants:
        variant.tracked = True
        variant.levels[0].available = 10
    figures = (10, 10, 0, 0, 0, 0)
    await _copy(
        connection,
        "nhanh_products (store, id, code, document, digest, stock_known)",
        (("main", number, f"SKU-{number}", "{}", b"", True) for number in products),
    )
    await _copy(
        connection,
        "nhanh_inventory (store, product_id, depot_id, remain, available, holding, shipping, damaged, transferring)",
        (("main", number, depot_id, *figures) for number in products),
    )
    await _copy(
        connection,
        "shopify_variants (store, id, product_id, inventory_item_id, sku, price, document, digest, tracked)",
        (
            ("main", variant.id, variant.product_id, variant.inventory_item_id, variant.sku, 1, "{}", b"", True)
            for variant in variants
        ),
    )
    await _copy(
        connection,
        "shopify_inventory_levels (store, inventory_item_id, location_id, variant_id, available)",
        (("main", variant.inventory_item_id, variant.levels[0].location_id, variant.id, 10) for variant in variants),
    )
    await _copy(
        connection,
        "product_mappings (store, variant_id, nhanh_id, source)",
        (("main", variant.id, number, "sku") for variant, number in zip(variants, products, strict=True)),
    )
    await connection.execute(KNOW_DEPOT, depot_id, next(d.name for d in sandbox.nhanh.depots if d.id == depot_id))


async def _copy(connection: asyncpg.Connection, target: str, records: Iterable[tuple[Any, ...]]) -> None:
    table, _, columns = target.partition(" ")
    names = columns.strip("()").split(", ")
    await connection.copy_records_to_table(table, schema_name="dongbo", columns=names, records=list(records))
