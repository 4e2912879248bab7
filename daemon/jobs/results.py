"""What came of jobs, for people: many at once, by a fixed number of queries."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never
from uuid import UUID

from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.jobs import store
from daemon.jobs.model import Aftermath, Job, JobOutcome, JobStatus, JobStep, JobSummary
from daemon.jobs.sentences import next_step, sentence
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.jobs.words import job_name
from daemon.tone import Tone

TONES: Mapping[JobOutcome, Tone] = {
    JobOutcome.PENDING: Tone.OFF,
    JobOutcome.RETRYING: Tone.WARN,
    JobOutcome.RUNNING: Tone.RUN,
    JobOutcome.AWAITING_APPROVAL: Tone.ASK,
    JobOutcome.COMPLETED: Tone.OK,
    JobOutcome.COMPLETED_WITH_FAILURES: Tone.WARN,
    JobOutcome.REPAIRED: Tone.OFF,
    JobOutcome.FAILED: Tone.BAD,
    JobOutcome.CANCELLED: Tone.OFF,
    JobOutcome.SUPERSEDED: Tone.OFF,
}


async def summarise(connection: Connection, jobs: Sequence[Job]) -> list[JobSummary]:
    """A sentence about each job and its steps, in the language that is spoken; in the same order."""
    step_ids = [job_id for job in jobs for job_id in _step_ids(job)]
    steps = {step.id: step for step in await store.get_many(connection, step_ids)} if step_ids else {}
    aftermaths = await store.aftermaths(connection, [*(job.id for job in jobs), *steps]) if jobs else {}
    unknown = Aftermath()
    return [summary_of(job, aftermaths.get(job.id, unknown), _steps(job, steps, aftermaths)) for job in jobs]


def summary_of(job: Job, aftermath: Aftermath, steps: Sequence[JobStep] = ()) -> JobSummary:
    """A sentence about one job of which all is known."""
    outcome = outcome_of(job, aftermath)
    failed, unresolved = job.failed, max(job.failed - aftermath.taken_up, 0)
    if job.type is JobType.PRODUCT_CHAIN:
        failed, unresolved = sum(step.failed_rows for step in steps), sum(step.unresolved_rows for step in steps)
    return JobSummary(
        job_id=job.id,
        name=job_name(job.type),
        outcome=outcome,
        tone=TONES[outcome],
        text=sentence(job, outcome, steps),
        next_step=next_step(job, outcome),
        failed_rows=failed,
        unresolved_rows=unresolved,
        can_retry_rows=JOB_TYPES[job.type].retries_rows and job.status.has_ended and unresolved > 0,
        repaired_by=aftermath.repaired_by,
        steps=steps,
    )


def outcome_of(job: Job, aftermath: Aftermath) -> JobOutcome:
    """What has become of a job: the same as `dongbo.set_job_facet` says in SQL."""
    match job.status:
        case JobStatus.PENDING:
            return JobOutcome.PENDING if job.error is None else JobOutcome.RETRYING
        case JobStatus.RUNNING:
            return JobOutcome.RUNNING
        case JobStatus.AWAITING_APPROVAL:
            return JobOutcome.AWAITING_APPROVAL
        case JobStatus.COMPLETED:
            if job.failed == 0:
                return JobOutcome.COMPLETED
            return JobOutcome.REPAIRED if aftermath.repaired_by else JobOutcome.COMPLETED_WITH_FAILURES
        case JobStatus.FAILED:
            return JobOutcome.REPAIRED if aftermath.repaired_by else JobOutcome.FAILED
        case JobStatus.CANCELLED:
            return JobOutcome.SUPERSEDED if aftermath.superseded_by else JobOutcome.CANCELLED
        case _:
            assert_never(job.status)


def _noted_steps(job: Job) -> Sequence[Mapping[str, Any]]:
    """The steps of a chain as its task notes them."""
    return job.metadata.get("steps") or () if job.type is JobType.PRODUCT_CHAIN else ()


def _step_ids(job: Job) -> list[JobId]:
    return [JobId(UUID(step["job_id"])) for step in _noted_steps(job) if step.get("job_id")]


def _steps(job: Job, jobs: Mapping[JobId, Job], aftermaths: Mapping[JobId, Aftermath]) -> list[JobStep]:
    """The steps of a chain; of those whose jobs have been pruned, what the chain has noted."""
    found = []
    for noted in _noted_steps(job):
        step_id = JobId(UUID(noted["job_id"])) if noted.get("job_id") else None
        step = jobs.get(step_id) if step_id is not None else None
        job_type = JobType(noted["type"])
        if step is not None:
            summary = summary_of(step, aftermaths.get(step.id, Aftermath()))
            found.append(_step(step, summary))
        else:
            status = JobStatus(noted["status"]) if noted.get("status") else None
            tone = Tone.OK if status is JobStatus.COMPLETED else Tone.OFF
            found.append(JobStep(job_type, job_name(job_type), step_id, status, tone, "", 0, 0))
    return found


def _step(job: Job, summary: JobSummary) -> JobStep:
    return JobStep(
        type=job.type,
        name=summary.name,
        job_id=job.id,
        status=job.status,
        tone=summary.tone,
        text=summary.text,
        failed_rows=summary.failed_rows,
        unresolved_rows=summary.unresolved_rows,
    )
