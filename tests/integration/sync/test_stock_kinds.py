"""Stock that is no plain figure: closed locations, combos, vouchers, bundles, shared items, inactive levels."""

from decimal import Decimal
from typing import Any

import pytest

from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.shopify.records import Variant
from daemon.sync.explanation.explain import explain
from daemon.sync.products import stock_push
from tests.support.synced_shop import SyncedShop, after_each_call, sandbox_settings, shop
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]


def at(variant: Variant, location: int) -> int | None:
    """What is available of a variant at a location; None where it is not stocked."""
    level = variant.level_at(location)
    return None if level is None else level.available


async def explained(shop: SyncedShop, variant: Variant) -> list[str]:
    """The verdicts on a variant."""
    settings = shop.workshop.parts.registry.stores[STORE].product_sync
    async with shop.workshop.database.acquire() as connection:
        found = await explain(connection, STORE, settings, shop.workshop.parts.zone, variant_id=variant.id)
    return [value.verdict for value in found.variants[0].values]


# ── Closed locations ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["close_location", "delete_location"])
async def test_closed_location_keeps_nothing_else_back(shop: SyncedShop, how: str) -> None:
    """The other locations and all prices are pushed; the job, its page and each later one name the closed one."""
    shop.configure(price="retail")
    await shop.sync()
    closed = max(shop.depot_of)
    for depot in shop.depot_of.values():
        shop.nhanh.change_stock(shop.pairs[0][1], depot, 77)
    shop.nhanh.change_price(shop.pairs[1][1], shop.nhanh.products[shop.pairs[1][1]].price + 1_000)
    getattr(shop.shopify, how)(closed)
    await shop.pull()
    job = await shop.sync()
    assert job.metadata["closed_locations"] == [closed]
    (notice,) = job.metadata["notices"]
    assert str(closed) in notice
    assert "Everything else is synced" in notice
    variant = shop.pairs[0][0]
    assert [at(variant, location) for location in sorted(shop.depot_of)] == [77, 77, None]
    assert shop.pairs[1][0].price == shop.nhanh.products[shop.pairs[1][1]].price
    assert (await shop.sync()).metadata["closed_locations"] == [closed]
    shop.configure(locations={str(number): (depot,) for number, depot in shop.depot_of.items() if number != closed})
    assert (await shop.sync()).metadata["closed_locations"] == []


async def test_depot_of_a_closed_location_need_not_be_seen(shop: SyncedShop) -> None:
    """Nobody reads the stock of a location that gets none."""
    closed = max(shop.depot_of)
    shop.shopify.close_location(closed)
    shop.nhanh.depot_ids = [depot for location, depot in shop.depot_of.items() if location != closed]
    await shop.pull()
    assert (await shop.workshop.run(JobType.SYNC_PRODUCTS)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("how", ["limited", "closed", "never there"])
async def test_depot_out_of_sight_keeps_nothing_else_back(shop: SyncedShop, how: str) -> None:
    """Only what it feeds is left out, and never gets less than there is; the job and each later one name it."""
    depots = list(shop.depot_of.values())
    hidden = depots[0] if how != "never there" else 4711
    fed, _, other = shop.depot_of
    shop.configure(price="retail", locations={str(fed): (hidden, depots[1]), str(other): (depots[2],)})
    (variant, nhanh_id), (priced, priced_id) = shop.pairs[:2]
    before = at(variant, fed)
    for depot in depots:
        shop.nhanh.change_stock(nhanh_id, depot, 77)
    shop.nhanh.change_price(priced_id, shop.nhanh.products[priced_id].price + 1_000)
    if how == "limited":
        shop.nhanh.depot_ids = depots[1:]
    elif how == "closed":
        shop.nhanh.depots = [depot for depot in shop.nhanh.depots if depot.id != hidden]
    await shop.pull()
    job = await shop.sync()
    assert (job.metadata["hidden_depots"], job.metadata["closed_locations"]) == ([hidden], [])
    (notice,) = job.metadata["notices"]
    assert str(hidden) in notice
    assert f"What they feed is left out: {fed}." in notice
    assert [at(variant, location) for location in (fed, other)] == [before, 77]
    assert priced.price == shop.nhanh.products[priced_id].price
    assert (await shop.sync()).metadata["hidden_depots"] == [hidden]


async def test_depot_that_is_back_feeds_its_location_again(shop: SyncedShop) -> None:
    """With what it holds by then, though no stock of it was told meanwhile."""
    hidden = shop.depot_of[shop.location]
    shop.nhanh.depot_ids = [depot for depot in shop.depot_of.values() if depot != hidden]
    shop.sell(shop.pairs[:3], 5)
    await shop.pull()
    await shop.sync()
    shop.nhanh.depot_ids = ()
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    job = await shop.sync()
    assert (job.metadata["hidden_depots"], job.metadata["notices"]) == ([], [])
    assert shop.differences() == {}


async def test_depots_that_may_not_be_listed_keep_no_price_back(shop: SyncedShop) -> None:
    """Where it can't be told which depots are seen, no stock is pushed, and everything else is."""
    shop.configure(price="retail")
    shop.sell(shop.pairs[:1], 5)
    variant, nhanh_id = shop.pairs[1]
    shop.nhanh.change_price(nhanh_id, shop.nhanh.products[nhanh_id].price + 1_000)
    await shop.pull()
    shop.nhanh.permissions.discard("business/depot")
    job = await shop.sync()
    assert job.metadata["hidden_depots"] == sorted(shop.depot_of.values())
    assert "lacks the permission" in job.metadata["notices"][0]
    assert variant.price == shop.nhanh.products[nhanh_id].price
    assert at(shop.pairs[0][0], shop.location) != 5


# ── Combos, packs, vouchers, weights ────────────────────────────────────────────────────────────────────────────────


async def make_combo(shop: SyncedShop, tells: bool = True, **components: Any) -> tuple[Variant, int]:
    """A combo of 2 of the second product and 1 of the third, without any stock of its own."""
    variant, nhanh_id = shop.pairs[0]
    combo = components.get("combo", ((shop.pairs[1][1], 2), (shop.pairs[2][1], 1)))
    shop.nhanh.change_product(nhanh_id, type=9, stock={}, combo=combo, tells_combo=tells)
    for location, first, second in zip(sorted(shop.depot_of), (9, 4, 0), (3, 50, 50), strict=True):
        shop.nhanh.change_stock(shop.pairs[1][1], shop.depot_of[location], first)
        shop.nhanh.change_stock(shop.pairs[2][1], shop.depot_of[location], second)
    await shop.pull()
    return variant, nhanh_id


@pytest.mark.parametrize("tells", [True, False])
async def test_combo_has_as_many_sets_as_its_components_make(shop: SyncedShop, tells: bool) -> None:
    """Per location the smallest whole number of sets, whether product/list or product/combo says what is in them."""
    variant, _ = await make_combo(shop, tells)
    await shop.sync()
    assert [at(variant, location) for location in sorted(shop.depot_of)] == [3, 2, 0]
    verdicts = await explained(shop, variant)
    assert "it is a combo whose components make 3 sets in depot" in verdicts[0]
    shop.nhanh.change_stock(shop.pairs[2][1], shop.depot_of[shop.location], 1)
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY, full=True)
    await shop.sync()
    assert at(variant, shop.location) == 1


@pytest.mark.parametrize("combo", [(), ((987_654_321, 1),), "itself"])
async def test_combo_of_which_not_all_is_known_is_left_alone(shop: SyncedShop, combo: Any) -> None:
    """Without components, with one that is not there, or with a combo among them, its stock is not touched."""
    combo = ((shop.pairs[0][1], 1),) if combo == "itself" else combo
    variant = shop.pairs[0][0]
    before = [at(variant, location) for location in sorted(shop.depot_of)]
    await make_combo(shop, combo=combo)
    job = await shop.sync()
    assert [at(variant, location) for location in sorted(shop.depot_of)] == before
    assert job.metadata["left_alone"]["combo"] == 1
    assert job.metadata["left_alone_examples"]["combo"] == [variant.sku]
    assert "it is a combo at Nhanh.vn" in (await explained(shop, variant))[0]


@pytest.mark.parametrize("kind", [2, 6])
async def test_vouchers_and_services_are_never_zeroed(shop: SyncedShop, kind: int) -> None:
    """What has no stock is left alone, whatever Nhanh.vn's figures say."""
    variant, nhanh_id = shop.pairs[0]
    shop.shopify.change_stock(variant.id, 12, shop.location)
    shop.nhanh.change_product(nhanh_id, type=kind, stock=dict.fromkeys(shop.depot_of.values(), 0))
    await shop.pull()
    job = await shop.sync()
    assert at(variant, shop.location) == 12
    assert job.metadata["left_alone"]["no_stock"] == 1
    assert "a voucher or a service" in (await explained(shop, variant))[0]


async def test_service_in_a_combo_limits_nothing(shop: SyncedShop) -> None:
    """A combo of a product and a service has as many sets as there are of the product."""
    service = shop.pairs[3][1]
    shop.nhanh.change_product(service, type=6, stock={})
    variant, _ = await make_combo(shop, combo=((shop.pairs[1][1], 2), (service, 1)))
    await shop.sync()
    assert [at(variant, location) for location in sorted(shop.depot_of)] == [4, 2, 0]


async def test_pack_has_a_stock_of_its_own(shop: SyncedShop) -> None:
    """The 0 of a pack is a true 0."""
    variant, nhanh_id = shop.pairs[0]
    shop.shopify.change_stock(variant.id, 12, shop.location)
    shop.nhanh.change_product(nhanh_id, type=5, stock=dict.fromkeys(shop.depot_of.values(), 0))
    await shop.pull()
    await shop.sync()
    assert at(variant, shop.location) == 0


async def test_weight_is_rounded_down_to_what_is_sold(shop: SyncedShop) -> None:
    """2.6 kg are two, and -0.4 are none."""
    variant, nhanh_id = shop.pairs[0]
    shop.nhanh.change_product(nhanh_id, type=3)
    for quantity, expected in (("2.6", 2), ("-0.4", 0)):
        shop.nhanh.change_stock(nhanh_id, shop.depot_of[shop.location], Decimal(quantity))
        await shop.pull()
        await shop.sync()
        assert at(variant, shop.location) == expected


# ── Bundles and items that several variants share ───────────────────────────────────────────────────────────────────


async def test_known_bundle_is_left_out_and_named(shop: SyncedShop) -> None:
    """No call is made for a bundle's parent."""
    bundle = shop.pairs[2][0]
    shop.shopify.make_bundle(bundle.id)
    shop.sell(shop.pairs[:5], 518)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.failed) == (4, 0)
    assert job.metadata["left_alone_examples"]["bundle"] == [bundle.sku]
    assert len(await shop.pushes()) == 4
    assert "it is a bundle in Shopify" in (await explained(shop, bundle))[0]


@pytest.mark.parametrize("is_named", [True, False])
async def test_item_that_can_not_be_set_fails_alone(shop: SyncedShop, is_named: bool) -> None:
    """Two bundles that are not known as such are failed rows, whether Shopify names them or not; the rest goes in the
    same run."""
    shop.sell(shop.pairs[:20], 519)
    await shop.pull()
    bundles = {shop.pairs[2][0].id, shop.pairs[11][0].id}
    for number in bundles:
        shop.shopify.variants[number].requires_components = True
    shop.shopify.names_immutable = is_named
    job = await shop.sync()
    assert (job.updated, job.failed) == (18, 2)
    assert {variant_id for variant_id, _ in shop.differences()} == bundles
    failures = await shop.workshop.parts.jobs.list_failures(job.id)
    assert {int(str(failure.source_id)) for failure in failures} == bundles
    assert all("not allowed to be adjusted" in failure.reason for failure in failures)
    assert len(shop.effects) == 18


async def test_app_that_may_set_nothing_is_told_from_rows(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Shopify names no row and takes none, the run ends with its words instead of trying each."""
    monkeypatch.setattr(stock_push, "MOST_UNNAMED", 3)
    shop.sell(shop.pairs[:20], 519)
    await shop.pull()
    shop.shopify.names_immutable = False
    for variant in shop.shopify.variants.values():
        variant.requires_components = True
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.FAILED
    assert "accepts no stock from this app" in str(job.error)


def share(shop: SyncedShop) -> tuple[tuple[Variant, int], tuple[Variant, int]]:
    """Two variants of one product that are sold out of one stock from now on."""
    pairs = next(
        (pair, other)
        for pair, other in zip(shop.pairs, shop.pairs[1:], strict=False)
        if pair[0].product_id == other[0].product_id
    )
    shop.shopify.share_item(pairs[1][0].id, pairs[0][0].id)
    return pairs


async def test_item_of_two_variants_is_set_once(shop: SyncedShop) -> None:
    """Two variants of one item and one product of Nhanh.vn: one value per item and location."""
    (_, nhanh_id), (second, _) = share(shop)
    await shop.execute("UPDATE dongbo.product_mappings SET retired_at = now() WHERE variant_id = $1", second.id)
    await shop.execute(
        "INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source) VALUES ('main', $1, $2, 'manual')",
        second.id,
        nhanh_id,
    )
    shop.nhanh.change_stock(nhanh_id, shop.depot_of[shop.location], 521)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.failed) == (1, 0)
    assert [write.after for write in shop.effects] == [521]
    assert all("That is what Nhanh.vn says" in verdict for verdict in await explained(shop, second))


async def test_item_of_two_products_is_left_alone(shop: SyncedShop) -> None:
    """Two variants of one item that are mapped to different products contradict each other: both are named."""
    (first, nhanh_id), (second, other_id) = share(shop)
    for number, quantity in ((nhanh_id, 521), (other_id, 522)):
        shop.nhanh.change_stock(number, shop.depot_of[shop.location], quantity)
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.failed, shop.effects) == (0, 0, [])
    assert job.metadata["left_alone"]["shared_item"] == 2
    assert set(job.metadata["left_alone_examples"]["shared_item"]) == {first.sku, second.sku}


# ── Levels that are not active ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adds", [False, True])
async def test_inactive_levels_are_activated_set_and_read_back(shop: SyncedShop, adds: bool) -> None:
    """Missing and inactive levels, with or without quantities of before: each item has what Nhanh.vn says afterwards,
    once, also where setting an unconnected one would add."""
    shop.shopify.adds_unconnected = adds
    for variant, nhanh_id in shop.pairs[:4]:
        for location, depot in shop.depot_of.items():
            shop.nhanh.change_stock(nhanh_id, depot, 30)
            shop.shopify.change_stock(variant.id, 7, location)
            shop.shopify.stop_stocking(variant.id, location)
    for variant, _ in shop.pairs[:2]:
        variant.inactive_levels = []
    await shop.pull()
    job = await shop.sync()
    assert (job.updated, job.failed) == (12, 0)
    assert shop.differences() == {}
    subjects = [write.subject for write in shop.effects if write.subject[0] == "stock"]
    assert len(subjects) == len(set(subjects)) == 12
    calls = [request.operation for request in shop.shopify.requests.last]
    assert calls.count("ActivateItemAt") == 4  # one for each item, not for each of its locations
    assert calls.count("ActivateItem") == 0
    assert (await shop.sync()).updated == 0


async def test_item_that_does_not_stay_active_is_a_failed_row(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Shopify takes and does not keep at the location is found when it is read back."""
    variant, nhanh_id = shop.pairs[0]
    shop.shopify.stop_stocking(variant.id, shop.location)
    shop.nhanh.change_stock(nhanh_id, shop.depot_of[shop.location], 30)
    await shop.pull()
    after_each_call(monkeypatch, "set_stock", lambda _: shop.shopify.stop_stocking(variant.id, shop.location))
    job = await shop.sync()
    assert (job.updated, job.failed) == (0, 1)
    (failure,) = await shop.workshop.parts.jobs.list_failures(job.id)
    assert "did not keep it at the location" in failure.reason


async def test_stock_of_a_fulfilment_service_is_not_moved(shop: SyncedShop) -> None:
    """An item that is kept at a location that is not the shop's own is not activated at one that is."""
    variant, nhanh_id = shop.pairs[0]
    for location in shop.depot_of:
        shop.shopify.stop_stocking(variant.id, location)
    await shop.pull()
    await shop.execute(
        "INSERT INTO dongbo.shopify_inventory_levels (store, inventory_item_id, location_id, variant_id, available) "
        "VALUES ('main', $1, 5, $2, 9)",
        variant.inventory_item_id,
        variant.id,
    )
    shop.nhanh.change_stock(nhanh_id, shop.depot_of[shop.location], 30)
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY, full=True)
    job = await shop.sync()
    assert (shop.effects, job.metadata["left_alone"]["fulfilment_service"]) == ([], 1)
