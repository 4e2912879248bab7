"""What waits in the inbox becomes jobs: few, one at a time, and none is forgotten."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from daemon.errors import JobError
from daemon.inbox import events
from daemon.inbox.events import WebhookEvent
from daemon.inbox.topics import EventState, Subject
from daemon.jobs.context import JobContext
from daemon.jobs.model import JobStatus, JobTrigger
from daemon.jobs.types import JobType
from daemon.tasks import registry, sync_changed_products
from daemon.tasks.params import none
from daemon.webhooks import dispatcher as dispatcher_module
from daemon.webhooks.dispatcher import Dispatcher
from tests.support.synced_shop import SyncedShop, sandbox_settings, shop
from tests.support.told_webhooks import arrival, settled, tell
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

CHANGED = JobType.SYNC_CHANGED_PRODUCTS
LONG_AGO = "UPDATE dongbo.webhook_events SET received_at = received_at - $1::interval"
JOBS = "SELECT id, status, trigger, metadata FROM dongbo.background_jobs WHERE type = $1 ORDER BY id"


def by_state(told: list[WebhookEvent]) -> dict[EventState, int]:
    """How many events there are of each state."""
    return {state: sum(event.state is state for event in told) for state in {event.state for event in told}}


async def test_what_has_come_becomes_a_job(shop: SyncedShop) -> None:
    """A job like any other, started by a webhook, with what it has taken; each event names it."""
    await tell(shop.workshop.database, [arrival("inventoryChange", shop.pairs[0][1])])
    (event,) = await settled(shop.workshop.database)
    (job,) = await shop.workshop.rows(JOBS, CHANGED)
    assert (event.state, event.job_id, event.attempts) == (EventState.DONE, job["id"], 1)
    ended = await shop.workshop.wait(event.job_id)
    assert (ended.status, ended.trigger) == (JobStatus.COMPLETED, JobTrigger.WEBHOOK)
    assert (ended.metadata["events"], ended.metadata["topics"]) == (1, {"inventoryChange": 1})
    assert ended.metadata["oldest_event"] == ended.metadata["newest_event"] == event.received_at.isoformat()


async def test_a_notification_is_heard_at_once(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the next look."""
    monkeypatch.setattr(dispatcher_module, "INTERVAL", 1_000.0)  # from the look on that the first one causes
    for _variant, nhanh_id in shop.pairs[:2]:
        await tell(shop.workshop.database, [arrival("inventoryChange", nhanh_id)])
        told = await settled(shop.workshop.database)
        assert told[-1].state is EventState.DONE


async def test_it_is_found_without_a_notification(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losing every notification costs seconds, never an event."""
    monkeypatch.setattr(dispatcher_module, "INTERVAL", 0.2)
    await tell(shop.workshop.database, [arrival("inventoryChange", shop.pairs[0][1])], aloud=False)
    (event,) = await settled(shop.workshop.database)
    assert event.state is EventState.DONE


async def test_many_events_are_few_jobs_and_few_calls(shop: SyncedShop) -> None:
    """A burst about the same items is read once a round, however often it names them."""
    ids = [nhanh_id for _variant, nhanh_id in shop.pairs[:40]]
    before = len(shop.nhanh.requests)
    for _portion in range(10):
        await tell(shop.workshop.database, [arrival("inventoryChange", ids[n % 40]) for n in range(1_000)])
    told = await settled(shop.workshop.database, 60.0)
    assert by_state(told) == {EventState.DONE: 10_000}
    jobs = await shop.workshop.rows(JOBS, CHANGED)
    assert len(jobs) <= 8
    stock = [request for request in list(shop.nhanh.requests)[before:] if request.path == "product/inventory"]
    assert len(stock) <= len(jobs)


async def test_any_number_of_daemons_make_one_job(shop: SyncedShop) -> None:
    """Whoever asks second is answered with the job that is live."""
    parts = shop.workshop.parts
    async with AsyncExitStack() as stack:
        for _daemon in range(3):
            other = Dispatcher(parts.database, parts.hub, parts.jobs, parts.registry)
            await stack.enter_async_context(other)
        await tell(parts.database, [arrival("inventoryChange", nhanh_id) for _, nhanh_id in shop.pairs[:20]])
        told = await settled(parts.database)
    assert len({event.job_id for event in told}) == len(await shop.workshop.rows(JOBS, CHANGED))
    assert by_state(told) == {EventState.DONE: 20}


async def test_what_a_store_does_not_sync_is_settled_with_the_reason(shop: SyncedShop) -> None:
    """The event is kept and says why no job takes it; those of a store that is not known here wait for its daemon."""
    customer = arrival("orderAdd", 5, subject=Subject.NHANH_CUSTOMER)
    await tell(shop.workshop.database, [customer])
    (event,) = await settled(shop.workshop.database)
    assert (event.state, event.job_id) == (EventState.NOTED, None)
    assert event.outcome == "Store main has no [stores.main.customer_sync] in the configuration."


async def test_what_a_failed_job_leaves_behind_is_taken_again_and_then_given_up(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three jobs try, and more while it has not come long ago; then it ends with what the last one failed of."""
    monkeypatch.setattr(dispatcher_module, "REST", 0.0)
    database = shop.workshop.database
    tries = 5

    async def fail(context: JobContext, store: registry.Store, policy: registry.JobPolicy) -> None:
        (taken,) = (
            await sync_changed_products.EventRound.begin(context, sync_changed_products.Concern.PRODUCTS)
        ).events
        if taken.attempts == tries:
            async with database.acquire() as connection:
                await connection.execute(LONG_AGO, dispatcher_module.PATIENCE)
        raise JobError("This shop is closed.")

    monkeypatch.setitem(registry._TASKS, CHANGED, registry.Task(fail, none, None))
    await tell(shop.workshop.database, [arrival("inventoryChange", shop.pairs[0][1])])
    (event,) = await settled(shop.workshop.database)
    jobs = await shop.workshop.rows(JOBS, CHANGED)
    assert [job["status"] for job in jobs] == ["FAILED"] * tries
    assert (event.state, event.attempts, event.job_id) == (EventState.FAILED, tries, jobs[-1]["id"])
    assert event.outcome == "This shop is closed."


async def test_a_sync_of_everything_makes_up_for_a_job_that_failed(shop: SyncedShop) -> None:
    """Another job of events does not: it is about something else."""

    async def fail(context: JobContext, store: registry.Store, policy: registry.JobPolicy) -> None:
        raise JobError("This shop is closed.")

    workshop = shop.workshop
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._TASKS, CHANGED, registry.Task(fail, none, None))
        failed = await workshop.run(CHANGED)
    repaired = "SELECT repaired_by FROM dongbo.background_jobs WHERE id = $1"
    await workshop.completed(CHANGED)
    assert await workshop.value(repaired, failed.id) is None
    sync = await workshop.completed(JobType.SYNC_PRODUCTS)
    assert await workshop.value(repaired, failed.id) == sync.id


async def test_after_a_failed_job_the_next_one_takes_its_time(
    shop: SyncedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes in the meantime waits with what was left behind, and the job after that takes both."""
    failed = asyncio.Event()
    original = registry._TASKS[CHANGED]

    async def fail_once(context: JobContext, store: registry.Store, policy: registry.JobPolicy) -> None:
        if not failed.is_set():
            await sync_changed_products.EventRound.begin(context, sync_changed_products.Concern.PRODUCTS)
            failed.set()
            raise JobError("This shop is closed.")
        await original.run(context, store, policy)

    monkeypatch.setattr(dispatcher_module, "REST", 1.0)
    monkeypatch.setattr(dispatcher_module, "INTERVAL", 0.1)
    monkeypatch.setitem(registry._TASKS, CHANGED, registry.Task(fail_once, none, None))
    (_, first), (_, second) = shop.pairs[:2]
    await tell(shop.workshop.database, [arrival("inventoryChange", first)])
    await failed.wait()
    await tell(shop.workshop.database, [arrival("inventoryChange", second)])
    told = await settled(shop.workshop.database)
    assert [(event.state, event.attempts) for event in told] == [(EventState.DONE, 2), (EventState.DONE, 1)]
    assert len(await shop.workshop.rows(JOBS, CHANGED)) == 2


async def test_a_cancelled_job_gives_back_what_it_had_taken(shop: SyncedShop) -> None:
    """A person cancels the job, not what has happened in the shop."""
    entered, leave = asyncio.Event(), asyncio.Event()
    original = registry._TASKS[CHANGED]

    async def hold(context: JobContext, store: registry.Store, policy: registry.JobPolicy) -> None:
        if not entered.is_set():
            await sync_changed_products.EventRound.begin(context, sync_changed_products.Concern.PRODUCTS)
            entered.set()
            await context.unless_stopped(leave.wait())
        await original.run(context, store, policy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._TASKS, CHANGED, registry.Task(hold, none, None))
        await tell(shop.workshop.database, [arrival("inventoryChange", shop.pairs[0][1])])
        await entered.wait()
        (job,) = await shop.workshop.rows(JOBS, CHANGED)
        await shop.workshop.parts.jobs.cancel(job["id"])
        (event,) = await settled(shop.workshop.database)
    assert (event.state, event.attempts) == (EventState.DONE, 2)
    assert event.job_id != job["id"]


async def test_the_end_of_a_bulk_operation_is_passed_on(shop: SyncedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pull that waits for it, on whichever daemon, looks at it at once."""
    reader = shop.workshop.parts.registry.store(STORE).shopify.bulk
    heard: asyncio.Queue[int] = asyncio.Queue()
    monkeypatch.setattr(type(reader), "awaited", frozenset({41, 42}))
    monkeypatch.setattr(reader, "note_end", heard.put_nowait)
    await tell(
        shop.workshop.database,
        [arrival("bulk_operations/finish", 42), arrival("bulk_operations/finish", 43)],
    )
    async with asyncio.timeout(20):
        assert await heard.get() == 42
    async with shop.workshop.database.acquire() as connection:
        assert await events.ended_operations(connection, STORE, [41, 42, 43]) == [42, 43]
