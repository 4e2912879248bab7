"""Stock by depot and by location: what the pulls know of it, and when they know that they know too little."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from daemon.errors import InvalidJobRequest
from daemon.jobs.types import JobType
from daemon.mirror import nhanh as mirror
from daemon.mirror import places
from daemon.mirror import shopify as shopify_mirror
from daemon.mirror.levels import PushedLevel, set_pushed
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sandbox.nhanh.records import PARENT
from daemon.sandbox.server import SandboxSettings
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.models import Inventory, NhanhInventory
from daemon.sources.page import SourceRow
from daemon.sources.shopify.models import QuantityName
from tests.support.workshop import STORE, Workshop

INVENTORY = JobType.PULL_NHANH_INVENTORY
LATE = timedelta(hours=3)  # further back than what an incremental pull asks for again


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop without the quirks that this is not about."""
    return SandboxSettings(products=25, customers=5, limits=False, quirks=False)


async def stock(workshop: Workshop) -> dict[tuple[int, int], int]:
    """What is mirrored as available, {(product, depot): pieces}."""
    rows = await workshop.rows(
        "SELECT product_id, depot_id, available FROM dongbo.nhanh_inventory WHERE deleted_at IS NULL"
    )
    return {(row["product_id"], row["depot_id"]): int(row["available"]) for row in rows}


def stocked(workshop: Workshop) -> list[int]:
    """Products of Nhanh.vn that hold stock in a depot."""
    products = workshop.sandbox.nhanh.products
    return [number for number in sorted(products) if products[number].parent_id != PARENT and products[number].stock]


async def move_watermark_back(workshop: Workshop, **columns: datetime) -> None:
    """Pretend that the last pull of stock was earlier."""
    for column, moment in columns.items():
        async with workshop.database.acquire() as connection:
            await connection.execute(
                f"UPDATE dongbo.watermarks SET {column} = $1 WHERE stream = 'nhanh_inventory'", moment
            )


async def test_the_first_pull_of_stock_is_full(workshop: Workshop) -> None:
    """Every product with a stock record counts once, and the mirror has what the shop has in every depot."""
    job = await workshop.completed(INVENTORY)
    assert job.metadata["mode"] == "full"
    assert (
        job.processed
        == job.created
        == await workshop.value("SELECT count(DISTINCT product_id) FROM dongbo.nhanh_inventory")
    )
    products = workshop.sandbox.nhanh.products
    mirrored = await stock(workshop)
    for number in stocked(workshop):
        assert {depot: mirrored[number, depot] for depot in products[number].stock} == products[number].stock


async def test_a_later_pull_brings_what_has_changed(workshop: Workshop) -> None:
    """A change of stock that moves no product's time of change is found by the time of the stock's own."""
    await workshop.completed(INVENTORY)
    await move_watermark_back(workshop, complete_to=datetime.now(UTC) - timedelta(minutes=1))
    product = stocked(workshop)[0]
    depot = min(workshop.sandbox.nhanh.products[product].stock)
    workshop.sandbox.nhanh.change_stock(product, depot, 4321)
    job = await workshop.completed(INVENTORY)
    assert (job.metadata["mode"], job.updated, job.created) == ("incremental", 1, 0)
    assert (await stock(workshop))[product, depot] == 4321


async def test_a_pull_of_products_and_one_of_stock_agree(workshop: Workshop) -> None:
    """Whichever of the two comes second finds nothing to change."""
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    before = await stock(workshop)
    job = await workshop.completed(INVENTORY)
    assert (job.created, job.updated) == (0, 0)
    assert await stock(workshop) == before
    assert await workshop.value("SELECT bool_and(stock_known) FROM dongbo.nhanh_products WHERE parent_id <> -2")


async def test_stopped_products_are_among_the_stock(workshop: Workshop) -> None:
    """Nhanh.vn hides products that are no longer sold unless it is asked for all statuses: they may hold stock."""
    product = stocked(workshop)[1]
    workshop.sandbox.nhanh.change_product(product, status=3)
    await workshop.completed(INVENTORY)
    assert product in {number for number, _ in await stock(workshop)}


async def test_a_depot_that_comes_back_into_sight_is_pulled_in_full(workshop: Workshop) -> None:
    """While a token could not see a depot, its changes passed unseen: they are not found by the time of change."""
    await workshop.completed(INVENTORY)
    shop = workshop.sandbox.nhanh
    first, *others = [depot.id for depot in shop.depots]
    product = next(number for number in stocked(workshop) if first in shop.products[number].stock)
    shop.depot_ids = others
    hidden = await workshop.completed(INVENTORY)
    assert hidden.metadata["mode"] == "incremental"
    shop.change_stock(product, first, 777)
    shop.depot_ids = ()
    back = await workshop.completed(INVENTORY)
    assert back.metadata["mode"] == "full"
    assert (await stock(workshop))[product, first] == 777
    assert (await workshop.completed(INVENTORY)).metadata["mode"] == "incremental"


async def test_levels_of_shopify_come_with_the_products(workshop: Workshop) -> None:
    """The mirror has what is available of every variant at every location that stocks it."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    shop = workshop.sandbox.shopify
    rows = await workshop.rows(
        "SELECT variant_id, location_id, available FROM dongbo.shopify_inventory_levels WHERE deleted_at IS NULL"
    )
    expected = {(v.id, level.location_id): level.available for v in shop.variants.values() for level in v.levels}
    assert {(row["variant_id"], row["location_id"]): row["available"] for row in rows} == expected
    tracked = {
        row["id"]: row["tracked"] for row in await workshop.rows("SELECT id, tracked FROM dongbo.shopify_variants")
    }
    assert tracked == {variant.id: variant.tracked for variant in shop.variants.values()}


async def test_a_changed_level_makes_its_product_an_updated_row(workshop: Workshop) -> None:
    """Stock sold at Shopify is found by an incremental pull, and nothing else is touched."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    shop = workshop.sandbox.shopify
    variant = next(iter(shop.variants.values()))
    shop.change_stock(variant.id, 98, variant.levels[0].location_id)
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert (job.metadata["mode"], job.updated) == ("incremental", 1)
    assert await workshop.value(
        "SELECT available FROM dongbo.shopify_inventory_levels WHERE variant_id = $1 AND location_id = $2",
        variant.id,
        variant.levels[0].location_id,
    ) == 98  # fmt: skip


async def test_an_unchanged_level_is_not_rewritten(workshop: Workshop) -> None:
    """Pulling everything again leaves every level alone."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    rows = "SELECT inventory_item_id, location_id, xmin::text FROM dongbo.shopify_inventory_levels ORDER BY 1, 2"
    before = await workshop.rows(rows)
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (job.created, job.updated) == (0, 0)
    assert await workshop.rows(rows) == before


async def test_metafields_of_customers_are_mirrored(workshop: Workshop) -> None:
    """What is not set is known to be not set."""
    await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS)
    assert await workshop.value("SELECT DISTINCT metafields::text FROM dongbo.shopify_customers") == (
        '{"custom.tier": null, "custom.total_spent": null}'
    )


async def test_stock_is_not_pulled_by_depot(workshop: Workshop) -> None:
    """An answer of some depots only looks as if the others held nothing."""
    with pytest.raises(InvalidJobRequest, match="Unknown filter for stock"):
        await workshop.submit(INVENTORY, filters={"depot_ids": [1001]})


async def known_stock(workshop: Workshop) -> set[int]:
    """The products whose stock is known."""
    return {row["id"] for row in await workshop.rows("SELECT id FROM dongbo.nhanh_products WHERE stock_known")}


async def test_all_stock_is_doubted_when_a_depot_comes_into_sight(workshop: Workshop) -> None:
    """Whatever pull saw what while it was hidden: each product counts as known again only when it was told anew."""
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    known = await known_stock(workshop)
    assert known
    visible = [(depot.id, depot.name) for depot in workshop.sandbox.nhanh.depots]
    async with workshop.database.acquire() as connection, connection.transaction():
        before = (await places.depot_visibility(connection, STORE)).since
        await places.store_depots(connection, STORE, visible[1:])
        assert not (await places.depot_visibility(connection, STORE, [visible[0][0]])).are_visible
        await places.store_depots(connection, STORE, visible)
    assert await known_stock(workshop) == set()
    product = min(known)
    row = SourceRow(NhanhInventory(product_id=product, inventory=Inventory(depots=[])), b"{}")
    async with workshop.database.acquire() as connection:
        await mirror.upsert_inventory(connection, STORE, [row], SnapshotTime(datetime.now(UTC), before))
        assert await known_stock(workshop) == set(), "the page was asked for while the depot was hidden"
        now = (await places.depot_visibility(connection, STORE)).since
        await mirror.upsert_inventory(connection, STORE, [row], SnapshotTime(datetime.now(UTC), now))
    assert await known_stock(workshop) == {product}
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
    assert await known_stock(workshop) == known


@pytest.mark.parametrize("inventory", [None, Inventory(), Inventory(available=Decimal(5), depots=[])])
async def test_stock_that_is_not_told_by_depot_changes_nothing(workshop: Workshop, inventory: Inventory | None) -> None:
    """No list of depots, or one that contradicts the sum, is no zero."""
    await workshop.completed(INVENTORY)
    before = await stock(workshop)
    rows = [SourceRow(NhanhInventory(product_id=stocked(workshop)[0], inventory=inventory), b"{}")]
    async with workshop.database.acquire() as connection:
        counted = await mirror.upsert_inventory(connection, STORE, rows)
    assert counted.skipped == 1
    assert await stock(workshop) == before


async def test_a_page_does_not_replace_what_was_pushed_after_it_was_asked_for(workshop: Workshop) -> None:
    """The mirror would say what is no longer so, and hide that something is still to be pushed."""
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    variant = next(iter(workshop.sandbox.shopify.variants.values()))
    place = variant.levels[0].location_id

    async def mirrored() -> tuple[int, Decimal]:
        return (
            await workshop.value(
                "SELECT available FROM dongbo.shopify_inventory_levels WHERE variant_id = $1 AND location_id = $2",
                variant.id,
                place,
            ),
            await workshop.value("SELECT price FROM dongbo.shopify_variants WHERE id = $1", variant.id),
        )

    async with workshop.database.acquire() as connection:
        before = SnapshotTime(await connection.fetchval("SELECT clock_timestamp()"), None)
        known_at = await connection.fetchval("SELECT clock_timestamp()")
        await set_pushed(
            connection, STORE, [PushedLevel(variant.inventory_item_id, place, 4711, known_at)], "available"
        )
        await shopify_mirror.set_prices(connection, STORE, {variant.id: (Decimal(99), None)})
        after = SnapshotTime(await connection.fetchval("SELECT clock_timestamp()"), None)
        page = await workshop.parts.registry.stores[STORE].shopify.products_by_ids(
            [variant.product_id], meter=CallMeter()
        )
        await shopify_mirror.upsert_products(connection, STORE, page.rows, before)
        assert await mirrored() == (4711, Decimal(99))
        await shopify_mirror.upsert_products(connection, STORE, page.rows, after)
        assert await mirrored() == (variant.levels[0].available, variant.price)


LEVEL = """
SELECT available, on_hand, changed_at FROM dongbo.shopify_inventory_levels
WHERE inventory_item_id = $1 AND location_id = $2
"""


async def test_what_is_on_hand_comes_with_what_is_available(workshop: Workshop) -> None:
    """A pull keeps both figures, and one that only becomes known is no change of the stock."""
    shop = workshop.sandbox.shopify
    variant = next(variant for variant in shop.variants.values() if variant.levels[0].available > 3)
    shop.place_order(variant.id, 2)
    level = variant.levels[0]
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    ids = variant.inventory_item_id, level.location_id
    (first,) = await workshop.rows(LEVEL, *ids)
    assert (first["available"], first["on_hand"]) == (level.available, level.available + 2)
    async with workshop.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.shopify_inventory_levels SET on_hand = NULL")
    upgraded = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (upgraded.updated, upgraded.skipped) == (0, upgraded.processed)
    assert await workshop.rows(LEVEL, *ids) == [first]
    assert await workshop.value("SELECT count(*) FROM dongbo.shopify_inventory_levels WHERE on_hand IS NULL") == 0
    shop.fulfil_order(next(iter(shop.orders)))
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    (sent,) = await workshop.rows(LEVEL, *ids)
    assert (sent["available"], sent["on_hand"]) == (first["available"], first["on_hand"] - 2)
    assert sent["changed_at"] > first["changed_at"]


@pytest.mark.parametrize(("name", "expected"), [("available", (7, 9)), ("on_hand", (5, 7))])
async def test_a_pushed_quantity_moves_the_other(
    workshop: Workshop, name: QuantityName, expected: tuple[int, int]
) -> None:
    """As Shopify does: what is committed stays committed."""
    shop = workshop.sandbox.shopify
    variant = next(iter(shop.variants.values()))
    level = variant.levels[0]
    shop.change_stock(variant.id, 5)
    shop.place_order(variant.id, 2)
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    async with workshop.database.acquire() as connection:
        known_at = await connection.fetchval("SELECT clock_timestamp()")
        pushed = PushedLevel(variant.inventory_item_id, level.location_id, 7, known_at)
        await set_pushed(connection, STORE, [pushed], name)
    (row,) = await workshop.rows(LEVEL, variant.inventory_item_id, level.location_id)
    assert (row["available"], row["on_hand"]) == expected
    (shop.change_stock if name == "available" else shop.change_on_hand)(variant.id, 7)
    assert (level.available, level.on_hand) == expected
