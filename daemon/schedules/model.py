"""What a schedule is, what its fires come to, and the interfaces between the scheduler and the rest of the daemon."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from daemon.ids import JobId, ScheduleName, StoreName, WorkerName

Misfire = Literal["once", "skip"]


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """One schedule of the configuration.

    Args:
        name: unique in the configuration.
        kind: decides what the timetable is made of; see `TIMETABLES` in `daemon.schedules.scheduler`.
        expression: as `daemon.schedules.cron.parse` takes it, or "every 15 min" of a "product" schedule; "" of a
            preset, which never fires by itself.
        zone: whose wall clock the expression is about.
        misfire: whether a missed fire is made up once, or only recorded as skipped.
        job_type, params: the job that a fire submits.
        fresh_within: how old its data may be, where that is not its next fire and the usual duration of its job.
    """

    name: ScheduleName
    store: StoreName
    kind: str
    expression: str
    zone: ZoneInfo
    misfire: Misfire
    job_type: str
    params: Mapping[str, Any] = field(default_factory=dict)
    fresh_within: timedelta | None = None

    @property
    def is_preset(self) -> bool:
        """Whether only a person starts it."""
        return not self.expression

    @property
    def timetable_key(self) -> str:
        """Equal for two schedules of one name exactly if their fire times are the same by construction."""
        return f"{self.kind} {self.expression} {self.zone}"


class Timetable(Protocol):
    """The fire times of a schedule; each kind of schedule has its own."""

    def next_fire(self, after: datetime) -> datetime | None:
        """The first fire later than `after`, aware UTC to the second; None if there is none."""

    def previous_fire(self, at_or_before: datetime) -> datetime | None:
        """The latest fire not later than `at_or_before`; None if there was none."""


class FireResult(StrEnum):
    """The outcome of a fire. All but the last are stored as `schedule_fires.outcome`."""

    SUBMITTED = "submitted"
    ALREADY_LIVE = "already_live"  # a live job for the same work answered in place of a new one
    SKIPPED = "skipped"  # missed, and the schedule's policy is not to make it up
    FAILED = "failed"  # the job was refused for a reason that a retry does not fix
    NOT_CLAIMED = "not_claimed"  # another daemon has the fire, or the schedule is paused


@dataclass(frozen=True, slots=True)
class DueFire:
    """A fire of a schedule, which has come or is made up. `time` is aware UTC."""

    spec: ScheduleSpec
    time: datetime


@dataclass(frozen=True, slots=True)
class FireOutcome:
    """The result of a fire or of a manual run, with the job that was submitted or found live."""

    result: FireResult
    job_id: JobId | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class FireRecord:
    """One row of `dongbo.schedule_fires`. Times are aware UTC."""

    store: StoreName
    schedule: ScheduleName
    fire_time: datetime
    job_id: JobId | None
    outcome: FireResult
    detail: str | None
    worker: WorkerName | None
    fired_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """Where a schedule stands. `next_fire` is None while it is paused and after its last fire."""

    spec: ScheduleSpec
    next_fire: datetime | None
    last_fire: datetime | None
    last_outcome: FireResult | None
    last_job_id: JobId | None
    last_detail: str | None
    paused: bool


@dataclass(frozen=True, slots=True)
class AppliedChanges:
    """What a (re)load did, by name."""

    added: tuple[ScheduleName, ...]
    changed: tuple[ScheduleName, ...]
    removed: tuple[ScheduleName, ...]
    unchanged: tuple[ScheduleName, ...]
