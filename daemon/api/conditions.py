"""Whether the shop is right: what holds, how fresh each stream is, and one sentence a store."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from daemon.ids import ScheduleName, StoreName
from daemon.jobs.types import JobType
from daemon.tone import Tone


class ConditionName(StrEnum):
    """What can be wrong. Each has a detector in `daemon/conditions/detectors.py`."""

    LATE = "late"  # a stream was not complete when its schedule let it be expected
    FAILING = "failing"  # jobs of a stream fail, or are tried again
    SOURCE_UNREACHABLE = "source_unreachable"
    CREDENTIAL_REFUSED = "credential_refused"
    SCOPES_MISSING = "scopes_missing"  # what the configured jobs need at Shopify and was not granted
    CREDENTIAL_EXPIRING = "credential_expiring"
    LOCATION_CLOSED = "location_closed"
    DEPOT_HIDDEN = "depot_hidden"
    ROWS_FAILING = "rows_failing"  # dead letters of the newest run of a stream
    APPROVAL_WAITING = "approval_waiting"
    SALE_OVERDUE = "sale_overdue"
    SALE_DECISION = "sale_decision"  # a person has to say which price holds
    CLOCKS_APART = "clocks_apart"
    ROLE_UNCOVERED = "role_uncovered"  # no daemon takes jobs, or none fires schedules
    DAEMON_GONE = "daemon_gone"  # without having said so
    DAEMON_CLOCK_OFF = "daemon_clock_off"
    SCHEDULE_PAUSED = "schedule_paused"
    STORE_PAUSED = "store_paused"  # nothing is written to the shop
    DATABASE_AWAY = "database_away"
    DATABASE_SLOW = "database_slow"  # what is shown is of a while ago
    DATABASE_READ_ONLY = "database_read_only"
    DATABASE_LOCKED = "database_locked"  # another session holds a lock for which the daemon waits
    ALERT_UNDELIVERED = "alert_undelivered"  # a channel of [[alerts]] or the [heartbeat] does not get through
    DISK_FILLING = "disk_filling"
    TRANSACTION_OLD = "transaction_old"  # what it keeps from being cleaned makes the database grow
    NOTIFICATIONS_PILING_UP = "notifications_piling_up"  # a listener of the server takes none
    WEBHOOKS_SILENT = "webhooks_silent"  # a pull has brought changes that none has told of
    WEBHOOKS_REFUSED = "webhooks_refused"  # with wrong signatures
    WEBHOOKS_WAITING = "webhooks_waiting"  # no job deals with what they have told
    APP_UNINSTALLED = "app_uninstalled"
    NOTHING_PULLED = "nothing_pulled"
    NOTHING_PUSHED = "nothing_pushed"


class ConditionSeverity(StrEnum):
    """How bad a condition is."""

    WARN = "warn"  # works, but somebody should look at it
    BAD = "bad"


class StreamState(StrEnum):
    """How a stream stands against its schedule."""

    ON_TIME = "on_time"
    LATE = "late"
    FAILING = "failing"
    NEVER = "never"  # it has not been complete yet
    UNSCHEDULED = "unscheduled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a person should know of, as of now. Texts are in the language of the request.

    Args:
        id: the same for as long as the condition holds, across restarts.
        text: what is wrong.
        cause: why, where that is known, such as what a source said.
        next_step: what to do.
        since: when it began.
        stream, job_id, schedule, approval_id, sale: what it is about, where it is about such a thing.
        needs_person: whether it lasts until somebody does something.
    """

    id: str
    name: ConditionName
    store: StoreName | None
    severity: ConditionSeverity
    text: str
    cause: str | None
    next_step: str
    since: datetime
    stream: JobType | None
    job_id: UUID | None
    schedule: ScheduleName | None
    approval_id: int | None
    sale: str | None
    needs_person: bool


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How fresh the data of a stream is: of one type of job of a store. Texts are in the language of the request.

    Args:
        name: of the stream.
        schedule: the one that keeps it fresh, by its own job or as a step of the product chain.
        rhythm: the schedule in words.
        complete_to: what was there by then is in; null where it has not been complete yet.
        expected_by: when it should be complete again; null where no schedule says so.
        text: the state in words, with its cause and since when.
        since: when it became late or began to fail.
        job_id: its newest job.
        failed_rows: that the newest complete run could not store, and nothing has repaired.
    """

    store: StoreName
    type: JobType
    name: str
    schedule: ScheduleName | None
    rhythm: str | None
    complete_to: datetime | None
    expected_by: datetime | None
    state: StreamState
    tone: Tone
    text: str
    since: datetime | None
    job_id: UUID | None
    failed_rows: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a store is right: one sentence, and the figures under it, in the language of the request."""

    store: StoreName
    tone: Tone
    text: str
    detail: str
