"""What the mirror says is never replaced by the answer to an older question, whoever asked it and came late.

A full pull asks for a page, and stores it a while later; meanwhile a webhook has had one of its rows read.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from daemon.database.pool import Connection, Database
from daemon.ids import StoreName
from daemon.mirror import nhanh, shopify
from daemon.mirror.levels import KnownLevel, replace_levels, set_levels
from daemon.mirror.snapshot_time import SnapshotTime, asked_now
from daemon.sources.nhanh.models import DepotStock, Inventory, NhanhCustomer, NhanhInventory, NhanhProduct
from daemon.sources.page import SourceRow
from daemon.sources.shopify.models import InventoryItem, Quantities, ShopifyCustomer, ShopifyProduct, ShopifyVariant

STORE = StoreName("main")
EARLIER = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LATER = EARLIER + timedelta(seconds=2)

Store = Callable[[Connection, int, SnapshotTime], Awaitable[Any]]


def row(value: Any, number: int) -> SourceRow[Any]:
    """A row of a source whose document differs with the number."""
    return SourceRow(value, b'{"number": %d}' % number)


async def nhanh_customer(connection: Connection, number: int, asked: SnapshotTime) -> None:
    await nhanh.upsert_customers(connection, STORE, [row(NhanhCustomer(id=1, points=number), number)], asked)


async def nhanh_product(connection: Connection, number: int, asked: SnapshotTime) -> None:
    await nhanh.upsert_products(connection, STORE, [row(NhanhProduct(id=1, category_id=number), number)], asked)


def _stock(number: int) -> Inventory:
    return Inventory(depots=[DepotStock(depot_id=3, remain=Decimal(number), available=Decimal(number))])


async def nhanh_stock(connection: Connection, number: int, asked: SnapshotTime) -> None:
    told = NhanhInventory(product_id=1, inventory=_stock(number))
    await nhanh.upsert_inventory(connection, STORE, [row(told, number)], asked)


async def shopify_customer(connection: Connection, number: int, asked: SnapshotTime) -> None:
    told = ShopifyCustomer(id=1, number_of_orders=number)
    await shopify.upsert_customers(connection, STORE, [row(told, number)], asked)


async def shopify_product(connection: Connection, number: int, asked: SnapshotTime) -> None:
    item = InventoryItem(id=21, tracked=True)
    variant = ShopifyVariant(id=11, price=Decimal(number), inventory_item=item, levels={31: Quantities(number, number)})
    variant.document = b'{"number": %d}' % number
    told = ShopifyProduct(id=1, title=str(number), variants=[variant])
    await shopify.upsert_products(connection, STORE, [row(told, number)], asked)


async def shopify_level(connection: Connection, number: int, asked: SnapshotTime) -> None:
    await replace_levels(connection, STORE, {21: (11, {31: Quantities(number, number)})}, asked)


CASES: list[tuple[Store, str]] = [
    (nhanh_customer, "SELECT points FROM dongbo.nhanh_customers"),
    (nhanh_product, "SELECT category_id FROM dongbo.nhanh_products"),
    (nhanh_stock, "SELECT available::integer FROM dongbo.nhanh_inventory"),
    (shopify_customer, "SELECT number_of_orders FROM dongbo.shopify_customers"),
    (shopify_product, "SELECT title::integer FROM dongbo.shopify_products"),
    (shopify_product, "SELECT price::integer FROM dongbo.shopify_variants"),
    (shopify_product, "SELECT available FROM dongbo.shopify_inventory_levels"),
    (shopify_level, "SELECT available FROM dongbo.shopify_inventory_levels"),
]


@pytest.mark.parametrize("is_known", [True, False], ids=["changed", "new"])
@pytest.mark.parametrize(("store", "present"), CASES, ids=[f"{store.__name__}: {sql[7:]}" for store, sql in CASES])
async def test_late_answer_to_an_older_question_changes_nothing(
    database: Database, store: Store, present: str, is_known: bool
) -> None:
    """Whether the row was there before or the newer answer has brought it; a still newer answer counts."""
    async with database.acquire() as connection:
        if is_known:
            await store(connection, 1, SnapshotTime(EARLIER - timedelta(hours=1)))
        await store(connection, 2, SnapshotTime(LATER))
        await store(connection, 3, SnapshotTime(EARLIER))
        assert await connection.fetchval(present) == 2
        await store(connection, 4, SnapshotTime(LATER + timedelta(seconds=1)))
        assert await connection.fetchval(present) == 4


async def test_stock_that_a_depot_has_lost_does_not_come_back_with_an_older_answer(database: Database) -> None:
    """Nor does a level where an item is no longer stocked."""
    async with database.acquire() as connection:
        await nhanh_stock(connection, 1, SnapshotTime(EARLIER))
        gone = NhanhInventory(product_id=1, inventory=Inventory(depots=[]))
        await nhanh.upsert_inventory(connection, STORE, [row(gone, 2)], SnapshotTime(LATER))
        await nhanh_stock(connection, 3, SnapshotTime(EARLIER))
        assert await connection.fetchval("SELECT deleted_at FROM dongbo.nhanh_inventory") is not None
        await shopify_level(connection, 1, SnapshotTime(EARLIER))
        await replace_levels(connection, STORE, {21: (11, {})}, SnapshotTime(LATER))
        await shopify_level(connection, 3, SnapshotTime(EARLIER))
        assert await connection.fetchval("SELECT deleted_at FROM dongbo.shopify_inventory_levels") is not None


async def test_variant_that_an_older_answer_lacks_is_not_gone(database: Database) -> None:
    """It has been added since; a newer answer that lacks it says that it is gone, and an older one does not say
    otherwise."""
    deleted = "SELECT deleted_at FROM dongbo.shopify_variants WHERE id = 12"

    async def read(number: int, asked: datetime, *variant_ids: int) -> None:
        variants = [ShopifyVariant(id=each, price=Decimal(number)) for each in variant_ids]
        for variant in variants:
            variant.document = b'{"number": %d}' % number
        told = ShopifyProduct(id=1, variants=variants)
        await shopify.upsert_products(connection, STORE, [row(told, number)], SnapshotTime(asked))

    async with database.acquire() as connection:
        await read(1, LATER, 11, 12)
        await read(2, EARLIER, 11)
        assert await connection.fetchval(deleted) is None
        await read(3, LATER + timedelta(seconds=1), 11)
        await read(4, LATER, 11, 12)
        assert await connection.fetchval(deleted) is not None


async def test_reading_that_a_push_has_overtaken_changes_nothing(database: Database) -> None:
    """What a push has set is as of when it was noted; what was asked for before is older."""
    async with database.acquire() as connection:
        asked = await asked_now(connection)
        await shopify_product(connection, 1, asked)
        await set_levels(connection, STORE, [KnownLevel(11, 21, 31, Quantities(5, 5))])
        await shopify.set_prices(connection, STORE, {11: (Decimal(5), None)})
        await shopify_level(connection, 2, asked)
        await shopify.set_prices(connection, STORE, {11: (Decimal(2), None)}, asked.at)
        assert await connection.fetchval("SELECT available FROM dongbo.shopify_inventory_levels") == 5
        assert await connection.fetchval("SELECT price FROM dongbo.shopify_variants") == 5
