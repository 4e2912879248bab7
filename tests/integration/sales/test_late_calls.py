"""No price of a sale is written unchecked: calls wait for points, are repeated, and may be carried out late.

At Shopify's standard limits, where calls queue.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from daemon.api.sales import CampaignState, Decision, ItemState
from daemon.clock import boot_time
from daemon.jobs import context
from daemon.jobs.queue.places import HEARTBEAT_TIMEOUT
from daemon.jobs.types import JobType
from daemon.money import amount_text, amount_text_or_none
from daemon.sales.model import Campaign
from daemon.sandbox.server import SandboxSettings
from daemon.sandbox.shopify.writes import AppliedWrite
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import price_watch
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.endpoint import SMALL_COST
from daemon.sources.shopify.models import PricePair
from daemon.sources.shopify.writes import PriceOutcome, WriteError
from tests.support.sale_shop import SaleShop, on_sale, shop
from tests.support.shop_memory import Journal
from tests.support.workshop import STORE

__all__ = ["shop"]

PERSONS = PricePair(Decimal(77_000), None)
TAKE_OVER = "UPDATE dongbo.background_jobs SET run_token = gen_random_uuid() WHERE status = 'RUNNING' RETURNING id"
GIVE_UP = """
UPDATE dongbo.background_jobs SET status = 'FAILED', run_token = NULL, completed_at = now() - interval '1 hour'
WHERE status = 'RUNNING' RETURNING id
"""
FEW = 16  # products: their calls take two seconds and more


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop with Shopify's standard limits."""
    return SandboxSettings(products=30, customers=1, limits=True)


def journal_of(shop: SaleShop, listener: Callable[[AppliedWrite], None] | None = None) -> Journal:
    """What is written from now on."""
    shop.shopify.writes = journal = Journal()
    if listener is not None:
        journal.listeners.append(listener)
    return journal


def use_up_points(shop: SaleShop, leaving: float = 60.0) -> None:
    """Leave so many points in the bucket, and let the daemon know: calls queue from now on."""
    bucket = shop.shopify.bucket
    bucket.spend(max(bucket.available - leaving, 0))
    known = shop.workshop.parts.registry.stores[STORE].shopify._endpoint._bucket
    known._known, known._known_at = bucket.available, asyncio.get_running_loop().time()


def after_writes(count: int, act: Callable[[], None]) -> Callable[[AppliedWrite], None]:
    """Do something once so many values have been written."""
    seen = 0

    def listen(_: AppliedWrite) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            act()

    return listen


async def is_active(shop: SaleShop, **settings: Any) -> Campaign:
    """A campaign that is on."""
    return await shop.until(await shop.create(**settings), CampaignState.ACTIVE)


async def test_a_run_that_was_taken_over_while_its_process_slept_sends_none_of_the_calls_that_wait(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two jobs it is, nothing is written after another run has the job."""
    slept = 0.0
    monkeypatch.setattr(context, "boot_time", lambda: boot_time() + slept)
    targets = {"products": sorted(shop.shopify.products)[:FEW]}
    campaign: Campaign | None = None
    for _ in (JobType.APPLY_SALE, JobType.REVERT_SALE):
        reached = asyncio.Event()
        journal = journal_of(shop, after_writes(8, reached.set))
        use_up_points(shop)
        campaign = await (shop.create(targets=targets) if campaign is None else shop.sales.end_now(campaign))
        await reached.wait()
        assert await shop.workshop.rows(TAKE_OVER)
        slept += 60.0
        written = len(journal)
        while shop.workshop.parts.runner.active:
            await asyncio.sleep(0.02)
        late = {product_of(shop, int(write.subject[1])) for write in journal[written:]}
        assert len(late) <= 1, "what had been sent by then is all"
        await shop.workshop.rows(GIVE_UP)
        state = CampaignState.ACTIVE if campaign.state is CampaignState.APPLYING else CampaignState.COMPLETED
        await shop.until(campaign, state)


async def test_a_price_that_a_person_sets_while_a_sale_is_taken_back_is_seen(shop: SaleShop) -> None:
    """What is read is written within two seconds: what changes later in the round is left alone."""
    before = shop.prices()
    active = await is_active(shop, targets={"products": sorted(shop.shopify.products)[:FEW]})
    last = max(await shop.items(active, ItemState.APPLIED), key=lambda number: (product_of(shop, number), number))
    journal_of(shop, after_writes(4, lambda: shop.shopify.change_price(last, *PERSONS)))
    use_up_points(shop)
    await shop.sales.end_now(active)
    asking = await shop.until(active, CampaignState.NEEDS_ATTENTION)
    assert shop.prices() == before | {last: PERSONS}
    assert "1 price was changed by somebody else" in (asking.notice or "")


def product_of(shop: SaleShop, variant_id: int) -> int:
    """The product of a variant."""
    return shop.shopify.variants[variant_id].product_id


async def test_prices_are_read_again_after_a_pause_of_the_process(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that were ready before it are decided anew: in either direction nobody's price is overwritten."""
    slept, set_prices = 0.0, ShopifyClient.set_prices
    theirs = iter([PERSONS])
    before = shop.prices()
    targets = {"products": sorted(shop.shopify.products)[:8]}
    numbers = [number for number in before if product_of(shop, number) in targets["products"]]
    sale = on_sale(shop.define(targets=targets), before)
    changed = max(number for number in numbers if sale[number] != before[number])

    async def pausing(self: ShopifyClient, product_id: int, *arguments: Any, **keywords: Any) -> PriceOutcome:
        nonlocal slept
        if product_id == product_of(shop, changed) and (new := next(theirs, None)):
            slept += 600.0
            shop.shopify.change_price(changed, *new)
        return await set_prices(self, product_id, *arguments, **keywords)

    monkeypatch.setattr(price_watch, "boot_time", lambda: boot_time() + slept)
    monkeypatch.setattr(ShopifyClient, "set_prices", pausing)
    active = await is_active(shop, targets=targets)
    sale = on_sale(active.definition, before | {changed: PERSONS})
    assert {number: shop.prices()[number] for number in numbers} == {number: sale[number] for number in numbers}
    assert (await shop.items(active))[changed].base == PERSONS
    theirs = iter([PricePair(Decimal(66_000), None)])
    await shop.sales.end_now(active)
    asking = await shop.until(active, CampaignState.NEEDS_ATTENTION)
    assert shop.prices() == before | {changed: PricePair(Decimal(66_000), None)}
    assert set(await shop.items(asking, ItemState.DRIFTED)) == {changed}


@pytest.mark.parametrize("fault", ["reset", "truncated", "cut_off"])
async def test_a_repeated_call_does_not_set_back_what_a_person_has_changed_between_the_attempts(
    shop: SaleShop, fault: str
) -> None:
    """Carried out, the answer lost, a person changes the price: it is theirs, and the base stays what it was."""
    before = shop.prices()
    changed: list[int] = []

    def lose(write: AppliedWrite) -> None:
        if not changed:
            changed.append(int(write.subject[1]))
            asyncio.get_running_loop().call_soon(lambda: shop.shopify.change_price(changed[0], *PERSONS))

    journal_of(shop, lose)
    set_prices, faults, lost = ShopifyClient.set_prices, shop.workshop.sandbox.faults, []

    async def losing(self: ShopifyClient, *arguments: Any, **keywords: Any) -> PriceOutcome:
        if not lost:
            lost.append(True)
            faults.next(fault, path="graphql.json")
        return await set_prices(self, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShopifyClient, "set_prices", losing)
        use_up_points(shop)
        active = await is_active(shop, targets={"products": sorted(shop.shopify.products)[:8]})
    (number,) = changed
    items = await shop.items(active)
    assert (items[number].state, items[number].found, items[number].base) == (
        ItemState.DRIFTED,
        PERSONS,
        before[number],
    )
    sale = on_sale(active.definition, {one: before[one] for one in items})
    assert shop.prices() == before | sale | {number: PERSONS}
    assert "1 price was changed by somebody else" in (active.notice or "")


async def test_a_call_that_arrives_after_the_end_is_found_and_taken_back(shop: SaleShop) -> None:
    """A campaign of which a call went without an answer is looked at once more, one time-out after its end."""
    before = shop.prices()
    held = shop.shopify.deliveries.hold_next("SetPrices")
    use_up_points(shop)
    active = await is_active(shop, targets={"products": sorted(shop.shopify.products)[:8]})
    use_up_points(shop)
    await shop.sales.end_now(active)
    done = await shop.until(active, CampaignState.COMPLETED)
    assert shop.prices() == before
    (seconds,) = await shop.workshop.rows(
        "SELECT extract(epoch FROM verify_at - closed_at)::float AS s FROM dongbo.sale_campaigns WHERE id = $1", done.id
    )
    assert 59 < seconds["s"] < 61
    shop.shopify.bucket.refund(SMALL_COST)  # it was let in with its points
    assert "errors" not in held.arrive()
    assert shop.prices() != before
    await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET verify_at = now() RETURNING id")
    with capture_logs() as logs:
        await shop.clock.sweep()
        await shop.last_job(JobType.REVERT_SALE)
    assert [line["event"] for line in logs if line["event"] == "sale_call_came_late"]
    assert shop.prices() == before
    again = await shop.get(done)
    assert (again.state, again.notice) == (CampaignState.COMPLETED, None)
    assert {item.state for item in (await shop.items(again)).values()} <= {ItemState.REVERTED, ItemState.SKIPPED}


async def test_a_campaign_whose_calls_were_all_answered_is_not_looked_at_again(shop: SaleShop) -> None:
    """There is nothing that could come late."""
    active = await is_active(shop)
    await shop.sales.end_now(active)
    done = await shop.until(active, CampaignState.COMPLETED)
    assert await shop.workshop.value("SELECT verify_at FROM dongbo.sale_campaigns WHERE id = $1", done.id) is None


@pytest.mark.parametrize("decision", list(Decision))
async def test_a_pull_that_shows_the_sale_price_of_a_campaign_that_is_over_asks_what_to_do(
    shop: SaleShop, decision: Decision
) -> None:
    """It says so with the campaign, and a person restores or keeps it."""
    before = shop.prices()
    active = await is_active(shop)
    number, item = next(iter((await shop.items(active, ItemState.APPLIED)).items()))
    assert item.sale is not None
    await shop.sales.end_now(active)
    done = await shop.until(active, CampaignState.COMPLETED)
    shop.shopify.change_price(number, *item.sale)
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    asking = await shop.get(done)
    assert asking.state is CampaignState.NEEDS_ATTENTION
    assert "1 price was restored and has the sale price again" in (asking.notice or "")
    assert "dongbo sale resume tet --keep all` or `--restore all`" in (asking.notice or "")
    assert "somebody else" not in (asking.notice or "")
    await shop.sales.resume(asking, decision)
    await shop.until(asking, CampaignState.COMPLETED)
    assert shop.prices() == (before if decision is Decision.RESTORE else before | {number: item.sale})
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert (await shop.get(done)).state is CampaignState.COMPLETED, "once is enough"


async def test_a_sale_price_that_came_back_is_told_where_another_sale_has_the_name(shop: SaleShop) -> None:
    """The one that is over can't be opened again: the notice says what to do instead."""
    active = await is_active(shop)
    number, item = next(iter((await shop.items(active, ItemState.APPLIED)).items()))
    assert item.sale is not None
    await shop.sales.end_now(active)
    done = await shop.until(active, CampaignState.COMPLETED)
    await shop.create(starts="2090-01-01T00:00")
    shop.shopify.change_price(number, *item.sale)
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    told = await shop.get(done)
    assert told.state is CampaignState.COMPLETED
    assert "correct them in Shopify" in (told.notice or "")


async def test_a_price_that_somebody_changes_during_the_sale_is_told_by_the_next_pull(shop: SaleShop) -> None:
    """With the campaign, while it runs; and no more when it is as it should be again."""
    active = await is_active(shop)
    number, other, *_ = (items := await shop.items(active, ItemState.APPLIED))
    shop.shopify.change_price(number, *PERSONS)
    shop.shopify.change_price(other, *items[other].before)
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    told = (await shop.get(active)).notice or ""
    assert "2 prices were changed by somebody else since they were put on sale" in told
    sale = items[number].sale
    assert sale is not None
    shop.shopify.change_price(number, *sale)
    shop.shopify.change_price(other, *(items[other].sale or PERSONS))
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert (await shop.get(active)).notice is None


async def test_what_dongbo_may_have_set_itself_is_not_blamed_on_somebody_else(shop: SaleShop) -> None:
    """A price that an earlier campaign has once sent may be that of a call which came late."""
    first = await is_active(shop, name="first", percent=50)
    number, item = next(iter((await shop.items(first, ItemState.APPLIED)).items()))
    assert item.sale is not None
    await shop.sales.end_now(first)
    await shop.until(first, CampaignState.COMPLETED)
    second = await is_active(shop, name="second", percent=20)
    shop.shopify.change_price(number, *item.sale)
    await shop.workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    told = (await shop.get(second)).notice or ""
    assert "1 price is not the sale's: somebody else changed it, or a call of dongbo's own came late" in told
    await shop.sales.end_now(second)
    asking = await shop.until(second, CampaignState.NEEDS_ATTENTION)
    assert "by somebody else or by a call of dongbo's own that came late" in (asking.notice or "")


async def test_refused_sale_prices_are_told_at_once(shop: SaleShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the campaign, while it is still being put on."""
    set_prices, told = ShopifyClient.set_prices, asyncio.Event()

    async def refusing(self: ShopifyClient, product_id: int, changes: Any, **keywords: Any) -> PriceOutcome:
        if told.is_set():
            return await set_prices(self, product_id, changes, **keywords)
        told.set()
        return PriceOutcome(refused={one.variant_id: WriteError(None, "INVALID", "not today") for one in changes})

    monkeypatch.setattr(ShopifyClient, "set_prices", refusing)
    active = await is_active(shop)
    refused = await shop.items(active, ItemState.REFUSED)
    assert refused
    assert f"Shopify refused {len(refused):,} sale price" in (active.notice or "")
    failures = await shop.workshop.parts.jobs.list_failures((await shop.last_job(JobType.APPLY_SALE)).id)
    assert {failure.source_id: orjson.loads(failure.payload) for failure in failures} == {
        str(number): {
            "campaign": active.name,
            "variant_id": number,
            "old_price": amount_text(item.before.price),
            "old_compare_at_price": amount_text_or_none(item.before.compare_at),
            "new_price": amount_text(item.sale.price),
            "new_compare_at_price": amount_text_or_none(item.sale.compare_at),
        }
        for number, item in refused.items()
        if item.sale is not None
    }


async def test_ownership_is_asked_for_before_any_write_of_a_job(shop: SaleShop) -> None:
    """One place for all: the meter of a job's calls proves it, whatever is written."""
    seen: list[str] = []

    async def note() -> None:
        seen.append("asked")

    client = shop.workshop.parts.registry.stores[STORE].shopify
    meter = CallMeter(before_write=note)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.add_tags(1, ["x"], meter=meter),
        lambda: client.remove_tags(1, ["x"], meter=meter),
    ]
    for call in calls:
        await call()
    await client.present_prices([1], meter=meter)
    assert seen == ["asked"] * len(calls)
    assert timedelta(seconds=context.OWNERSHIP_LASTS) * 5 < HEARTBEAT_TIMEOUT
