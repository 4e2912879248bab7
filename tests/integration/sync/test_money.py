"""What amounts mean at both sides: currencies, VAT, changes beyond reason, and what no shop's currency can hold."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from daemon.ids import StoreName
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.mirror import shops
from daemon.money import Currency
from daemon.sandbox.shopify.records import Variant
from daemon.tasks import product_facts
from tests.integration.sync.test_products_prices import BASE, prepare
from tests.support.synced_shop import SyncedShop, sandbox_settings, shop
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

Pairs = list[tuple[Variant, int]]


async def waits(shop: SyncedShop) -> Job:
    """A sync that asks first."""
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.AWAITING_APPROVAL, job.error
    return job


async def approved(shop: SyncedShop, job: Job) -> Job:
    """The job after a person has approved it."""
    await shop.workshop.parts.jobs.approve(job.id)
    job = await shop.workshop.wait(job.id)
    assert job.status is JobStatus.COMPLETED, job.error
    return job


# ── Currencies ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_prices_in_dong_never_reach_a_shop_in_dollars(shop: SyncedShop) -> None:
    """A sync of prices in another currency than the shop's is refused with a sentence; the stock is pushed."""
    pairs = await prepare(shop)
    shop.shopify.profile.currency = "USD"
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    for variant, nhanh_id in pairs[:12]:
        shop.shopify.change_price(variant.id, Decimal("1.99"), None)
        shop.nhanh.change_price(nhanh_id, Decimal(1_000))
    shop.sell(pairs[:3], 517)
    await shop.pull()
    for locations in ({}, {str(shop.location): (shop.depot_of[shop.location],)}):
        shop.configure(price="retail", locations=locations)
        job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
        assert job.status is JobStatus.FAILED
        assert "currency is USD, and Nhanh.vn's amounts are in VND: no prices were pushed" in str(job.error)
    assert {variant.price for variant, _ in pairs[:12]} == {Decimal("1.99")}
    assert [write.after for write in shop.effects] == [517, 517, 517]


async def test_nhanh_in_the_shops_currency_is_configured(shop: SyncedShop) -> None:
    """A business whose prices are in dollars says so, and they are pushed with their cents."""
    pairs = await prepare(shop)
    shop.shopify.profile.currency = "USD"
    await use_currency(shop, "USD")
    shop.nhanh.change_price(pairs[0][1], BASE + Decimal("0.996"))
    await shop.pull()
    assert (await shop.sync()).updated == 1
    assert pairs[0][0].price == BASE + 1


async def use_currency(shop: SyncedShop, code: str) -> None:
    """Configure the currency of Nhanh.vn's amounts."""
    registry = shop.workshop.parts.registry
    stores = {name: replace(store, nhanh_currency=Currency(code)) for name, store in registry.stores.items()}
    shop.workshop.parts.use_stores(stores, registry.policy)


async def test_currency_that_has_changed_holds_prices_back_until_all_are_read(shop: SyncedShop) -> None:
    """After a change of the shop's currency the mirror's prices are worth nothing: a full pull reads them anew."""
    pairs = await prepare(shop)
    shop.shopify.profile.currency = "USD"
    await use_currency(shop, "USD")
    shop.nhanh.change_price(pairs[0][1], BASE + 10)
    await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True, query="title:nothing")  # that is not all
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.FAILED
    assert "has changed from VND to USD" in str(job.error)
    assert "dongbo pull shopify-products --full" in str(job.error)
    assert shop.shopify.writes == []
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (await shop.sync()).updated == 1


@pytest.mark.parametrize(("factor", "asks"), [(5, True), (Decimal("0.2"), True), (Decimal("4.9"), False)])
async def test_price_beyond_reason_is_always_asked_about(shop: SyncedShop, factor: Decimal | int, asks: bool) -> None:
    """Five times as much or as little is asked about, however few and whatever the thresholds allow."""
    pairs = await prepare(shop, large_price_change=1.0)
    shop.nhanh.change_price(pairs[0][1], BASE * factor)
    await shop.pull()
    if not asks:
        assert (await shop.sync()).updated == 1
        return
    job = await waits(shop)
    assert "by a factor of 5 or more" in str(job.error)
    assert shop.shopify.writes == []
    assert (await approved(shop, job)).updated == 1
    assert pairs[0][0].price == BASE * factor


# ── VAT ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def without_vat(shop: SyncedShop, count: int = 3, **fields: Any) -> Pairs:
    """Some products whose prices of 100,000 are without their VAT of 10 %; nobody has been asked about that yet."""
    pairs = (await prepare(shop))[:count]
    for variant, nhanh_id in pairs:
        shop.nhanh.change_product(nhanh_id, price_vat_mode=2, price=Decimal(100_000), **{"vat": 10} | fields)
        shop.shopify.change_price(variant.id, Decimal(100_000), None)
    await shop.pull()
    return pairs


async def test_a_customer_pays_the_same_vat_at_both(shop: SyncedShop) -> None:
    """Where Nhanh.vn's prices are without VAT and the shop's hold it, VAT is added; the first time a person is asked,
    and from then on nobody."""
    pairs = await without_vat(shop)
    shop.nhanh.clock_offset += 3.0  # what is read in the second of its change is read again
    job = await waits(shop)
    assert "take VAT into account in 3 prices for the first time" in str(job.error)
    assert "(100000 → 110000)" in str(job.error)
    assert job.metadata["price_changes_by_vat"] == 3
    assert shop.shopify.writes == []
    assert (await approved(shop, job)).updated == 3
    assert {variant.price for variant, _ in pairs} == {Decimal(110_000)}
    reasons = {push["reason"].partition(" has ")[2] for push in await shop.pushes()}
    assert reasons == {"the retail price 100000, 110000 as the shop's customers pay it"}
    shop.nhanh.clock_offset += 2.0  # Nhanh.vn tells whole seconds: a change within the same one is none
    shop.nhanh.change_price(pairs[0][1], Decimal(120_000))
    await shop.pull()
    assert (await shop.sync()).updated == 1
    assert pairs[0][0].price == 132_000
    details = [request for request in shop.nhanh.requests if request.path.endswith("product/detail")]
    assert len(details) == 4  # once for each, and again for the one that has changed


async def test_vat_that_changes_within_the_second_of_another_change(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of change tells the two not apart: what was read in that second is used, and read again."""
    monkeypatch.setattr(product_facts, "SAME_TIME", timedelta(minutes=1))
    (variant, nhanh_id), *_ = await without_vat(shop)
    await approved(shop, await waits(shop))
    assert variant.price == 110_000
    shop.nhanh.products[nhanh_id] = replace(shop.nhanh.products[nhanh_id], vat=8)
    await shop.sync()
    assert variant.price == 108_000
    shop.nhanh.clock_offset += 120.0
    await shop.sync()
    asked = len(shop.nhanh.requests)
    await shop.sync()
    again = [request.path for request in list(shop.nhanh.requests)[asked:]]
    assert not any(path.endswith("product/detail") for path in again)


async def test_a_shop_without_taxes_gets_prices_without_vat(shop: SyncedShop) -> None:
    """Where the shop adds the tax itself, prices that hold VAT lose it, and those without it stay as they are."""
    pairs = await without_vat(shop)
    shop.nhanh.change_product(pairs[0][1], price_vat_mode=1, price=Decimal(110_000))
    shop.shopify.profile.taxes_included = False
    for _, nhanh_id in await prepare_rest(shop, pairs):
        shop.nhanh.change_product(nhanh_id, price_vat_mode=2)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.metadata["left_alone"].get("vat_unknown")) == (0, None)
    shop.nhanh.change_product(pairs[0][1], price=Decimal(165_000))
    await shop.pull()
    await approved(shop, await waits(shop))
    assert pairs[0][0].price == 150_000


async def test_a_few_items_know_what_a_pull_has_found_out_of_taxes(shop: SyncedShop) -> None:
    """What they remember of the shop for a minute is not held against what is known better."""
    (variant, nhanh_id), *_ = await without_vat(shop)
    await approved(shop, await waits(shop))
    await shop.sync(variants=[variant.id])
    shop.shopify.profile.taxes_included = False
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    shop.nhanh.clock_offset += 3.0
    shop.nhanh.change_price(nhanh_id, Decimal(120_000))
    await shop.sync(variants=[variant.id])
    assert variant.price == 120_000


async def prepare_rest(shop: SyncedShop, pairs: Pairs) -> Pairs:
    """The pairs besides these."""
    return [pair for pair in shop.pairs if pair not in pairs]


@pytest.mark.parametrize("vat", [0, -1, -2, -100])
async def test_no_vat_is_known_to_be_none(shop: SyncedShop, vat: int) -> None:
    """0 %, not taxable, not declared: the price is pushed as it is, and nobody is asked."""
    pairs = await without_vat(shop, vat=vat)
    shop.nhanh.change_price(pairs[0][1], Decimal(101_000))
    await shop.pull()
    assert (await shop.sync()).updated == 1
    assert pairs[0][0].price == 101_000


@pytest.mark.parametrize("vat", [None, -7, 100])
async def test_price_of_unknown_vat_is_left_alone_and_told(shop: SyncedShop, vat: int | None) -> None:
    """Where Nhanh.vn does not say a VAT that is needed, the price is not pushed, and the job names the product."""
    pairs = await without_vat(shop, vat=vat)
    for _, nhanh_id in pairs:
        shop.nhanh.change_price(nhanh_id, Decimal(105_000))
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 0
    assert job.metadata["left_alone"]["vat_unknown"] == 3
    assert pairs[0][0].sku in job.metadata["left_alone_examples"]["vat_unknown"]
    assert shop.shopify.writes == []


async def test_token_that_may_not_read_vat_holds_back_only_what_needs_it(shop: SyncedShop) -> None:
    """Without the permission for product/detail, prices that need VAT are left alone and the others pushed."""
    pairs = await without_vat(shop)
    shop.nhanh.permissions.discard("product/detail")
    shop.nhanh.change_price(shop.pairs[5][1], BASE + 10_000)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.metadata["left_alone"]["vat_not_read_yet"]) == (1, 3)
    assert pairs[0][0].price == 100_000
    shop.nhanh.permissions.add("product/detail")
    assert (await waits(shop)).metadata["price_changes_by_vat"] == 3


async def test_sale_does_not_go_back_to_vat_that_nobody_has_approved(shop: SyncedShop) -> None:
    """A variant on sale keeps its price to go back to until a person has agreed to VAT."""
    pairs = await without_vat(shop)
    await shop.execute(
        "INSERT INTO dongbo.sale_campaigns (id, store, name, origin, state, definition) "
        "VALUES ('00000000-0000-0000-0000-000000000001', 'main', 'tet', 'api', 'ACTIVE', '{}')"
    )
    await shop.execute(
        "INSERT INTO dongbo.sale_items (campaign_id, variant_id, product_id, store, state, held, before_price, "
        "base_price, sale_price) VALUES ('00000000-0000-0000-0000-000000000001', $1, $2, 'main', 'APPLIED', "
        "'empty', 100000, 100000, 90000)",
        pairs[0][0].id,
        pairs[0][0].product_id,
    )
    base = "SELECT base_price FROM dongbo.sale_items"
    job = await waits(shop)
    assert await shop.workshop.value(base) == 100_000
    await approved(shop, job)
    assert await shop.workshop.value(base) == 110_000


async def test_other_meaning_of_prices_is_asked_about_anew(shop: SyncedShop) -> None:
    """Who has agreed to prices with VAT has not agreed to prices without it."""
    async with shop.workshop.database.acquire() as connection:
        store = StoreName("other")
        await shops.note(connection, store, Currency("VND"), taxes_included=True)
        await shops.agree_to_vat(connection, store)
        await shops.note(connection, store, Currency("VND"), taxes_included=True)
        known = await shops.get(connection, store)
        assert known is not None
        assert known.vat_agreed
        await shops.note(connection, store, Currency("VND"), taxes_included=False)
        known = await shops.get(connection, store)
        assert known is not None
        assert not known.vat_agreed


# ── What the currency can hold, and what does not stick ─────────────────────────────────────────────────────────────


async def test_fraction_of_a_dong_is_no_difference(shop: SyncedShop) -> None:
    """Nhanh.vn says 199000.4, and the shop has 199000: nothing is pushed, in no sync."""
    pairs = await prepare(shop)
    shop.nhanh.change_price(pairs[0][1], BASE + Decimal("0.4"))
    await shop.pull()
    assert (await shop.sync()).updated == 0
    assert shop.shopify.writes == []


async def test_value_that_does_not_stick_is_left_alone_after_the_second_time(shop: SyncedShop) -> None:
    """What Shopify twice makes something else of is told and left alone, until Nhanh.vn says another value."""
    pairs = await prepare(shop, compare_at_price="old")
    variant, nhanh_id = pairs[0]
    shop.shopify.price_step = Decimal(1_000)
    shop.nhanh.change_product(nhanh_id, price=BASE + 1_500, old_price=BASE + 9_700)
    await shop.pull()
    for pushed in (1, 1, 0, 0):
        job = await shop.sync()
        assert job.updated == pushed
    assert (variant.price, variant.compare_at_price) == (BASE + 1_000, BASE + 9_000)
    assert job.metadata["left_alone"]["does_not_stick"] == 1
    assert job.metadata["left_alone_examples"]["does_not_stick"] == [variant.sku]
    pushes = len(await shop.pushes())
    shop.nhanh.change_product(nhanh_id, price=BASE + 5_000, old_price=BASE + 9_000)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, variant.price) == (1, BASE + 5_000)
    assert "does_not_stick" not in job.metadata["left_alone"]
    assert len(await shop.pushes()) == pushes + 1


async def test_what_a_person_sets_over_a_value_that_does_not_stick_is_pushed_over(shop: SyncedShop) -> None:
    """It is left alone only as Shopify has made it: another price is set right again."""
    pairs = await prepare(shop)
    variant, nhanh_id = pairs[0]
    shop.shopify.price_step = Decimal(1_000)
    shop.nhanh.change_price(nhanh_id, BASE + 1_500)
    await shop.pull()
    await shop.sync()
    await shop.sync()
    shop.shopify.change_price(variant.id, BASE + 20_000)
    await shop.pull()
    assert (await shop.sync()).updated == 1
    assert variant.price == BASE + 1_000


async def test_gift_cards_and_their_like_get_no_price_unless_mapped_by_hand(shop: SyncedShop) -> None:
    """A gift card, a bundle, a subscription, the parent of a combined listing: each is left alone and named."""
    pairs = await prepare(shop)
    chosen = list({variant.product_id: (variant, nhanh_id) for variant, nhanh_id in pairs}.values())[:5]
    (card, _), (bundle, _), (subscription, _), (parent, _), (named, _) = chosen
    for variant in (card, named):
        shop.shopify.products[variant.product_id].is_gift_card = True
    shop.shopify.make_bundle(bundle.id)
    shop.shopify.products[subscription.product_id].requires_selling_plan = True
    shop.shopify.products[parent.product_id].combined_listing_role = "PARENT"
    await shop.execute("UPDATE dongbo.product_mappings SET source = 'manual' WHERE variant_id = $1", named.id)
    for _, nhanh_id in chosen:
        shop.nhanh.change_price(nhanh_id, BASE + 10_000)
    await shop.pull()
    job = await shop.sync()
    assert job.updated == 1
    assert [variant.price for variant, _ in chosen] == [BASE] * 4 + [BASE + 10_000]
    left_alone = job.metadata["left_alone"]
    assert {"gift_card", "bundle_price", "subscription", "combined_listing"} <= left_alone.keys()
    assert card.sku in job.metadata["left_alone_examples"]["gift_card"]
    assert job.store == STORE
