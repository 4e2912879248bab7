"""What a job is: its states, counters and parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from daemon.ids import JobId, ScheduleName, StoreName, WorkerName
from daemon.jobs.types import JobType
from daemon.tone import Tone


class JobStatus(StrEnum):
    """Where a job stands. One that waits for a person's approval is neither live nor has it ended."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_live(self) -> bool:
        """Whether the job has still to run or runs."""
        return self in (JobStatus.PENDING, JobStatus.RUNNING)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to the job by itself or by an approval."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobOutcome(StrEnum):
    """What has become of a job: its status, and what happened to it afterwards."""

    PENDING = "pending"
    RETRYING = "retrying"  # between two attempts; the cause is the job's error
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    COMPLETED = "completed"
    COMPLETED_WITH_FAILURES = "completed_with_failures"  # rows of it have failed, and fail as far as is known
    REPAIRED = "repaired"  # it failed or rows of it did, and a later job has made up for that
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # a newer job has taken its place


class JobTrigger(StrEnum):
    """Who asked for a job."""

    SCHEDULE = "schedule"
    API = "api"
    CLI = "cli"
    WEBHOOK = "webhook"
    RETRY = "retry"


class ApprovalState(StrEnum):
    """Where a question stands."""

    OPEN = "open"
    APPROVED = "approved"  # the job may carry it out
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"  # nobody has decided: a run found nothing left to ask
    CARRIED_OUT = "carried_out"  # the job that was approved has completed


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the rows. `processed = created + updated + skipped + failed`, `successful = created + updated`."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def successful(self) -> int:
        """Rows that were written."""
        return self.created + self.updated

    @property
    def processed(self) -> int:
        """All rows seen."""
        return self.successful + self.skipped + self.failed

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(
            self.created + other.created,
            self.updated + other.updated,
            self.skipped + other.skipped,
            self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `dongbo.background_jobs`, as it was read. Times are aware UTC."""

    id: JobId
    store: StoreName
    type: JobType
    status: JobStatus
    trigger: JobTrigger
    schedule: ScheduleName | None
    fire_time: datetime | None
    params: Mapping[str, Any]
    total: int | None  # rows to expect; None when the source can't tell
    processed: int
    successful: int
    created: int
    updated: int
    skipped: int
    failed: int
    metadata: Mapping[str, Any]  # filters or query, pages, rows_per_second, api_calls, waits, total_is_estimate …
    checkpoint: Any  # JSON from which the next run continues; None before the first page
    attempt: int  # consecutive runs without a page of progress, the present one included
    max_attempts: int
    not_before: datetime | None  # when a job that waits for a retry runs again
    worker: WorkerName | None
    cancel_requested: bool
    error: str | None
    version: int  # from one sequence for all jobs: grows with every change of any job
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    completed_at: datetime | None
    parent_id: JobId | None = None  # of a step: the job that it is a step of
    eta_seconds: float | None = None  # until a running job ends at its present rate; None where it is not known


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What somebody asks for. `params` of a pull: `full`, `restart`, `filters` (Nhanh) or `query` (Shopify)."""

    type: JobType
    store: StoreName
    trigger: JobTrigger
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """What pruning does with all the jobs that there are; each counts once."""

    prunable: int  # would be deleted
    unended: int  # stay, for they have not ended
    recent: int  # stay, for they ended later than is asked for
    newest: int  # stay, each as the newest of its store, type and status
    needed: (
        int  # stay, for a job that has not ended takes up their failed rows, is a step of them, or has them for steps
    )


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A dead letter: a row that could not be stored."""

    id: int
    job_id: JobId
    source_id: str | None  # None where the row did not even have a readable id
    reason: str
    payload: str  # the row as the source sent it, JSON text, cut at 16 KiB
    payload_truncated: bool
    created_at: datetime
    resolved_at: datetime | None  # when a later job took it up, or did without it
    sku: str | None = None  # of the row, where the mirror knows it
    name: str | None = None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Dead letters of one reason."""

    reason: str
    rows: int
    unresolved: int  # of these, those that no later job has taken up
    example_source_id: str | None


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What has happened to a job since it ended."""

    repaired_by: JobId | None = None  # the later job that has made up for what failed
    superseded_by: JobId | None = None  # the newer job that took its place
    taken_up: int = 0  # failed rows that later jobs have taken up


GROUPED_BY: Final = 400  # characters of a reason or an answer: what more of it there is tells rows apart, not causes


class AttemptResult(StrEnum):
    """How a run of a job ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"  # and with it the job
    RETRIED = "retried"  # it failed, and another one follows by itself
    RELEASED = "released"  # it was stopped, and the job goes on later at no cost
    CANCELLED = "cancelled"
    ASKED = "asked"  # the job waits for a person's approval
    LOST = "lost"  # its daemon died


@dataclass(frozen=True, slots=True)
class JobAttempt:
    """One run of a job. Times are aware UTC."""

    number: int  # from 1
    worker: WorkerName | None
    started_at: datetime
    ended_at: datetime | None
    result: AttemptResult
    error: str | None
    next_attempt_at: datetime | None  # when the next one may begin


@dataclass(frozen=True, slots=True)
class PacePoint:
    """How far a job was at a moment."""

    at: datetime
    rows: int  # seen up to there
    rows_per_second: float  # since the point before
    waited_seconds: float  # of the time since then: for rate limits, and between attempts of calls that failed


@dataclass(frozen=True, slots=True)
class JobStep:
    """A step of a chain, in short."""

    type: JobType
    name: str  # what its type is called
    job_id: JobId | None  # None: it has not begun
    status: JobStatus | None
    tone: Tone
    text: str  # its result in the words of the business, as far as there is one
    failed_rows: int
    unresolved_rows: int


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a sentence, in the language of whoever asks."""

    job_id: JobId
    name: str  # what its type is called
    outcome: JobOutcome
    tone: Tone
    text: str  # the result in the words of the business; of a running job what it does or waits for
    next_step: str | None  # what a person should do
    failed_rows: int  # of a chain, those of its steps
    unresolved_rows: int  # of these, those that neither a retry nor a later job has taken up
    can_retry_rows: bool  # whether these can be retried alone; else the job is run again
    repaired_by: JobId | None  # the later job that has made up for what failed
    steps: Sequence[JobStep]  # of a chain, in their order
