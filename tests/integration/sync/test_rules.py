"""Rules of the configuration in real syncs: what is held back, left alone and asked about, and who is told of it."""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.api.explanation import ExplainedVariant
from daemon.config import ProductSyncSettings, RuleSettings
from daemon.database.pool import Database
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sync.explanation.explain import explain
from daemon.sync.items.verdict import item_verdict
from daemon.sync.products import rule_matches
from daemon.sync.products.plan import ProductPlan
from daemon.tasks import product_facts
from daemon.tone import Tone
from tests.support.synced_shop import SyncedShop, sandbox_settings, shop
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def rule(name: str, when: dict[str, Any], **effects: Any) -> dict[str, Any]:
    """A rule as a file says it."""
    return {"name": name, "when": when, **effects}


def settings_of(shop: SyncedShop) -> ProductSyncSettings:
    """By which the shop is synced now."""
    return shop.workshop.parts.registry.stores[STORE].product_sync


async def tag(shop: SyncedShop, place: int, *tags: str) -> None:
    """Tag the product of a pair; its other variants are tagged along."""
    shop.shopify.change_tags(shop.pairs[place][0].product_id, tags)
    await shop.pull()


async def explained(shop: SyncedShop, place: int) -> ExplainedVariant:
    """What people are told of a pair's variant."""
    async with shop.workshop.database.acquire() as connection:
        variant_id = shop.pairs[place][0].id
        found = await explain(connection, STORE, settings_of(shop), ZONE, variant_id=variant_id)
    return found.variants[0]


async def left_alone(shop: SyncedShop) -> dict[str, int]:
    """The obstacles that a dry run counts."""
    job = await shop.workshop.completed(JobType.SYNC_PRODUCTS, dry_run=True)
    counted: dict[str, int] = job.metadata["left_alone"]
    return counted


async def test_a_share_a_reserve_and_a_maximum_hold_stock_back(shop: SyncedShop) -> None:
    """Whole pieces of the share, less the reserve, never below zero and no more than the maximum; each push says so."""
    shop.sell(shop.pairs[:1], 11)
    shop.sell(shop.pairs[1:2], 3)
    shop.sell(shop.pairs[2:3], 40)
    await shop.pull()
    shop.configure(shares={str(shop.location): 50}, reserve=2, maximum=9)
    await shop.sync()
    levels = [variant.level_at(shop.location) for variant, _ in shop.pairs[:3]]
    assert [level.available if level is not None else 0 for level in levels] == [3, 0, 9]
    pushed = {push["owner_id"]: push for push in await shop.pushes() if push["location_id"] == shop.location}
    push = pushed[shop.pairs[0][0].id]
    assert push["reason"].endswith("; the location's share is 50 %, 2 pieces are held back, a location gets at most 9")
    assert push["rule"] is None
    await shop.workshop.rows("DELETE FROM dongbo.pushes RETURNING id")
    await shop.sync()
    assert await shop.pushes() == []


async def test_the_rule_that_decided_is_named_everywhere(shop: SyncedShop) -> None:
    """In the plan's sample, in the push log and in the explanation, before and after."""
    await tag(shop, 0, "Thủ Công")
    shop.sell(shop.pairs[:1], 8)
    await shop.pull()
    shop.configure(
        rules=[
            rule("hand-made", {"tag": "thủ công"}, reserve=3),
            rule("all", {"stock": {"from": 0}}, reserve=0, maximum=100),
        ]
    )
    dry = await shop.workshop.completed(JobType.SYNC_PRODUCTS, dry_run=True)
    variant = shop.pairs[0][0]
    planned = next(
        change
        for change in dry.metadata["sample"]
        if (change["variant_id"], change.get("location_id")) == (variant.id, shop.location)
    )
    assert planned["new"] == "5"
    assert "the rule “hand-made” holds 3 pieces back" in planned["reason"]
    before = next(value for value in (await explained(shop, 0)).values if value.location_id == shop.location)
    assert before.rule == "hand-made, all"
    assert "the rule “hand-made” holds 3 pieces back" in before.verdict
    await shop.sync()
    level = variant.level_at(shop.location)
    assert level is not None
    assert level.available == 5
    pushed = [push for push in await shop.pushes() if push["owner_id"] == variant.id and push["kind"] == "stock"]
    assert {push["rule"] for push in pushed if push["location_id"] == shop.location} == {"hand-made, all"}
    after = next(value for value in (await explained(shop, 0)).values if value.location_id == shop.location)
    assert after.pushes[0].rule == "hand-made, all"


async def test_what_is_skipped_is_left_alone_and_counted(shop: SyncedShop) -> None:
    """Neither stock nor prices; people are told by which rule."""
    await tag(shop, 0, "away")
    shop.configure(price="retail", rules=[rule("elsewhere", {"tag": "AWAY"}, skip=True)])
    variant, nhanh_id = shop.pairs[0]
    shop.sell(shop.pairs[:1], 77)
    shop.nhanh.change_price(nhanh_id, Decimal(1_234_000))
    await shop.pull()
    await shop.sync()
    assert not [push for push in await shop.pushes() if push["owner_id"] == variant.id]
    siblings = [one for one, _ in shop.pairs if one.product_id == variant.product_id]
    assert (await left_alone(shop))["by_rule"] >= len(siblings)
    told = await explained(shop, 0)
    for value in told.values:
        assert value.obstacle == "the rule “elsewhere” leaves it alone"
    verdict = item_verdict(told, settings_of(shop), ZONE)
    assert (verdict.tone, verdict.text) == (Tone.OFF, "Not pushed: The rule “elsewhere” leaves it alone.")


async def test_a_held_price_stays_and_the_stock_goes_on(shop: SyncedShop) -> None:
    """`hold_price` is about the price and the compare-at price alone."""
    await tag(shop, 0, "fixed")
    shop.configure(price="retail", compare_at_price="old", rules=[rule("by hand", {"tag": "fixed"}, hold_price=True)])
    variant, nhanh_id = shop.pairs[0]
    shop.sell(shop.pairs[:1], 77)
    shop.nhanh.change_price(nhanh_id, Decimal(1_234_000))
    await shop.pull()
    price = variant.price
    await shop.sync()
    assert variant.price == price
    assert {push["kind"] for push in await shop.pushes() if push["owner_id"] == variant.id} == {"stock"}
    assert (await left_alone(shop))["price_by_rule"]
    told = {value.kind: value.obstacle for value in (await explained(shop, 0)).values}
    assert told["price"] == "the rule “by hand” leaves its prices alone"


async def asked(shop: SyncedShop) -> Job:
    """Run a sync that has to ask."""
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.AWAITING_APPROVAL, job.error
    return job


async def test_a_rule_has_a_person_asked(shop: SyncedShop) -> None:
    """Any change of what it bears on, also one that nobody would be asked about; approved, it is carried out."""
    await tag(shop, 0, "careful")
    shop.configure(rules=[rule("look first", {"tag": "careful"}, ask=True)])
    shop.sell(shop.pairs[:1], 77)
    await shop.pull()
    job = await asked(shop)
    assert "about which a rule of the configuration has you asked" in str(job.error)
    assert job.metadata["asked_by_rule"] == 1
    assert "the rule “look first” asks a person first" in job.metadata["sample"][0]["reason"]
    assert await shop.pushes() == []
    await shop.workshop.parts.jobs.approve(job.id)
    assert (await shop.workshop.wait(job.id)).status is JobStatus.COMPLETED
    level = shop.pairs[0][0].level_at(shop.location)
    assert level is not None
    assert level.available == 77
    assert {push["rule"] for push in await shop.pushes() if push["kind"] == "stock"} == {"look first"}


async def test_what_a_rule_asks_about_is_not_pushed_while_the_plan_is_carried_out(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag comes after the survey: the batch is planned again from what is there now, and the sync asks."""
    shop.configure(rules=[rule("look first", {"tag": "careful"}, ask=True)])
    shop.sell(shop.pairs[:1], 77)
    await shop.pull()
    variant = shop.pairs[0][0]
    tagged = False

    async def come_later() -> None:
        nonlocal tagged
        if not tagged:
            tagged = True
            await shop.execute(
                "UPDATE dongbo.shopify_products SET tags = ARRAY['careful'] WHERE id = $1", variant.product_id
            )

    look = ProductPlan.stock_windows

    async def tagged_afterwards(self: ProductPlan, after: Any) -> Any:
        async for window in look(self, after):
            yield window
        await come_later()

    monkeypatch.setattr(ProductPlan, "stock_windows", tagged_afterwards)
    await asked(shop)
    assert await shop.pushes() == []


async def test_changed_rules_are_named_when_a_sync_asks(shop: SyncedShop) -> None:
    """The question says by which settings it would no longer be as when a sync went through last."""
    await shop.sync()
    shop.configure(max_zeroed=0, rules=[rule("none", {"stock": {"from": 0}}, maximum=0)])
    shop.sell(shop.pairs[:1], 5)
    await shop.pull()
    job = await asked(shop)
    facts = await shop.workshop.value("SELECT facts FROM dongbo.approvals WHERE job_id = $1", job.id)
    assert "rules.none" in facts


async def test_how_many_variants_a_rule_bears_on_is_counted(shop: SyncedShop) -> None:
    """Of each rule, also of one that goes by stock; one that bears on none is there with zero."""
    await tag(shop, 0, "rare")
    shop.sell(shop.pairs[:2], 7_777)
    await shop.pull()
    shop.configure(
        rules=[
            rule("tagged", {"tag": "rare"}, reserve=1),
            rule("full", {"stock": {"from": 7_777}}, maximum=5),
            rule("misspelt", {"vendor": "Nikke"}, skip=True),
        ]
    )
    async with shop.workshop.database.acquire() as connection:
        found = await rule_matches.count_matches(connection, STORE, settings_of(shop))
    variant = shop.pairs[0][0]
    siblings = [one for one, _ in shop.pairs if one.product_id == variant.product_id]
    untracked = found["tagged"] - len(siblings)
    assert untracked >= 0
    assert found == {"tagged": len(siblings) + untracked, "full": 2, "misspelt": 0}


async def test_a_sale_goes_back_to_what_a_held_price_was(shop: SyncedShop) -> None:
    """What Nhanh.vn says meanwhile is not what a held price goes back to."""
    await tag(shop, 0, "fixed")
    variant, nhanh_id = shop.pairs[0]
    shop.nhanh.change_price(nhanh_id, Decimal(1_234_000))
    await shop.pull()
    await shop.execute(
        """WITH campaign AS (
            INSERT INTO dongbo.sale_campaigns (id, store, name, origin, state, definition)
            VALUES (gen_random_uuid(), $1, 'tet', 'api', 'ACTIVE', '{}') RETURNING id
        )
        INSERT INTO dongbo.sale_items
            (campaign_id, variant_id, product_id, store, state, held, before_price, base_price)
        SELECT id, $2, $3, $1, 'APPLIED', 'empty', 100, 100 FROM campaign""",
        STORE,
        variant.id,
        variant.product_id,
    )
    assert variant.id in await prices_on_sale(shop.workshop.database, shop, [])
    held = [rule("by hand", {"tag": "fixed"}, hold_price=True)]
    assert variant.id not in await prices_on_sale(shop.workshop.database, shop, held)


async def prices_on_sale(database: Database, shop: SyncedShop, rules: list[dict[str, Any]]) -> set[int]:
    """The variants on sale that would go back to other prices."""
    settings = settings_of(shop).model_copy(
        update={"price": "retail", "rules": tuple(RuleSettings.model_validate(one) for one in rules)}
    )
    return set(await ProductPlan(database, STORE, settings).prices_on_sale())


async def test_a_run_about_single_items_leaves_what_a_rule_asks_about(shop: SyncedShop) -> None:
    """It pushes the rest, asks nobody, and says what is left to the full sync."""
    await tag(shop, 0, "careful")
    shop.configure(rules=[rule("look first", {"tag": "careful"}, ask=True)])
    careful = shop.pairs[0][0]
    place = next(place for place, (one, _) in enumerate(shop.pairs) if one.product_id != careful.product_id)
    other = shop.pairs[place][0]
    shop.sell([shop.pairs[0], shop.pairs[place]], 77)
    job = await shop.workshop.completed(JobType.SYNC_PRODUCTS, variants=[careful.id, other.id])
    assert {push["owner_id"] for push in await shop.pushes()} == {other.id}
    assert job.metadata["left_to_full_sync"] == 1


async def test_rules_hold_for_a_run_about_single_items(shop: SyncedShop) -> None:
    """The same plan decides, with as many parameters as it takes."""
    shop.configure(price="retail", rules=[rule("safety", {"stock": {"from": 1}}, reserve=2)])
    shop.sell(shop.pairs[:1], 77)
    variant = shop.pairs[0][0]
    await shop.workshop.completed(JobType.SYNC_PRODUCTS, variants=[variant.id])
    level = variant.level_at(shop.location)
    assert level is not None
    assert level.available == 75


async def test_no_stock_goes_by_prices_that_mean_nothing(shop: SyncedShop) -> None:
    """In a shop of another currency no rule can tell a price, so that what it holds back would be sold."""
    shop.shopify.profile.currency = "USD"
    shop.sell(shop.pairs[:1], 77)
    await shop.pull()
    shop.configure(price="retail", rules=[rule("dear", {"price": {"from": 1}}, reserve=70)])
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.FAILED
    assert "currency" in str(job.error)
    assert await shop.pushes() == []


@pytest.mark.parametrize("effect", [{"reserve": 4}, {"skip": True}])
async def test_no_stock_goes_by_a_price_that_is_not_known_yet(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, effect: dict[str, Any]
) -> None:
    """Until its VAT is read nobody can tell whether the rule bears on it: its stock waits, and the others go on."""
    (_, nhanh_id), (other, _) = shop.pairs[:2]
    await shop.settle_down()
    shop.sell(shop.pairs[:2], 9)
    shop.nhanh.change_product(nhanh_id, price_vat_mode=2)
    await shop.pull()
    monkeypatch.setattr(product_facts, "MOST_DETAILS", 0)
    shop.configure(price="retail", rules=[rule("cheap", {"price": {"to": 1}}, **effect)])
    job = await shop.sync()
    assert job.metadata["left_alone"]["rule_without_price"] == 1
    assert {push["owner_id"] for push in await shop.pushes() if push["kind"] == "stock"} == {other.id}
    found = await explained(shop, 0)
    verdict = next(value.verdict for value in found.values if value.location_id == shop.location)
    assert "Not pushed: a rule goes by its price, which can't be told before its VAT is known" in verdict
    monkeypatch.undo()
    assert "rule_without_price" not in await left_alone(shop)
