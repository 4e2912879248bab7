"""Single variants are read at both sides and pushed, beside the sync of everything."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.shopify.records import Variant
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.shopify.client import ShopifyClient
from tests.support.synced_shop import SyncedShop, check_counters, sandbox_settings, shop
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]


def sell(shop: SyncedShop, place: int, quantity: int) -> Variant:
    """Change what Nhanh.vn has of a pair, and say to nobody that it has."""
    variant, nhanh_id = shop.pairs[place]
    shop.nhanh.change_stock(nhanh_id, shop.depot_of[shop.location], quantity)
    return variant


def stock(shop: SyncedShop, variant: Variant) -> int:
    """What Shopify has available at the location."""
    level = variant.level_at(shop.location)
    assert level is not None
    return level.available


async def failures(shop: SyncedShop, job: Job) -> list[str]:
    """Why rows of the job failed."""
    return [letter.reason for letter in await shop.workshop.parts.jobs.list_failures(job.id)]


async def test_a_variant_is_read_and_pushed_by_its_sku(shop: SyncedShop) -> None:
    """Without a pull, and without the others; however the SKU is written."""
    variant, other = sell(shop, 0, 321), sell(shop, 1, 322)
    before = stock(shop, other)
    job = await shop.sync(skus=[f" {(variant.sku or '').lower()} "])
    assert (stock(shop, variant), stock(shop, other)) == (321, before)
    assert (job.updated, job.failed) == (1, 0)
    assert {push["owner_id"] for push in await shop.pushes()} == {variant.id}
    lane = await shop.workshop.value("SELECT lane FROM dongbo.background_jobs WHERE id = $1", job.id)
    assert lane == f"{STORE}/sync-products-items"
    again = await shop.sync(skus=[variant.sku])
    assert (again.updated, again.skipped) == (0, job.processed)


async def test_what_shopify_has_is_read_as_well(shop: SyncedShop) -> None:
    """What somebody has changed there is set back though no pull has seen it."""
    variant, _ = shop.pairs[0]
    right = stock(shop, variant)
    shop.shopify.change_stock(variant.id, right + 5, shop.location)
    job = await shop.sync(variants=[variant.id])
    assert (job.updated, stock(shop, variant)) == (1, right)


async def test_what_is_on_hand_is_read_before_what_nhanh_has(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an order that is sent between the two readings is taken for goods that have come in, and sold again."""
    shop.configure(quantity="on_hand")
    await shop.pull()
    await shop.sync()
    at_shopify, at_nhanh = ShopifyClient.products_of, NhanhClient.rows_by_ids
    has_answered, asked = False, asyncio.Event()
    order: list[bool] = []

    async def read_shopify(*arguments: Any, **keywords: Any) -> Any:
        nonlocal has_answered
        with suppress(TimeoutError):  # a moment in which Nhanh.vn would be asked, if it were asked beside
            await asyncio.wait_for(asked.wait(), 1.0)
        found = await at_shopify(*arguments, **keywords)
        has_answered = True
        return found

    async def read_nhanh(*arguments: Any, **keywords: Any) -> Any:
        order.append(has_answered)
        asked.set()
        return await at_nhanh(*arguments, **keywords)

    monkeypatch.setattr(ShopifyClient, "products_of", read_shopify)
    monkeypatch.setattr(NhanhClient, "rows_by_ids", read_nhanh)
    await shop.sync(variants=[shop.pairs[0][0].id])
    assert order
    assert all(order)


async def test_what_is_asked_in_a_row_costs_little(shop: SyncedShop) -> None:
    """What hardly ever changes is asked for once within a minute: a further item is read, and its stock set."""
    await shop.sync(variants=[shop.pairs[0][0].id])
    sell(shop, 1, 77)
    job = await shop.sync(variants=[shop.pairs[1][0].id])
    assert job.updated == 1
    assert job.metadata["api_calls"] <= 4


async def test_what_stands_for_nothing_is_named(shop: SyncedShop) -> None:
    """It fails as a row does, with what to do; the others are pushed."""
    variant = sell(shop, 0, 321)
    job = await shop.workshop.completed(JobType.SYNC_PRODUCTS, skus=[variant.sku, "NO-SUCH-SKU", "test"])
    check_counters(job)
    assert (job.updated, job.failed) == (1, 2)
    assert stock(shop, variant) == 321
    missing, placeholder = sorted(await failures(shop, job))[::-1]
    assert missing.startswith("Shopify has no variant with the SKU NO-SUCH-SKU")
    assert placeholder.startswith('"test" is a placeholder')
    unknown = await shop.workshop.completed(JobType.SYNC_PRODUCTS, variants=[987654321])
    assert (unknown.processed, unknown.failed) == (1, 1)


async def test_a_dry_run_pushes_nothing(shop: SyncedShop) -> None:
    """It shows what would be done, by what both sides have now."""
    variant = sell(shop, 0, 321)
    before = stock(shop, variant)
    job = await shop.sync(skus=[variant.sku], dry_run=True)
    assert stock(shop, variant) == before
    assert job.metadata["stock_changes"] == 1
    assert job.metadata["sample"][0]["new"] == "321"


async def test_risky_changes_are_left_to_the_sync_of_everything(shop: SyncedShop) -> None:
    """It asks nobody, takes no question back, and pushes the rest."""
    shop.sell(shop.pairs[:4], 8)
    await shop.sync(variants=[variant.id for variant, _ in shop.pairs[:4]])
    shop.configure(max_zeroed=1)
    shop.sell(shop.pairs[:4], 0)
    await shop.pull()
    asking = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert asking.status is JobStatus.AWAITING_APPROVAL
    harmless = sell(shop, 5, 55)
    risky = [shop.pairs[place][0] for place in range(4)]
    job = await shop.sync(variants=[harmless.id, *(variant.id for variant in risky)])
    assert stock(shop, harmless) == 55
    assert all(stock(shop, variant) > 0 for variant in risky)
    assert job.metadata["notices"] == ["4 changes are left to the next full sync, which asks a person first."]
    assert (await shop.workshop.parts.jobs.get(asking.id)).status is JobStatus.AWAITING_APPROVAL
    assert await shop.workshop.value("SELECT count(*) FROM dongbo.approvals WHERE state = 'open'") == 1


async def test_a_price_is_pushed_unless_it_changes_a_lot(shop: SyncedShop) -> None:
    """As the sync of everything would push it unasked."""
    shop.configure(price="retail", max_large_price_changes=0)
    await shop.sync()
    (first, first_id), (second, second_id) = shop.pairs[:2]
    price = shop.nhanh.products[first_id].price
    shop.nhanh.change_price(first_id, price + 1000)
    shop.nhanh.change_price(second_id, shop.nhanh.products[second_id].price * 10)
    before = second.price
    job = await shop.sync(variants=[first.id, second.id])
    assert (first.price, second.price) == (price + 1000, before)
    assert job.metadata["left_to_full_sync"] == 1


async def test_products_made_a_minute_ago_are_found_matched_and_pushed(shop: SyncedShop) -> None:
    """Neither side has told of them yet: both are asked, and matching goes by the rules of all."""
    variant, nhanh_id = shop.pairs[0]
    await shop.execute("DELETE FROM dongbo.product_mappings WHERE variant_id = $1", variant.id)
    await shop.execute("DELETE FROM dongbo.nhanh_products WHERE id = $1", nhanh_id)
    await shop.execute("DELETE FROM dongbo.nhanh_inventory WHERE product_id = $1", nhanh_id)
    product = await shop.workshop.value(
        "DELETE FROM dongbo.shopify_variants WHERE id = $1 RETURNING product_id", variant.id
    )
    await shop.execute("DELETE FROM dongbo.shopify_products WHERE id = $1", product)
    sell(shop, 0, 99)
    job = await shop.sync(skus=[variant.sku])
    assert stock(shop, variant) == 99
    assert job.updated >= 1
    mapped = "SELECT nhanh_id FROM dongbo.product_mappings WHERE variant_id = $1 AND retired_at IS NULL"
    assert await shop.workshop.value(mapped, variant.id) == nhanh_id


async def test_a_sku_of_several_variants_means_all_of_them(shop: SyncedShop) -> None:
    """None of them is left out by chance."""
    (first, _), (second, _) = shop.pairs[:2]
    shop.shopify.change_sku(second.id, first.sku)
    await shop.pull()
    for place in (0, 1):
        sell(shop, place, 400 + place)
    job = await shop.sync(skus=[first.sku])
    assert (stock(shop, first), stock(shop, second)) == (400, 401)
    assert job.metadata["named"] == {first.sku: sorted([first.id, second.id])}


async def test_failed_rows_are_taken_up(shop: SyncedShop) -> None:
    """What one sync could not push is read and pushed by the retry, which repairs the job."""
    variant = sell(shop, 1, 508)
    job = await shop.workshop.completed(JobType.SYNC_PRODUCTS, skus=["NO-SUCH-SKU"])
    assert job.failed == 1
    shop.shopify.change_sku(variant.id, "NO-SUCH-SKU")
    retried = await shop.workshop.wait((await shop.workshop.parts.jobs.retry(job.id, failed_rows=True)).id)
    check_counters(retried)
    assert (retried.status, retried.failed) == (JobStatus.COMPLETED, 0)
    assert stock(shop, variant) == 508
    repaired = "SELECT repaired_by FROM dongbo.background_jobs WHERE id = $1"
    assert await shop.workshop.value(repaired, job.id) is not None
