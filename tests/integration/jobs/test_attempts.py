"""Each attempt of a job is kept with how it ended, and a job with what later jobs have made up for."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from daemon.database.pool import Connection, Database
from daemon.ids import JobId, RunToken, StoreName, WorkerName
from daemon.jobs import attempts, failures, store
from daemon.jobs.context import JobContext
from daemon.jobs.events import JobNotifier
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import AttemptResult, Counters, Job, JobOutcome, JobRequest, JobStatus, JobTrigger
from daemon.jobs.results import summarise
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from tests.support.one_lane import OneLane, OneTask, runner_of

STORE = StoreName("main")
WORKER = WorkerName("shop-1")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def jobs(database: Database) -> Jobs:
    """The service without workers."""
    return Jobs(database, JobNotifier(database, 0.25), OneLane(), max_attempts=3)


async def submit(jobs: Jobs, job_type: JobType = JobType.PULL_NHANH_PRODUCTS, **params: Any) -> JobId:
    """A job that waits."""
    return (await jobs.submit(JobRequest(job_type, STORE, JobTrigger.API, params))).id


async def claim(connection: Connection, job_id: JobId, worker: WorkerName = WORKER) -> RunToken:
    """Begin a run."""
    token = RunToken(uuid4())
    assert await store.claim(connection, job_id, token, worker) is not None
    return token


async def page(connection: Connection, job_id: JobId, token: RunToken, *, bad: int = 0) -> None:
    """Store a page with a row, and with so many that fail."""
    letters = [DeadLetter(str(n), "no price", b"{}") for n in range(bad)]
    if letters:
        await failures.insert(connection, job_id, letters)
    counted = Counters(updated=1, failed=bad)
    await store.store_page(connection, job_id, token, counted, {"after": 1}, {}, is_progress=True)


async def results(connection: Connection, job_id: JobId) -> list[tuple[AttemptResult, str | None]]:
    """How its attempts ended."""
    found = await attempts.list_attempts(connection, job_id)
    assert [attempt.number for attempt in found] == list(range(1, len(found) + 1))
    return [(attempt.result, attempt.error) for attempt in found]


@pytest.mark.parametrize("error", [MemoryError(), ExceptionGroup("of a group", [MemoryError()])])
async def test_a_machine_without_memory_is_no_bug(database: Database, jobs: Jobs, error: Exception) -> None:
    """What lacked memory may have it the next time: the job is tried again, as often as others are."""

    async def lack(context: JobContext) -> None:
        raise error

    job_id = await submit(jobs)
    runner = runner_of(database, JobNotifier(database, 0.25), OneTask(lack))
    assert await runner.run(job_id, WORKER) is not None
    job = await jobs.get(job_id)
    assert job.status is JobStatus.PENDING
    assert "no memory left" in (job.error or "")


async def test_the_error_of_each_attempt_stays(database: Database, jobs: Jobs) -> None:
    """Whatever the next ones do; the job itself shows the last cause until a page proves it gone."""
    job_id = await submit(jobs)
    async with database.acquire() as connection:
        token = await claim(connection, job_id)
        await store.defer(connection, job_id, token, "Nhanh.vn did not answer", MINUTE, {})
        second = await claim(connection, job_id)
        running = await jobs.get(job_id)
        assert (running.status, running.error) == (JobStatus.RUNNING, "Nhanh.vn did not answer")
        await page(connection, job_id, second)
        assert (await jobs.get(job_id)).error is None
        await store.release(connection, job_id, second, "the daemon stops")
        third = await claim(connection, job_id)
        assert (await attempts.list_attempts(connection, job_id))[-1].ended_at is None
        await store.finish(connection, job_id, third, JobStatus.FAILED, "the token was revoked", {})
        assert await results(connection, job_id) == [
            (AttemptResult.RETRIED, "Nhanh.vn did not answer"),
            (AttemptResult.RELEASED, "the daemon stops"),
            (AttemptResult.FAILED, "the token was revoked"),
        ]
        first = (await attempts.list_attempts(connection, job_id))[0]
    assert first.worker == WORKER
    assert first.next_attempt_at is not None
    assert first.ended_at is not None
    assert MINUTE - timedelta(seconds=5) < first.next_attempt_at - first.ended_at <= MINUTE


@pytest.mark.parametrize(
    ("end", "result"),
    [
        (lambda c, j, t: store.finish(c, j, t, JobStatus.COMPLETED, None, {}), AttemptResult.COMPLETED),
        (lambda c, j, t: store.await_approval(c, j, t, "12 items to zero", {}), AttemptResult.ASKED),
        (lambda c, j, t: store.release_orphans(c, WORKER, at_no_cost=True), AttemptResult.RELEASED),
        (lambda c, j, t: store.release_orphans(c, WORKER, at_no_cost=False), AttemptResult.LOST),
        (lambda c, j, t: _claim_again(c, j), AttemptResult.LOST),
    ],
    ids=["completed", "asked", "stopped", "killed", "taken over"],
)
async def test_an_attempt_ends_as_its_run_did(
    database: Database,
    jobs: Jobs,
    end: Callable[[Connection, JobId, RunToken], Awaitable[object]],
    result: AttemptResult,
) -> None:
    """Also where nobody was left to say so."""
    job_id = await submit(jobs)
    async with database.acquire() as connection:
        await end(connection, job_id, await claim(connection, job_id))
        assert (await results(connection, job_id))[0] == (result, None)


async def test_an_attempt_that_was_taken_over_stays_lost(database: Database, jobs: Jobs) -> None:
    """However the one that took the job over ends."""
    job_id = await submit(jobs)
    async with database.acquire() as connection:
        await claim(connection, job_id)
        token = await claim(connection, job_id, WorkerName("shop-2"))
        await store.finish(connection, job_id, token, JobStatus.COMPLETED, None, {})
        assert await results(connection, job_id) == [(AttemptResult.LOST, None), (AttemptResult.COMPLETED, None)]
        first, second = await attempts.list_attempts(connection, job_id)
    assert first.ended_at is not None
    assert second.ended_at is not None
    assert first.ended_at < second.ended_at


async def _claim_again(connection: Connection, job_id: JobId) -> None:
    await claim(connection, job_id, WorkerName("shop-2"))


@pytest.mark.parametrize("back", ["defer", "release", "await_approval"])
async def test_an_attempt_of_a_job_to_be_cancelled_is_cancelled(database: Database, jobs: Jobs, back: str) -> None:
    """It does not say that another one follows."""
    job_id = await submit(jobs)
    async with database.acquire() as connection:
        token = await claim(connection, job_id)
        await store.request_cancel(connection, job_id)
        if back == "defer":
            await store.defer(connection, job_id, token, "broken", MINUTE, {})
        elif back == "release":
            await store.release(connection, job_id, token, "the daemon stops")
        else:
            await store.await_approval(connection, job_id, token, "12 items to zero", {})
        assert [each for each, _ in await results(connection, job_id)] == [AttemptResult.CANCELLED]


async def test_a_run_that_lost_its_job_ends_no_attempt(database: Database, jobs: Jobs) -> None:
    """The one that has it is under way."""
    job_id = await submit(jobs)
    async with database.acquire() as connection:
        await claim(connection, job_id)
        assert await store.finish(connection, job_id, RunToken(uuid4()), JobStatus.FAILED, "late", {}) is None
        assert await results(connection, job_id) == [(AttemptResult.RUNNING, None)]


# ── What later jobs make up for ─────────────────────────────────────────────────────────────────────────────────────


class History:
    """Jobs that end one after the other."""

    def __init__(self, connection: Connection, jobs: Jobs) -> None:
        self.connection = connection
        self.jobs = jobs

    async def completed(
        self, job_type: JobType, *, bad: int = 0, mode: str | None = None, params: Mapping[str, Any] | None = None
    ) -> Job:
        """A job that completes, with so many failed rows."""
        job_id = await submit(self.jobs, job_type, **(params or {}))
        token = await claim(self.connection, job_id)
        await page(self.connection, job_id, token, bad=bad)
        metadata = {} if mode is None else {"mode": mode}
        job = await store.finish(self.connection, job_id, token, JobStatus.COMPLETED, None, metadata)
        assert job is not None
        await store.repair(self.connection, job)
        return job

    async def failed(self, job_type: JobType, **params: Any) -> Job:
        """A job that fails."""
        job_id = await submit(self.jobs, job_type, **params)
        token = await claim(self.connection, job_id)
        job = await store.finish(self.connection, job_id, token, JobStatus.FAILED, "refused", {})
        assert job is not None
        return job

    async def take_up(self, job: Job) -> None:
        """As a retry does with the failed rows of a job."""
        letters = await failures.list_unresolved(self.connection, job.id, 0, 100)
        await failures.resolve(self.connection, job.id, [letter.id for letter in letters])

    async def now(self, job: Job) -> tuple[JobOutcome, int, JobId | None]:
        """Its outcome, its failed rows that are open, and what has repaired it."""
        (summary,) = await summarise(self.connection, [await self.jobs.get(job.id)])
        listed = await self.connection.fetchval(
            "SELECT outcome FROM dongbo.job_facets WHERE id = (SELECT facet FROM dongbo.background_jobs WHERE id = $1)",
            job.id,
        )
        assert listed == summary.outcome
        return summary.outcome, summary.unresolved_rows, summary.repaired_by


PULL, SYNC, CHAIN = JobType.PULL_NHANH_PRODUCTS, JobType.SYNC_PRODUCTS, JobType.PRODUCT_CHAIN
STILL = JobOutcome.COMPLETED_WITH_FAILURES


async def test_a_failed_job_is_repaired_by_one_that_does_the_same_or_the_whole(database: Database, jobs: Jobs) -> None:
    """And by nothing less."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        full = await history.failed(PULL, full=True)
        part = await history.failed(PULL, filters={"status": "active"})
        other = await history.failed(SYNC)
        await history.completed(PULL, mode="incremental", params={"query": "x"})
        assert (await history.now(part))[0] is JobOutcome.FAILED
        changes = await history.completed(PULL, mode="incremental")
        assert await history.now(part) == (JobOutcome.REPAIRED, 0, changes.id)
        assert (await history.now(full))[0] is JobOutcome.FAILED  # nobody has looked for what is gone
        whole = await history.completed(PULL, mode="full", bad=1)
        assert await history.now(full) == (JobOutcome.REPAIRED, 0, whole.id)
        assert await history.now(part) == (JobOutcome.REPAIRED, 0, changes.id)
        assert (await history.now(other))[0] is JobOutcome.FAILED


async def test_failed_rows_are_repaired_by_a_run_in_which_none_fails(database: Database, jobs: Jobs) -> None:
    """Of a sync by any later one; of a pull only by one that reads all rows again."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        first = await history.completed(SYNC, bad=54)
        again = await history.completed(SYNC, bad=2)
        assert await history.now(first) == (STILL, 54, None)
        clean = await history.completed(SYNC)
        assert await history.now(first) == (JobOutcome.REPAIRED, 0, clean.id)
        assert await history.now(again) == (JobOutcome.REPAIRED, 0, clean.id)
        assert await failures.count_unresolved(connection, first.id) == 0
        pull = await history.completed(PULL, bad=3, mode="incremental")
        await history.completed(PULL, mode="incremental")
        assert await history.now(pull) == (STILL, 3, None)
        full = await history.completed(PULL, mode="full")
        assert await history.now(pull) == (JobOutcome.REPAIRED, 0, full.id)


async def test_rows_that_fail_once_more_when_retried_are_not_repaired(database: Database, jobs: Jobs) -> None:
    """But by the retry after that, by way of which their first job is, too."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        origin = await history.completed(PULL, bad=3, mode="full")
        await history.take_up(origin)
        retry = await history.completed(PULL, bad=1, mode="retry", params={"retry_of": str(origin.id)})
        assert await history.now(origin) == (STILL, 0, None)
        assert await history.now(retry) == (STILL, 1, None)
        await history.take_up(retry)
        last = await history.completed(PULL, mode="retry", params={"retry_of": str(retry.id)})
        assert await history.now(origin) == (JobOutcome.REPAIRED, 0, last.id)
        assert await history.now(retry) == (JobOutcome.REPAIRED, 0, last.id)


async def test_a_chain_without_its_pulls_does_not_stand_for_one_with_them(database: Database, jobs: Jobs) -> None:
    """It has pushed what was known before."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        failed = await history.failed(CHAIN, pull_products=True)
        await history.completed(CHAIN, params={"pull_products": False})
        assert (await history.now(failed))[0] is JobOutcome.FAILED
        whole = await history.completed(CHAIN, params={"pull_products": True})
        assert await history.now(failed) == (JobOutcome.REPAIRED, 0, whole.id)


async def chain_of(history: History, *steps: Job) -> Job:
    """A chain that completes after these steps, as its task counts them."""
    job_id = await submit(history.jobs, CHAIN)
    connection = history.connection
    token = await claim(connection, job_id)
    await connection.execute(
        "UPDATE dongbo.background_jobs SET parent_id = $1 WHERE id = ANY ($2)", job_id, [step.id for step in steps]
    )
    failed = sum(step.failed > 0 for step in steps)
    counted = Counters(updated=len(steps) - failed, failed=failed)
    noted = [{"type": step.type, "job_id": str(step.id), "status": step.status} for step in steps]
    await store.store_page(connection, job_id, token, counted, None, {"steps": noted}, is_progress=True)
    job = await store.finish(connection, job_id, token, JobStatus.COMPLETED, None, {})
    assert job is not None
    await store.repair(connection, job)
    return job


async def test_a_chain_is_repaired_once_all_of_its_steps_are(database: Database, jobs: Jobs) -> None:
    """Its failed rows are those of its steps, and the last one that is repaired repairs it."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        pull, push = await history.completed(PULL, bad=3, mode="full"), await history.completed(SYNC, bad=395)
        chain = await chain_of(history, pull, await history.completed(JobType.MATCH_PRODUCTS), push)
        assert await history.now(chain) == (STILL, 398, None)
        await history.completed(SYNC)
        assert await history.now(chain) == (STILL, 3, None)
        await history.take_up(pull)
        retry = await history.completed(PULL, mode="retry", params={"retry_of": str(pull.id)})
        assert await history.now(chain) == (JobOutcome.REPAIRED, 0, retry.id)


async def test_a_chain_whose_steps_were_repaired_before_it_ended(database: Database, jobs: Jobs) -> None:
    """It is repaired as it completes."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        push = await history.completed(SYNC, bad=1)
        again = await history.completed(SYNC)
        assert await history.now(await chain_of(history, push)) == (JobOutcome.REPAIRED, 0, again.id)


async def test_a_chain_that_failed_is_repaired_by_one_with_failed_rows(database: Database, jobs: Jobs) -> None:
    """The rows that failed in its steps are told of there."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        failed_id = await submit(jobs, CHAIN)
        token = await claim(connection, failed_id)
        await store.store_page(connection, failed_id, token, Counters(failed=1), None, {}, is_progress=True)
        failed = await store.finish(connection, failed_id, token, JobStatus.FAILED, "refused", {})
        assert failed is not None
        later = await chain_of(history, await history.completed(SYNC, bad=2))
        assert (await history.now(failed))[::2] == (JobOutcome.REPAIRED, later.id)
        assert (await history.now(later))[0] is STILL


async def test_a_job_that_is_retried_begins_anew(database: Database, jobs: Jobs) -> None:
    """What had repaired it is of the past."""
    async with database.acquire() as connection:
        history = History(connection, jobs)
        failed = await history.failed(SYNC)
        await history.completed(SYNC)
        assert (await history.now(failed))[0] is JobOutcome.REPAIRED
        await jobs.retry(failed.id)
        assert await history.now(failed) == (JobOutcome.PENDING, 0, None)
