"""Campaigns from creation to proof, on a real database and the sandbox's shop."""

import unicodedata
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from daemon.api.sales import CampaignState, Decision, ItemState
from daemon.errors import InvalidSale, SaleConflict
from daemon.i18n import Language, spoken
from daemon.jobs.context import PageTransaction
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sales import campaigns, planning
from daemon.sales.file import reconcile
from daemon.sales.model import Campaign
from daemon.sales.preparation import Preparation
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.models import PricePair
from tests.support.sale_shop import SaleShop, on_sale, sandbox_settings, shop, soon
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]


async def test_a_sale_that_starts_now_sets_all_prices_and_takes_them_all_back(shop: SaleShop) -> None:
    """Every variant costs what the rule says, and in the end exactly what it cost before."""
    before = shop.prices()
    campaign = await shop.create()
    active = await shop.until(campaign, CampaignState.ACTIVE)
    assert shop.prices() == on_sale(active.definition, before) != before
    cheaper = await shop.items(active, ItemState.APPLIED)
    job = await shop.last_job(JobType.APPLY_SALE)
    assert (job.status, job.updated, job.total) == (JobStatus.COMPLETED, len(cheaper), len(cheaper))
    await shop.sales.end_now(active)
    done = await shop.until(active, CampaignState.COMPLETED)
    assert shop.prices() == before
    assert done.notice is None
    journal = await shop.items(done)
    assert all(item.state is ItemState.REVERTED and item.verified_at for item in map(journal.get, cheaper) if item)
    job = await shop.last_job(JobType.REVERT_SALE)
    assert (job.status, job.updated, job.failed) == (JobStatus.COMPLETED, len(cheaper), 0)


async def test_prices_of_others_are_kept_until_a_person_decides(shop: SaleShop) -> None:
    """What somebody else has changed during the sale is not overwritten; a person keeps or restores it."""
    before = shop.prices()
    active = await shop.until(await shop.create(), CampaignState.ACTIVE)
    kept, restored, *_ = await shop.items(active, ItemState.APPLIED)
    for number in (kept, restored):
        shop.shopify.change_price(number, Decimal(77_000), None)
    await shop.sales.end_now(active)
    asking = await shop.until(active, CampaignState.NEEDS_ATTENTION)
    assert "2 prices were changed" in (asking.notice or "")
    drifted = await shop.items(asking, ItemState.DRIFTED)
    assert {number: item.found for number, item in drifted.items()} == {
        number: PricePair(Decimal(77_000), None) for number in (kept, restored)
    }
    await shop.sales.resume(asking, Decision.KEEP, [kept])
    asking = await shop.until(asking, CampaignState.NEEDS_ATTENTION)
    await shop.sales.resume(asking, Decision.RESTORE)
    await shop.until(asking, CampaignState.COMPLETED)
    assert shop.prices() == before | {kept: PricePair(Decimal(77_000), None)}


async def test_what_is_kept_of_a_decision_is_in_the_configured_language(shop: SaleShop) -> None:
    """Whoever decides."""
    with spoken(Language.VIETNAMESE):
        campaign = await shop.create()
    active = await shop.until(campaign, CampaignState.ACTIVE)
    changed, *_ = await shop.items(active, ItemState.APPLIED)
    shop.shopify.change_price(changed, Decimal(77_000), None)
    await shop.sales.end_now(active)
    asking = await shop.until(active, CampaignState.NEEDS_ATTENTION)
    with spoken(Language.VIETNAMESE):
        await shop.sales.resume(asking, Decision.KEEP)
    await shop.until(asking, CampaignState.COMPLETED)
    rows = await shop.workshop.rows("SELECT detail FROM dongbo.sale_events WHERE detail IS NOT NULL")
    details = [row["detail"] for row in rows]
    assert "decided by a person: keep 1 prices" in details
    assert any(detail.startswith("planned for ") for detail in details)


async def test_a_variant_that_is_gone_is_closed_with_a_note(shop: SaleShop) -> None:
    """A deleted variant holds nothing up."""
    active = await shop.until(await shop.create(), CampaignState.ACTIVE)
    gone, *_ = await shop.items(active, ItemState.APPLIED)
    shop.shopify.delete_variant(gone)
    await shop.sales.end_now(active)
    done = await shop.until(active, CampaignState.COMPLETED)
    item = (await shop.items(done))[gone]
    assert (item.state, item.note) == (ItemState.GONE, "the variant no longer exists in Shopify")


async def test_two_campaigns_never_hold_a_variant_at_the_same_time(shop: SaleShop) -> None:
    """An overlap is refused with the names of both."""
    await shop.create("first", starts=soon(3600), ends=soon(7200))
    with pytest.raises(SaleConflict, match=r"second.*first"):
        await shop.create("second", starts=soon(7000), ends=soon(9000))


async def test_a_campaign_that_begins_where_another_ends_starts_from_the_true_price(shop: SaleShop) -> None:
    """Touching is no overlap, and nothing is discounted twice."""
    before = shop.prices()
    end = soon(1)
    first = await shop.create("first", ends=end)
    await shop.create("second", starts=end, percent=50)
    await shop.until(first, CampaignState.COMPLETED)
    second = await shop.until(await shop.sales.find("second"), CampaignState.ACTIVE)
    assert shop.prices() == on_sale(second.definition, before)
    await shop.sales.end_now(second)
    await shop.until(second, CampaignState.COMPLETED)
    assert shop.prices() == before


async def test_what_matches_nothing_is_refused(shop: SaleShop) -> None:
    """A campaign without a variant is a mistake."""
    with pytest.raises(InvalidSale, match="No variant matches"):
        await shop.create(targets={"skus": ["no such thing"]})


async def test_a_collection_is_read_and_newcomers_join(shop: SaleShop) -> None:
    """Products that come to the collection while the sale runs are put on sale, too."""
    collection = next(one for one in shop.shopify.collections.values() if one.handle == "sale")
    campaign = await shop.create(targets={"collections": ["sale"]})
    active = await shop.until(campaign, CampaignState.ACTIVE)
    members = set(collection.product_ids)
    journal = await shop.items(active)
    assert {item.product_id for item in journal.values()} == members
    newcomer = next(number for number in shop.shopify.products if number not in members)
    shop.shopify.add_to_collection(collection.id, newcomer)
    await shop.workshop.rows("UPDATE dongbo.shopify_collections SET read_at = now() - interval '1 hour' RETURNING 1")
    await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET prepared_at = now() - interval '1 hour' RETURNING 1")
    for _ in range(3):
        await shop.clock.sweep()
        for job_type in (JobType.PREPARE_SALE, JobType.APPLY_SALE):
            await shop.last_job(job_type)
    journal = await shop.items(active)
    assert {item.product_id for item in journal.values()} == members | {newcomer}


async def test_words_are_compared_as_people_read_them(shop: SaleShop) -> None:
    """Case, Vietnamese letters and Unicode forms make no difference, neither in targets nor in excludes."""
    product, other = sorted(shop.shopify.products)[:2]
    shop.shopify.products[product].vendor = "Đồng HỒ Việt"
    shop.shopify.change_tags(other, ["ÁO Ấm"])
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    preview = await shop.sales.preview(shop.define(targets={"vendors": [unicodedata.normalize("NFD", "đồng hồ việt")]}))
    assert {item.product_id for item in preview.items} == {product}
    preview = await shop.sales.preview(shop.define(excludes={"tags": ["áo ấm"], "vendors": ["ĐỒNG HỒ VIỆT"]}))
    assert {item.product_id for item in preview.items} == set(shop.shopify.products) - {product, other}


async def test_the_end_moves_by_the_file_whatever_else_it_says(shop: SaleShop) -> None:
    """A sale that runs follows the file in its end, and shows what else is different, in the shop's time."""

    async def reload(**settings: Any) -> Campaign:
        await reconcile(shop.workshop.database, shop.sales, [STORE], [shop.define(**settings)])
        return await shop.sales.find("tet")

    await reload(percent=20)
    await shop.until(await shop.sales.find("tet"), CampaignState.ACTIVE)
    later = datetime(2090, 1, 1, tzinfo=UTC)
    changed = await reload(percent=40, ends=later.isoformat())
    assert (changed.ends_at, changed.definition.percent) == (later, 20)
    assert changed.notice is not None
    assert "has changed (percent)" in changed.notice
    assert await reload(percent=40, ends=later.isoformat()) == changed
    async with shop.workshop.database.acquire() as connection:
        events = [event.detail for event in await campaigns.list_events(connection, changed.id)]
    assert "its end was moved in the configuration file: 2090-01-01 07:00:00" in events
    back = await reload(percent=20, ends=later.isoformat())
    assert (back.ends_at, back.notice) == (later, None)


async def test_a_sale_that_is_over_is_not_repeated_and_says_so_once(shop: SaleShop) -> None:
    """In its history, however often the file is read; a start that lies after its end runs it again."""

    async def reload(**settings: Any) -> Campaign:
        await reconcile(shop.workshop.database, shop.sales, [STORE], [shop.define(**settings)])
        return await shop.sales.find("tet")

    first = await reload(percent=20)
    await shop.until(first, CampaignState.ACTIVE)
    await shop.sales.end_now(first)
    await shop.until(first, CampaignState.COMPLETED)
    for percent in (40, 40, 50):
        assert (await reload(percent=percent)).id == first.id
    async with shop.workshop.database.acquire() as connection:
        details = [event.detail or "" for event in await campaigns.list_events(connection, first.id)]
    assert len([detail for detail in details if "to run it again, give it a start" in detail]) == 1
    again = await reload(percent=50, starts="2090-01-01T00:00")
    assert again.id != first.id


async def test_an_end_that_has_passed_is_refused_before_the_preview(shop: SaleShop) -> None:
    """Nobody is shown what can't be."""
    with pytest.raises(InvalidSale, match="has passed"):
        await shop.sales.preview(shop.define(ends="2020-01-01 20:00"))


async def test_gift_cards_and_their_like_are_on_sale_only_where_they_are_named(shop: SaleShop) -> None:
    """30 % off everything leaves a card of 500,000 alone, a bundle and a subscription, and says why; one that is named
    by its SKU or product is on sale."""
    first = {variant.product_id: variant for variant in shop.variants if variant.sku and variant.price > 0}
    card, bundle, subscription, parent, named, by_product = list(first.values())[:6]
    for variant in (card, named, by_product):
        shop.shopify.products[variant.product_id].is_gift_card = True
    shop.shopify.make_bundle(bundle.id)
    shop.shopify.products[subscription.product_id].requires_selling_plan = True
    shop.shopify.products[parent.product_id].combined_listing_role = "PARENT"
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    preview = await shop.sales.preview(shop.define(percent=30))
    skipped = {item.variant_id: item.reason for item in preview.items if item.sale is None}
    assert {card.id, named.id, by_product.id, bundle.id, subscription.id, parent.id} <= skipped.keys()
    assert "it is a gift card, which is worth its face value: name it" in str(skipped[card.id])
    targets = {"skus": [named.sku], "products": [by_product.product_id]}
    preview = await shop.sales.preview(shop.define(percent=30, targets=targets))
    on_sale_now = {item.variant_id for item in preview.items if item.sale is not None}
    assert {named.id, by_product.id} <= on_sale_now
    before = card.price
    await shop.until(await shop.create(percent=30), CampaignState.ACTIVE)
    assert card.price == before


@pytest.mark.parametrize(
    "sums",
    [
        {"amount": 20_000},
        {"percent": 20, "floor": 50_000},
        {"percent": 20, "round_to": 1_000},
        {"percent": 20, "round_to": 1_000, "ending": 900},
        {"percent": 20, "round_to": 10, "ending": 9},
    ],
)
async def test_sums_of_dong_are_no_discount_in_a_shop_in_dollars(shop: SaleShop, sums: dict[str, int]) -> None:
    """A sale with a sum of money is refused where the shop has another currency than Nhanh.vn; one in percent is
    not."""
    shop.shopify.profile.currency = "USD"
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    for attempt in (shop.sales.preview(shop.define(**sums)), shop.create(**sums)):
        with pytest.raises(InvalidSale, match=r"currency is USD, and Nhanh\.vn's amounts are in VND"):
            await attempt
    for clear in ({}, {"round_to": "0.01"}, {"round_to": 1, "ending": "0.99"}):
        assert (await shop.sales.preview(shop.define(percent=20, **clear))).on_sale


@pytest.mark.parametrize("sums", [{"amount": 20_000}, {"round_to": 1_000}])
async def test_currency_that_changes_before_the_start_keeps_a_sum_from_the_shop(
    shop: SaleShop, sums: dict[str, int]
) -> None:
    """A sale that was planned in đồng is not put on sale in dollars; another one in percent is."""
    before = shop.prices()
    plain = [v for v in shop.variants if v.sku and v.price > 50_000 and v.compare_at_price is None]
    chosen = plain[0]
    amount = await shop.create("sum", **sums, targets={"skus": [chosen.sku]}, starts=soon(0.5))
    shop.shopify.profile.currency = "USD"
    others = next(v for v in plain if v.product_id != chosen.product_id)
    percent = await shop.create("percent", targets={"products": [others.product_id]}, starts=soon(0.5))
    await shop.until(percent, CampaignState.ACTIVE)
    await shop.until(amount, CampaignState.APPLYING)
    job = await shop.last_job(JobType.APPLY_SALE)
    assert job.status is JobStatus.FAILED
    assert "currency has changed from VND to USD" in str(job.error)
    assert chosen.price == before[chosen.id].price
    assert others.price != before[others.id].price


async def test_a_sale_that_is_cancelled_while_it_is_planned_again_is_over(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices are written down in portions: whoever cancels waits for one of them, and nothing is written after that."""
    monkeypatch.setattr(planning, "PORTION", 1)
    campaign = await shop.create(starts=soon(3_600))
    assert len(await shop.items(campaign, ItemState.PLANNED)) > 2
    await shop.workshop.rows("UPDATE dongbo.shopify_variants SET price = price + 1000 RETURNING 1")
    database, portions = shop.workshop.database, 0

    @asynccontextmanager
    async def page() -> AsyncIterator[PageTransaction]:
        nonlocal portions
        portions += 1
        if portions == 2:
            await shop.sales.cancel(campaign)
        async with database.acquire_for_work() as connection, connection.transaction():
            yield PageTransaction(connection, None)

    async def wait(call: Awaitable[Any]) -> Any:
        return await call

    client = shop.workshop.parts.registry.stores[STORE].shopify
    await Preparation(database, STORE, client, CallMeter(), wait, page).write(campaign, datetime.now(UTC))
    assert (await shop.get(campaign)).state is CampaignState.CANCELLED
    assert portions == 2
    assert await shop.items(campaign, ItemState.PLANNED) == {}


@pytest.mark.parametrize("portion", [1, 2, 3, 100])
async def test_a_plan_is_written_in_portions_without_a_gap(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    """Every variant is in one of them, and those of a product are in the same one."""
    monkeypatch.setattr(planning, "PORTION", portion)
    planned = (await shop.sales.preview(shop.define())).items
    portions = list(planning.portions_of(planned))
    assert [item for one in portions for item in one.items] == planned
    assert [one.after for one in portions[1:]] == [one.through for one in portions[:-1]]
    assert (portions[0].after, portions[-1].through) == (-1, planning.LARGEST_PRODUCT)
    for one in portions:
        assert all(one.after < item.product_id <= one.through for item in one.items)


async def test_pruning_takes_a_campaign_with_its_journal(shop: SaleShop) -> None:
    """Once it has been over for long; others keep theirs."""
    over = await shop.create("over", starts=soon(3600), ends=soon(7200))
    waiting = await shop.create("waiting", starts=soon(9000), ends=soon(10_000))
    planned = await shop.items(waiting)
    await shop.sales.cancel(over)
    async with shop.workshop.database.acquire() as connection:
        assert await campaigns.prune(connection, timedelta(hours=1)) == 0
        assert await shop.items(over)
        assert await campaigns.prune(connection, timedelta(0)) == 1
        assert await campaigns.get(connection, over.id) is None
    assert await shop.items(over) == {}
    assert await shop.items(waiting) == planned != {}
