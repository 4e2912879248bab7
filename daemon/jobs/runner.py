"""Runs one job from its claim to its outcome."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, assert_never
from uuid import uuid4

import asyncpg
import structlog

from daemon.database.connection_errors import is_connection_error, may_pass, reason
from daemon.database.pool import Connection, Database
from daemon.errors import (
    BackupInterrupted,
    DatabaseError,
    DatabaseUnavailable,
    DongboError,
    JobError,
    RateLimited,
    SourceUnavailable,
    leaves,
)
from daemon.i18n import gettext as _
from daemon.ids import JobId, RunToken, WorkerName
from daemon.jobs import approvals, store
from daemon.jobs.context import ApprovalNeeded, JobContext, RunStopped, StepAsks, StopReason
from daemon.jobs.events import EventHub, JobNotifier
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.steps import Steps
from daemon.jobs.types import JOB_TYPES
from daemon.lifecycle import Part

log = structlog.get_logger()

AT_ONCE = timedelta(0)
LONGEST_URGENT_DELAY = timedelta(seconds=5)
SECOND_PLACE_DELAY = timedelta(seconds=15)
DATABASE_PAUSE = timedelta(seconds=1)
OUTCOME_DELAYS = (0.2, 0.5, 1.0)  # seconds between attempts to record an outcome


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failed run waits for its next attempt: doubled each time, jittered, bounded."""

    first_delay: float = 5.0  # seconds
    longest_delay: float = 300.0  # seconds

    def delay(self, attempt: int) -> timedelta:
        """The wait after the given attempt (1 is the first)."""
        seconds: float = min(self.first_delay * 2 ** (attempt - 1), self.longest_delay)
        return timedelta(seconds=seconds * random.uniform(0.75, 1.25))  # noqa: S311


@dataclass(frozen=True, slots=True)
class Requeue:
    """What a run answers if its job is to run again."""

    delay: timedelta
    reason: str


class Tasks(Protocol):
    """What carries out jobs: `daemon.tasks.registry.TaskRegistry`."""

    async def run(self, context: JobContext) -> None:
        """Carry out a job. Raises what ends the run early (see `JobRunner`)."""


class JobRunner:
    """Claims jobs, runs their tasks and records how they ended; knows every run of this process."""

    def __init__(
        self,
        database: Database,
        notifier: JobNotifier,
        tasks: Tasks,
        retry: RetryPolicy,
        steps: Steps,
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._tasks = tasks
        self._retry = retry
        self._steps = steps
        self._active: dict[JobId, JobContext] = {}
        self._is_closed = False
        self._stops = 0  # how often all runs were asked to stop: one that is just being claimed has missed it

    @property
    def active(self) -> Mapping[JobId, JobContext]:
        """The runs of this process."""
        return self._active

    def stop_all(self, reason: StopReason) -> None:
        """Ask every run to end at its next checkpoint; after SHUTDOWN no new run begins."""
        self._stops += 1
        self._is_closed = self._is_closed or reason is StopReason.SHUTDOWN
        for context in self._active.values():
            context.stop(reason)

    async def run(self, job_id: JobId, worker: WorkerName) -> Requeue | None:
        """Run a job; a `Requeue` if it is to run again, None if it has ended or belongs to somebody else now."""
        try:
            return await self._claim_and_run(job_id, worker)
        except Exception as error:
            if not may_pass(error):
                raise
            why = reason(error)
            log.warning("run_lost_database", job_id=str(job_id), error=why, next_step="the job runs again")
            return Requeue(DATABASE_PAUSE, why)

    async def _claim_and_run(self, job_id: JobId, worker: WorkerName) -> Requeue | None:
        if self._is_closed:
            return Requeue(AT_ONCE, StopReason.SHUTDOWN.value)
        if job_id in self._active:  # its place was given out twice
            return Requeue(SECOND_PLACE_DELAY, "the job runs already")
        token, stops = RunToken(uuid4()), self._stops
        async with self._database.acquire() as connection:
            job = await store.claim(connection, job_id, token, worker)
        if job is None:
            return None
        self._notifier.changed(job.id, at_once=True)
        keys: dict[str, Any] = {"store": job.store, "job_id": str(job.id), "type": str(job.type)}
        if job.schedule is not None:
            keys["schedule"] = job.schedule
        with structlog.contextvars.bound_contextvars(**keys):
            context = JobContext(job, token, self._database, self._notifier, self._steps)
            self._active[job.id] = context
            if self._stops != stops:
                context.stop(StopReason.SHUTDOWN if self._is_closed else StopReason.DATABASE_LOST)
            try:
                return await self._run(context, token)
            finally:
                del self._active[job.id]

    async def _run(self, context: JobContext, token: RunToken) -> Requeue | None:
        job = context.job
        if job.cancel_requested:
            await self._finish(context, token, JobStatus.CANCELLED, None)
            return None
        if job.attempt > job.max_attempts:
            message = _(
                "The daemon died {n} times in a row while it ran this job. Look into its log for the "
                "cause, then retry the job."
            ).format(n=job.max_attempts)
            await self._finish(context, token, JobStatus.FAILED, message)
            return None
        log.info("job_started", attempt=job.attempt, resumed=job.checkpoint is not None)
        try:
            await self._tasks.run(context)
        except RunStopped as stopped:
            return await self._stopped(context, token, stopped.reason)
        except ApprovalNeeded as question:
            await self._ask(context, token, question)
            return None
        except StepAsks as step:
            return await self._wait_along(context, token, step)
        except (SourceUnavailable, RateLimited, BackupInterrupted) as error:
            return await self._failed_attempt(context, token, error)
        except DatabaseError as error:
            return await self._release(context, token, str(error))
        except DongboError as error:
            await self._finish(context, token, JobStatus.FAILED, str(error))
            return None
        except Exception as error:
            if is_connection_error(error) or isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                return await self._release(context, token, reason(error))
            if may_pass(error):
                refusal = DatabaseUnavailable(
                    _("PostgreSQL refused to store a page: {error}. Look into its log").format(error=reason(error))
                )
                return await self._failed_attempt(context, token, refusal)
            if any(isinstance(leaf, MemoryError) for leaf in leaves(error)):
                shortage = JobError(_("This machine had no memory left for the job: give it more, or run less on it"))
                return await self._failed_attempt(context, token, shortage)
            log.exception("job_crashed")
            message = _(
                "A bug in the program ended this job ({name}). The log entry job_crashed says where; please report it."
            ).format(name=type(error).__name__)
            await self._finish(context, token, JobStatus.FAILED, message)
            return None
        await self._finish(context, token, JobStatus.COMPLETED, None)
        return None

    async def _stopped(self, context: JobContext, token: RunToken, reason: StopReason) -> Requeue | None:
        match reason:
            case StopReason.CANCELLED:
                await self._finish(context, token, JobStatus.CANCELLED, None)
                return None
            case StopReason.TAKEN_OVER:
                _tell_of_loss()
                return None
            case StopReason.SHUTDOWN | StopReason.DATABASE_LOST:
                return await self._release(context, token, reason.value)
            case _:
                assert_never(reason)

    async def _failed_attempt(self, context: JobContext, token: RunToken, error: DongboError) -> Requeue | None:
        # Pages committed in this run made it the first attempt again (see store.STORE_PAGE).
        attempt = 1 if context.has_progressed else context.job.attempt
        if attempt >= context.job.max_attempts:
            message = _("{error} (attempt {attempt} of {most}; retry the job once the cause is fixed)").format(
                error=error, attempt=attempt, most=context.job.max_attempts
            )
            await self._finish(context, token, JobStatus.FAILED, message)
            return None
        delay = self._retry.delay(attempt)
        if JOB_TYPES[context.job.type].is_urgent:
            delay = min(delay, LONGEST_URGENT_DELAY)
        if isinstance(error, RateLimited):
            delay = max(delay, timedelta(seconds=error.retry_after))
        job = await self._record(lambda c: store.defer(c, context.job.id, token, str(error), delay, context.costs()))
        if job is None:
            _tell_of_loss()
            return None
        log.warning("job_attempt_failed", attempt=attempt, error=str(error), retry_in=round(delay.total_seconds(), 1))
        self._notifier.changed(job.id, at_once=True)
        await self._see_to_steps(job)
        return Requeue(delay, str(error)) if job.status.is_live else None

    async def _release(self, context: JobContext, token: RunToken, reason: str) -> Requeue | None:
        """Put the job back at no cost; where the database is away its row stays, and the next cycle puts it back."""
        job = await self._record(lambda c: store.release(c, context.job.id, token, reason))
        if job is None:
            _tell_of_loss()
            return None
        self._notifier.changed(job.id, at_once=True)
        log.info("job_released", reason=reason, processed=context.processed)
        await self._see_to_steps(job)
        return Requeue(AT_ONCE, reason) if job.status.is_live else None

    async def _ask(self, context: JobContext, token: RunToken, question: ApprovalNeeded) -> None:
        """End the run until a person has decided; the question of an older run becomes that of this one."""
        metadata = context.costs() | context.overall_rate() | {"approved_at": None} | question.metadata

        async def ask(connection: Connection) -> Job | None:
            async with connection.transaction():
                replaced[:] = await store.replace_waiting(connection, context.job, token, _replaced_by(context.job))
                asking = await store.await_approval(connection, context.job.id, token, question.reason, metadata)
                if asking is not None and asking.status is JobStatus.AWAITING_APPROVAL:
                    await approvals.ask(connection, asking, question.reason, question.facts)
                return asking

        replaced: list[JobId] = []
        job = await self._record(ask)
        self._announce_waiting(job, replaced)
        if job is not None:
            log.warning("approval_needed", reason=question.reason, next_step=f"dongbo jobs approve|reject {job.id}")

    async def _wait_along(self, context: JobContext, token: RunToken, step: StepAsks) -> Requeue | None:
        """End the run until a person has decided about the step; where that has just happened, it goes on at once."""
        metadata = context.costs() | context.overall_rate()

        async def wait(connection: Connection) -> Job | None:
            async with connection.transaction():
                if await store.lock_asking(connection, step.step_id) is None:
                    return None
                replaced[:] = await store.replace_waiting(connection, context.job, token, _replaced_by(context.job))
                return await store.await_approval(connection, context.job.id, token, step.reason, metadata)

        replaced: list[JobId] = []
        job = await self._record(wait)
        if job is None:
            return await self._release(context, token, "the step was decided about")
        self._announce_waiting(job, replaced)
        await self._see_to_steps(job)
        return None

    def _announce_waiting(self, job: Job | None, replaced: Sequence[JobId]) -> None:
        if job is None:
            _tell_of_loss()
            return
        for job_id in (*replaced, job.id):
            self._notifier.changed(job_id, at_once=True)

    async def _finish(self, context: JobContext, token: RunToken, status: JobStatus, error: str | None) -> None:
        metadata = context.costs() | context.overall_rate()
        replaced: list[JobId] = []

        async def finish(connection: Connection) -> Job | None:
            async with connection.transaction():
                is_trial = context.params.get("dry_run") or context.has_only_planned
                is_done = status is JobStatus.COMPLETED and not is_trial
                # A job about a few items has not looked at what another one asks about.
                looks_at_all = not JOB_TYPES[context.job.type].is_of_items(context.params)
                if is_done and looks_at_all:
                    reason = _("A newer run, job {job}, has completed: there is nothing left to approve.")
                    replaced[:] = await store.replace_waiting(
                        connection, context.job, token, reason.format(job=context.job.id)
                    )
                ended = await store.finish(connection, context.job.id, token, status, error, metadata)
                if ended is not None and is_done:
                    if looks_at_all:
                        await approvals.withdraw(connection, ended.store, ended.type)
                    await approvals.note_carried_out(connection, ended.id)
                    await store.repair(connection, ended)
                return ended

        job = await self._record(finish)
        if job is None:
            _tell_of_loss()
            return
        for job_id in (*replaced, job.id):
            self._notifier.changed(job_id, at_once=True)
        await self._see_to_steps(job)
        level = "error" if status is JobStatus.FAILED else "info"
        counters = {name: getattr(job, name) for name in ("processed", "created", "updated", "skipped", "failed")}
        getattr(log, level)("job_ended", status=str(status), error=error, **counters)

    async def _see_to_steps(self, job: Job) -> None:
        """Cancelling a job cancels its steps, too."""
        if job.status is JobStatus.CANCELLED:
            await self._steps.jobs.cancel_steps(job.id)

    async def _record(self, write: Callable[[Any], Awaitable[Job | None]]) -> Job | None:
        """Write an outcome, trying again through a short outage; raises the last error when it lasts."""
        for delay in (*OUTCOME_DELAYS, None):
            try:
                async with self._database.acquire() as connection:
                    return await write(connection)
            except Exception as error:
                if delay is None or not may_pass(error):
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("unreachable")


def _tell_of_loss() -> None:
    """Log that the job is another run's, however this one has found that out."""
    log.warning("run_taken_over", next_step="this run stops, the job continues elsewhere")


def _replaced_by(job: Job) -> str:
    return _("A newer run, job {job}, asks in its place.").format(job=job.id)


class CancellationWatch(Part):
    """Stops runs that wait for their source as soon as someone asks to cancel them, on whichever daemon that was."""

    name = "cancellations"

    def __init__(self, runner: JobRunner, hub: EventHub) -> None:
        self._runner = runner
        self._hub = hub

    async def _run(self) -> None:
        with self._hub.subscribe() as subscription:
            while True:
                for event in await subscription.take():
                    context = self._runner.active.get(event.job.id)
                    if context is not None and event.job.cancel_requested and event.job.status.is_live:
                        context.stop(StopReason.CANCELLED)
