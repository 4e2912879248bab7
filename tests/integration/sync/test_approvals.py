"""Jobs that stop and ask: nothing goes on without a person, and a newer run takes the question over."""

from collections.abc import Awaitable, Callable

import pytest

from daemon.database.pool import Database
from daemon.errors import InvalidTransition, JobNotFound, LiveJobExists, SourceRefused
from daemon.ids import StoreName, WorkerName, new_job_id
from daemon.jobs.context import ApprovalNeeded, JobContext
from daemon.jobs.events import JobNotifier
from daemon.jobs.model import Counters, Job, JobRequest, JobStatus, JobTrigger
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from tests.support.one_lane import OneLane, OneTask, runner_of

STORE = StoreName("main")
SYNC = JobRequest(JobType.SYNC_PRODUCTS, STORE, JobTrigger.API)
WORKER = WorkerName("test")


class Desk:
    """Jobs, and a worker that runs them when it is told to."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.notifier = JobNotifier(database, 0.25)
        self.jobs = Jobs(database, self.notifier, OneLane(), max_attempts=3)

    async def run(self, job: Job, task: Callable[[JobContext], Awaitable[None]]) -> Job:
        """Run a job's task once."""
        runner = runner_of(self.database, self.notifier, OneTask(task))
        await runner.run(job.id, WORKER)
        return await self.jobs.get(job.id)

    async def waiting(self) -> Job:
        """A job that waits for approval."""
        return await self.run(await self.jobs.submit(SYNC), ask)

    async def places(self) -> int:
        """How many jobs stand in the queue for a worker."""
        async with self.database.acquire() as connection:
            count: int = await connection.fetchval("SELECT count(DISTINCT payload) FROM dongbo.pgqueuer")
            return count


async def ask(job: JobContext) -> None:
    """A task that asks, unless it was approved."""
    if not job.is_approved:
        raise ApprovalNeeded("It would set 40 items to zero.", zeroed=40)
    async with job.page(checkpoint={"done": True}) as page:
        page.count(Counters(updated=40))


async def complete(job: JobContext) -> None:
    """A task that has nothing to ask."""
    async with job.page(checkpoint={"done": True}) as page:
        page.count(Counters(skipped=1))


@pytest.fixture
def desk(database: Database) -> Desk:
    """Jobs on a fresh database."""
    return Desk(database)


async def test_a_job_that_asks_waits_with_its_reason(desk: Desk) -> None:
    """It is neither live nor has it ended; nobody owns it, and what it asks is shown."""
    job = await desk.waiting()
    assert job.status is JobStatus.AWAITING_APPROVAL
    assert not job.status.is_live
    assert not job.status.has_ended
    assert (job.error, job.metadata["zeroed"]) == ("It would set 40 items to zero.", 40)
    assert (job.worker, job.completed_at) == (None, None)
    async with desk.database.acquire() as connection:
        assert await connection.fetchval("SELECT run_token FROM dongbo.background_jobs WHERE id = $1", job.id) is None


async def test_an_approved_job_goes_on(desk: Desk) -> None:
    """The same job runs again, knows that it may, and completes."""
    job = await desk.waiting()
    approved = await desk.jobs.approve(job.id)
    assert (approved.id, approved.status, approved.error) == (job.id, JobStatus.PENDING, None)
    assert await desk.places() == 1
    ended = await desk.run(approved, ask)
    assert (ended.status, ended.updated) == (JobStatus.COMPLETED, 40)


async def test_a_rejected_job_ends(desk: Desk) -> None:
    """It is cancelled with a sentence that says so, and can't be approved any more."""
    job = await desk.waiting()
    rejected = await desk.jobs.reject(job.id)
    assert rejected.status is JobStatus.CANCELLED
    assert rejected.error is not None
    assert "Rejected" in rejected.error
    with pytest.raises(InvalidTransition, match="CANCELLED"):
        await desk.jobs.approve(job.id)
    with pytest.raises(InvalidTransition, match="CANCELLED"):
        await desk.jobs.reject(job.id)


async def test_a_waiting_job_can_be_cancelled(desk: Desk) -> None:
    """Cancelling is another way to say no."""
    job = await desk.waiting()
    assert (await desk.jobs.cancel(job.id)).status is JobStatus.CANCELLED


async def test_only_waiting_jobs_are_decided(desk: Desk) -> None:
    """A pending job, an ended one and one that does not exist have nothing to approve."""
    job = await desk.jobs.submit(SYNC)
    with pytest.raises(InvalidTransition, match="PENDING"):
        await desk.jobs.approve(job.id)
    await desk.run(job, complete)
    with pytest.raises(InvalidTransition, match="COMPLETED"):
        await desk.jobs.reject(job.id)
    with pytest.raises(JobNotFound):
        await desk.jobs.approve(new_job_id())


async def test_a_newer_run_takes_the_question_over(desk: Desk) -> None:
    """Only one job of a kind waits: a person decides on the present state."""
    first = await desk.waiting()
    second = await desk.waiting()
    replaced = await desk.jobs.get(first.id)
    assert (replaced.status, second.status) == (JobStatus.CANCELLED, JobStatus.AWAITING_APPROVAL)
    assert replaced.error is not None
    assert str(second.id) in replaced.error


async def test_a_newer_run_that_completes_leaves_nothing_to_approve(desk: Desk) -> None:
    """What was asked is of the past; a dry run, which has done nothing, does not count."""
    waiting = await desk.waiting()
    rehearsal = JobRequest(JobType.SYNC_PRODUCTS, STORE, JobTrigger.API, {"dry_run": True})
    await desk.run(await desk.jobs.submit(rehearsal), complete)
    assert (await desk.jobs.get(waiting.id)).status is JobStatus.AWAITING_APPROVAL
    await desk.run(await desk.jobs.submit(SYNC), complete)
    assert (await desk.jobs.get(waiting.id)).status is JobStatus.CANCELLED


async def test_jobs_of_other_stores_and_types_wait_on(desk: Desk) -> None:
    """A question is of one store and one type."""
    waiting = await desk.waiting()
    for request in (
        JobRequest(JobType.SYNC_CUSTOMERS, STORE, JobTrigger.API),
        JobRequest(JobType.SYNC_PRODUCTS, StoreName("other"), JobTrigger.API),
    ):
        await desk.run(await desk.jobs.submit(request), complete)
    assert (await desk.jobs.get(waiting.id)).status is JobStatus.AWAITING_APPROVAL


async def test_approval_gives_way_to_a_live_job(desk: Desk) -> None:
    """While a newer job of the kind is live, the older one is not let loose beside it."""
    waiting = await desk.waiting()
    live = await desk.jobs.submit(SYNC)
    with pytest.raises(LiveJobExists) as refusal:
        await desk.jobs.approve(waiting.id)
    assert refusal.value.job_id == live.id
    assert (await desk.jobs.get(waiting.id)).status is JobStatus.AWAITING_APPROVAL


async def test_a_run_that_was_taken_over_asks_nothing(desk: Desk) -> None:
    """The question of a run that is no longer the owner is not put, and replaces no other."""
    older = await desk.waiting()

    async def ask_too_late(job: JobContext) -> None:
        async with desk.database.acquire() as connection:
            await connection.execute(
                "UPDATE dongbo.background_jobs SET run_token = gen_random_uuid() WHERE id = $1", job.job.id
            )
        raise ApprovalNeeded("too late")

    after = await desk.run(await desk.jobs.submit(SYNC), ask_too_late)
    assert after.status is JobStatus.RUNNING
    assert (await desk.jobs.get(older.id)).status is JobStatus.AWAITING_APPROVAL


async def test_a_cancelled_run_does_not_ask(desk: Desk) -> None:
    """Where cancelling was asked for meanwhile, the job is cancelled instead of waiting."""

    async def ask_while_cancelled(job: JobContext) -> None:
        async with desk.database.acquire() as connection:
            await connection.execute(
                "UPDATE dongbo.background_jobs SET cancel_requested = true WHERE id = $1", job.job.id
            )
        raise ApprovalNeeded("never mind")

    assert (await desk.run(await desk.jobs.submit(SYNC), ask_while_cancelled)).status is JobStatus.CANCELLED


async def test_an_approval_is_not_kept_for_a_later_retry(desk: Desk) -> None:
    """What was right then need not be right now: a job that failed after its approval asks again."""

    async def fail_when_approved(job: JobContext) -> None:
        if not job.is_approved:
            raise ApprovalNeeded("It would set 40 items to zero.")
        raise SourceRefused("on purpose")

    job = await desk.waiting()
    failed = await desk.run(await desk.jobs.approve(job.id), fail_when_approved)
    assert failed.status is JobStatus.FAILED
    again = await desk.run(await desk.jobs.retry(job.id), fail_when_approved)
    assert again.status is JobStatus.AWAITING_APPROVAL


async def test_a_pending_job_that_is_cancelled_takes_its_steps_along(desk: Desk) -> None:
    """Nobody would wait for them any more, and they would push."""
    parent = await desk.jobs.submit(JobRequest(JobType.PRODUCT_CHAIN, STORE, JobTrigger.API))
    async with desk.database.acquire() as connection, connection.transaction():
        step = (await desk.jobs.submit_in(connection, SYNC, parent_id=parent.id)).job
    await desk.jobs.cancel(parent.id)
    assert (await desk.jobs.get(step.id)).status is JobStatus.CANCELLED
