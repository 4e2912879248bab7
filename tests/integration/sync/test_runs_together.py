"""Several runs push to one store at the same time: never the same value at once, and never an outdated one.

The second run stands for a sync of single items, or one that a webhook has caused: it runs in a lane of its own,
perhaps on another daemon.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from daemon.config import SaleSettings
from daemon.jobs.context import JobContext
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sync import recording
from daemon.sync.products.price_push import PricePush
from daemon.sync.products.stock_push import StockPush
from daemon.sync.recording import Recording
from daemon.tasks import Store
from daemon.tasks.item_reading import read_shopify_levels
from daemon.tasks.sync_products import push_variants
from tests.support.second_run import begin_beside, end_beside, note_push, run_beside
from tests.support.synced_shop import (
    SyncedShop,
    before_each_call,
    check_counters,
    sandbox_settings,
    shop,
)
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]


async def second(shop: SyncedShop, *variant_ids: int) -> Job:
    """A run that pushes what of these variants differs, beside the full sync."""

    async def work(context: JobContext, store: Store, meter: CallMeter) -> None:
        await push_variants(context, store, meter, variant_ids)

    return await run_beside(shop.workshop, work, variants=list(variant_ids))


def between_plan_and_note(
    monkeypatch: pytest.MonkeyPatch, push: type[StockPush] | type[PricePush], act: Callable[[], Awaitable[Any]]
) -> None:
    """Do something once, when the first batch has been planned and nothing of it is noted yet."""
    original: Any = push.push
    acts = [act]

    async def acting(self: Any, batch: Any) -> None:
        if acts and batch.rows:
            await acts.pop()()
        await original(self, batch)

    monkeypatch.setattr(push, "push", acting)


def after_each_reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], Awaitable[Any]]) -> None:
    """Do something with the number of the reading when levels have been read, and are not stored yet."""
    original = ShopifyClient.stock_levels
    calls = itertools.count(1)

    async def acting(self: ShopifyClient, *arguments: Any, **keywords: Any) -> Any:
        stock = await original(self, *arguments, **keywords)
        await act(next(calls))
        return stock

    monkeypatch.setattr(ShopifyClient, "stock_levels", acting)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set as soon as a run waits for another one."""
    event = asyncio.Event()
    original = Recording._wait

    async def wait(self: Recording, *arguments: Any) -> None:
        event.set()
        await original(self, *arguments)

    monkeypatch.setattr(Recording, "_wait", wait)
    return event


async def test_plan_that_a_newer_reading_has_overtaken_pushes_the_newer_value(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a call sets is what the plan says when it is noted, whatever it said when the run planned."""
    variant, _ = pair = shop.pairs[0]
    shop.sell([pair], 507)
    await shop.pull()

    async def sell_on() -> None:
        shop.sell([pair], 600)
        await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)

    between_plan_and_note(monkeypatch, StockPush, sell_on)
    job = await shop.sync()
    assert [write.after for write in shop.effects] == [600]
    assert variant.level_at(shop.location).available == 600  # type: ignore[union-attr]
    (push,) = await shop.pushes()
    assert (push["new_value"], job.updated) == ("600", 1)
    assert "has 600 available" in push["reason"]


async def test_what_another_run_has_pushed_meanwhile_is_skipped(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent for a value that is right by the time it would be noted."""
    pairs = shop.pairs[:3]
    shop.sell(pairs, 507)
    await shop.pull()
    others: list[Job] = []

    async def push_first() -> None:
        others.append(await second(shop, pairs[0][0].id))

    between_plan_and_note(monkeypatch, StockPush, push_first)
    job = await shop.sync()
    assert (others[0].updated, job.updated) == (1, 2)
    assert len(shop.shopify.writes) == len(shop.effects) == 3
    assert shop.differences() == {}


async def test_value_whose_call_is_under_way_is_waited_for(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, waiting: asyncio.Event
) -> None:
    """The second run notes nothing for it before the first has its answer, and then pushes what is newer still."""
    variant, _ = pair = shop.pairs[0]
    shop.sell([pair], 507)
    await shop.pull()
    tasks: list[asyncio.Task[Job]] = []

    async def overtake(call: int) -> None:
        if call > 1:
            return
        shop.sell([pair], 600)
        await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
        tasks.append(asyncio.create_task(second(shop, variant.id)))
        await waiting.wait()
        assert len(await shop.pushes()) == 1

    before_each_call(monkeypatch, "set_stock", overtake)
    job = await shop.sync()
    other = await tasks[0]
    assert [(push["old_value"], push["new_value"], push["result"]) for push in await shop.pushes()][1:] == [
        ("507", "600", "applied")
    ]
    assert (job.updated, other.updated) == (1, 1)
    assert [write.after for write in shop.effects] == [507, 600]
    check_counters(other)


async def test_value_that_another_job_does_not_finish_fails_alone(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while the row is a dead letter; everything else is pushed, and the counters add up."""
    monkeypatch.setattr(recording, "PATIENCE", 0.1)
    (stuck, _), *_rest = pairs = shop.pairs[:3]
    shop.sell(pairs, 507)
    await shop.pull()
    holder = await begin_beside(shop.workshop)
    values = (stuck.inventory_item_id, shop.location, None, "1", "2")
    push_id = await note_push(shop.workshop, holder.job.id, "stock", stuck.id, *values)
    job = await shop.sync()
    assert (job.updated, job.failed) == (2, 1)
    (letter,) = await shop.workshop.rows("SELECT source_id, reason FROM dongbo.job_failures WHERE job_id = $1", job.id)
    assert (letter["source_id"], letter["reason"]) == (str(stuck.id), recording.BUSY)
    assert {write.subject[1] for write in shop.shopify.writes} == {pair[0].inventory_item_id for pair in pairs[1:]}
    assert await shop.workshop.value("SELECT result FROM dongbo.pushes WHERE id = $1", push_id) == "intended"


async def test_open_push_of_a_job_that_runs_is_its_own_to_settle(shop: SyncedShop) -> None:
    """A sync that begins leaves it alone; when that job has ended, the next one settles it."""
    variant, _ = shop.pairs[0]
    holder = await begin_beside(shop.workshop)
    values = (variant.inventory_item_id, shop.location, None, "1", "2")
    push_id = await note_push(shop.workshop, holder.job.id, "stock", variant.id, *values)
    result = "SELECT result FROM dongbo.pushes WHERE id = $1"
    await shop.sync()
    assert await shop.workshop.value(result, push_id) == "intended"
    await end_beside(shop.workshop, holder, JobStatus.FAILED)
    await shop.sync()
    assert await shop.workshop.value(result, push_id) == "unknown"


async def test_push_that_a_job_has_left_behind_is_settled_at_once(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that comes upon it does not wait: it reads Shopify, and pushes by what that says."""
    variant, _ = pair = shop.pairs[0]
    shop.sell([pair], 507)
    await shop.pull()

    async def leave_behind() -> None:
        holder = await begin_beside(shop.workshop)
        values = (variant.inventory_item_id, shop.location, None, "1", "2")
        await note_push(shop.workshop, holder.job.id, "stock", variant.id, *values)
        await end_beside(shop.workshop, holder, JobStatus.FAILED)

    between_plan_and_note(monkeypatch, StockPush, leave_behind)
    job = await shop.sync()
    assert (job.updated, job.failed) == (1, 0)
    assert {push["result"] for push in await shop.pushes()} == {"unknown", "applied"}
    assert shop.differences() == {}


async def test_older_reading_of_shopify_does_not_undo_a_push(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has read a level before another one set it does not bring the old one back into the mirror."""
    variant, _ = pair = shop.pairs[0]
    shop.sell([pair], 507)
    await shop.pull()
    mirrored = """SELECT available FROM dongbo.shopify_inventory_levels
        WHERE inventory_item_id = $1 AND location_id = $2 AND deleted_at IS NULL"""
    left = await begin_beside(shop.workshop)
    await note_push(
        shop.workshop, left.job.id, "stock", variant.id, variant.inventory_item_id, shop.location, None, "1", "2"
    )
    await end_beside(shop.workshop, left, JobStatus.FAILED)
    pushed: list[Job] = []

    async def overtake(call: int) -> None:
        if call == 1:
            pushed.append(await second(shop, variant.id))

    after_each_reading(monkeypatch, overtake)
    job = await shop.sync()
    assert (pushed[0].updated, job.updated) == (1, 0)
    assert await shop.workshop.value(mirrored, variant.inventory_item_id, shop.location) == 507
    assert [write.after for write in shop.effects] == [507]


async def test_push_that_is_noted_late_does_not_hide_what_was_read_since(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch may be closed long after its first call: what is read in between is newer, and stays in the mirror."""
    variant, _ = pair = shop.pairs[0]
    shop.sell([pair], 507)
    await shop.pull()

    async def read(context: JobContext, store: Store, meter: CallMeter) -> None:
        await read_shopify_levels(context, store, meter, [variant.inventory_item_id])

    original = StockPush._read_back

    async def read_back(self: StockPush, rows: Any, progress: Any) -> None:
        shop.shopify.change_stock(variant.id, 506, shop.location)  # an order
        await run_beside(shop.workshop, read, variants=[variant.id])
        await original(self, rows, progress)

    monkeypatch.setattr(StockPush, "_read_back", read_back)
    assert (await shop.sync()).updated == 1
    mirrored = "SELECT available FROM dongbo.shopify_inventory_levels WHERE inventory_item_id = $1 AND location_id = $2"
    assert await shop.workshop.value(mirrored, variant.inventory_item_id, shop.location) == 506


async def test_runs_at_once_share_what_may_be_set_to_zero_unasked(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone would stay within it; a person is asked about what the other has left no room for."""
    pairs = shop.pairs[:4]
    shop.sell(pairs, 5)
    await shop.pull()
    await shop.sync()
    shop.configure(max_zeroed=2)
    shop.sell(pairs[:2], 0)
    await shop.pull()
    others: list[Job] = []

    async def zero_others() -> None:
        shop.sell(pairs[2:], 0)
        await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
        others.append(await second(shop, *[variant.id for variant, _ in pairs[2:]]))

    between_plan_and_note(monkeypatch, StockPush, zero_others)
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert (others[0].updated, job.status, job.updated) == (2, JobStatus.AWAITING_APPROVAL, 0)
    assert len([write for write in shop.effects if write.after == 0]) == 2


async def prices_of(shop: SyncedShop, price: int) -> None:
    """Nothing but prices is synced, and they are the same at both sides, but for the first at Nhanh.vn."""
    shop.configure(locations={}, price="retail")
    for variant, nhanh_id in shop.pairs:
        shop.nhanh.change_product(nhanh_id, price=Decimal(199_000), old_price=None)
        shop.shopify.change_price(variant.id, Decimal(199_000), None)
    numbers = [variant.id for variant, _ in shop.pairs]
    await shop.execute("DELETE FROM dongbo.product_mappings WHERE variant_id <> ALL ($1)", numbers)
    shop.nhanh.change_price(shop.pairs[0][1], Decimal(price))
    await shop.pull()


async def test_price_that_a_newer_reading_has_overtaken_is_pushed_as_it_is_by_then(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one is never sent."""
    await prices_of(shop, 209_000)
    variant, nhanh_id = shop.pairs[0]

    async def reprice() -> None:
        shop.nhanh.change_price(nhanh_id, Decimal(214_000))
        await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)

    between_plan_and_note(monkeypatch, PricePush, reprice)
    job = await shop.sync()
    assert [write.after for write in shop.effects] == [214_000]
    assert (variant.price, job.updated) == (214_000, 1)


async def test_price_whose_call_is_under_way_is_waited_for(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch, waiting: asyncio.Event
) -> None:
    """Prices have no compare-and-set: the older call must have its answer before the newer one is noted."""
    await prices_of(shop, 209_000)
    variant, nhanh_id = shop.pairs[0]
    tasks: list[asyncio.Task[Job]] = []

    async def overtake(call: int) -> None:
        if call > 1:
            return
        shop.nhanh.change_price(nhanh_id, Decimal(214_000))
        await shop.workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
        tasks.append(asyncio.create_task(second(shop, variant.id)))
        await waiting.wait()
        assert len(await shop.pushes()) == 1

    before_each_call(monkeypatch, "set_prices", overtake)
    await shop.sync()
    await tasks[0]
    assert [write.after for write in shop.effects] == [209_000, 214_000]
    assert [(push["old_value"], push["new_value"]) for push in await shop.pushes()] == [
        ("199000", "209000"),
        ("209000", "214000"),
    ]


async def test_price_that_comes_on_sale_between_plan_and_note_is_not_pushed(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the sale's from the moment at which the sale has it."""
    await prices_of(shop, 209_000)
    variant, _ = shop.pairs[0]
    sales = shop.workshop.parts.sales

    async def put_on_sale() -> None:
        chosen = {"name": "tet", "store": STORE, "percent": 20, "targets": {"skus": [variant.sku]}}
        await sales.create(sales.read(SaleSettings.model_validate(chosen)), "api")
        (job,) = (await shop.workshop.parts.jobs.list_jobs(JobFilters(type=JobType.APPLY_SALE), limit=1)).jobs
        await shop.workshop.wait(job.id)

    between_plan_and_note(monkeypatch, PricePush, put_on_sale)
    job = await shop.sync()
    assert (variant.price, job.updated) == (159_200, 0)
    assert await shop.pushes() == []
