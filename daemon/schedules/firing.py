"""What fires do: claim them, submit their jobs and record both, in one transaction."""

import asyncio
from collections.abc import Sequence

from daemon.database.pool import Database
from daemon.errors import JobError
from daemon.ids import WorkerName
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.jobs.model import JobRequest, JobTrigger
from daemon.jobs.service import Jobs, Submission, Wanted
from daemon.jobs.types import JobType
from daemon.schedules import fires
from daemon.schedules.model import DueFire, FireOutcome, FireResult, ScheduleSpec

TOLD_AT_ONCE = 50  # jobs announced without a break: some milliseconds
# Whoever is held up by somebody else's claim of one fire shall not hold up the others: then each is tried by itself.
SHORT_WAIT = "SET LOCAL lock_timeout = '1s'"


class Firing:
    """Carries out fires on the jobs of one database; `worker` is recorded with each."""

    def __init__(self, database: Database, jobs: Jobs, worker: WorkerName) -> None:
        self._database = database
        self._jobs = jobs
        self.worker = worker

    async def fire(self, due: Sequence[DueFire]) -> list[FireOutcome]:
        """One job for one fire, whatever number of daemons tries; a refused job is recorded with the reason.

        `due`: of different schedules. In one transaction, unless one of the jobs is refused.
        """
        try:
            return await self._fire(due)
        except JobError as error:
            if len(due) == 1:
                return [await self._end_without_job(due[0], FireResult.FAILED, str(error))]
        return [outcome for each in due for outcome in await self.fire([each])]

    async def skip(self, due: DueFire, reason: str) -> FireOutcome:
        """Record a missed fire that is not made up."""
        return await self._end_without_job(due, FireResult.SKIPPED, reason)

    async def run_now(self, spec: ScheduleSpec) -> FireOutcome:
        """Submit the schedule's job at a person's request."""
        async with self._database.acquire() as connection, connection.transaction():
            submission = await self._jobs.submit_in(connection, request_of(spec, JobTrigger.API), spec.name)
            job = submission.job
            if submission.is_new:
                subject = SubjectKind.SCHEDULE, spec.name
                await actions.note(connection, ActionKind.RUN_SCHEDULE, spec.store, *subject, job_id=job.id)
        if not submission.is_new:
            return FireOutcome(FireResult.ALREADY_LIVE, job.id)
        self._jobs.announce(job)
        return FireOutcome(FireResult.SUBMITTED, job.id)

    async def _fire(self, due: Sequence[DueFire]) -> list[FireOutcome]:
        async with self._database.acquire() as connection, connection.transaction():
            if len(due) > 1:
                await connection.execute(SHORT_WAIT)
            claimed = await fires.claim(connection, due, self.worker)
            wanted = [Wanted(request_of(each.spec), each.spec.name, each.time) for each in claimed]
            submissions = await self._jobs.submit_all_in(connection, wanted)
            outcomes = [_outcome(submission) for submission in submissions]
            await fires.record_outcomes(connection, list(zip(claimed, outcomes, strict=True)))
        for number, submission in enumerate(submissions):
            if submission.is_new:
                self._jobs.announce(submission.job)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        by_name = {each.spec.name: outcome for each, outcome in zip(claimed, outcomes, strict=True)}
        return [by_name.get(each.spec.name, FireOutcome(FireResult.NOT_CLAIMED)) for each in due]

    async def _end_without_job(self, due: DueFire, result: FireResult, detail: str) -> FireOutcome:
        outcome = FireOutcome(result, detail=detail)
        async with self._database.acquire() as connection, connection.transaction():
            if not await fires.claim(connection, [due], self.worker):
                return FireOutcome(FireResult.NOT_CLAIMED)
            await fires.record_outcomes(connection, [(due, outcome)])
        return outcome


def _outcome(submission: Submission) -> FireOutcome:
    result = FireResult.SUBMITTED if submission.is_new else FireResult.ALREADY_LIVE
    return FireOutcome(result, submission.job.id)


def request_of(spec: ScheduleSpec, trigger: JobTrigger = JobTrigger.SCHEDULE) -> JobRequest:
    """The job that a schedule asks for."""
    return JobRequest(JobType(spec.job_type), spec.store, trigger, spec.params)
