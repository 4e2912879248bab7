"""What is on hand at Shopify instead of what is available: orders there stay taken off, whatever Nhanh.vn knows."""

from collections.abc import Sequence
from typing import Any

import pytest

from daemon.api.approvals import ChangedSetting
from daemon.errors import SourceUnavailable
from daemon.jobs import approvals as questions
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.shopify.records import LevelRecord, Variant
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.shopify.client import ShopifyClient
from daemon.sync.explanation.explain import explain
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.question import PlanQuestion
from daemon.sync.products.rows import StockRow
from daemon.tasks import product_facts
from tests.support.synced_shop import SyncedShop, after_each_call, before_each_call, sandbox_settings, shop
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

LOST = SourceUnavailable("the answer was lost")
FORGET_ON_HAND = "UPDATE dongbo.shopify_inventory_levels SET on_hand = NULL"
READ_AGAIN = """
UPDATE dongbo.shopify_inventory_levels SET on_hand = 9, pushed_at = clock_timestamp()
WHERE inventory_item_id = $1 AND location_id = $2
"""


@pytest.fixture
async def counted(shop: SyncedShop) -> SyncedShop:
    """A shop whose stock on hand is in step, with ten of each of the first variants."""
    shop.configure(quantity="on_hand", stock_figure="available")
    shop.sell(shop.pairs[:12], 10)
    await shop.pull()
    await shop.sync()
    shop.shopify.writes.clear()
    await shop.workshop.rows("DELETE FROM dongbo.pushes RETURNING id")
    return shop


def at(shop: SyncedShop, variant: Variant) -> LevelRecord:
    """The level of a variant at the first location."""
    level = variant.level_at(shop.location)
    assert level is not None
    return level


async def levels_of(shop: SyncedShop, variant: Variant) -> tuple[int, int | None]:
    """What the mirror has of a variant at the first location: available, and on hand."""
    (row,) = await shop.workshop.rows(
        "SELECT available, on_hand FROM dongbo.shopify_inventory_levels "
        "WHERE inventory_item_id = $1 AND location_id = $2",
        variant.inventory_item_id,
        shop.location,
    )
    return row["available"], row["on_hand"]


async def stock_value(shop: SyncedShop, variant: Variant) -> Any:
    """What is explained of a variant's stock at the first location."""
    settings = shop.workshop.parts.registry.stores[STORE].product_sync
    async with shop.workshop.database.acquire() as connection:
        found = await explain(connection, STORE, settings, shop.workshop.parts.zone, variant_id=variant.id)
    return next(value for value in found.variants[0].values if value.location_id == shop.location)


@pytest.mark.parametrize(("quantity", "available"), [("on_hand", 9), ("available", 10)])
async def test_an_order_that_nhanh_does_not_know_yet(counted: SyncedShop, quantity: str, available: int) -> None:
    """It changes nothing of what is on hand, so nothing is pushed; what is available is put back, to be sold again."""
    counted.configure(quantity=quantity)
    variant = counted.pairs[0][0]
    counted.shopify.place_order(variant.id, 1, counted.location)
    await counted.pull()
    job = await counted.sync()
    assert at(counted, variant).available == available
    assert job.updated == (quantity == "available")


async def test_on_hand_is_compared_set_and_named(counted: SyncedShop) -> None:
    """Shopify keeps what its open orders have committed; the log, the mirror and the explanation name the quantity."""
    variant, nhanh_id = counted.pairs[0]
    counted.shopify.place_order(variant.id, 3, counted.location)
    await counted.pull()
    counted.sell(counted.pairs[:1], 12)
    await counted.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    counted.shopify.place_order(variant.id, 2, counted.location)  # does not change what is on hand
    job = await counted.sync()
    assert (job.updated, job.failed) == (1, 0)
    level = at(counted, variant)
    assert (level.on_hand, level.committed, level.available) == (12, 5, 7)
    (push,) = await counted.pushes()
    assert (push["kind"], push["name"], push["old_value"], push["new_value"]) == ("stock", "on_hand", "10", "12")
    assert await levels_of(counted, variant) == (9, 12), "what is available is known as of the last pull"
    value = await stock_value(counted, variant)
    assert (value.quantity, value.shopify, value.equal) == ("on_hand", "12", True)
    assert f"Shopify has 12 on hand at {counted.shopify.locations[counted.location].name}" in value.verdict
    assert [push.name for push in value.pushes] == ["on_hand"]
    assert f"Nhanh.vn {nhanh_id}" in push["reason"]


async def test_a_value_that_moved_on_hand_is_left_to_the_next_sync(counted: SyncedShop) -> None:
    """An order was sent since Shopify was read, perhaps after Nhanh.vn was: its figure may still hold that piece."""
    variant = counted.pairs[0][0]
    order = counted.shopify.place_order(variant.id, 1, counted.location)
    await counted.pull()
    counted.sell(counted.pairs[:3], 9)
    await counted.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    counted.shopify.fulfil_order(order.id)
    for _sync in range(2):  # neither this sync nor one that nothing was pulled before
        job = await counted.sync()
        (notice,) = job.metadata["notices"]
        assert notice.startswith("What Shopify has on hand of 1 row changed before it was set: it is left to the next")
        assert (at(counted, variant).on_hand, at(counted, variant).available) == (9, 9)
    assert [push["result"] for push in await counted.pushes() if push["owner_id"] == variant.id] == ["stale", "stale"]
    counted.sell(counted.pairs[:1], 8)  # sold at the till meanwhile
    await counted.pull()
    assert (await counted.sync()).updated == 1
    assert (at(counted, variant).on_hand, at(counted, variant).available) == (8, 8)


async def test_an_item_is_stocked_with_what_is_on_hand(counted: SyncedShop) -> None:
    """Activated where it was not, it is set by what the activation brought back."""
    variant = counted.pairs[0][0]
    counted.shopify.stop_stocking(variant.id, counted.location)
    await counted.pull()
    counted.sell(counted.pairs[:1], 4)
    await counted.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    job = await counted.sync()
    assert (job.updated, job.failed) == (1, 0)
    assert at(counted, variant).on_hand == 4
    activation, push = await counted.pushes()
    assert (activation["kind"], activation["detail"]) == ("activation", "10 on hand there")
    assert (push["name"], push["old_value"], push["new_value"]) == ("on_hand", "10", "4")
    assert await levels_of(counted, variant) == (4, 4)


async def test_an_interrupted_push_is_settled_by_what_is_on_hand(
    counted: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is available says nothing of it: an order has come meanwhile."""
    variant = counted.pairs[0][0]
    counted.sell(counted.pairs[:1], 15)
    await counted.pull()

    def lose(number: int) -> None:
        if number == 1:
            counted.shopify.place_order(variant.id, 2, counted.location)
            raise LOST

    after_each_call(monkeypatch, "set_stock", lose)
    job = await counted.sync()
    assert (job.updated, job.failed) == (1, 0)
    assert (at(counted, variant).on_hand, at(counted, variant).available) == (15, 13)
    (push,) = await counted.pushes()
    assert (push["result"], push["detail"]) == ("applied", "interrupted; Shopify has the new value")


async def test_an_order_that_was_sent_after_an_interrupted_push(
    counted: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Shopify has by now is newer than what is known of Nhanh.vn, so the two are not compared."""
    variant = counted.pairs[0][0]
    order = counted.shopify.place_order(variant.id, 1, counted.location)
    counted.sell(counted.pairs[:1], 12)
    await counted.pull()

    def lose(number: int) -> None:
        if number == 1:
            counted.shopify.fulfil_order(order.id)
            counted.sell(counted.pairs[:1], 11)
            raise LOST

    before_each_call(monkeypatch, "set_stock", lose)
    await counted.sync()
    assert at(counted, variant).on_hand == 9
    assert counted.effects == []
    await counted.pull()
    await counted.sync()
    assert at(counted, variant).on_hand == 11


async def test_what_is_read_of_shopify_while_a_sync_runs_is_not_compared_with_older_stock(
    counted: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has read the item after an order was sent: Nhanh.vn's figure in the plan may still hold that piece."""
    variant = counted.pairs[0][0]
    order = counted.shopify.place_order(variant.id, 1, counted.location)
    counted.sell(counted.pairs[:2], 12)
    await counted.pull()
    original = ProductPlan.stock_again

    async def stock_again(plan: ProductPlan, connection: Any, planned: Sequence[StockRow]) -> list[StockRow]:
        if order.id in counted.shopify.orders:
            counted.shopify.fulfil_order(order.id)
            await connection.execute(READ_AGAIN, variant.inventory_item_id, counted.location)
        return await original(plan, connection, planned)

    monkeypatch.setattr(ProductPlan, "stock_again", stock_again)
    job = await counted.sync()
    assert (at(counted, variant).on_hand, at(counted, counted.pairs[1][0]).on_hand) == (9, 12)
    (notice,) = job.metadata["notices"]
    assert notice.startswith("What Shopify has on hand of 1 row changed before it was set")


async def test_single_items_are_read_at_shopify_first(counted: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that is sent in between is then missing in Nhanh.vn's figure, or its value at Shopify is stale."""
    steps: list[str] = []
    for client, method in ((NhanhClient, "rows_by_ids"), (ShopifyClient, "products_of")):
        noted(monkeypatch, steps, client, method)
    await counted.sync(variants=[counted.pairs[0][0].id])
    assert steps[:3] == ["products_of begins", "products_of ends", "rows_by_ids begins"]


def noted(monkeypatch: pytest.MonkeyPatch, steps: list[str], client: type, method: str) -> None:
    """Note in `steps` when calls of this method begin and end."""
    original = getattr(client, method)

    async def noting(*arguments: Any, **keywords: Any) -> Any:
        steps.append(f"{method} begins")
        answer = await original(*arguments, **keywords)
        steps.append(f"{method} ends")
        return answer

    monkeypatch.setattr(client, method, noting)


async def test_what_is_on_hand_is_read_where_it_is_not_known(
    counted: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade a sync reads some of it by itself; the rest is left alone, and a full pull reads all."""
    counted.sell(counted.pairs[:3], 4)
    await counted.pull()
    await counted.execute(FORGET_ON_HAND)
    monkeypatch.setattr(product_facts, "MOST_ITEMS", 1)
    unread = len({variant.inventory_item_id for variant, _ in counted.pairs})
    job = await counted.sync()
    assert job.metadata["left_alone"]["on_hand_not_read_yet"] == unread - 1
    assert job.updated <= 1
    left = next(variant for variant, _ in counted.pairs[:3] if at(counted, variant).on_hand == 10)
    value = await stock_value(counted, left)
    assert "What is on hand at" in value.verdict
    assert "is not known yet. Not pushed: what is on hand at Shopify has not been read yet" in value.verdict
    await counted.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    done = await counted.sync()
    assert "on_hand_not_read_yet" not in done.metadata["left_alone"]
    assert {at(counted, variant).on_hand for variant, _ in counted.pairs[:3]} == {4}


async def test_what_is_read_after_an_upgrade_is_compared_with_stock_that_was_read_later(counted: SyncedShop) -> None:
    """An order was sent after the last pull: Nhanh.vn is asked again along with Shopify."""
    variant = counted.pairs[0][0]
    order = counted.shopify.place_order(variant.id, 1, counted.location)
    await counted.pull()
    await counted.execute(FORGET_ON_HAND)
    counted.shopify.fulfil_order(order.id)
    counted.sell(counted.pairs[:1], 9)
    await counted.sync()
    assert (at(counted, variant).on_hand, counted.effects) == (9, [])


async def test_unread_stock_on_hand_keeps_nothing_back_where_it_is_not_synced(counted: SyncedShop) -> None:
    """What is available was always known."""
    counted.configure(quantity="available")
    counted.sell(counted.pairs[:1], 4)
    await counted.pull()
    await counted.execute(FORGET_ON_HAND)
    job = await counted.sync()
    assert (job.updated, "on_hand_not_read_yet" in job.metadata["left_alone"]) == (1, False)
    assert await levels_of(counted, counted.pairs[0][0]) == (4, None)


async def test_the_question_names_the_other_quantity(shop: SyncedShop) -> None:
    """To sync what is on hand from now on may set many values at once: whoever is asked sees why."""
    shop.sell(shop.pairs[:6], 1)
    await shop.pull()
    await shop.sync()
    for variant, _ in shop.pairs[:6]:
        shop.shopify.place_order(variant.id, 1, shop.location)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    await shop.sync()
    shop.configure(quantity="on_hand", max_zeroed=5)
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.AWAITING_APPROVAL
    async with shop.workshop.database.acquire() as connection:
        asked = await questions.latest_of(connection, job.id)
    assert asked is not None
    changed = PlanQuestion.from_json(asked.facts).changed_settings
    assert ChangedSetting("product_sync.quantity", "available", "on_hand") in changed
