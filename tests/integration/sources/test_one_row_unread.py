"""A row that Shopify can't give, before a push or a sale: it is left out and named, and all others are pushed."""

from datetime import timedelta
from typing import Any

import pytest

from daemon.api.sales import CampaignState, ItemState
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.shopify.records import Variant
from daemon.schedules import pauses
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import PricePair, gid
from tests.support.sale_shop import SaleShop
from tests.support.synced_shop import SyncedShop, after_each_call, before_each_call, sandbox_settings, shop
from tests.support.workshop import Workshop

__all__ = ["sandbox_settings", "shop"]


@pytest.fixture
async def sale_shop(short_polls: None, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> SaleShop:
    """A shop that is mirrored, whose clock asks for a failed job again at once."""
    monkeypatch.setattr(pauses, "PAUSE_AFTER_FAILURE", timedelta(0))
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    return SaleShop(workshop)


@pytest.fixture(params=["broken", "poisonous"])
def how(request: pytest.FixtureRequest) -> str:
    """A null with an error, or an answer that fails as a whole."""
    return str(request.param)


def spoil(shop: SyncedShop | SaleShop, how: str, kind: str, number: int, field: str) -> None:
    """Let Shopify be unable to give a record, or a field of it."""
    troubles = shop.workshop.sandbox.shopify.troubles
    if how == "broken":
        troubles.broken[gid(kind, number)] = field
    else:
        troubles.poisonous.add(gid(kind, number))


def mend(shop: SyncedShop | SaleShop) -> None:
    """Let Shopify be well."""
    troubles = shop.workshop.sandbox.shopify.troubles
    troubles.broken.clear()
    troubles.poisonous.clear()


async def letters(shop: SyncedShop | SaleShop, job: Job) -> dict[str | None, str]:
    """The dead letters of a job, by the row's id."""
    return {letter.source_id: letter.reason for letter in await shop.workshop.parts.jobs.list_failures(job.id)}


# ── Stock ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stale_item_that_can_not_be_read_again(shop: SyncedShop, how: str) -> None:
    """Two items have changed at Shopify; the one that can be read is decided anew, the other is a dead letter."""
    (lost, _), (other, _), *_ = shop.pairs
    shop.sell(shop.pairs[:20], 40)
    await shop.pull()
    for variant in (lost, other):
        shop.shopify.change_stock(variant.id, 13, shop.location)
    spoil(shop, how, "InventoryItem", lost.inventory_item_id, "inventoryLevels")
    different = len(shop.differences())
    job = await shop.sync()
    assert (job.updated, job.failed) == (different - 1, 1)
    assert set(shop.differences()) == {(lost.id, shop.location)}
    ((number, reason),) = (await letters(shop, job)).items()
    assert number == str(lost.id)
    assert "its new value is unknown: Shopify could not give the row" in reason
    mend(shop)
    await shop.sync()
    assert shop.differences() == {}


async def test_activated_item_that_can_not_be_read_back(shop: SyncedShop, how: str) -> None:
    """That it was stocked is not taken for certain, and those stocked with it are counted."""
    (lost, _), (other, _), *_ = shop.pairs
    for variant in (lost, other):
        shop.shopify.stop_stocking(variant.id, shop.location)
    shop.sell(shop.pairs[:2], 7)
    await shop.pull()
    spoil(shop, how, "InventoryItem", lost.inventory_item_id, "inventoryLevels")
    job = await shop.sync()
    assert job.failed == 1
    assert "can't say whether it kept it" in (await letters(shop, job))[str(lost.id)]
    assert (other.id, shop.location) not in shop.differences()


# ── Prices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def siblings(shop: SyncedShop) -> list[tuple[Variant, int]]:
    """Mapped variants of one product, at least two."""
    by_product: dict[int, list[tuple[Variant, int]]] = {}
    for variant, nhanh_id in shop.pairs:
        by_product.setdefault(variant.product_id, []).append((variant, nhanh_id))
    return next(found for found in by_product.values() if len(found) > 1)


async def raise_prices(shop: SyncedShop, pairs: list[tuple[Variant, int]]) -> None:
    """Let Nhanh.vn ask for more, after both sides were in step."""
    shop.configure(price="retail", locations={})
    await shop.sync()
    for _, nhanh_id in pairs:
        shop.nhanh.change_price(nhanh_id, shop.nhanh.products[nhanh_id].price + 1_000)
    await shop.pull()


async def test_price_that_can_not_be_read(shop: SyncedShop, how: str) -> None:
    """Its siblings and all other products get their prices."""
    pairs = siblings(shop)
    await raise_prices(shop, [*pairs, *(pair for pair in shop.pairs[-3:] if pair not in pairs)])
    lost = pairs[0][0]
    before = lost.price
    spoil(shop, how, "ProductVariant", lost.id, "price")
    job = await shop.sync()
    assert job.failed == 1
    assert "so no new one was set: Shopify could not give the row" in (await letters(shop, job))[str(lost.id)]
    assert lost.price == before
    for variant, nhanh_id in [*pairs[1:], shop.pairs[-1]]:
        assert variant.price == shop.nhanh.products[nhanh_id].price
    mend(shop)
    assert (await shop.sync()).updated == 1


async def test_price_that_can_not_be_read_right_before_its_call(
    shop: SyncedShop, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that has waited is looked at once more; what can't be read then is taken out of it."""
    pairs = siblings(shop)
    await raise_prices(shop, pairs)
    lost = pairs[0][0]
    before = lost.price
    original = ShopifyClient.set_prices

    async def waited(self: ShopifyClient, *arguments: Any, **keywords: Any) -> Any:
        return await original(self, *arguments, **keywords | {"read_at": 0.0})

    monkeypatch.setattr(ShopifyClient, "set_prices", waited)
    after_each_call(monkeypatch, "present_prices", lambda _: spoil(shop, how, "ProductVariant", lost.id, "price"))
    job = await shop.sync()
    assert (job.updated, job.failed, lost.price) == (len(pairs) - 1, 1, before)
    assert "so no new one was set" in (await letters(shop, job))[str(lost.id)]
    results = {push["owner_id"]: push["result"] for push in await shop.pushes() if push["job_id"] == job.id}
    assert results == {variant.id: "applied" for variant, _ in pairs} | {lost.id: "stale"}


async def test_open_push_of_what_can_not_be_read_is_settled(shop: SyncedShop, how: str) -> None:
    """What became of it is not known; the run that finds that out goes on."""
    shop.sell(shop.pairs[:2], 7)
    await shop.pull()
    await shop.sync()
    lost, other = shop.pairs[0][0], shop.pairs[1][0]
    await shop.execute("UPDATE dongbo.pushes SET result = 'intended', settled_at = NULL")
    spoil(shop, how, "InventoryItem", lost.inventory_item_id, "inventoryLevels")
    await shop.sync()
    pushes = {push["owner_id"]: push for push in await shop.pushes()}
    assert (pushes[lost.id]["result"], pushes[other.id]["result"]) == ("unknown", "applied")
    assert "is unknown" in pushes[lost.id]["detail"]


# ── Sales ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sale_of_a_variant_whose_price_can_not_be_read(sale_shop: SaleShop, how: str) -> None:
    """All others go on sale and back; the job names the one, and takes it up again when it can be had."""
    shop, before = sale_shop, sale_shop.prices()
    lost = next(variant for variant in shop.variants if variant.price > 0)
    spoil(shop, how, "ProductVariant", lost.id, "price")
    spoil(shop, how, "Product", lost.product_id, "updatedAt")
    campaign = await shop.create()
    await shop.clock.sweep()
    await named(shop, JobType.APPLY_SALE, lost)
    states = {number: item.state for number, item in (await shop.items(campaign)).items()}
    assert states.pop(lost.id) is ItemState.PLANNED
    assert set(states.values()) <= {ItemState.APPLIED, ItemState.SKIPPED}
    assert (await shop.get(campaign)).state is CampaignState.APPLYING
    mend(shop)
    await shop.until(campaign, CampaignState.ACTIVE)
    assert lost.price < before[lost.id].price

    spoil(shop, how, "ProductVariant", lost.id, "price")
    await shop.sales.end_now(await shop.get(campaign))
    await named(shop, JobType.REVERT_SALE, lost)
    assert {number for number, prices in shop.prices().items() if prices != before[number]} == {lost.id}
    mend(shop)
    await shop.until(campaign, CampaignState.COMPLETED)
    assert shop.prices() == before


async def test_a_job_that_fails_over_the_same_variant_is_asked_for_ever_more_rarely(
    sale_shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pause is twice as long as the first; what is done about the campaign ends it at once."""
    shop, rows = sale_shop, sale_shop.workshop.rows
    campaign = await shop.until(await shop.create(), CampaignState.ACTIVE)
    await shop.until(await shop.sales.end_now(campaign), CampaignState.COMPLETED)
    monkeypatch.setattr(pauses, "PAUSE_AFTER_FAILURE", timedelta(seconds=30))
    spoil(shop, "poisonous", "ProductVariant", next(v for v in shop.variants if v.price > 0).id, "price")
    await shop.create("again")

    async def count_after(seconds: float) -> int:
        """How many jobs there are when so much time has passed since the last one ended."""
        await shop.last_job(JobType.APPLY_SALE)
        ended = "UPDATE dongbo.background_jobs SET completed_at = now() - $1::interval WHERE type = $2 RETURNING 1"
        await rows(ended, timedelta(seconds=seconds), JobType.APPLY_SALE)
        await shop.clock.sweep()
        return len((await shop.workshop.parts.jobs.list_jobs(JobFilters(type=JobType.APPLY_SALE))).jobs)

    first = await count_after(0)
    assert await count_after(29) == first
    assert await count_after(31) == first + 1
    assert await count_after(59) == first + 1
    assert await count_after(61) == first + 2
    assert await count_after(61) == first + 2
    await rows("UPDATE dongbo.sale_campaigns SET changed_at = clock_timestamp() WHERE name = 'again' RETURNING 1")
    assert await count_after(31) == first + 3


async def named(shop: SaleShop, job_type: JobType, variant: Variant) -> None:
    """The last job of a type has failed over a variant, and over nothing else."""
    job = await shop.last_job(job_type)
    assert job.status is JobStatus.FAILED
    assert f"could not be read from Shopify (variants such as {variant.id})" in str(job.error)
    assert list(await letters(shop, job)) == [str(variant.id)]


async def test_proof_of_a_variant_that_can_not_be_read(sale_shop: SaleShop, how: str) -> None:
    """All are restored; the campaign is over when the last one has been seen."""
    shop, before = sale_shop, sale_shop.prices()
    campaign = await shop.until(await shop.create(), CampaignState.ACTIVE)
    lost = next(variant for variant in shop.variants if PricePair(variant.price, None) < before[variant.id])

    def spoil_when_restored(_: int) -> None:
        if shop.prices() == before:
            spoil(shop, how, "ProductVariant", lost.id, "price")

    with pytest.MonkeyPatch.context() as patch:
        before_each_call(patch, "present_prices", spoil_when_restored)
        await shop.sales.end_now(await shop.get(campaign))
        job = await shop.last_job(JobType.REVERT_SALE)
    assert f"could not be read from Shopify (variants such as {lost.id})" in str(job.error)
    assert shop.prices() == before
    assert (await shop.get(campaign)).state is CampaignState.REVERTING
    mend(shop)
    await shop.until(campaign, CampaignState.COMPLETED)
