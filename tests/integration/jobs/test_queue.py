"""The queue: one worker a job, lost places restored, names that say whose jobs are orphans."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from structlog.testing import capture_logs

from daemon.database import sessions
from daemon.database.pool import Connection, Database, open_database
from daemon.database.sessions import SessionSetup
from daemon.ids import JobId, Lane, RunToken, StoreName, WorkerName
from daemon.jobs import store
from daemon.jobs.context import StopReason
from daemon.jobs.events import JobNotifier
from daemon.jobs.model import JobRequest, JobStatus, JobTrigger
from daemon.jobs.queue.driver import FEW_LANES, RETRY_DELAYS, QueueDriver, queries_on
from daemon.jobs.queue.recovery import claim_worker_name, restore_places
from daemon.jobs.queue.worker import JobQueue
from daemon.jobs.runner import JobRunner, Requeue
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from tests.support.one_lane import TEST_LANE, OneLane


class Recorder(JobRunner):
    """Notes which jobs it was given, and by whom, and runs none of them."""

    def __init__(self, answer: Requeue | None = None) -> None:
        self.given: list[tuple[JobId, WorkerName]] = []
        self.answer = answer
        self.arrived = asyncio.Event()

    async def run(self, job_id: JobId, worker: WorkerName) -> Requeue | None:
        """Take a job."""
        self.given.append((job_id, worker))
        self.arrived.set()
        answer, self.answer = self.answer, None
        return answer

    def stop_all(self, reason: StopReason) -> None:
        """There is nothing to stop."""


@asynccontextmanager
async def running_queue(
    database: Database, recorder: Recorder, base: str = "worker", limit: int = 1
) -> AsyncIterator[JobQueue]:
    """A queue with one lane."""
    async with JobQueue(database, recorder, base, {TEST_LANE: limit}) as queue:
        assert await queue.wait_taking(20)
        yield queue


@pytest.fixture
def jobs(database: Database) -> Jobs:
    """The service."""
    return Jobs(database, JobNotifier(database, 1), OneLane(), max_attempts=3)


def request(name: str = "main") -> JobRequest:
    """A job of a store of its own."""
    return JobRequest(JobType.NOOP, StoreName(name), JobTrigger.API)


async def arrived(recorder: Recorder, count: int = 1) -> None:
    """Wait until so many jobs were given."""
    async with asyncio.timeout(30):
        while len(recorder.given) < count:
            recorder.arrived.clear()
            await recorder.arrived.wait()


async def test_submitted_job_reaches_a_worker_at_once(database: Database, jobs: Jobs) -> None:
    """A job is handed over by notification, not by the poll."""
    recorder = Recorder()
    async with running_queue(database, recorder) as queue:
        job = await jobs.submit(request())
        async with asyncio.timeout(2):
            await arrived(recorder)
        assert recorder.given == [(job.id, queue.worker)]


async def test_each_job_goes_to_one_of_two_workers(database: Database, jobs: Jobs) -> None:
    """Two queues on one database share the jobs, none is given twice."""
    first, second = Recorder(), Recorder()
    async with running_queue(database, first) as one, running_queue(database, second) as two:
        assert one.worker != two.worker
        made = {(await jobs.submit(request(f"store-{number}"))).id for number in range(20)}
        async with asyncio.timeout(30):
            while len(first.given) + len(second.given) < 20:
                await asyncio.sleep(0.02)
        given = [job for job, _ in (*first.given, *second.given)]
        assert sorted(given) == sorted(made)


async def test_jobs_of_a_lane_run_one_after_the_other_in_the_order_of_their_asking(
    database: Database, jobs: Jobs
) -> None:
    """However many workers there are; one that is put back for another attempt lets the next one begin meanwhile."""
    order: list[JobId] = []
    under_way: set[JobId] = set()
    all_ended = asyncio.Event()
    made: list[JobId] = []

    async def run(job_id: JobId, worker: WorkerName) -> Requeue | None:
        assert not under_way, "two jobs of one lane at a time"
        under_way.add(job_id)
        async with database.acquire() as connection:
            await store.claim(connection, job_id, RunToken(uuid4()), worker)
        order.append(job_id)
        under_way.discard(job_id)
        if len(order) == len(made) + 1:
            all_ended.set()
        return Requeue(timedelta(seconds=0.2), "again") if order.count(made[2]) == 1 and job_id == made[2] else None

    made += [(await jobs.submit(replace(request(), params={"n": n}))).id for n in range(8)]
    first, second = Recorder(), Recorder()
    first.run = second.run = run  # type: ignore[method-assign]
    async with running_queue(database, first), running_queue(database, second), asyncio.timeout(30):
        await all_ended.wait()
    assert list(dict.fromkeys(order)) == made
    assert order.count(made[2]) == 2


async def test_a_lane_that_is_widened_takes_the_next_job_at_once(database: Database, jobs: Jobs) -> None:
    """Its limit is the one it was given last, not the one of when the worker began."""
    recorder, all_run = Recorder(), asyncio.Barrier(3)

    async def run(job_id: JobId, worker: WorkerName) -> None:
        await Recorder.run(recorder, job_id, worker)
        await all_run.wait()

    recorder.run = run  # type: ignore[method-assign]
    async with running_queue(database, recorder) as queue:
        for number in range(2):
            await jobs.submit(replace(request(), params={"n": number}))
        await arrived(recorder)
        queue.set_lanes({TEST_LANE: 2})
        async with asyncio.timeout(30):
            await all_run.wait()
    assert len(recorder.given) == 2


async def test_job_of_an_unknown_lane_is_left_to_others(database: Database, jobs: Jobs) -> None:
    """A worker takes only jobs of stores that it has; a reload that brings the store brings its jobs."""
    recorder = Recorder()
    elsewhere = Jobs(database, JobNotifier(database, 1), OneLane(Lane("elsewhere/test")), 3)
    async with running_queue(database, recorder) as queue:
        foreign = await elsewhere.submit(request("elsewhere"))
        own = await jobs.submit(request())
        await arrived(recorder)
        assert [job for job, _ in recorder.given] == [own.id]
        queue.set_lanes({TEST_LANE: 1, Lane("elsewhere/test"): 1})
        await arrived(recorder, 2)
        assert recorder.given[1][0] == foreign.id


async def test_requeued_job_is_given_again(database: Database, jobs: Jobs) -> None:
    """A run that asks for it is repeated."""
    recorder = Recorder(Requeue(timedelta(milliseconds=50), "again"))
    async with running_queue(database, recorder):
        job = await jobs.submit(request())
        await arrived(recorder, 2)
        assert [given for given, _ in recorder.given] == [job.id, job.id]


async def test_live_job_without_a_place_gets_one_again(database: Database, jobs: Jobs) -> None:
    """Whatever PgQueuer may have deleted: the row in `background_jobs` is the truth."""
    job = await jobs.submit(request())
    async with database.acquire() as connection:
        await connection.execute("DELETE FROM dongbo.pgqueuer")
        await connection.execute("UPDATE dongbo.background_jobs SET updated_at = now() - interval '1 minute'")
    recorder = Recorder()
    for restored in ([job.id], []):
        async with database.acquire() as connection, connection.transaction():
            assert await restore_places(connection) == restored
    async with running_queue(database, recorder):
        await arrived(recorder)


async def test_jobs_of_a_dead_worker_are_released_when_it_starts_again(database: Database, jobs: Jobs) -> None:
    """A daemon that was killed and restarted finds its own running jobs at once, with and without their places."""
    released = []
    for number in range(2):
        job = await jobs.submit(request(f"store-{number}"))
        async with database.acquire() as connection:
            await store.claim(connection, job.id, RunToken(uuid4()), WorkerName("worker"))
        released.append(job.id)
    other = await jobs.submit(request("other"))
    async with database.acquire() as connection:
        await store.claim(connection, other.id, RunToken(uuid4()), WorkerName("somebody-else"))
        await connection.execute("UPDATE dongbo.pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid()")
        await connection.execute(
            "DELETE FROM dongbo.pgqueuer WHERE payload = convert_to($1::text, 'UTF8')", str(released[1])
        )
    recorder = Recorder()
    async with running_queue(database, recorder, "worker", limit=0):
        async with asyncio.timeout(5):
            await arrived(recorder, 2)
        assert {job for job, _ in recorder.given} == set(released)
    assert (await jobs.get(other.id)).status is JobStatus.RUNNING


async def test_worker_name_is_held_by_one_live_process(database: Database, database_url: str) -> None:
    """The second of two live workers gets a name of its own; a name is free again when its connection ends."""
    first, second = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        assert await claim_worker_name(first, "shop") == "shop"
        assert await claim_worker_name(second, "shop") == "shop-2"
        await first.close()
        async with database.acquire() as connection:
            assert await claim_worker_name(connection, "shop") == "shop"
    finally:
        await second.close()


async def test_queue_goes_on_after_its_connection_was_killed(database: Database, jobs: Jobs, database_url: str) -> None:
    """The loss of the LISTEN connection ends the cycle and begins a new one."""
    recorder = Recorder()
    connection = await asyncpg.connect(database_url)
    try:
        async with running_queue(database, recorder):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            job = await jobs.submit(request())
            async with asyncio.timeout(20):
                await arrived(recorder)
            assert recorder.given[0][0] == job.id
    finally:
        await connection.close()


async def test_of_many_lanes_only_those_with_jobs_are_looked_into(database: Database) -> None:
    """However many lanes there are, jobs leave them as ever: by priority, and as many of a lane as may run at once."""
    limits = {
        QueueEntrypoint(f"shop-{number}/noop"): EntrypointExecutionParameter(1) for number in range(FEW_LANES + 1)
    }
    async with database.acquire() as connection:
        statements = queries_on(connection)

        async def taken() -> list[str]:
            found = await statements.dequeue(10, limits, QueueManagerId(uuid4()), None, timedelta(seconds=15))
            return [row.entrypoint for row in found]

        async def looked_for() -> tuple[int, int, timedelta | None]:
            lanes = list(limits)
            return (
                await statements.queued_work(lanes),
                await statements.eligible_queued_work(lanes),
                await statements.next_deferred_eta(lanes),
            )

        assert await taken() == []
        assert await looked_for() == (0, 0, None)
        await statements.enqueue("of-another/noop", b"x", 0)
        assert await looked_for() == (0, 0, None)
        await statements.enqueue("shop-3/noop", b"x", 0, execute_after=timedelta(hours=1))
        waiting, ready, eta = await looked_for()
        assert (waiting, ready) == (1, 0)
        assert eta is not None
        assert timedelta(minutes=59) < eta <= timedelta(hours=1)
        for lane, priority in (("shop-1/noop", 0), ("shop-1/noop", 0), ("shop-7/noop", 5), ("of-another/noop", 9)):
            await statements.enqueue(lane, b"x", priority)
        assert await taken() == ["shop-7/noop", "shop-1/noop"]
        assert await taken() == []


class Fragile(Database):
    """Lends connections that are broken, as many as it is told."""

    def __init__(self, database: Database, broken: int) -> None:
        super().__init__(database.pool, database.dsn, SessionSetup("test", {}), 16)
        self.broken = broken

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection."""
        async with super().acquire() as connection:
            if self.broken:
                self.broken -= 1
                connection.terminate()
            yield connection


async def test_statement_of_the_queue_is_tried_again_over_another_connection(database: Database) -> None:
    """A place in the queue is not lost to a connection that broke; an outage that lasts is an error."""
    async with database.acquire() as listener:
        driver = QueueDriver(Fragile(database, broken=len(RETRY_DELAYS)), listener)
        assert await driver.execute("SELECT 1") == "SELECT 1"
        driver = QueueDriver(Fragile(database, broken=len(RETRY_DELAYS) + 1), listener)
        with pytest.raises(asyncpg.InterfaceError):
            await driver.execute("SELECT 1")


def test_lost_connection_is_a_warning_of_the_queue(caplog: pytest.LogCaptureFixture) -> None:
    """PgQueuer reports an outage of the database in one warning without a stack trace, and everything else with one."""
    logger = logging.getLogger("pgqueuer")
    with capture_logs() as lines:
        for error in (*[asyncpg.ConnectionDoesNotExistError("connection was closed")] * 9, ValueError("a fault")):
            logger.error("Exception while processing %s/%s", "lane", 1, exc_info=error)
    outage, (fault,) = lines, caplog.records
    assert [(line["event"], line["error"], line["exc_info"]) for line in outage] == [
        ("queue_troubled", "connection was closed", False)
    ]
    assert fault.exc_info is not None


async def test_failing_statement_of_the_queue_does_not_stall_the_others(
    database: Database, jobs: Jobs, database_url: str
) -> None:
    """When PgQueuer's loop breaks while a job runs, the runs are interrupted and a new cycle serves the queue."""
    release = asyncio.Event()
    given: list[JobId] = []

    class Waiting(Recorder):
        async def run(self, job_id: JobId, worker: WorkerName) -> Requeue | None:
            given.append(job_id)
            if len(given) == 1:
                await release.wait()
            return None

        def stop_all(self, reason: StopReason) -> None:
            assert reason is StopReason.DATABASE_LOST or release.is_set()
            release.set()

    async with running_queue(database, Waiting(), limit=0):
        await jobs.submit(request("first"))
        async with asyncio.timeout(10):
            while not given:
                await asyncio.sleep(0.01)
        async with database.acquire() as connection:
            await connection.execute("ALTER TABLE dongbo.pgqueuer RENAME TO away")
            async with asyncio.timeout(20):
                while not release.is_set():
                    await asyncio.sleep(0.05)
            await connection.execute("ALTER TABLE dongbo.away RENAME TO pgqueuer")
        second = await jobs.submit(request("second"))
        async with asyncio.timeout(20):
            while second.id not in given:
                await asyncio.sleep(0.05)


async def test_a_page_that_a_cut_off_daemon_has_begun_holds_up_nobody(
    database: Database, database_url: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has locked its job's row and says nothing any more: the server ends its session before another one's claim
    gives up."""
    monkeypatch.setattr(sessions, "IDLE_IN_TRANSACTION", 1.0)
    job = await jobs.submit(request())
    async with open_database(database_url) as of_the_cut_off, of_the_cut_off.dedicated() as connection:
        token = RunToken(uuid4())
        assert await store.claim(connection, job.id, token, WorkerName("cut-off"))
        await connection.execute("BEGIN")
        assert await store.describe(connection, job.id, token, 7, {})
        async with database.acquire() as other:
            claimed = await store.claim(other, job.id, RunToken(uuid4()), WorkerName("other"))
        assert claimed is not None
        assert claimed.total is None
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.execute("COMMIT")
