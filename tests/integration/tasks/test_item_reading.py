"""Single products, read by their ids at both sides of a sandbox and stored as the pulls do."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from daemon.database.pool import Database
from daemon.jobs.types import JobType
from daemon.sandbox.nhanh.records import PARENT
from daemon.sandbox.server import SandboxSettings
from daemon.sources.meter import CallMeter
from daemon.tasks.item_reading import ItemsRead, read_nhanh_products, read_shopify_levels, read_shopify_products
from tests.support.workshop import STORE, Workshop

P = TypeVar("P")
NEVER = 987_654_321  # an id that neither side has


@dataclass(frozen=True)
class Waiting:
    """Who asks, and goes on waiting."""

    database: Database

    async def unless_stopped(self, call: Awaitable[P]) -> P:
        """The result of a call."""
        return await call


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=25, customers=1, limits=False, quirks=False)


@pytest.fixture
async def mirrored(workshop: Workshop) -> Workshop:
    """Both sides as they are."""
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    return workshop


async def nhanh(workshop: Workshop, ids: Sequence[int], *, stock_only: bool = False) -> tuple[ItemsRead, int]:
    """What came of reading these, and in how many calls."""
    meter = CallMeter()
    store = workshop.parts.registry.store(STORE)
    read = await read_nhanh_products(Waiting(workshop.database), store, meter, ids, stock_only=stock_only)
    return read, meter.api_calls


async def shopify(workshop: Workshop, read: Any, ids: Sequence[int]) -> ItemsRead:
    """What came of reading these."""
    found: ItemsRead = await read(Waiting(workshop.database), workshop.parts.registry.store(STORE), CallMeter(), ids)
    return found


def sold(workshop: Workshop) -> list[int]:
    """Products of Nhanh.vn with stock."""
    products = workshop.sandbox.nhanh.products
    return [number for number in sorted(products) if products[number].parent_id != PARENT and products[number].stock]


async def mirrored_stock(workshop: Workshop, product: int) -> dict[int, int]:
    """What the mirror says is there, by depot."""
    rows = await workshop.rows(
        "SELECT depot_id, available FROM dongbo.nhanh_inventory WHERE product_id = $1 AND deleted_at IS NULL", product
    )
    return {row["depot_id"]: int(row["available"]) for row in rows}


@pytest.mark.parametrize("stock_only", [False, True])
async def test_products_of_nhanh_are_read_with_their_stock(mirrored: Workshop, stock_only: bool) -> None:
    """Those that were asked for, and no others; a pull finds nothing of them left to do."""
    first, second, other = sold(mirrored)[:3]
    for number, quantity in ((first, 41), (second, 42), (other, 43)):
        mirrored.sandbox.nhanh.change_stock(number, min(mirrored.sandbox.nhanh.products[number].stock), quantity)
    before = await mirrored_stock(mirrored, other)
    read, calls = await nhanh(mirrored, [second, first, first], stock_only=stock_only)
    assert read == ItemsRead(read=frozenset({first, second}))
    assert calls == 1
    for number in (first, second):
        assert await mirrored_stock(mirrored, number) == mirrored.sandbox.nhanh.products[number].stock
    assert await mirrored_stock(mirrored, other) == before
    assert (await mirrored.completed(JobType.PULL_NHANH_PRODUCTS, full=True)).updated == 1


@pytest.mark.parametrize("stock_only", [False, True])
async def test_what_is_gone_is_marked(mirrored: Workshop, stock_only: bool) -> None:
    """With its stock; and an id that never was is gone, too."""
    product = sold(mirrored)[0]
    mirrored.sandbox.nhanh.delete_product(product)
    read, _ = await nhanh(mirrored, [product, NEVER], stock_only=stock_only)
    assert read == ItemsRead(gone=frozenset({product, NEVER}))
    assert await mirrored.value("SELECT deleted_at IS NOT NULL FROM dongbo.nhanh_products WHERE id = $1", product)
    assert await mirrored_stock(mirrored, product) == {}


async def test_a_product_without_stock_holds_none(mirrored: Workshop) -> None:
    """Nhanh.vn leaves it out of the list of stock; asked for by its id, it is there and has nothing."""
    product = sold(mirrored)[0]
    mirrored.sandbox.nhanh.products[product].stock.clear()
    read, _ = await nhanh(mirrored, [product], stock_only=True)
    assert read == ItemsRead(read=frozenset({product}))
    assert await mirrored_stock(mirrored, product) == {}
    assert await mirrored.value("SELECT stock_known FROM dongbo.nhanh_products WHERE id = $1", product)


async def test_a_product_that_is_new_is_read_whole(workshop: Workshop) -> None:
    """Even where only its stock was asked for: nothing is known of it."""
    product = sold(workshop)[0]
    read, _ = await nhanh(workshop, [product], stock_only=True)
    assert read == ItemsRead(read=frozenset({product}))
    assert await workshop.value("SELECT code FROM dongbo.nhanh_products WHERE id = $1", product)


async def test_unreadable_rows_are_named_and_the_others_are_stored(mirrored: Workshop) -> None:
    """What can't be read is not gone, and stays as it was."""
    asked = sold(mirrored)
    before = {number: await mirrored_stock(mirrored, number) for number in asked}
    for number in asked:
        mirrored.sandbox.nhanh.change_stock(number, min(mirrored.sandbox.nhanh.products[number].stock), 77)
    mirrored.sandbox.faults.bad_rows = 0.3
    read, _ = await nhanh(mirrored, asked)
    assert (read.read | read.failed.keys(), read.gone) == (frozenset(asked), frozenset())
    assert read.read
    assert read.failed
    for number in read.read:
        assert await mirrored_stock(mirrored, number) == mirrored.sandbox.nhanh.products[number].stock
    for number in read.failed:
        assert await mirrored_stock(mirrored, number) == before[number]


async def test_products_and_levels_of_shopify_are_read(mirrored: Workshop) -> None:
    """A level alone, or the product with all that belongs to it; what is gone is marked."""
    shop = mirrored.sandbox.shopify
    variants = [shop.variants[number] for number in sorted(shop.variants)]
    first = variants[0]
    last = next(variant for variant in reversed(variants) if variant.product_id != first.product_id)
    location = min(shop.locations)
    shop.change_stock(first.id, 17, location)
    shop.change_stock(last.id, 18, location)
    available = "SELECT available FROM dongbo.shopify_inventory_levels WHERE variant_id = $1 AND location_id = $2"
    items = [first.inventory_item_id, NEVER]
    assert await shopify(mirrored, read_shopify_levels, items) == ItemsRead(
        frozenset({first.inventory_item_id}), gone=frozenset({NEVER})
    )
    assert await mirrored.value(available, first.id, location) == 17
    assert await mirrored.value(available, last.id, location) != 18
    shop.delete_product(first.product_id)
    asked = [first.product_id, last.product_id]
    assert await shopify(mirrored, read_shopify_products, asked) == ItemsRead(
        frozenset({last.product_id}), gone=frozenset({first.product_id})
    )
    assert await mirrored.value(available, last.id, location) == 18
    assert await mirrored.value("SELECT deleted_at IS NOT NULL FROM dongbo.shopify_variants WHERE id = $1", first.id)


async def test_an_item_of_no_known_variant_is_told_apart(workshop: Workshop) -> None:
    """Its levels would belong to nothing."""
    variant = next(iter(workshop.sandbox.shopify.variants.values()))
    read = await shopify(workshop, read_shopify_levels, [variant.inventory_item_id])
    assert read == ItemsRead(unknown=frozenset({variant.inventory_item_id}))
