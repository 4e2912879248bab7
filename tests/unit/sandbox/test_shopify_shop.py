"""The Shopify sandbox's shop without its API: what is stocked where, and what changes by itself."""

from collections import Counter
from typing import Any

from daemon.sandbox.catalogue import generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import ShopChange, ShopifySandbox

CATALOGUE = generate(3, products=200, customers=0)


def new_shop(**options: Any) -> ShopifySandbox:
    """A shop of the catalogue."""
    return ShopifySandbox(CATALOGUE, seed=3, limits=False, faults=Faults(), **options)


def test_some_variants_are_not_stocked_everywhere() -> None:
    """About the share that is asked for lacks one location, never the first; the same seed chooses the same ones."""
    shop = new_shop(unstocked_share=0.1)
    first, *others = shop.locations
    lacking = [v for v in shop.variants.values() if len(v.levels) < len(shop.locations)]
    assert 0.05 < len(lacking) / len(shop.variants) < 0.15
    assert all(len(v.levels) == len(shop.locations) - 1 and v.level_at(first) for v in lacking)
    assert all(any(v.level_at(other) is None for v in lacking) for other in others)
    assert shop.products == new_shop(unstocked_share=0.1).products
    assert all(len(v.levels) == len(shop.locations) for v in new_shop().variants.values())


def test_random_changes() -> None:
    """Mostly sales, some price edits, the same for the same seed; none of them is in the journal of the API."""
    shop, same = new_shop(unstocked_share=0.1), new_shop(unstocked_share=0.1)
    stock = sum(variant.inventory_quantity for variant in shop.variants.values())
    changes: list[ShopChange] = []
    shop.observers.append(changes.append)
    for _ in range(300):
        shop.change_something()
        same.change_something()
    topics = Counter(change.topic for change in changes)
    sold = topics["inventory_levels/update"]
    assert 200 < sold < 280
    assert topics["products/update"] == 300
    assert -2 * sold <= sum(variant.inventory_quantity for variant in shop.variants.values()) - stock <= -sold
    prices = [variant.price for variant in shop.variants.values()]
    assert sum(price != good.price for price, good in zip(prices, CATALOGUE.goods, strict=True)) > 10
    assert prices == [variant.price for variant in same.variants.values()]
    assert shop.writes == []


def test_nothing_changes_in_an_empty_shop() -> None:
    """Where there is nothing to sell, nothing is sold."""
    shop = ShopifySandbox(generate(3, products=0, customers=0), seed=3, limits=False, faults=Faults())
    revision = shop.revision
    shop.change_something()
    assert shop.revision == revision


def test_an_item_that_is_no_longer_stocked_does_not_count() -> None:
    """What is at a location that was switched off is not for sale, and is there again when it is switched on."""
    shop = new_shop()
    variant = next(v for v in shop.variants.values() if v.levels[0].available > 0)
    location_id, before, total = variant.levels[0].location_id, variant.levels[0].available, variant.inventory_quantity
    shop.stop_stocking(variant.id, location_id)
    assert variant.inventory_quantity == total - before
    shop.start_stocking(variant.id, location_id)
    assert variant.inventory_quantity == total
    shop.stop_stocking(variant.id, location_id)
    shop.start_stocking(variant.id, location_id, 3)
    assert variant.inventory_quantity == total - before + 3
    assert variant.inactive_levels == []


def test_an_order_is_committed_until_it_is_sent() -> None:
    """It takes from what is available, and stays on hand until it is sent; cancelled, it is available again."""
    shop = new_shop()
    variant = next(v for v in shop.variants.values() if v.levels[0].available > 5)
    level, before = variant.levels[0], variant.levels[0].available
    assert (level.committed, level.on_hand) == (0, before)
    sent, cancelled = shop.place_order(variant.id, 2), shop.place_order(variant.id, 1, level.location_id)
    assert (level.available, level.committed, level.on_hand) == (before - 3, 3, before)
    shop.fulfil_order(sent.id)
    assert (level.available, level.committed, level.on_hand) == (before - 3, 1, before - 2)
    shop.cancel_order(cancelled.id)
    assert (level.available, level.committed, level.on_hand) == (before - 2, 0, before - 2)
    assert shop.orders == {}
    shop.damage(variant.id, 1)
    assert (level.available, level.damaged, level.on_hand) == (before - 3, 1, before - 2)


def test_available_and_on_hand_move_together() -> None:
    """Setting one of them moves the other by as much: what is committed stays committed."""
    shop = new_shop()
    variant = next(v for v in shop.variants.values() if v.levels[0].available > 5)
    level = variant.levels[0]
    shop.place_order(variant.id, 4)
    shop.change_on_hand(variant.id, 3)
    assert (level.available, level.committed, level.on_hand) == (-1, 4, 3)
    shop.change_stock(variant.id, 5)
    assert (level.available, level.committed, level.on_hand) == (5, 4, 9)


def test_a_copy_has_none_of_the_orders() -> None:
    """The variants of a copied product have nothing, neither available nor committed."""
    shop = new_shop()
    variant = next(iter(shop.variants.values()))
    shop.place_order(variant.id, 1)
    copy = shop.duplicate_product(variant.product_id)
    assert {level.on_hand for each in copy.variants for level in each.levels} == {0}
