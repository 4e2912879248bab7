"""Notifications are hints (rule 7): coalesced, at once for terminal states, and never needed for the truth."""

import asyncio
from typing import Any

import asyncpg
import pytest

from daemon.database.pool import Database
from daemon.ids import StoreName
from daemon.jobs import changes, events, store
from daemon.jobs.events import CHANNEL, EventHub, JobNotifier
from daemon.jobs.model import JobRequest, JobStatus, JobTrigger
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from tests.support.one_lane import OneLane

REQUEST = JobRequest(JobType.NOOP, StoreName("main"), JobTrigger.API)


@pytest.fixture
def notifier(database: Database) -> JobNotifier:
    """Coalesces to one notification a job in 0.2 s."""
    return JobNotifier(database, 0.2)


@pytest.fixture
def jobs(database: Database, notifier: JobNotifier) -> Jobs:
    """The service without workers."""
    return Jobs(database, notifier, OneLane(), max_attempts=3)


async def listening(hub: EventHub) -> None:
    """Wait until the hub hears."""
    async with asyncio.timeout(10):
        while not hub.is_listening:
            await asyncio.sleep(0.01)


async def test_changes_of_a_job_are_coalesced(database: Database, notifier: JobNotifier, database_url: str) -> None:
    """Of a hundred changes within an interval, the first is announced at once and the last at its end."""
    heard: list[str] = []
    connection = await asyncpg.connect(database_url)
    try:
        await connection.add_listener(CHANNEL, lambda *message: heard.append(message[3]))
        job = (await Jobs(database, notifier, OneLane(), 1).submit(REQUEST)).id
        async with notifier:
            for _ in range(100):
                notifier.changed(job)
                await asyncio.sleep(0.002)
            async with asyncio.timeout(5):
                while not heard or notifier._due:
                    await asyncio.sleep(0.01)
            seen = len(heard)
            notifier.changed(job, at_once=True)
            async with asyncio.timeout(0.15):
                while len(heard) == seen:
                    await asyncio.sleep(0.005)
        assert set(heard) == {str(job)}
        assert 2 <= seen <= 4
    finally:
        await connection.close()


async def test_subscriber_sees_submission_and_cancellation(
    database: Database, notifier: JobNotifier, jobs: Jobs
) -> None:
    """Every change reaches a subscriber through NOTIFY, long before the catch-up would bring it."""
    hub = EventHub(database)
    async with notifier, hub:
        await listening(hub)
        with hub.subscribe() as mailbox:
            async with asyncio.timeout(events.CATCH_UP_INTERVAL - 1):
                job = await jobs.submit(REQUEST)
                assert [event.job.id for event in await mailbox.take()] == [job.id]
                await jobs.cancel(job.id)
                assert [event.job.status for event in await mailbox.take()] == [JobStatus.CANCELLED]
        assert not hub._subscriptions


async def test_losing_every_notification_costs_only_latency(database: Database, jobs: Jobs) -> None:
    """Rule 7: with nobody sending notifications the hub still brings every change, by version."""
    hub = EventHub(database)
    async with hub:
        await listening(hub)
        with hub.subscribe() as mailbox:
            job = await jobs.submit(REQUEST)
            async with asyncio.timeout(3 * events.CATCH_UP_INTERVAL):
                assert [event.job.id for event in await mailbox.take()] == [job.id]


async def test_version_that_becomes_visible_late_is_not_missed(
    database: Database, jobs: Jobs, database_url: str
) -> None:
    """A change that took its version first and commits last is caught up by the overlap."""
    late, early = await jobs.submit(REQUEST), None
    hub = EventHub(database)
    connection = await asyncpg.connect(database_url)
    try:
        async with hub:
            await listening(hub)
            with hub.subscribe() as mailbox:
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute(
                    "UPDATE dongbo.background_jobs SET total = 1, version = nextval('dongbo.job_version') "
                    "WHERE id = $1",
                    late.id,
                )
                early = await jobs.submit(JobRequest(JobType.NOOP, StoreName("other"), JobTrigger.API))
                async with asyncio.timeout(3 * events.CATCH_UP_INTERVAL):
                    seen: set[Any] = set()
                    while early.id not in seen:
                        seen |= {event.job.id for event in await mailbox.take()}
                    await transaction.commit()
                    totals: dict[Any, Any] = {}
                    while totals.get(late.id) != 1:
                        totals |= {event.job.id: event.job.total for event in await mailbox.take()}
    finally:
        await connection.close()


async def test_hub_hears_again_after_its_connection_was_killed(
    database: Database, notifier: JobNotifier, jobs: Jobs, database_url: str
) -> None:
    """The hub reconnects by itself, and what happened meanwhile is caught up."""
    hub = EventHub(database)
    connection = await asyncpg.connect(database_url)
    try:
        async with notifier, hub:
            await listening(hub)
            with hub.subscribe() as mailbox:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND query ILIKE 'listen%' AND pid <> pg_backend_pid()"
                )
                job = await jobs.submit(REQUEST)
                async with asyncio.timeout(15):
                    assert [event.job.id for event in await mailbox.take()] == [job.id]
                await listening(hub)
    finally:
        await connection.close()


async def test_slow_reader_gets_the_latest_state_only(database: Database, notifier: JobNotifier, jobs: Jobs) -> None:
    """A mailbox holds one event a job, however many changes there were."""
    hub = EventHub(database)
    async with notifier, hub:
        await listening(hub)
        with hub.subscribe() as slow, hub.subscribe() as quick:
            job = await jobs.submit(REQUEST)
            await quick.take()
            await jobs.cancel(job.id)
            await quick.take()
            states = await slow.take()
        assert [(event.job.id, event.job.status) for event in states] == [(job.id, JobStatus.CANCELLED)]


async def test_garbage_on_the_channel_is_ignored(database: Database, notifier: JobNotifier, jobs: Jobs) -> None:
    """Anybody may send anything on the channel without harm."""
    hub = EventHub(database)
    async with notifier, hub:
        await listening(hub)
        async with database.acquire() as connection:
            for payload in ("", "nonsense", "probe:", "x" * 7000, "{}"):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
        with hub.subscribe() as mailbox:
            job = await jobs.submit(REQUEST)
            async with asyncio.timeout(3):
                assert [event.job.id for event in await mailbox.take()] == [job.id]


async def test_notification_lag_is_measured(database: Database) -> None:
    """The hub knows how long a notification takes."""
    hub = EventHub(database)
    async with hub:
        async with asyncio.timeout(10):
            while hub.notification_lag is None:
                await asyncio.sleep(0.01)
        assert 0 <= hub.notification_lag < 5


MANY = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, max_attempts, completed_at)
SELECT gen_random_uuid(), 'main', 'NOOP', 'main', 'COMPLETED', 'api', 1, now() FROM generate_series(1, $1::integer)
"""


async def test_a_long_loss_is_caught_up_by_portions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much has changed: quick readers get all of it, slow ones are told to begin anew, no more is kept."""
    asked: list[int] = []
    read = store.get_many

    async def noting(connection: Any, job_ids: Any) -> Any:
        asked.append(len(job_ids))
        return await read(connection, job_ids)

    monkeypatch.setattr(store, "get_many", noting)
    hub = EventHub(database)
    async with hub:
        await listening(hub)
        with hub.subscribe() as quick, hub.subscribe(changes.MOST_CHANGES) as slow:
            async with database.acquire() as connection:
                await connection.execute(MANY, 7_000)
            seen: set[Any] = set()
            async with asyncio.timeout(30):
                while len(seen) < 7_000:
                    seen |= {event.job.id for event in await quick.take()}
            assert (await slow.take_news()).is_overrun
    assert max(asked) <= events.PORTION
    assert len(hub.recent) == changes.MOST_CHANGES
