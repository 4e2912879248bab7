"""What a webhook tells that the mirror says already needs no reading and no job."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.inbox import events
from daemon.inbox.topics import Concern, EventState
from daemon.sources.shopify.models import QuantityName
from daemon.tasks import echoes
from tests.support.synced_shop import SyncedShop, sandbox_settings, shop
from tests.support.told_webhooks import arrival, tell
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()
Changed = Callable[[dict[str, Any]], None]


async def noted(shop: SyncedShop, *arrivals: Any, quantity: QuantityName = "available") -> list[bool]:
    """Of each arrival whether it was settled as an echo."""
    await tell(shop.workshop.database, arrivals, aloud=False)
    async with shop.workshop.database.acquire() as connection, connection.transaction():
        hinted = await events.list_hinted(connection, STORE, Concern.PRODUCTS)
        news = await echoes.settle(connection, STORE, hinted, quantity)
        told = await events.list_events(connection, limit=len(arrivals))
    found = [event.state is EventState.NOTED for event in reversed(told)]
    assert {event.id for event in news}.isdisjoint(event.id for event in told if event.state is EventState.NOTED)
    return found


def product_hint(shop: SyncedShop, product_id: int) -> dict[str, Any]:
    """What a webhook says of a product as it is at Shopify now."""
    product = shop.shopify.products[product_id]
    return {
        "updated_at": LATER,
        "title": product.title,
        "vendor": product.vendor,
        "product_type": product.product_type,
        "tags": ", ".join(product.tags),
        "status": product.status.lower(),
        "variants": [
            [
                variant.id,
                variant.sku,
                variant.barcode,
                str(variant.price),
                None if variant.compare_at_price is None else str(variant.compare_at_price),
                variant.inventory_item_id,
            ]
            for variant in product.variants
        ],
    }


async def test_a_level_that_is_known_is_an_echo(shop: SyncedShop) -> None:
    """The figure at that location decides; one of another location, or without a figure, is to be read."""
    variant, _nhanh = shop.pairs[0]
    level = variant.level_at(shop.location)
    assert level is not None
    hint = {"location_id": shop.location, "available": level.available, "updated_at": LATER}
    topic, item = "inventory_levels/update", variant.inventory_item_id
    assert await noted(
        shop,
        arrival(topic, item, hint=hint),
        arrival(topic, item, hint=hint | {"available": level.available + 1}),
        arrival(topic, item, hint=hint | {"available": None}),
        arrival(topic, item, hint=hint | {"location_id": 1}),
        arrival(topic, 1, hint=hint),
        arrival(topic, item),
    ) == [True, False, False, False, False, False]


async def test_of_what_is_on_hand_a_level_tells_nothing(shop: SyncedShop) -> None:
    """Goods that are sent leave what is available as it is."""
    variant, _nhanh = shop.pairs[0]
    level = variant.level_at(shop.location)
    assert level is not None
    hint = {"location_id": shop.location, "available": level.available}
    told = arrival("inventory_levels/update", variant.inventory_item_id, hint=hint)
    assert await noted(shop, told, quantity="on_hand") == [False]


@pytest.mark.parametrize(
    "change",
    [
        lambda hint: hint.update(title="another"),
        lambda hint: hint.update(tags=None),
        lambda hint: hint.update(tags="sale"),
        lambda hint: hint.update(status="archived"),
        lambda hint: hint["variants"].pop(),
        lambda hint: hint["variants"][0].__setitem__(1, "another SKU"),
        lambda hint: hint["variants"][0].__setitem__(3, "0.01"),
        lambda hint: hint["variants"][0].__setitem__(4, "999999999.00"),
        lambda hint: hint["variants"][0].__setitem__(3, "not a number"),
        lambda hint: hint.pop("vendor"),
    ],
)
async def test_a_product_that_differs_in_anything_is_no_echo(shop: SyncedShop, change: Changed) -> None:
    """What is drawn on decides, not the time of the change, which any push moves."""
    product_id = next(iter(shop.shopify.products))
    same, other = product_hint(shop, product_id), product_hint(shop, product_id)
    change(other)
    topic = "products/update"
    told = [arrival(topic, product_id, hint=hint) for hint in (same, other)]
    assert await noted(shop, *told) == [True, False]


async def test_what_was_read_later_is_an_echo_whatever_it_says(shop: SyncedShop) -> None:
    """An event that comes late says what was so when it happened."""
    product_id = next(iter(shop.shopify.products))
    await shop.execute("UPDATE dongbo.shopify_products SET version = now() WHERE id = $1", product_id)

    def told(time: datetime) -> Mapping[str, Any]:
        return {"updated_at": time.isoformat()}

    now = datetime.now(UTC)
    topic = "products/update"
    late, new = told(now - timedelta(minutes=1)), told(now + timedelta(minutes=1))
    assert await noted(
        shop,
        arrival(topic, product_id, hint=late),
        arrival(topic, product_id, hint=new),
        arrival(topic, product_id, 1, hint=late),
        arrival(topic, product_id, hint={"updated_at": "yesterday"}),
    ) == [True, False, False, False]
