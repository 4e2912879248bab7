"""The daemon at a glance, and whether it can do its work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from uuid import UUID

from daemon.api.conditions import Condition, StreamReport, Verdict
from daemon.api.sales import OpenSale
from daemon.api.schedules import Schedule
from daemon.api.webhooks import WebhookStreamReport
from daemon.database.usage import PoolUsage, ReplicaStanding
from daemon.i18n import Language, stored
from daemon.ids import Lane, StoreName, WorkerName
from daemon.jobs.model import Job
from daemon.jobs.types import JobType
from daemon.roles import DaemonRole
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport


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
            stored(waiting["for"]) if waiting else None,
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


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the data of a stream is."""

    store: str
    type: str
    last_completed: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The places of the configuration that the last product sync of a store had to leave out."""

    store: StoreName
    locations: Sequence[int]  # of Shopify, which can receive no stock
    depots: Sequence[int]  # of Nhanh.vn, whose stock can't be read


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the data is. Null is what is not known: all of the database while that is away, and the disk where the
    database is not the embedded one. `oldest_transaction_seconds` is how long the oldest transaction in the database
    has been open, 0 where none is."""

    database_bytes: int | None
    disk_free_bytes: int | None
    disk_bytes: int | None
    oldest_transaction_seconds: float | None
    notification_queue_share: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of being ready, with the reason where it fails."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon can do its work."""

    ready: bool
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """How the replica stands that the endpoint reads from, as of the last look (`as_of`; null: not yet looked at), and
    how many reads it has served since the start, and how many the primary had to in its place. `lag_seconds`: how far
    behind it was at most; null where that is not known."""

    standing: ReplicaStanding
    detail: str
    lag_seconds: float | None
    as_of: datetime | None
    reads: int
    reads_at_primary: int


@dataclass(frozen=True, slots=True)
class FleetMember:
    """A daemon on this database.

    Args:
        name: by which it takes jobs, and which their rows have as `worker`; one that takes none has one of its own.
        address: of its endpoint, as it shows it; on a loopback name or a socket it is reached from its own host only.
        seen_at: its last sign of life, by the database's clock, of which there is one every few seconds.
        is_live: whether it has been seen lately; one that has stopped in order is not listed.
        is_self: whether it is the one that answers.
        running_jobs: how many it runs now, in `lanes`.
        takes_no_jobs_since: since when it takes none although that is one of its roles; null: it does.
        clock_offset_seconds: by which its machine's clock is ahead of the database's, at least; negative: behind; null
            until it has been measured.
    """

    name: WorkerName
    host: str
    version: str
    roles: Sequence[DaemonRole]
    address: str
    started_at: datetime
    seen_at: datetime
    is_live: bool
    is_self: bool
    running_jobs: int
    lanes: Sequence[Lane]
    takes_no_jobs_since: datetime | None
    clock_offset_seconds: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """The daemon at a glance. `credentials` is how each store signs in at its sources, and `clocks` how the sources'
    clocks differ from the machine's, those that have answered. `running`, `awaiting_approval`, `freshness` and `sales`
    (those that have not ended) are null while the database is away; so is `left_out`, the places that the last product
    sync of a store had to leave out, of stores where there are any, and so are `streams`, `webhooks` and `fleet`, the
    daemons on this database. `roles` are those of this one. `verdicts`
    (one a store) and `conditions` (what holds, bad ones first) come always. `as_of` is when what comes
    from the database was read. `replica` is null where none is configured.
    `language` is what the daemon writes by itself.
    `sale_clock_problem` says why no sale starts or
    ends by itself, where the clocks differ."""

    version: str
    pid: int
    worker: str | None
    roles: Sequence[DaemonRole]
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
    replica: ReplicaReport | None
    storage: Storage
    notification_lag_seconds: float | None
    subscribers: int
    stores: Sequence[str]
    job_types: Sequence[JobType]
    clocks: Sequence[ClockReport]
    verdicts: Sequence[Verdict]
    conditions: Sequence[Condition]
    streams: Sequence[StreamReport] | None
    webhooks: Sequence[WebhookStreamReport] | None
    fleet: Sequence[FleetMember] | None
    as_of: datetime | None
    language: Language


@dataclass(frozen=True, slots=True)
class ReadyQuery:
    """How to answer a probe."""

    verbose: str | None = field(default=None, metadata={"description": "List each check; any value will do."})
