"""What webhooks tell of products is read at its source, and pushed where it differs: never what they say themselves."""

from collections.abc import Sequence
from typing import Any

import pytest

from daemon.errors import SourceRefused, SourceUnavailable
from daemon.inbox.events import WebhookEvent
from daemon.inbox.topics import EventState
from daemon.jobs import pauses
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.money import CurrencyMismatch
from daemon.sandbox.shopify.records import Variant
from daemon.sources.nhanh.client import NhanhClient
from daemon.tasks import sync_changed_products, sync_products
from tests.support.synced_shop import SyncedShop, check_counters, sandbox_settings, shop
from tests.support.told_webhooks import arrival, settled, tell
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

GONE = "SELECT deleted_at FROM dongbo.nhanh_products WHERE id = $1"


async def told(shop: SyncedShop, *arrivals: Any) -> list[WebhookEvent]:
    """The events of these arrivals once they are settled."""
    await tell(shop.workshop.database, arrivals)
    return (await settled(shop.workshop.database))[-len(arrivals) :]


async def job_of(shop: SyncedShop, event: WebhookEvent) -> Job:
    """The job that has dealt with an event, once it has ended."""
    assert event.job_id is not None
    job = await shop.workshop.wait(event.job_id)
    check_counters(job)
    return job


def level(variant: Variant, location: int) -> int:
    """What Shopify has of a variant."""
    found = variant.level_at(location)
    assert found is not None
    return found.available


async def mirrored(shop: SyncedShop, variant: Variant) -> int:
    """What the mirror says that Shopify has."""
    found: int = await shop.workshop.value(
        "SELECT available FROM dongbo.shopify_inventory_levels WHERE inventory_item_id = $1 AND location_id = $2",
        variant.inventory_item_id,
        shop.location,
    )
    return found


async def test_stock_that_moved_reaches_shopify(shop: SyncedShop) -> None:
    """Only that item is pushed; the push says which webhook it was, and the event what came of it."""
    shop.sell(shop.pairs[:2], 71)  # of the second one no webhook tells
    (event,) = await told(shop, arrival("inventoryChange", shop.pairs[0][1]))
    variant = shop.pairs[0][0]
    assert level(variant, shop.location) == 71
    (push,) = await shop.pushes()
    assert (push["owner_id"], push["new_value"], push["job_id"]) == (variant.id, "71", event.job_id)
    time = f"{event.received_at:%H:%M:%S}"
    assert push["reason"].endswith(f"; because of the webhook of {time} (inventoryChange)")
    assert (event.state, event.outcome) == (EventState.DONE, "1 value was pushed.")
    job = await job_of(shop, event)
    assert (job.updated, job.failed) == (1, 0)
    assert list(shop.differences()) == [(shop.pairs[1][0].id, shop.location)]


async def test_several_webhooks_about_one_item_are_one_push(shop: SyncedShop) -> None:
    """An order and the stock that it moves come together; the reason names the last of them."""
    (variant, nhanh_id) = shop.pairs[0]
    shop.sell(shop.pairs[:1], 5)
    events = await told(shop, *[arrival(topic, nhanh_id) for topic in ("orderAdd", "inventoryChange", "orderUpdate")])
    (push,) = await shop.pushes()
    time = f"{events[-1].received_at:%H:%M:%S}"
    assert push["reason"].endswith(f"; because of 3 webhooks, the last one of {time} (orderUpdate)")
    assert {event.outcome for event in events} == {"1 value was pushed."}
    assert push["owner_id"] == variant.id


@pytest.mark.parametrize("topic", ["inventoryChange", "productUpdate", "productDelete", "orderAdd"])
async def test_what_is_forged_causes_a_reading_and_nothing_else(shop: SyncedShop, topic: str) -> None:
    """Nothing has changed at the source, whatever an event says: nothing is written, and nothing taken for gone."""
    nhanh_id = shop.pairs[0][1]
    events = await told(shop, arrival(topic, nhanh_id, hint={"available": 0}), arrival(topic, 123456789))
    assert shop.effects == []
    assert [event.state for event in events] == [EventState.DONE] * 2
    assert events[0].outcome == "It was read again: nothing was to be pushed."
    assert events[1].outcome == "It is gone at its source."
    assert await shop.workshop.value(GONE, nhanh_id) is None


async def test_while_the_store_is_paused_it_is_read_only(shop: SyncedShop) -> None:
    """The mirror has it, and so the sync after the pause; the event says why nothing came of it."""
    async with shop.workshop.database.acquire() as connection:
        await pauses.pause(connection, STORE, None, None, None)
    shop.sell(shop.pairs[:1], 71)
    (event,) = await told(shop, arrival("inventoryChange", shop.pairs[0][1]))
    assert (event.state, shop.effects) == (EventState.DONE, [])
    assert event.outcome is not None
    assert event.outcome.startswith("It was read again. Writing to the store is paused")
    await job_of(shop, event)
    async with shop.workshop.database.acquire() as connection:
        await pauses.resume(connection, STORE)
    await shop.sync()
    assert shop.differences() == {}


async def test_a_price_that_changed_is_pushed(shop: SyncedShop) -> None:
    """`productUpdate` reads the whole product."""
    shop.configure(price="retail")
    await shop.sync()
    (variant, nhanh_id) = shop.pairs[0]
    wanted = variant.price + 1_000
    shop.nhanh.change_price(nhanh_id, wanted)
    (event,) = await told(shop, arrival("productUpdate", nhanh_id))
    assert variant.price == wanted
    assert event.outcome == "1 value was pushed."


async def test_prices_in_another_currency_do_not_hold_up_stock(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job says what was left alone, and ends well: the next one does not wait for that to be mended."""
    shop.configure(price="retail")
    await shop.sync()

    def refuse(*_arguments: Any) -> None:
        raise CurrencyMismatch("The shop's currency is another.")

    monkeypatch.setattr(sync_products, "check_currency", refuse)
    for quantity in (71, 72):
        shop.sell(shop.pairs[:1], quantity)
        (event,) = await told(shop, arrival("inventoryChange", shop.pairs[0][1]))
        assert (event.outcome, level(shop.pairs[0][0], shop.location)) == ("1 value was pushed.", quantity)
        job = await job_of(shop, event)
        assert (job.status, job.metadata["notices"]) == (JobStatus.COMPLETED, ["The shop's currency is another."])


async def test_what_is_left_to_a_person_is_not_called_right(shop: SyncedShop) -> None:
    """An event does not say that nothing was to be pushed where something was."""
    shop.configure(max_zeroed=0)
    shop.sell(shop.pairs[:1], 7)
    await shop.pull()
    await shop.sync()
    shop.sell(shop.pairs[:1], 0)
    (event, other) = await told(shop, *[arrival("inventoryChange", nhanh_id) for _, nhanh_id in shop.pairs[:2]])
    assert event.outcome == "It was read again. Something of it was left alone: its job says why."
    assert other.outcome == "It was read again: nothing was to be pushed."
    assert (await job_of(shop, event)).metadata["left_to_full_sync"] == 1


async def test_a_product_that_is_gone_is_noted_and_not_sold_out(shop: SyncedShop) -> None:
    """Its stock at Shopify stays: a person, or the next match, sees to it."""
    (variant, nhanh_id) = shop.pairs[0]
    before = level(variant, shop.location)
    shop.nhanh.delete_product(nhanh_id)
    (event,) = await told(shop, arrival("productDelete", nhanh_id))
    assert (event.state, level(variant, shop.location), shop.effects) == (EventState.DONE, before, [])
    assert await shop.workshop.value(GONE, nhanh_id) is not None


async def test_stock_that_shopify_moved_is_read_and_left_to_the_schedule(shop: SyncedShop) -> None:
    """It may be an order that Nhanh.vn does not know yet: what that says would sell it twice."""
    variant = shop.pairs[0][0]
    left = level(variant, shop.location) - 1
    shop.shopify.change_stock(variant.id, left, shop.location)
    hint = {"location_id": shop.location, "available": left}
    (event,) = await told(shop, arrival("inventory_levels/update", variant.inventory_item_id, hint=hint))
    assert (event.state, shop.effects, await mirrored(shop, variant)) == (EventState.DONE, [], left)
    assert event.outcome is not None
    assert event.outcome.startswith("The stock at Shopify was read again.")


async def test_what_is_on_hand_is_pushed_as_soon_as_shopify_moves_it(shop: SyncedShop) -> None:
    """An order leaves it as it is; what somebody sets by hand goes back to what Nhanh.vn has, read after Shopify."""
    shop.configure(quantity="on_hand", stock_figure="remain")
    await shop.pull()
    await shop.sync()
    shop.shopify.writes.clear()
    variant = shop.pairs[0][0]
    found = variant.level_at(shop.location)
    assert found is not None
    topic, item = "inventory_levels/update", variant.inventory_item_id
    shop.shopify.place_order(variant.id, 1, shop.location)
    (event,) = await told(shop, arrival(topic, item))
    assert (shop.effects, event.outcome) == ([], "It was read again: nothing was to be pushed.")
    before = found.on_hand
    shop.shopify.change_on_hand(variant.id, before + 3, shop.location)
    asked = len(shop.nhanh.requests)
    (event,) = await told(shop, arrival(topic, item))
    assert (found.on_hand, event.outcome) == (before, "1 value was pushed.")
    assert "product/inventory" in {request.path for request in list(shop.nhanh.requests)[asked:]}


async def test_goods_that_were_sent_are_noticed(shop: SyncedShop) -> None:
    """That leaves what is available as it was; what Nhanh.vn gets next is pushed as fast as ever."""
    shop.configure(quantity="on_hand")
    shop.sell(shop.pairs[:1], 10)
    await shop.pull()
    await shop.sync()
    variant, nhanh_id = shop.pairs[0]
    found = variant.level_at(shop.location)
    assert found is not None
    order = shop.shopify.place_order(variant.id, 1, shop.location)
    hint = {"location_id": shop.location, "available": found.available}
    moved = arrival("inventory_levels/update", variant.inventory_item_id, hint=hint)
    await told(shop, moved)
    shop.sell(shop.pairs[:1], 9)
    shop.shopify.fulfil_order(order.id)
    (event,) = await told(shop, moved)
    assert (event.state, found.on_hand) == (EventState.DONE, 9)
    order = shop.shopify.place_order(variant.id, 1, shop.location)
    shop.shopify.fulfil_order(order.id)  # of which no webhook tells
    shop.sell(shop.pairs[:1], 12)
    (event,) = await told(shop, arrival("inventoryChange", nhanh_id))
    assert (event.outcome, found.on_hand) == ("1 value was pushed.", 12)


async def test_stock_on_hand_is_pushed_after_an_order_that_was_sent(shop: SyncedShop) -> None:
    """That leaves what is available as it is, so no webhook of Shopify need tell of it: its stock is read first."""
    shop.configure(quantity="on_hand", stock_figure="available")
    await shop.pull()
    await shop.sync()
    shop.shopify.writes.clear()
    variant, nhanh_id = shop.pairs[0]
    order = shop.shopify.place_order(variant.id, 1, shop.location)
    shop.shopify.fulfil_order(order.id)
    shop.sell(shop.pairs[:1], 71)
    (event,) = await told(shop, arrival("inventoryChange", nhanh_id))
    found = variant.level_at(shop.location)
    assert found is not None
    assert (found.on_hand, event.outcome) == (71, "1 value was pushed.")


async def test_on_hand_is_not_set_to_what_nhanh_does_not_tell(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Nhanh.vn's stock can't be read after Shopify's, nothing is pushed, and the event is tried again."""
    shop.configure(quantity="on_hand", stock_figure="remain")
    await shop.pull()
    await shop.sync()
    shop.shopify.writes.clear()

    async def refuse(client: NhanhClient, of: Any, ids: Sequence[int], **rest: Any) -> Any:
        raise SourceRefused("The access token may not read stock.")

    monkeypatch.setattr(NhanhClient, "rows_by_ids", refuse)
    variant = shop.pairs[0][0]
    found = variant.level_at(shop.location)
    assert found is not None
    shop.shopify.change_on_hand(variant.id, found.on_hand + 3, shop.location)
    (event,) = await told(shop, arrival("inventory_levels/update", variant.inventory_item_id))
    assert (event.state, event.attempts, shop.effects) == (EventState.FAILED, 3, [])
    assert event.outcome == "Could not be read: The access token may not read stock."


async def test_an_order_at_shopify_also_updates_its_product(shop: SyncedShop) -> None:
    """`products/update` comes with every order: prices are pushed for it, stock is not."""
    shop.configure(price="retail")
    await shop.sync()
    shop.shopify.writes.clear()
    variant = shop.pairs[0][0]
    price, left = variant.price, level(variant, shop.location) - 1
    shop.shopify.change_stock(variant.id, left, shop.location)
    shop.shopify.change_price(variant.id, price + 1_000)
    await told(shop, arrival("products/update", variant.product_id))
    assert (variant.price, level(variant, shop.location), await mirrored(shop, variant)) == (price, left, left)
    assert [write.subject[0] for write in shop.effects] == ["price"]


async def test_what_is_new_is_matched_and_pushed(shop: SyncedShop) -> None:
    """A product that has just got the SKU of one at Nhanh.vn is mapped at once, and gets its stock."""
    (variant, nhanh_id) = shop.pairs[0]
    mapped = "SELECT nhanh_id FROM dongbo.product_mappings WHERE variant_id = $1 AND retired_at IS NULL"
    sku = variant.sku
    shop.shopify.change_sku(variant.id, "other")
    shop.shopify.change_barcode(variant.id, "another")
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    await shop.workshop.completed(JobType.MATCH_PRODUCTS)
    assert await shop.workshop.value(mapped, variant.id) is None
    shop.sell(shop.pairs[:1], 17)
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    shop.shopify.change_sku(variant.id, sku)
    (event,) = await told(shop, arrival("products/update", variant.product_id))
    assert await shop.workshop.value(mapped, variant.id) == nhanh_id
    assert (level(variant, shop.location), event.outcome) == (17, "1 value was pushed.")


async def test_what_was_matched_before_an_interruption_gets_its_stock(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that goes on knows that it is new, although it is mapped by then."""
    (variant, nhanh_id) = shop.pairs[0]
    shop.sell(shop.pairs[:1], 17)
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    await shop.execute("DELETE FROM dongbo.product_mappings WHERE variant_id = $1", variant.id)
    original = sync_changed_products.push_variants
    attempts: list[int] = []

    async def interrupted(*arguments: Any, **keywords: Any) -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise SourceUnavailable("Shopify is down.")
        return await original(*arguments, **keywords)

    monkeypatch.setattr(sync_changed_products, "push_variants", interrupted)
    (event,) = await told(shop, arrival("products/update", variant.product_id))
    assert (len(attempts), level(variant, shop.location)) == (2, 17)
    assert event.attempts == 1
    mapped = "SELECT nhanh_id FROM dongbo.product_mappings WHERE variant_id = $1 AND retired_at IS NULL"
    assert await shop.workshop.value(mapped, variant.id) == nhanh_id


async def test_what_is_mapped_to_nothing_is_read_and_said(shop: SyncedShop) -> None:
    """The mirror has it; no whole match is made for something that has no counterpart."""
    mapped = {nhanh_id for _variant, nhanh_id in shop.pairs}
    alone = next(number for number in shop.nhanh.products if number not in mapped)
    (event,) = await told(shop, arrival("productUpdate", alone))
    assert (event.state, event.outcome) == (EventState.DONE, "Nothing on the other side is mapped to it.")
    job = await job_of(shop, event)
    assert (job.processed, job.total) == (0, 0)


async def test_stock_of_a_product_that_is_not_read_yet_fails_nothing(shop: SyncedShop) -> None:
    """Of many new products the webhooks about their stock come first: whoever reads the product reads that, too."""
    item = shop.pairs[0][0].inventory_item_id
    await shop.execute("DELETE FROM dongbo.shopify_inventory_levels WHERE inventory_item_id = $1", item)
    await shop.execute("DELETE FROM dongbo.shopify_variants WHERE inventory_item_id = $1", item)
    (event,) = await told(shop, arrival("inventory_levels/update", item))
    assert (event.state, event.attempts) == (EventState.DONE, 1)
    assert event.outcome is not None
    assert event.outcome.startswith("The product that it belongs to has not been read yet")


async def test_a_round_that_finds_nothing_counts_nothing(shop: SyncedShop) -> None:
    """What waited when it was asked for may have been taken by another job meanwhile."""
    check_counters(await shop.workshop.completed(JobType.SYNC_CHANGED_PRODUCTS))


async def test_what_one_source_refuses_holds_up_nothing_else(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where products may not be read, stock still is; what could not be read is tried three times, and then named."""
    original = NhanhClient.rows_by_ids

    async def refuse(client: NhanhClient, of: Any, ids: Sequence[int], **rest: Any) -> Any:
        if of.action == "product/list":
            raise SourceRefused("The access token may not read products.")
        return await original(client, of, ids, **rest)

    monkeypatch.setattr(NhanhClient, "rows_by_ids", refuse)
    shop.sell(shop.pairs[:1], 3)
    stock, product = await told(
        shop, arrival("inventoryChange", shop.pairs[0][1]), arrival("productUpdate", shop.pairs[1][1])
    )
    assert (stock.state, stock.attempts, level(shop.pairs[0][0], shop.location)) == (EventState.DONE, 1, 3)
    assert (product.state, product.attempts) == (EventState.FAILED, 3)
    assert product.outcome == "Could not be read: The access token may not read products."


async def test_an_outage_costs_time_and_no_event(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job tries again with what it has taken; in the end the value is there once."""
    shop, calls = shop, 0
    original = NhanhClient.rows_by_ids

    async def fail_at_first(client: NhanhClient, of: Any, ids: Sequence[int], **rest: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise SourceUnavailable("Nhanh.vn does not answer.")
        return await original(client, of, ids, **rest)

    monkeypatch.setattr(NhanhClient, "rows_by_ids", fail_at_first)
    shop.sell(shop.pairs[:1], 3)
    (event,) = await told(shop, arrival("inventoryChange", shop.pairs[0][1]))
    assert (event.state, event.attempts, len(shop.effects)) == (EventState.DONE, 1, 1)
    await job_of(shop, event)


async def test_the_stock_of_a_combo_follows_its_components(shop: SyncedShop) -> None:
    """An event about a component leads to the variants of the combos that it is in."""
    (variant, combo), (_other, part) = shop.pairs[:2]
    shop.nhanh.change_product(combo, type=9, stock={}, combo=((part, 2),))
    await shop.pull()
    await shop.sync()
    shop.sell(shop.pairs[1:2], 9)
    await told(shop, arrival("inventoryChange", part))
    assert level(variant, shop.location) == 4
