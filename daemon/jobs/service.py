"""What may be asked of jobs: submit, cancel, retry, look, prune. Endpoint, schedules and CLI all come here."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from asyncpg import UniqueViolationError

from daemon.database.pool import Connection, Database
from daemon.errors import InvalidTransition, JobNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId, Lane, ScheduleName, new_job_id
from daemon.jobs import actions, failures, listing, store
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.jobs.deciding import Decisions, live_instead_of, live_job, note_cancelled, unknown_job
from daemon.jobs.events import JobNotifier
from daemon.jobs.listing import ALL_JOBS, FoundJobs, JobFilters
from daemon.jobs.model import Job, JobFailure, JobRequest, JobStatus, JobTrigger, PruningPlan
from daemon.jobs.queue import places
from daemon.jobs.queue.places import Place

log = structlog.get_logger()

SUBMIT_ATTEMPTS = 5  # a live job may end between the refused insert and the look at it


@dataclass(frozen=True, slots=True)
class Admission:
    """A checked request: where it queues, and its parameters in canonical form."""

    lane: Lane
    params: Mapping[str, Any]
    priority: int = 0  # higher ones leave the queue first


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request, and what asks for it: a fire of a schedule, or the job of which the new one is a step."""

    request: JobRequest
    schedule: ScheduleName | None = None
    fire_time: datetime | None = None
    parent_id: JobId | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A request's answer: the new job, or the live one that stands in its place."""

    job: Job
    is_new: bool


class Admissions(Protocol):
    """What decides on requests: `daemon.tasks.registry.TaskRegistry`."""

    def admit(self, request: JobRequest) -> Admission:
        """Check a request against the configured stores and the known tasks. Raises InvalidJobRequest."""


class Jobs:
    """The jobs of one database."""

    def __init__(
        self,
        database: Database,
        notifier: JobNotifier,
        admissions: Admissions,
        max_attempts: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`clock` tells the time in the ids of new jobs: the jobs of all daemons are listed in the order of these."""
        self._database = database
        self._notifier = notifier
        self._admissions = admissions
        self._max_attempts = max_attempts
        self._clock = clock
        self.decisions = Decisions(database, notifier, self._enqueue, max_attempts)

    async def submit(self, request: JobRequest) -> Job:
        """Make a job; when this returns, every connection sees it.

        Raises InvalidJobRequest, and LiveJobExists with the id of the live job for the same work.
        """
        return await self._submit(request, ActionKind.SUBMIT)

    async def again(self, job_id: JobId, trigger: JobTrigger) -> Job:
        """Make a job with the parameters of another one. Raises JobNotFound, and what `submit` does."""
        job = await self.get(job_id)
        return await self._submit(JobRequest(job.type, job.store, trigger, job.params), ActionKind.RUN_AGAIN, of=job)

    async def submit_in(
        self,
        connection: Connection,
        request: JobRequest,
        schedule: ScheduleName | None = None,
        fire_time: datetime | None = None,
        parent_id: JobId | None = None,
    ) -> Submission:
        """Make a job in the caller's transaction; the caller calls `announce` after its commit."""
        (submission,) = await self.submit_all_in(connection, [Wanted(request, schedule, fire_time, parent_id)])
        return submission

    async def submit_all_in(self, connection: Connection, wanted: Sequence[Wanted]) -> list[Submission]:
        """Make jobs in the caller's transaction, all or none; the caller calls `announce` after its commit.

        Raises InvalidJobRequest for the first that can't be made, and InvalidTransition.
        """
        admissions = [self._admissions.admit(each.request) for each in wanted]
        submissions: dict[int, Submission] = {}
        left = list(range(len(wanted)))
        for _attempt in range(SUBMIT_ATTEMPTS):
            if not left:
                break
            new = {place: self._new_job(wanted[place], admissions[place]) for place in left}
            submissions |= await self._submit_once(connection, new, admissions)
            left = [place for place in left if place not in submissions]
        if left:
            request = wanted[left[0]].request
            raise InvalidTransition(
                _("{type} jobs of store {store} start and end too quickly: try again").format(
                    type=request.type, store=request.store
                )
            )
        return [submissions[place] for place in range(len(wanted))]

    async def _submit_once(
        self, connection: Connection, new: Mapping[int, store.NewJob], admissions: Sequence[Admission]
    ) -> dict[int, Submission]:
        """The submissions of those of the jobs, by their places, that could be made or have a live one instead."""
        made = await store.insert_unless_live(connection, list(new.values()))
        submissions = {place: Submission(made[job.id], is_new=True) for place, job in new.items() if job.id in made}
        waiting = [
            Place(submission.job.id, admissions[place].lane, admissions[place].priority)
            for place, submission in submissions.items()
        ]
        await places.enqueue(connection, waiting)
        for place, job in new.items():
            if place not in submissions:
                live = await store.find_live(connection, job.store, job.type, job.params)
                if live is not None:
                    submissions[place] = Submission(live, is_new=False)
        return submissions

    def _new_job(self, wanted: Wanted, admission: Admission) -> store.NewJob:
        request = wanted.request
        return store.NewJob(
            id=new_job_id(self._clock()),
            store=request.store,
            type=request.type,
            lane=admission.lane,
            trigger=request.trigger,
            schedule=wanted.schedule,
            fire_time=wanted.fire_time,
            params=admission.params,
            max_attempts=self._max_attempts,
            parent_id=wanted.parent_id,
        )

    def announce(self, job: Job) -> None:
        """Tell readers of a job that was made by `submit_in`, after the commit."""
        self._notifier.changed(job.id, at_once=True)
        log.info("job_submitted", store=job.store, job_id=str(job.id), type=str(job.type), trigger=str(job.trigger))

    async def get(self, job_id: JobId) -> Job:
        """One job; raises JobNotFound."""
        async with self._database.acquire() as connection:
            job = await store.get(connection, job_id)
        if job is None:
            raise unknown_job(job_id)
        return job

    async def list_jobs(
        self, filters: JobFilters = ALL_JOBS, *, before: JobId | None = None, limit: int = 50
    ) -> FoundJobs:
        """Jobs with these properties, newest first, older than `before`."""
        async with self._database.acquire() as connection:
            return await listing.find(connection, filters, before=before, limit=limit)

    async def list_failures(
        self, job_id: JobId, *, reason: str | None = None, after: int = 0, limit: int = 100
    ) -> list[JobFailure]:
        """Dead letters of a job, or those of a reason, oldest first; `after` is the last id of the previous page.

        Raises JobNotFound.
        """
        await self.get(job_id)
        async with self._database.acquire() as connection:
            return await failures.list_failures(connection, job_id, after, limit, reason=reason)

    async def cancel(self, job_id: JobId) -> Job:
        """Cancel a pending job at once and a running one at its next checkpoint.

        Raises JobNotFound, and InvalidTransition if the job has ended.
        """
        parent_id: JobId | None = None
        async with self._database.acquire() as connection, connection.transaction():
            job = await store.request_cancel(connection, job_id)
            if job is not None and job.status is JobStatus.CANCELLED:
                await places.forget(connection, job_id)
                parent_id = await note_cancelled(connection, job)
            elif job is not None and not await places.is_attended(connection, job_id):
                job = await store.cancel_unattended(connection, job_id)
            if job is not None:
                await _note(connection, ActionKind.CANCEL, job)
        if job is None:
            ended = await self.get(job_id)
            raise InvalidTransition(
                _("Job {job_id} is already {status}: there is nothing to cancel").format(
                    job_id=job_id, status=ended.status
                )
            )
        for changed in filter(None, (job_id, parent_id)):
            self._notifier.changed(changed, at_once=True)
        log.info("job_cancel_requested", store=job.store, job_id=str(job.id), type=str(job.type))
        if job.status is JobStatus.CANCELLED:  # a running one sees to its steps itself
            await self.cancel_steps(job_id)
        return job

    async def cancel_steps(self, job_id: JobId) -> None:
        """Cancel the steps of a job that have not ended."""
        async with self._database.acquire() as connection:
            steps = await store.unended_steps(connection, job_id)
        for step_id in steps:
            with suppress(InvalidTransition, JobNotFound):  # it has just ended by itself
                await self.cancel(step_id)

    async def retry(self, job_id: JobId, *, failed_rows: bool = False) -> Job:
        """Run a failed or cancelled job again from its checkpoint; with `failed_rows`, make a job of its dead letters.

        Raises JobNotFound, InvalidTransition, and LiveJobExists.
        """
        if failed_rows:
            return await self._retry_rows(await self.get(job_id))
        try:
            async with self._database.acquire() as connection, connection.transaction():
                job = await store.revive(connection, job_id, self._max_attempts)
                if job is not None:
                    await self._enqueue(connection, job)
                    await _note(connection, ActionKind.RETRY, job)
        except UniqueViolationError:
            raise await live_instead_of(self._database, job_id) from None
        if job is None:
            present = await self.get(job_id)
            raise InvalidTransition(
                _(
                    "Job {job_id} is {status}: only a failed or cancelled job is retried. Submit a new one, or retry "
                    "its failed rows with --failed."
                ).format(job_id=job_id, status=present.status)
            )
        self.announce(job)
        return job

    async def approve(self, job_id: JobId) -> Job:
        """Let a job that waits for approval carry out what it has asked about: see `Decisions.approve`."""
        return await self.decisions.approve(job_id)

    async def reject(self, job_id: JobId) -> Job:
        """End a job that waits for approval: see `Decisions.reject`."""
        return await self.decisions.reject(job_id)

    async def plan_pruning(self, older_than: timedelta) -> PruningPlan:
        """How many jobs `prune` would delete, and how many it would keep for what reason."""
        async with self._database.acquire() as connection:
            return await store.plan_pruning(connection, older_than)

    async def prune(self, older_than: timedelta) -> int:
        """Delete jobs that ended longer ago, their dead letters, and old lines of the queue's log; how many jobs."""
        deleted = 0
        while True:
            async with self._database.acquire() as connection:
                batch = await store.prune(connection, older_than)
            deleted += batch
            if batch == 0:
                break
        async with self._database.acquire() as connection:
            await places.prune_log(connection)
        if deleted:
            self._notifier.pruned()
            log.info("jobs_pruned", jobs=deleted, older_than_days=older_than / timedelta(days=1))
        return deleted

    async def _enqueue(self, connection: Connection, job: Job) -> None:
        """Give a job that runs again its place in the queue."""
        admission = self._admissions.admit(JobRequest(job.type, job.store, JobTrigger.RETRY, job.params))
        await places.enqueue(connection, [Place(job.id, admission.lane, admission.priority)])

    async def _retry_rows(self, job: Job) -> Job:
        if not job.status.has_ended:
            raise InvalidTransition(
                _("Job {id} is {status}: retry its failed rows once it has ended").format(id=job.id, status=job.status)
            )
        async with self._database.acquire() as connection:
            unresolved = await failures.count_unresolved(connection, job.id)
        if unresolved == 0:
            raise InvalidTransition(_("Job {id} has no failed rows left to retry").format(id=job.id))
        params = {"retry_of": str(job.id)}
        return await self._submit(
            JobRequest(job.type, job.store, JobTrigger.RETRY, params), ActionKind.RETRY_ROWS, of=job
        )

    async def _submit(self, request: JobRequest, kind: ActionKind, *, of: Job | None = None) -> Job:
        """Make a job, and note that a person has asked for it: on account of another one (`of`), or for itself."""
        async with self._database.acquire() as connection, connection.transaction():
            submission = await self.submit_in(connection, request)
            if submission.is_new:
                await _note(connection, kind, of or submission.job, submission.job)
        if not submission.is_new:
            raise live_job(submission.job)
        self.announce(submission.job)
        return submission.job


async def _note(connection: Connection, kind: ActionKind, job: Job, made: Job | None = None) -> None:
    """Note what a person does to a job; `made` is the job that comes of it, itself where none does."""
    detail = {"type": job.type}
    await actions.note(connection, kind, job.store, SubjectKind.JOB, job.id, job_id=(made or job).id, detail=detail)
