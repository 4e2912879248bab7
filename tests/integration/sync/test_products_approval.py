"""The safety stop: what a sync does not do before a person has looked at it."""

from decimal import Decimal

import pytest

from daemon.errors import SourceUnavailable
from daemon.jobs.context import ApprovalNeeded
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sync.products import plan as product_plan
from daemon.sync.products import stock_push
from daemon.tasks import sync_products
from tests.support.synced_shop import SyncedShop, before_each_call, check_counters, sandbox_settings, shop

__all__ = ["sandbox_settings", "shop"]

OPEN_CHANGES = """
SELECT count(*) FROM dongbo.approval_changes AS change JOIN dongbo.approvals AS approval ON approval.id = approval_id
WHERE job_id = $1 AND state = 'open' AND is_risky
"""


async def stocked(shop: SyncedShop, count: int) -> None:
    """Give some items stock on both sides."""
    shop.sell(shop.pairs[:count], 50)
    await shop.pull()
    await shop.settle_down()


async def asked(shop: SyncedShop) -> Job:
    """Run a sync that has to ask."""
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.AWAITING_APPROVAL, job.error
    return job


async def approved(shop: SyncedShop, job: Job) -> Job:
    """Approve what a job has asked about, and wait for what comes of it."""
    await shop.workshop.parts.jobs.approve(job.id)
    return await shop.workshop.wait(job.id)


async def test_too_many_zeroes_stop_and_ask(shop: SyncedShop) -> None:
    """A sync that would sell out more items than allowed writes nothing, and says what and where to look."""
    await stocked(shop, 8)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await asked(shop)
    assert shop.shopify.writes == []
    assert job.processed == 0
    assert "set 6 items to zero" in str(job.error)
    assert f"({50} → 0 at {shop.location})" in str(job.error)
    assert "access token" in str(job.error)
    assert job.metadata["zeroed"] == 6
    assert (len(job.metadata["sample"]), job.metadata["sample_of"]) == (6, 6)
    items = await shop.workshop.rows("SELECT * FROM dongbo.approval_changes WHERE is_risky")
    assert {(item["kind"], item["owner_id"], item["old_value"], item["new_value"]) for item in items} == {
        ("stock", variant.id, "50", "0") for variant, _ in shop.pairs[:6]
    }


async def test_as_many_zeroes_as_allowed_pass(shop: SyncedShop) -> None:
    """The threshold itself is no reason to ask, and items that are sold out already don't count."""
    await stocked(shop, 8)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:5], 0)
    await shop.pull()
    assert (await shop.sync()).updated == 5


async def test_approved_changes_are_carried_out(shop: SyncedShop) -> None:
    """Approved, the job goes on and does what it asked about, with exact counters."""
    await stocked(shop, 8)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await approved(shop, await asked(shop))
    assert job.status is JobStatus.COMPLETED
    check_counters(job)
    assert job.updated == 6
    assert shop.differences() == {}


async def test_rejected_changes_are_not(shop: SyncedShop) -> None:
    """Rejected, nothing of it is done; the next sync asks again."""
    await stocked(shop, 8)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await shop.workshop.parts.jobs.reject((await asked(shop)).id)
    assert job.status is JobStatus.CANCELLED
    assert shop.shopify.writes == []
    await asked(shop)


async def test_newly_risky_changes_are_asked_about_again(shop: SyncedShop) -> None:
    """An approval is for the changes that were shown: too many others make the job ask again, for all of them."""
    await stocked(shop, 14)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await asked(shop)
    shop.sell(shop.pairs[6:12], 0)
    await shop.pull()
    job = await approved(shop, job)
    assert job.status is JobStatus.AWAITING_APPROVAL
    assert shop.shopify.writes == []
    assert "set 6 items to zero" in str(job.error)
    assert "The rest was approved before" in str(job.error)
    assert await shop.workshop.value(OPEN_CHANGES, job.id) == 12
    job = await approved(shop, job)
    assert job.status is JobStatus.COMPLETED
    assert shop.differences() == {}


async def test_few_newly_risky_changes_pass_with_the_approved_ones(shop: SyncedShop) -> None:
    """What was approved no longer counts against the threshold."""
    await stocked(shop, 14)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await asked(shop)
    shop.sell(shop.pairs[6:11], 0)
    await shop.pull()
    job = await approved(shop, job)
    assert job.status is JobStatus.COMPLETED
    assert job.updated == 11


async def test_question_that_was_not_put_is_no_approval(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between noting what it asks and asking it does not take the note for an answer."""
    await stocked(shop, 14)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await asked(shop)
    shop.sell(shop.pairs[6:12], 0)
    await shop.pull()
    deaths = []

    def die_once(reason: str, facts: dict[str, object], **metadata: object) -> Exception:
        if deaths:
            return ApprovalNeeded(reason, facts, **metadata)
        deaths.append(reason)
        return SourceUnavailable("died before it could ask")

    monkeypatch.setattr(sync_products, "ApprovalNeeded", die_once)
    job = await approved(shop, job)
    assert len(deaths) == 1
    assert job.status is JobStatus.AWAITING_APPROVAL
    assert shop.shopify.writes == []


async def test_large_price_changes_stop_and_ask(shop: SyncedShop) -> None:
    """Many prices that change by a large share are asked about; the present price is what the share is of."""
    shop.configure(locations={}, price="retail")
    await shop.sync()
    shop.shopify.writes.clear()
    shop.configure(locations={}, price="retail", large_price_change=0.3, max_large_price_changes=3)
    for variant, nhanh_id in shop.pairs[:4]:
        shop.nhanh.change_price(nhanh_id, variant.price * Decimal("0.7"))
    for variant, nhanh_id in shop.pairs[4:20]:
        shop.nhanh.change_price(nhanh_id, variant.price * Decimal("0.8"))
    await shop.pull()
    job = await asked(shop)
    assert "change 4 prices by 30% or more" in str(job.error)
    assert "retail prices" in str(job.error)
    assert shop.shopify.writes == []
    job = await approved(shop, job)
    assert job.status is JobStatus.COMPLETED
    assert job.updated == 20


async def test_dry_run_never_asks(shop: SyncedShop) -> None:
    """A dry run says that a sync would ask."""
    await stocked(shop, 8)
    shop.configure(max_zeroed=5)
    shop.sell(shop.pairs[:6], 0)
    await shop.pull()
    job = await shop.sync(dry_run=True)
    assert "set 6 items to zero" in job.metadata["would_ask"]
    assert shop.shopify.writes == []


async def test_stock_that_vanishes_while_it_is_pushed_stops_the_run(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threshold holds for the run as a whole, also for what a pull brings while it goes on."""
    monkeypatch.setattr(stock_push, "BATCH", 5)
    monkeypatch.setattr(product_plan, "WINDOW_VARIANTS", 5)
    await stocked(shop, len(shop.pairs))
    shop.configure(max_zeroed=8)
    shop.sell(shop.pairs, 40)
    await shop.pull()

    async def vanish() -> None:
        await shop.execute("UPDATE dongbo.nhanh_inventory SET available = 0")

    before_each_call(monkeypatch, "set_stock", lambda call: vanish() if call == 2 else None)
    job = await asked(shop)
    zeroed = {write.subject[1] for write in shop.effects if write.after == 0}
    assert len(zeroed) <= 8
    assert job.updated > 0
    assert job.metadata["zeroed"] > 8


async def test_many_small_runs_count_together(shop: SyncedShop) -> None:
    """What was zeroed unasked within a day counts, whichever run it was; what was approved does not."""
    await stocked(shop, 12)
    shop.configure(max_zeroed=5)
    for start, end in ((0, 3), (3, 5)):
        shop.sell(shop.pairs[start:end], 0)
        await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY)
        assert (await shop.sync()).updated == end - start
    shop.sell(shop.pairs[5:7], 0)
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    job = await asked(shop)
    assert "set 2 items to zero" in str(job.error)
    assert "besides 5 that were zeroed unasked in the last 24 hours" in str(job.error)
    assert "None of that was pushed. " in str(job.error)
    assert (await approved(shop, job)).status is JobStatus.COMPLETED
    await shop.execute(
        "UPDATE dongbo.pushes SET settled_at = settled_at - interval '25 hours' WHERE job_id <> $1", job.id
    )
    shop.sell(shop.pairs[7:12], 0)
    await shop.workshop.completed(JobType.PULL_NHANH_INVENTORY)
    assert (await shop.sync()).updated == 5


async def test_what_an_overturned_batch_has_pushed_is_noted(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set before a plan was overturned is in the log as such, and the question tells of it."""
    await stocked(shop, 10)
    shop.configure(max_zeroed=0)
    victim = shop.pairs[0][0]
    shop.sell(shop.pairs[:1], 0)
    shop.sell(shop.pairs[1:10], 70)
    shop.shopify.change_stock(victim.id, -2, shop.location)  # sold beyond its stock: to zero it is no risk
    await shop.pull()
    restless = {1: -3, 2: -4, 4: 9}
    before_each_call(
        monkeypatch,
        "set_stock",
        lambda call: shop.shopify.change_stock(victim.id, restless[call], shop.location) if call in restless else None,
    )
    job = await asked(shop)
    assert "set 1 item to zero" in str(job.error)
    assert "this job has already pushed 9 other values" in str(job.error)
    results = {push["owner_id"]: push["result"] for push in await shop.pushes()}
    assert [results[variant.id] for variant, _ in shop.pairs[1:10]] == ["applied"] * 9
    job = await approved(shop, job)
    assert job.status is JobStatus.COMPLETED
    check_counters(job)
    assert job.updated == 10


async def test_compare_at_prices_that_vanish_are_asked_about(shop: SyncedShop) -> None:
    """To take many compare-at prices away is as risky as to change many prices by much, and is approved by itself."""
    for variant, nhanh_id in shop.pairs:
        shop.shopify.change_price(variant.id, variant.price, None)
        shop.nhanh.change_product(nhanh_id, old_price=None)
    for variant, _ in shop.pairs[:4]:
        shop.shopify.change_price(variant.id, variant.price, variant.price + 50_000)
    await shop.pull()
    await shop.execute("UPDATE dongbo.nhanh_products SET old_price = NULL")
    shop.configure(locations={}, compare_at_price="old", max_large_price_changes=3)
    await shop.execute(
        "UPDATE dongbo.shopify_variants SET compare_at_price = NULL WHERE id <> ALL ($1)",
        [variant.id for variant, _ in shop.pairs[:4]],
    )
    job = await asked(shop)
    assert "change 4 prices" in str(job.error)
    assert "compare-at price" in str(job.error)
    assert shop.shopify.writes == []
    job = await approved(shop, job)
    assert job.status is JobStatus.COMPLETED
    assert all(variant.compare_at_price is None for variant, _ in shop.pairs[:4])
