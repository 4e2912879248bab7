"""A Shopify shop of which all products are pulled in bulk: what happens in it between two pulls, and whether the mirror
is the shop afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg

from daemon.sandbox.shopify import ShopifySandbox

MIRRORED_PRODUCTS = """
SELECT id, title, status, source_updated_at FROM dongbo.shopify_products WHERE store = 'main' AND deleted_at IS NULL
"""
MIRRORED_VARIANTS = """
SELECT id, product_id, sku, price, inventory_item_id FROM dongbo.shopify_variants
WHERE store = 'main' AND deleted_at IS NULL
"""
MIRRORED_LEVELS = """
SELECT level.inventory_item_id, location_id, available, on_hand
FROM dongbo.shopify_inventory_levels AS level
JOIN dongbo.shopify_variants AS variant ON variant.store = level.store AND variant.id = level.variant_id
WHERE level.store = 'main' AND level.deleted_at IS NULL AND variant.deleted_at IS NULL
"""
WATERMARKS = "SELECT * FROM dongbo.watermarks ORDER BY 1, 2"
LEFT_OVER = """
SELECT (SELECT count(*) FROM dongbo.bulk_reads) + (
    SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('dongbo') AND relname LIKE 'bulk\\_lines\\_%'
)
"""

COUNTERS = ("created", "updated", "skipped", "failed")


@dataclass(frozen=True)
class Changes:
    """What the next pull has to find."""

    created: int
    updated: int
    deleted: int


class Season:
    """What happens in the shop between the pulls: in each round others change, whoever has not for the longest time."""

    def __init__(self, shop: ShopifySandbox) -> None:
        self._shop = shop
        self._turns = sorted(shop.products)  # whoever has not changed for the longest time first
        self._is_first = True

    def next_round(self) -> Changes:
        """Before the first pull all is new; after it, a round changes six products and adds one.

        One is deleted, of one all but one variant are, two are touched, of one a price is changed, of one the stock.
        """
        shop = self._shop
        if self._is_first:
            self._is_first = False
            return Changes(len(shop.products), 0, 0)
        shop.delete_product(self._turns.pop(0))
        several = next(number for number in self._turns if len(shop.products[number].variants) > 1)
        self._turns.append(shop.duplicate_product(several).id)
        self._to_the_end(several)
        for variant in shop.products[several].variants[1:]:
            shop.delete_variant(variant.id)
        shop.touch_product(self._next())
        shop.touch_product(self._next())
        dearer, sold = (shop.products[self._next()].variants[0] for _ in range(2))
        shop.change_price(dearer.id, dearer.price + Decimal(1000))
        shop.change_stock(sold.id, sold.levels[0].available + 7)
        return Changes(created=1, updated=5, deleted=1)

    def _next(self) -> int:
        number = self._turns[0]
        self._to_the_end(number)
        return number

    def _to_the_end(self, number: int) -> None:
        self._turns.remove(number)
        self._turns.append(number)


def check_counters(job: Mapping[str, Any], changes: Changes, shop: ShopifySandbox) -> None:
    """A completed pull has counted each product once, and as what it was."""
    expected = {"created": changes.created, "updated": changes.updated, "failed": 0}
    expected["skipped"] = len(shop.products) - changes.created - changes.updated
    assert {name: job[name] for name in COUNTERS} == expected, job
    assert job["processed"] == len(shop.products), job
    assert job["metadata"]["deleted"] == changes.deleted, job


async def check_mirror(connection: asyncpg.Connection, shop: ShopifySandbox) -> None:
    """The mirror has the very products, variants and levels that the shop has."""
    assert await _rows(connection, MIRRORED_PRODUCTS) == {
        (product.id, product.title, product.status, product.updated_at) for product in shop.products.values()
    }
    assert await _rows(connection, MIRRORED_VARIANTS) == {
        (variant.id, variant.product_id, variant.sku, variant.price, variant.inventory_item_id)
        for variant in shop.variants.values()
    }
    assert await _rows(connection, MIRRORED_LEVELS) == {
        (variant.inventory_item_id, level.location_id, level.available, level.on_hand)
        for variant in shop.variants.values()
        for level in variant.levels
    }


async def watermarks(connection: asyncpg.Connection) -> set[tuple[Any, ...]]:
    """How far the pulls know the shop."""
    return await _rows(connection, WATERMARKS)


async def nothing_is_left(connection: asyncpg.Connection) -> bool:
    """Whether no file of a bulk operation, nor a part of one, is in the database."""
    return await connection.fetchval(LEFT_OVER) == 0


async def _rows(connection: asyncpg.Connection, sql: str) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in await connection.fetch(sql)}
