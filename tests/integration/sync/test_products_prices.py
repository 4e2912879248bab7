"""Pushing prices and compare-at prices: what differs and nothing else, product by product."""

import asyncio
from decimal import Decimal

import pytest

from daemon.errors import SourceUnavailable
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.shopify.records import Variant
from daemon.sources.shopify import price_watch
from tests.support.shop_memory import Journal
from tests.support.synced_shop import SyncedShop, after_each_call, before_each_call, sandbox_settings, shop

__all__ = ["sandbox_settings", "shop"]

BASE = Decimal(199_000)


async def prepare(shop: SyncedShop, **settings: object) -> list[tuple[Variant, int]]:
    """Sync prices alone; all pairs have the same price on both sides, and no compare-at price."""
    shop.configure(locations={}, **({"price": "retail"} | settings))
    for variant, nhanh_id in shop.pairs:
        shop.nhanh.change_product(nhanh_id, price=BASE, old_price=None)
        shop.shopify.change_price(variant.id, BASE, None)
    await shop.execute(
        "DELETE FROM dongbo.product_mappings WHERE variant_id <> ALL ($1)", [v.id for v, _ in shop.pairs]
    )
    await shop.pull()
    return shop.pairs


async def test_changed_prices_are_pushed_and_no_others(shop: SyncedShop) -> None:
    """A changed price reaches Shopify, in one call for each product, whose present prices were read before."""
    pairs = await prepare(shop)
    assert (await shop.sync()).updated == 0
    for variant, nhanh_id in pairs[:12]:
        shop.nhanh.change_price(nhanh_id, BASE + 10_000)
        variant.compare_at_price = None
    await shop.pull()
    calls = shop.shopify.requests.calls
    job = await shop.sync()
    assert (job.updated, job.failed) == (12, 0)
    assert all(variant.price == BASE + 10_000 for variant, _ in pairs[:12])
    assert len(shop.shopify.writes) == 12
    products = {variant.product_id for variant, _ in pairs[:12]}
    assert shop.shopify.requests.calls - calls == 2 * len(products) + 1  # and one for the shop's currency
    push = (await shop.pushes())[0]
    code = shop.nhanh.products[pairs[0][1]].code
    assert (push["kind"], push["old_value"], push["new_value"]) == ("price", "199000", "209000")
    assert push["reason"] == f"Nhanh.vn {pairs[0][1]} ({code}) has the retail price 209000"
    shop.shopify.writes.clear()
    assert (await shop.sync()).updated == 0
    assert shop.shopify.writes == []


async def test_what_has_no_price_at_nhanh_keeps_its_own(shop: SyncedShop) -> None:
    """A price of nothing is not pushed."""
    pairs = await prepare(shop)
    await shop.execute("UPDATE dongbo.nhanh_products SET retail_price = 0 WHERE id = $1", pairs[0][1])
    await shop.execute("UPDATE dongbo.nhanh_products SET retail_price = NULL WHERE id = $1", pairs[1][1])
    job = await shop.sync()
    assert (job.updated, job.processed) == (0, len(pairs) - 2)


async def test_untracked_variants_get_prices(shop: SyncedShop) -> None:
    """Whether Shopify counts the stock of a variant has nothing to do with its price."""
    pairs = await prepare(shop)
    await shop.execute("UPDATE dongbo.shopify_variants SET tracked = false WHERE id = $1", pairs[0][0].id)
    await shop.execute("UPDATE dongbo.nhanh_products SET retail_price = 95000 WHERE id = $1", pairs[0][1])
    assert (await shop.sync()).updated == 1
    assert pairs[0][0].price == 95_000


async def test_compare_at_price_is_the_old_price_where_it_is_higher(shop: SyncedShop) -> None:
    """Nhanh's old price becomes the compare-at price above the price, and is none otherwise."""
    pairs = await prepare(shop, compare_at_price="old")
    (higher, first), (equal, second), (gone, third), *_ = pairs
    shop.nhanh.change_product(first, old_price=BASE + 50_000)
    shop.nhanh.change_product(second, old_price=BASE)
    shop.shopify.change_price(gone.id, BASE, BASE + 1_000)
    shop.nhanh.change_product(third, old_price=None)
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 2
    assert (higher.compare_at_price, equal.compare_at_price, gone.compare_at_price) == (BASE + 50_000, None, None)
    pushes = [(push["kind"], push["old_value"], push["new_value"]) for push in await shop.pushes()]
    assert sorted(pushes, key=str) == sorted(
        [("compare_at_price", None, "249000"), ("compare_at_price", "200000", None)], key=str
    )


async def test_compare_at_price_alone_compares_with_shopifys_price(shop: SyncedShop) -> None:
    """Where prices are left alone, the old price counts against the price that Shopify has."""
    pairs = await prepare(shop, price=None, compare_at_price="old")
    await shop.execute("UPDATE dongbo.nhanh_products SET old_price = NULL")
    await shop.execute(
        "UPDATE dongbo.nhanh_products SET old_price = $1, retail_price = 1 WHERE id = $2", BASE + 1, pairs[0][1]
    )
    await shop.execute(
        "UPDATE dongbo.nhanh_products SET old_price = $1, retail_price = 1 WHERE id = $2", BASE, pairs[1][1]
    )
    job = await shop.sync()
    assert job.updated == 1
    assert (pairs[0][0].price, pairs[0][0].compare_at_price) == (BASE, BASE + 1)


async def test_refused_price_fails_alone(shop: SyncedShop) -> None:
    """A variant that is gone becomes a dead letter; the others of its product get their prices."""
    pairs = await prepare(shop)
    product = next(v.product_id for v, _ in pairs if sum(other.product_id == v.product_id for other, _ in pairs) > 2)
    mine = [(variant, nhanh_id) for variant, nhanh_id in pairs if variant.product_id == product]
    for _, nhanh_id in mine:
        shop.nhanh.change_price(nhanh_id, BASE + 5_000)
    await shop.pull()
    shop.shopify.delete_variant(mine[1][0].id)
    job = await shop.sync()
    assert (job.updated, job.failed) == (len(mine) - 1, 1)
    failures = await shop.workshop.parts.jobs.list_failures(job.id)
    assert [failure.source_id for failure in failures] == [str(mine[1][0].id)]
    results = {push["owner_id"]: push["result"] for push in await shop.pushes()}
    assert [results[variant.id] for variant, _ in mine] == ["applied", "refused"] + ["applied"] * (len(mine) - 2)


@pytest.mark.parametrize("arrived", [True, False])
async def test_outcome_of_a_price_that_was_lost_is_settled(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    """A run that ends around a call is settled by the next from what Shopify has, and counted once."""
    pairs = await prepare(shop)
    for _, nhanh_id in pairs[:12]:
        shop.nhanh.change_price(nhanh_id, BASE + 10_000)
    await shop.pull()

    def lose(number: int) -> None:
        if number == 2:
            raise SourceUnavailable("the answer was lost")

    (after_each_call if arrived else before_each_call)(monkeypatch, "set_prices", lose)
    job = await shop.sync()
    assert job.updated == 12
    assert all(variant.price == BASE + 10_000 for variant, _ in pairs[:12])
    assert len(shop.shopify.writes) == 12
    results = [push["result"] for push in await shop.pushes()]
    assert ("unknown" in results) is not arrived
    assert results.count("applied") == 12


@pytest.mark.parametrize("fault", ["reset", "truncated", "error_500"])
async def test_fault_on_a_price_leaves_it_right(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """A repeated call changes a price once."""
    pairs = await prepare(shop)
    for _, nhanh_id in pairs[:3]:
        shop.nhanh.change_price(nhanh_id, BASE + 10_000)
    await shop.pull()
    before_each_call(
        monkeypatch,
        "set_prices",
        lambda number: shop.workshop.sandbox.faults.next(fault, path="graphql.json") if number == 1 else None,
    )
    job = await shop.sync()
    assert job.updated == 3
    assert len(shop.effects) == 3


async def test_repeated_call_does_not_set_back_a_price_that_a_person_set_between_the_attempts(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carried out, the answer lost, a person changes the price: it is left alone until the next sync decides anew."""
    (variant, nhanh_id), *_ = await prepare(shop)
    shop.nhanh.change_price(nhanh_id, BASE + 10_000)
    await shop.pull()
    shop.shopify.writes = journal = Journal()
    persons = BASE + 77_000
    journal.listeners.append(
        lambda _: asyncio.get_running_loop().call_soon(lambda: shop.shopify.change_price(variant.id, persons, None))
    )
    before_each_call(
        monkeypatch,
        "set_prices",
        lambda number: shop.workshop.sandbox.faults.next("reset", path="graphql.json") if number == 1 else None,
    )
    job = await shop.sync()
    assert variant.price == persons
    assert (job.updated, job.failed) == (0, 0)
    (push,) = await shop.pushes()
    assert (push["result"], push["new_value"]) == ("unknown", "209000")
    assert "somebody else changed the price" in push["detail"]
    journal.listeners.clear()
    assert (await shop.sync()).updated == 1
    assert variant.price == BASE + 10_000


async def test_price_that_a_person_sets_while_its_call_waits_is_left_alone(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again when the call's turn comes: after a wait for points, or a pause of the process."""
    (variant, nhanh_id), *_ = await prepare(shop)
    shop.nhanh.change_price(nhanh_id, BASE + 10_000)
    await shop.pull()
    monkeypatch.setattr(price_watch, "READ_LASTS", -1.0)
    before_each_call(monkeypatch, "set_prices", lambda _: shop.shopify.change_price(variant.id, BASE + 77_000, None))
    job = await shop.sync()
    assert (variant.price, job.updated) == (BASE + 77_000, 0)
    assert [push["result"] for push in await shop.pushes()] == ["stale"]


async def test_stock_and_prices_in_one_sync(shop: SyncedShop) -> None:
    """Both kinds are counted: a row for each location, and one for the price."""
    shop.configure(price="retail")
    await shop.sync()
    variant, nhanh_id = shop.pairs[0]
    shop.nhanh.change_price(nhanh_id, BASE)
    shop.sell(shop.pairs[:1], 77)
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 2
    assert variant.price == BASE
    assert shop.differences() == {}


async def test_price_that_rounds_to_nothing_is_no_price(shop: SyncedShop) -> None:
    """What is less than the smallest amount is not pushed as a price of nothing."""
    pairs = await prepare(shop)
    await shop.execute("UPDATE dongbo.nhanh_products SET retail_price = 0.004 WHERE id = $1", pairs[0][1])
    assert (await shop.sync()).updated == 0
    assert pairs[0][0].price == BASE


async def test_price_is_decided_by_what_shopify_has_now(shop: SyncedShop) -> None:
    """Before a price is pushed it is read: one that is right by now is skipped, and a large change is asked about,
    even if the mirror thought that it was a small one."""
    pairs = await prepare(shop, max_large_price_changes=0)
    (right, first), (moved, second), *_ = pairs
    for nhanh_id in (first, second):
        shop.nhanh.change_price(nhanh_id, BASE + 10_000)
    await shop.pull()
    shop.shopify.change_price(right.id, BASE + 10_000, None)
    shop.shopify.change_price(moved.id, BASE * 10, None)
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.AWAITING_APPROVAL
    assert "1990000 → 209000" in str(job.error)
    assert shop.shopify.writes == []
    await shop.workshop.parts.jobs.approve(job.id)
    job = await shop.workshop.wait(job.id)
    assert (job.status, job.updated) == (JobStatus.COMPLETED, 1)
    assert {(push["old_value"], push["new_value"]) for push in await shop.pushes()} == {("1990000", "209000")}
