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
