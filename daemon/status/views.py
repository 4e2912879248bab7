"""What the endpoint answers besides jobs, as plain records that orjson writes and the API's description reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from daemon.database.pool import PoolUsage
from daemon.jobs.model import Job, JobFailure, JobType
from daemon.schedules.model import ScheduleState
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport
from daemon.status.checks import Check
from daemon.status.survey import LeftOut
from daemon.status.views_sales import OpenSale
from daemon.sync.pushes import PushKind, PushResult, RecordedPush


@dataclass(frozen=True, slots=True)
class Description:
    """An OpenAPI document."""

    openapi: str
    info: Mapping[str, Any]
    paths: Mapping[str, Any]
    components: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobList:
    """Jobs, newest first."""

    jobs: Sequence[Job]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """The newest jobs and those that have not ended, newest first, at a version or later."""

    version: int
    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True)
class JobsPruned:
    """Of the jobs that completed at `ended_until` or before, only those in `kept` are still there."""

    version: int
    ended_until: datetime
    kept: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class FailureList:
    """Dead letters of a job, oldest first."""

    failures: Sequence[JobFailure]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Push:
    """A value that was pushed to Shopify, or was to be."""

    id: int
    job_id: UUID
    kind: PushKind
    owner_id: int  # the variant; of metafield and tags the customer
    item_id: int | None
    location_id: int | None
    name: str | None
    old_value: str | None
    new_value: str | None
    reason: str
    result: PushResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, recorded: RecordedPush) -> Self:
        """The push as the log has it."""
        push = recorded.push
        return cls(
            id=recorded.id,
            job_id=recorded.job_id,
            kind=push.kind,
            owner_id=push.owner_id,
            item_id=push.item_id,
            location_id=push.location_id,
            name=push.name,
            old_value=push.old_value,
            new_value=push.new_value,
            reason=push.reason,
            result=recorded.result,
            detail=recorded.detail,
            intended_at=recorded.intended_at,
            settled_at=recorded.settled_at,
        )


@dataclass(frozen=True, slots=True)
class PushList:
    """What a job has pushed, oldest first."""

    pushes: Sequence[Push]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning did."""

    deleted: int  # jobs


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule and where it stands."""

    name: str
    store: str
    kind: str
    cron: str
    timezone: str
    misfire: str
    type: str  # of the job that it submits
    params: Mapping[str, Any]
    next_fire: datetime | None
    last_fire: datetime | None
    last_outcome: str | None
    last_job_id: UUID | None
    last_detail: str | None
    paused: bool

    @classmethod
    def of(cls, state: ScheduleState) -> Self:
        """The schedule as the scheduler describes it."""
        spec = state.spec
        return cls(
            name=spec.name,
            store=spec.store,
            kind=spec.kind,
            cron=spec.expression,
            timezone=str(spec.zone),
            misfire=spec.misfire,
            type=spec.job_type,
            params=dict(spec.params),
            next_fire=state.next_fire,
            last_fire=state.last_fire,
            last_outcome=state.last_outcome,
            last_job_id=state.last_job_id,
            last_detail=state.last_detail,
            paused=state.paused,
        )


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """The schedules, in the order of the configuration."""

    schedules: Sequence[Schedule]


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A running job in short. `waits_for`: what keeps it from going on, such as the rate limit; null while it does."""

    id: UUID
    store: str
    type: JobType
    processed: int
    total: int | None
    failed: int
    eta_seconds: float | None
    started_at: datetime | None
    waits_for: str | None
    waiting_since: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job in short."""
        waiting = job.metadata.get("waiting")
        return cls(
            job.id,
            job.store,
            job.type,
            job.processed,
            job.total,
            job.failed,
            job.eta_seconds,
            job.started_at,
            waiting["for"] if waiting else None,
            datetime.fromisoformat(waiting["since"]) if waiting else None,
        )


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that waits for a person's approval."""

    id: UUID
    store: str
    type: JobType
    reason: str
    since: datetime

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job in short."""
        return cls(job.id, job.store, job.type, job.error or "", job.updated_at)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the data of a stream is."""

    store: str
    type: str
    last_completed: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon can do its work."""

    ready: bool
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Status:
    """The daemon at a glance. `credentials` is how each store signs in at its sources, and `clocks` how the sources'
    clocks differ from the machine's, those that have answered. `running`, `awaiting_approval`, `freshness` and `sales`
    (those that have not ended) are null while the database is away; so is `left_out`, the places that the last product
    sync of a store had to leave out, of stores where there are any. `sale_clock_problem` says why no sale starts or
    ends by itself, where the clocks differ."""

    version: str
    pid: int
    worker: str | None
    started_at: datetime
    now: datetime
    uptime_seconds: float
    timezone: str
    ready: bool
    checks: Sequence[Check]
    running: Sequence[RunningJob] | None
    awaiting_approval: Sequence[WaitingJob] | None
    schedules: Sequence[Schedule]
    freshness: Sequence[Freshness] | None
    left_out: Sequence[LeftOut] | None
    sales: Sequence[OpenSale] | None
    sale_clock_problem: str | None
    credentials: Sequence[CredentialReport]
    pool: PoolUsage
    notification_lag_seconds: float | None
    subscribers: int
    stores: Sequence[str]
    job_types: Sequence[JobType]
    clocks: Sequence[ClockReport]
