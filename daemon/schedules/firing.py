"""What a fire does: claim it, submit its job and record both, in one transaction."""

from datetime import datetime

from daemon.database.pool import Database
from daemon.errors import JobError
from daemon.ids import WorkerName
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.jobs.model import JobRequest, JobTrigger
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from daemon.schedules import fires
from daemon.schedules.model import FireOutcome, FireResult, ScheduleSpec


class Firing:
    """Carries out fires on the jobs of one database; `worker` is recorded with each."""

    def __init__(self, database: Database, jobs: Jobs, worker: WorkerName) -> None:
        self._database = database
        self._jobs = jobs
        self.worker = worker

    async def fire(self, spec: ScheduleSpec, fire_time: datetime) -> FireOutcome:
        """One job for one fire, whatever number of daemons tries; a refused job is recorded with the reason."""
        try:
            async with self._database.acquire() as connection, connection.transaction():
                if not await fires.claim_fire(connection, spec, fire_time, self.worker):
                    return FireOutcome(FireResult.NOT_CLAIMED)
                submission = await self._jobs.submit_in(connection, request_of(spec), spec.name, fire_time)
                result = FireResult.SUBMITTED if submission.is_new else FireResult.ALREADY_LIVE
                await fires.record_outcome(connection, spec, fire_time, result, submission.job.id)
        except JobError as error:
            return await self._end_without_job(spec, fire_time, FireResult.FAILED, str(error))
        if submission.is_new:
            self._jobs.announce(submission.job)
        return FireOutcome(result, submission.job.id)

    async def skip(self, spec: ScheduleSpec, fire_time: datetime, reason: str) -> FireOutcome:
        """Record a missed fire that is not made up."""
        return await self._end_without_job(spec, fire_time, FireResult.SKIPPED, reason)

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

    async def _end_without_job(
        self, spec: ScheduleSpec, fire_time: datetime, result: FireResult, detail: str
    ) -> FireOutcome:
        async with self._database.acquire() as connection, connection.transaction():
            if not await fires.claim_fire(connection, spec, fire_time, self.worker):
                return FireOutcome(FireResult.NOT_CLAIMED)
            await fires.record_outcome(connection, spec, fire_time, result, None, detail)
        return FireOutcome(result, detail=detail)


def request_of(spec: ScheduleSpec, trigger: JobTrigger = JobTrigger.SCHEDULE) -> JobRequest:
    """The job that a schedule asks for."""
    return JobRequest(JobType(spec.job_type), spec.store, trigger, spec.params)
