"""Jobs: visible at once, one live, exact, resumable, cancellable, retried, rescued."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.clock import boot_time
from daemon.database.pool import Connection, Database
from daemon.errors import (
    DatabaseUnavailable,
    InvalidJobRequest,
    InvalidTransition,
    JobNotFound,
    LiveJobExists,
    SourceUnavailable,
)
from daemon.ids import JobId, RunToken, StoreName, WorkerName, new_job_id
from daemon.jobs import context, failures, pauses, store
from daemon.jobs.context import WAIT_REPORTED_AFTER, JobContext, RunStopped
from daemon.jobs.events import JobNotifier
from daemon.jobs.failures import DeadLetter
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Counters, JobRequest, JobStatus, JobTrigger, PruningPlan
from daemon.jobs.service import Admission, Jobs
from daemon.jobs.types import JobType
from tests.support.one_lane import OneLane, OneTask, runner_of, steps_of

STORE = StoreName("main")
CUSTOMERS = JobRequest(JobType.PULL_NHANH_CUSTOMERS, STORE, JobTrigger.API)


@pytest.fixture
def notifier(database: Database) -> JobNotifier:
    """A notifier that nobody runs: what it is told stays unsent."""
    return JobNotifier(database, 0.25)


@pytest.fixture
def jobs(database: Database, notifier: JobNotifier) -> Jobs:
    """The service without workers."""
    return Jobs(database, notifier, OneLane(), max_attempts=3)


async def begin(database: Database, notifier: JobNotifier, job_id: JobId) -> JobContext:
    """Claim a job and give its run."""
    token = RunToken(uuid4())
    async with database.acquire() as connection:
        job = await store.claim(connection, job_id, token, WorkerName("test"))
    assert job is not None
    return JobContext(job, token, database, notifier, steps_of(database, notifier))


class Queueing:
    """A meter whose calls wait for the rate limit."""

    waits_for = "the rate limit"

    def __init__(self) -> None:
        self.limited_since: datetime | None = datetime.now(UTC)

    def costs(self) -> dict[str, float]:
        return {"api_calls": 3}


async def test_a_run_that_was_suspended_on_its_way_to_a_write_does_not_write(
    database: Database, notifier: JobNotifier, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had learnt before proves nothing any more: another run has taken the job over meanwhile."""
    job = await jobs.submit(CUSTOMERS)
    run = await begin(database, notifier, job.id)
    await run.check_before_write()
    now, at_once = boot_time(), pauses.refuse_paused
    monkeypatch.setattr(context, "boot_time", lambda: now)

    async def suspended(connection: Connection, _store: StoreName) -> None:
        nonlocal now
        now += 40.0
        await store.claim(connection, job.id, RunToken(uuid4()), WorkerName("another"))
        monkeypatch.setattr(pauses, "refuse_paused", at_once)

    monkeypatch.setattr(pauses, "refuse_paused", suspended)
    with pytest.raises(RunStopped):
        await run.check_before_write()


@pytest.mark.parametrize("error", [DatabaseUnavailable("cut off"), SourceUnavailable("no answer")], ids=type)
async def test_a_run_that_ends_by_an_error_tells_that_its_job_is_anothers(
    database: Database, notifier: JobNotifier, jobs: Jobs, error: Exception
) -> None:
    """As a daemon does that was suspended or cut off, whatever it meets first when it goes on."""

    async def taken_over(_context: JobContext) -> None:
        async with database.acquire() as connection:
            await store.claim(connection, job.id, RunToken(uuid4()), WorkerName("another"))
        raise error

    job = await jobs.submit(CUSTOMERS)
    with capture_logs() as log:
        assert await runner_of(database, notifier, OneTask(taken_over)).run(job.id, WorkerName("test")) is None
    assert [line["event"] for line in log if line["log_level"] == "warning"] == ["run_taken_over"]
    assert (await jobs.get(job.id)).worker == "another"


async def test_a_call_that_waits_for_the_limit_is_told_from_its_beginning(
    database: Database, notifier: JobNotifier, jobs: Jobs
) -> None:
    """Not only pulls say so; when the call is over, the wait is over."""
    job = await jobs.submit(CUSTOMERS)
    context = await begin(database, notifier, job.id)
    context.count_costs(Queueing())
    answered = asyncio.Event()
    call = asyncio.create_task(context.unless_stopped(answered.wait()))
    async with asyncio.timeout(WAIT_REPORTED_AFTER):  # before any other wait is told
        while (waiting := (await jobs.get(job.id)).metadata.get("waiting")) is None:
            await asyncio.sleep(0.02)
    assert waiting["for"] == "the rate limit"
    answered.set()
    assert await call
    ended = (await jobs.get(job.id)).metadata
    assert ended["waiting"] is None
    assert ended["api_calls"] == 3


async def test_job_is_visible_from_another_connection_when_submit_returns(jobs: Jobs, database_url: str) -> None:
    """Rule 2: any connection sees the job as soon as `submit` has returned."""
    job = await jobs.submit(CUSTOMERS)
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT status FROM dongbo.background_jobs WHERE id = $1", job.id) == "PENDING"
        assert await connection.fetchval("SELECT count(*) FROM dongbo.pgqueuer") == 1
    finally:
        await connection.close()


async def test_second_request_is_answered_with_the_live_job(jobs: Jobs) -> None:
    """Rule 5: of many simultaneous requests one makes a job and all others get its id."""
    answers = await asyncio.gather(*(jobs.submit(CUSTOMERS) for _ in range(20)), return_exceptions=True)
    made = [answer for answer in answers if not isinstance(answer, BaseException)]
    refused = [answer for answer in answers if isinstance(answer, LiveJobExists)]
    assert len(made) == 1
    assert len(refused) == 19
    assert {error.job_id for error in refused} == {made[0].id}
    assert len((await jobs.list_jobs()).jobs) == 1


async def test_other_work_of_the_same_type_has_its_own_live_job(jobs: Jobs, database: Database) -> None:
    """Rule 5 holds for the work: other parameters are other work, the same ones in another order are not; however long
    a query is."""

    def ask(**params: object) -> JobRequest:
        return replace(CUSTOMERS, params=params)

    made = [await jobs.submit(ask(**params)) for params in ({}, {"full": True}, {"query": "x" * 100_000})]
    both = await jobs.submit(ask(full=True, filters={"type": 2, "ids": [1, 2]}))
    for live, params in (
        (made[0], {}),
        (made[2], {"query": "x" * 100_000}),
        (both, {"filters": {"ids": [1, 2], "type": 2}, "full": True}),
    ):
        with pytest.raises(LiveJobExists, match="for exactly the same work") as refusal:
            await jobs.submit(ask(**params))
        assert refusal.value.job_id == live.id
    await jobs.cancel(made[1].id)
    again = await jobs.submit(ask(full=True))
    with pytest.raises(LiveJobExists) as refusal:  # a retry is the same work as well
        await jobs.retry(made[1].id)
    assert refusal.value.job_id == again.id


async def test_a_daemon_of_the_version_before_claims_no_fire_that_it_can_not_carry_out(database: Database) -> None:
    """It names the index of the old rule when it submits: that fails, and its claim is rolled back with it, so that the
    fire is there for the daemon that has brought the schema up to date."""
    before = "INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, max_attempts)"
    old = f"{before} VALUES ($1, 'main', 'NOOP', 'x', 'PENDING', 'schedule', 1) ON CONFLICT (store, type)"
    claim = "INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, outcome) VALUES ('main', 'x', now(), '')"
    async with database.acquire() as connection:
        with pytest.raises(asyncpg.InvalidColumnReferenceError):
            async with connection.transaction():
                await connection.execute(claim)
                await connection.execute(f"{old} WHERE {store.IS_LIVE} DO NOTHING", new_job_id())
        assert await connection.fetchval("SELECT count(*) FROM dongbo.schedule_fires") == 0


async def test_other_stores_and_types_have_their_own_live_jobs(jobs: Jobs) -> None:
    """Rule 5 holds per store and type."""
    await jobs.submit(CUSTOMERS)
    await jobs.submit(JobRequest(JobType.PULL_NHANH_PRODUCTS, STORE, JobTrigger.API))
    await jobs.submit(JobRequest(JobType.PULL_NHANH_CUSTOMERS, StoreName("other"), JobTrigger.API))
    assert len((await jobs.list_jobs()).jobs) == 3


async def test_page_commits_rows_counters_and_checkpoint_together(
    jobs: Jobs, database: Database, notifier: JobNotifier
) -> None:
    """Rule 3: a page that fails leaves neither rows nor counters nor checkpoint behind."""
    job = await jobs.submit(CUSTOMERS)
    run = await begin(database, notifier, job.id)
    insert = "INSERT INTO dongbo.watermarks (store, stream, complete_to) VALUES ('main', 'x', now())"
    with pytest.raises(RuntimeError, match="on purpose"):
        async with run.page(checkpoint={"at": 1}) as page:
            await page.connection.execute(insert)
            page.count(Counters(created=3))
            raise RuntimeError("on purpose")
    after = await jobs.get(job.id)
    assert (after.processed, after.checkpoint) == (0, None)
    async with run.page(checkpoint={"at": 2}) as page:
        assert await page.connection.fetchval("SELECT count(*) FROM dongbo.watermarks") == 0
        await page.connection.execute(insert)
        page.count(Counters(created=2, updated=1, skipped=4))
        page.reject([DeadLetter("7", "bad", b"{}")])
    after = await jobs.get(job.id)
    assert (after.processed, after.successful, after.created, after.updated, after.skipped, after.failed) == (
        8, 3, 2, 1, 4, 1,
    )  # fmt: skip
    assert after.checkpoint == {"at": 2}
    assert after.metadata["pages"] == 1
    assert [letter.source_id for letter in await jobs.list_failures(job.id)] == ["7"]


async def test_run_that_was_taken_over_has_no_effect(jobs: Jobs, database: Database, notifier: JobNotifier) -> None:
    """Rule 4: after a take-over every write of the old run is without effect and ends it."""
    job = await jobs.submit(CUSTOMERS)
    old = await begin(database, notifier, job.id)
    new = await begin(database, notifier, job.id)
    with pytest.raises(RunStopped):
        async with old.page(checkpoint={"old": True}) as page:
            await page.connection.execute(
                "INSERT INTO dongbo.watermarks (store, stream, complete_to) VALUES ('main', 'old', now())"
            )
            page.count(Counters(created=1))
    with pytest.raises(RunStopped):
        await old.describe(total=5)
    async with new.page(checkpoint={"new": True}) as page:
        assert await page.connection.fetchval("SELECT count(*) FROM dongbo.watermarks") == 0
        page.count(Counters(created=1))
    after = await jobs.get(job.id)
    assert (after.created, after.checkpoint, after.total) == (1, {"new": True}, None)


async def test_database_refuses_counters_that_do_not_add_up(jobs: Jobs, database: Database) -> None:
    """Rule 3 is also a constraint of the table."""
    job = await jobs.submit(CUSTOMERS)
    async with database.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE dongbo.background_jobs SET processed = 1 WHERE id = $1", job.id)


async def test_cancelling_a_pending_job_ends_it_and_empties_the_queue(jobs: Jobs, database: Database) -> None:
    """A job that has not begun is cancelled at once and never runs."""
    job = await jobs.submit(CUSTOMERS)
    assert (await jobs.cancel(job.id)).status is JobStatus.CANCELLED
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM dongbo.pgqueuer") == 0
    with pytest.raises(InvalidTransition, match="nothing to cancel"):
        await jobs.cancel(job.id)


async def test_running_job_learns_of_the_cancellation_with_its_next_page(
    jobs: Jobs, database: Database, notifier: JobNotifier
) -> None:
    """Cancelling takes effect within one page, and that page still counts."""
    job = await jobs.submit(CUSTOMERS)
    run = await begin(database, notifier, job.id)
    async with database.acquire() as connection:
        await connection.execute("UPDATE dongbo.pgqueuer SET status = 'picked'")
    assert (await jobs.cancel(job.id)).status is JobStatus.RUNNING
    with pytest.raises(RunStopped):
        async with run.page(checkpoint=1) as page:
            page.count(Counters(skipped=5))
    assert (await jobs.get(job.id)).processed == 5


async def test_unknown_job_is_said_to_be_unknown(jobs: Jobs) -> None:
    """Asking for a job that does not exist is an error of its own."""
    for ask in (jobs.get, jobs.cancel, jobs.retry, jobs.list_failures):
        with pytest.raises(JobNotFound):
            await ask(new_job_id())


async def test_failed_job_is_revived_with_its_counters(jobs: Jobs, database: Database, notifier: JobNotifier) -> None:
    """A retry keeps id, counters and checkpoint; a completed job is not retried."""
    job = await jobs.submit(CUSTOMERS)
    token = RunToken(uuid4())
    async with database.acquire() as connection:
        await store.claim(connection, job.id, token, WorkerName("test"))
        await store.store_page(connection, job.id, token, Counters(created=4), {"at": 4}, {}, is_progress=True)
        await store.finish(connection, job.id, token, JobStatus.FAILED, "broken", {})
    revived = await jobs.retry(job.id)
    assert (revived.id, revived.status, revived.created, revived.checkpoint) == (
        job.id, JobStatus.PENDING, 4, {"at": 4},
    )  # fmt: skip
    with pytest.raises(InvalidTransition, match="only a failed or cancelled job"):
        await jobs.retry(job.id)


async def test_revival_gives_way_to_a_live_job(jobs: Jobs, database: Database) -> None:
    """Rule 5 also holds for retries."""
    first = await jobs.submit(CUSTOMERS)
    await jobs.cancel(first.id)
    second = await jobs.submit(CUSTOMERS)
    with pytest.raises(LiveJobExists) as refusal:
        await jobs.retry(first.id)
    assert refusal.value.job_id == second.id


async def test_prune_deletes_old_jobs_but_the_newest(jobs: Jobs, database: Database) -> None:
    """Old ended jobs go with their dead letters; the newest of a store and type stays, and so do live ones."""
    ended = []
    for _ in range(3):
        job = await jobs.submit(CUSTOMERS)
        await jobs.cancel(job.id)
        ended.append(job.id)
    live = await jobs.submit(JobRequest(JobType.PULL_NHANH_PRODUCTS, STORE, JobTrigger.API))
    async with database.acquire() as connection:
        await failures.insert(connection, ended[0], [DeadLetter(None, "bad", b"{}")])
        await connection.execute(
            "UPDATE dongbo.background_jobs SET completed_at = now() - interval '40 days' WHERE completed_at IS NOT NULL"
        )
    assert await jobs.prune(timedelta(days=30)) == 2
    assert {job.id for job in (await jobs.list_jobs()).jobs} == {ended[2], live.id}


async def test_the_plan_of_a_pruning_is_what_it_does(
    jobs: Jobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job counts once, by why it stays or as one that goes; what goes goes in batches, and is what was counted."""
    ended = []
    for number in range(9):
        job = await jobs.submit(CUSTOMERS)
        await jobs.cancel(job.id)
        ended.append(job.id)
        if number == 4:
            chain = await jobs.submit(JobRequest(JobType.PRODUCT_CHAIN, STORE, JobTrigger.API))
            await jobs.cancel(chain.id)
    later = await jobs.submit(JobRequest(JobType.PRODUCT_CHAIN, STORE, JobTrigger.API))
    await jobs.cancel(later.id)
    step = await jobs.submit(JobRequest(JobType.PULL_NHANH_PRODUCTS, STORE, JobTrigger.API))
    retry = await jobs.submit(JobRequest(CUSTOMERS.type, STORE, JobTrigger.RETRY, {"retry_of": str(ended[0])}))
    async with database.acquire() as connection:
        await connection.execute("UPDATE dongbo.background_jobs SET parent_id = $2 WHERE id = $1", step.id, chain.id)
        await connection.execute(
            "UPDATE dongbo.background_jobs SET completed_at = now() - interval '40 days' "
            "WHERE completed_at IS NOT NULL AND id <> $1",
            ended[1],
        )
    plan = await jobs.plan_pruning(timedelta(days=30))
    assert plan == PruningPlan(prunable=6, unended=2, recent=1, newest=2, needed=2)
    batches = []
    prune = store.prune

    async def in_small_batches(connection: Connection, older_than: timedelta) -> int:
        batches.append(await prune(connection, older_than, limit=4))
        return batches[-1]

    monkeypatch.setattr(store, "prune", in_small_batches)
    assert await jobs.prune(timedelta(days=30)) == plan.prunable
    assert batches == [4, 2, 0]
    kept = {ended[0], ended[1], ended[8], chain.id, later.id, step.id, retry.id}
    assert {job.id for job in (await jobs.list_jobs()).jobs} == kept
    assert (await jobs.plan_pruning(timedelta(days=30))).prunable == 0


async def test_list_pages_through_all_jobs(jobs: Jobs) -> None:
    """The cursor leads through every job once, newest first."""
    made = []
    for _ in range(7):
        job = await jobs.submit(CUSTOMERS)
        await jobs.cancel(job.id)
        made.append(job.id)
    seen, before = [], None
    while page := (await jobs.list_jobs(before=before, limit=3)).jobs:
        seen += [job.id for job in page]
        before = seen[-1]
    assert seen == made[::-1]
    assert (await jobs.list_jobs(JobFilters(status=JobStatus.RUNNING))).jobs == []
    assert len((await jobs.list_jobs(JobFilters(status=JobStatus.CANCELLED))).jobs) == 7


async def test_dead_letter_with_nul_and_a_megabyte_is_kept(jobs: Jobs) -> None:
    """A dead letter can hold what no jsonb could, and is cut at a sensible length."""
    job = await jobs.submit(CUSTOMERS)
    async with jobs._database.acquire() as connection:
        letters = [DeadLetter("1\x00", "x\x00", b'{"a": "\\u0000"}'), DeadLetter(None, "long", b"y" * 1_000_000)]
        await failures.insert(connection, job.id, letters)
    first, second = await jobs.list_failures(job.id)
    assert first.payload == '{"a": "\\u0000"}'
    assert not first.payload_truncated
    assert second.payload_truncated
    assert len(second.payload) == failures.PAYLOAD_LIMIT


async def test_refused_request_leaves_nothing_behind(database: Database, notifier: JobNotifier) -> None:
    """A request that is not admitted makes no job."""

    class Refusal(OneLane):
        def admit(self, request: JobRequest) -> Admission:
            raise InvalidJobRequest("no")

    jobs = Jobs(database, notifier, Refusal(), max_attempts=3)
    with pytest.raises(InvalidJobRequest):
        await jobs.submit(CUSTOMERS)
    assert (await jobs.list_jobs()).jobs == []


async def test_failed_attempt_of_a_job_to_be_cancelled_ends_it(jobs: Jobs, database: Database) -> None:
    """Who asked for cancelling does not wait for the next attempt."""
    for back in ("defer", "release"):
        job = await jobs.submit(CUSTOMERS)
        token = RunToken(uuid4())
        async with database.acquire() as connection:
            await store.claim(connection, job.id, token, WorkerName("test"))
            await store.request_cancel(connection, job.id)
            if back == "defer":
                ended = await store.defer(connection, job.id, token, "broken \x00", timedelta(minutes=5), {})
            else:
                ended = await store.release(connection, job.id, token, "the daemon stops")
        assert ended is not None
        assert ended.status is JobStatus.CANCELLED


async def test_running_job_that_nobody_has_is_cancelled_at_once(jobs: Jobs, database: Database) -> None:
    """A job whose worker died and whose lane nobody serves can be ended; one whose worker lives is asked."""
    job = await jobs.submit(CUSTOMERS)
    async with database.acquire() as connection:
        await store.claim(connection, job.id, RunToken(uuid4()), WorkerName("dead"))
        await connection.execute("UPDATE dongbo.pgqueuer SET status = 'picked', heartbeat = now()")
    assert (await jobs.cancel(job.id)).status is JobStatus.RUNNING
    async with database.acquire() as connection:
        await connection.execute("UPDATE dongbo.pgqueuer SET heartbeat = now() - interval '5 minutes'")
    assert (await jobs.cancel(job.id)).status is JobStatus.CANCELLED


async def test_job_whose_failed_rows_are_being_retried_is_not_pruned(jobs: Jobs, database: Database) -> None:
    """Its dead letters are needed until the retry has ended."""
    origin = await jobs.submit(CUSTOMERS)
    await jobs.cancel(origin.id)
    newer = await jobs.submit(CUSTOMERS)
    await jobs.cancel(newer.id)
    await jobs.submit(JobRequest(CUSTOMERS.type, STORE, JobTrigger.RETRY, {"retry_of": str(origin.id)}))
    assert await jobs.prune(timedelta(seconds=-1)) == 0
