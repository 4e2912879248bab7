"""The question of a sync lasts: asked again by later runs, about all that waits, with what was configured otherwise."""

from datetime import timedelta
from decimal import Decimal

import orjson
import pytest

from daemon.api.pushes import PushKind
from daemon.i18n import Language, spoken
from daemon.jobs import approvals as questions
from daemon.jobs.approvals import AskedQuestion
from daemon.jobs.model import ApprovalState, Job, JobStatus
from daemon.jobs.types import JobType
from daemon.money import VND
from daemon.sync.products import approvals, synced_settings
from daemon.sync.products.approvals import AskedChange
from daemon.sync.products.question import Example, PlanQuestion
from tests.support.synced_shop import SyncedShop, sandbox_settings, shop

__all__ = ["sandbox_settings", "shop"]


@pytest.fixture
async def stocked(shop: SyncedShop) -> SyncedShop:
    """A shop with something to lose: no more than five items are set to zero unasked."""
    shop.sell(shop.pairs[:12], 50)
    await shop.pull()
    await shop.settle_down()
    shop.configure(max_zeroed=5)
    return shop


async def asked(shop: SyncedShop) -> Job:
    """Run a sync that has to ask."""
    job = await shop.workshop.run(JobType.SYNC_PRODUCTS)
    assert job.status is JobStatus.AWAITING_APPROVAL, job.error
    return job


async def question_of(shop: SyncedShop, job: Job) -> AskedQuestion:
    """The last question of a job."""
    async with shop.workshop.database.acquire() as connection:
        found = await questions.latest_of(connection, job.id)
    assert found is not None
    return found


async def changes_of(shop: SyncedShop, question: AskedQuestion, kind: PushKind | None = None) -> list[AskedChange]:
    """All that waits for the answer."""
    async with shop.workshop.database.acquire() as connection:
        return await approvals.list_changes(connection, question.id, kind, limit=1_000)


async def test_a_later_run_asks_the_same_question(stocked: SyncedShop) -> None:
    """Under the same id, with the same since, about what is so now."""
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    first = await question_of(stocked, await asked(stocked))
    stocked.sell(stocked.pairs[6:8], 0)
    await stocked.pull()
    job = await asked(stocked)
    second = await question_of(stocked, job)
    assert (second.id, second.since, second.asked_runs, second.job_id) == (first.id, first.since, 2, job.id)
    assert second.last_asked_at > first.last_asked_at
    assert (first.counts, second.counts) == ({"stock": 6}, {"stock": 8})
    async with stocked.workshop.database.acquire() as connection:
        new = await questions.new_changes(connection, first.id, seen=1)
    assert new.changes == 2


async def test_what_is_asked_again_unchanged_is_not_touched(stocked: SyncedShop) -> None:
    """It is neither written nor locked, whatever has joined it: to ask every quarter of an hour is cheap."""
    rows = """
        SELECT ctid, xmin::text, xmax::text, owner_id FROM dongbo.approval_changes WHERE asked_in = 1 ORDER BY owner_id
    """
    stocked.sell(stocked.pairs[6:12], 0)
    await stocked.pull()
    await asked(stocked)
    first = await stocked.workshop.rows(rows)
    stocked.sell(stocked.pairs[:2], 0)
    await stocked.pull()
    job = await asked(stocked)
    question = await question_of(stocked, job)
    assert (question.asked_runs, question.counts) == (2, {"stock": 8})
    assert await stocked.workshop.rows(rows) == first


async def test_changes_are_forgotten_and_the_decision_is_not(stocked: SyncedShop) -> None:
    """Changes of an old question go, unless the job that may make them is there still."""
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    job = await asked(stocked)
    retention = timedelta(days=30)

    async def left(state: str, days: int) -> int:
        await stocked.execute(
            "UPDATE dongbo.approvals SET state = $1, ended_at = now() - make_interval(days => $2)", state, days
        )
        async with stocked.workshop.database.acquire() as connection:
            await questions.prune_changes(connection, retention, limit=4)
        found: int = await stocked.workshop.value("SELECT count(*) FROM dongbo.approval_changes")
        return found

    assert await left("rejected", 29) == 6
    assert await left("approved", 31) == 6
    assert await left("rejected", 31) == 0
    assert (await question_of(stocked, job)).counts == {"stock": 6}


async def test_all_that_waits_is_listed(stocked: SyncedShop) -> None:
    """Also what is not asked about: it is pushed once the rest is approved, and not before."""
    stocked.configure(max_zeroed=5, price="retail")
    for variant, nhanh_id in stocked.pairs[20:40]:
        stocked.nhanh.change_price(nhanh_id, variant.price * Decimal("0.9"))
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    job = await asked(stocked)
    question = await question_of(stocked, job)
    assert question.counts["stock"] == question.asked_changes == 6
    assert question.counts["price"] >= 20
    prices = await changes_of(stocked, question, PushKind.PRICE)
    assert {variant.id for variant, _ in stocked.pairs[20:40]} <= {price.held.change.owner_id for price in prices}
    found = await changes_of(stocked, question)
    assert len(found) == sum(question.counts.values())
    assert [change.held.is_risky for change in found[:6]] == [True] * 6
    assert [change.place for change in found] == list(range(1, len(found) + 1))
    variant = stocked.pairs[0][0]
    of_stock = {change.held.change.owner_id: change for change in found[:6]}
    assert of_stock[variant.id].held.sku == variant.sku
    assert of_stock[variant.id].title
    assert of_stock[variant.id].share == 1.0
    assert "has 0 available in depot" in of_stock[variant.id].held.reason
    await stocked.workshop.parts.jobs.approve(job.id)
    done = await stocked.workshop.wait(job.id)
    assert done.status is JobStatus.COMPLETED
    assert done.updated >= 26
    assert (await question_of(stocked, job)).state is ApprovalState.CARRIED_OUT


async def test_the_setting_behind_it_is_named(stocked: SyncedShop) -> None:
    """What was configured otherwise when a sync went through last is kept with the question."""
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    question = PlanQuestion.from_json((await question_of(stocked, await asked(stocked))).facts)
    assert [(setting.key, setting.before, setting.after) for setting in question.changed_settings] == [
        ("product_sync.max_zeroed", "10000", "5")
    ]
    assert question.settings_since == await stocked.workshop.value("SELECT synced_at FROM dongbo.synced_settings")


async def test_depots_of_a_location_are_a_setting(stocked: SyncedShop) -> None:
    """Which is compared by itself; what is no longer there, and what is new, is said to be."""
    store = next(iter(stocked.workshop.parts.registry.stores.values()))
    before = synced_settings.settings_of(store.product_sync, "nhanh:1:2", "shopify:main", VND)
    async with stocked.workshop.database.acquire() as connection:
        await synced_settings.record(connection, store.name, JobType.SYNC_PRODUCTS, before)
        location = f"product_sync.locations.{stocked.location}"
        after = {key: value for key, value in before.items() if key != "product_sync.max_zeroed"} | {
            location: f"{before[location]}, 9",
            "product_sync.price": "retail",
        }
        found = await synced_settings.changes(connection, store.name, JobType.SYNC_PRODUCTS, after)
    assert {change.key: (change.before, change.after) for change in found.changed} == {
        location: (before[location], f"{before[location]}, 9"),
        "product_sync.max_zeroed": ("5", None),
        "product_sync.price": (None, "retail"),
    }


async def test_no_sync_yet_means_that_nothing_is_known_of_settings(stocked: SyncedShop) -> None:
    """It is not claimed that nothing has changed."""
    await stocked.execute("DELETE FROM dongbo.synced_settings")
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    question = PlanQuestion.from_json((await question_of(stocked, await asked(stocked))).facts)
    assert (question.changed_settings, question.settings_since) == ([], None)


async def test_what_was_approved_does_not_count_as_unasked(stocked: SyncedShop) -> None:
    """Rejected or still open, it would."""
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    job = await asked(stocked)
    await stocked.workshop.parts.jobs.approve(job.id)
    assert (await stocked.workshop.wait(job.id)).status is JobStatus.COMPLETED
    async with stocked.workshop.database.acquire() as connection:
        assert (await approvals.list_unasked(connection, job.store, 0.3)).zeroed == frozenset()
        await connection.execute("UPDATE dongbo.approvals SET state = 'rejected'")
        assert len((await approvals.list_unasked(connection, job.store, 0.3)).zeroed) == 6


async def test_another_question_follows_one_that_was_approved(stocked: SyncedShop) -> None:
    """An approved run that has to ask again asks another question; the trace of the first decision stays."""
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    job = await asked(stocked)
    first = await question_of(stocked, job)
    stocked.sell(stocked.pairs[6:12], 0)
    await stocked.pull()
    await stocked.workshop.parts.jobs.approve(job.id)
    assert (await stocked.workshop.wait(job.id)).status is JobStatus.AWAITING_APPROVAL
    second = await question_of(stocked, job)
    assert second.id > first.id
    assert (second.asked_runs, second.asked_changes) == (1, 12)
    async with stocked.workshop.database.acquire() as connection:
        kept = await questions.get(connection, first.id)
    assert kept is not None
    assert (kept.state, len(await changes_of(stocked, kept))) == (ApprovalState.APPROVED, 6)


async def test_drafts_of_an_interrupted_run_are_of_no_account(stocked: SyncedShop) -> None:
    """What a run has noted that died before it asked is not asked about by the next."""
    stocked.sell(stocked.pairs[:6], 0)
    await stocked.pull()
    job = await asked(stocked)
    assert await stocked.workshop.value("SELECT count(*) FROM dongbo.approval_drafts") == 0
    await stocked.execute(
        "INSERT INTO dongbo.approval_drafts VALUES ($1, 'stock', 1, 1, '5', '0', true, 1, 5, NULL, NULL, '')", job.id
    )
    stocked.configure(max_zeroed=4)
    await stocked.workshop.parts.jobs.approve(job.id)
    assert (await stocked.workshop.wait(job.id)).status is JobStatus.COMPLETED
    stocked.sell(stocked.pairs[6:12], 0)
    await stocked.pull()
    assert (await question_of(stocked, await asked(stocked))).counts == {"stock": 6}


def test_a_question_is_put_in_the_language_of_its_reader() -> None:
    """It is made of facts, whichever language it was stored in."""
    asked = PlanQuestion(zeroed=1_200, max_zeroed=50, zero_examples=[Example("AO-01", "5", "0", 31)], depots=[1])
    read = PlanQuestion.from_json(orjson.loads(orjson.dumps(asked.to_json())))
    assert "set 1,200 items to zero" in read.reason()
    assert "AO-01 (5 → 0 at 31)" in read.reason()
    with spoken(Language.VIETNAMESE):
        assert "AO-01" in read.reason()
