"""Schedules, where they stand, and how their runs went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from annotated_types import Ge, Le

from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN
from daemon.jobs.model import JobSummary
from daemon.tone import Tone


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule and where it stands.

    Args:
        cron: the expression, or "every 15 min"; "" of a preset.
        words: when it fires, in the language of the request.
        is_preset: whether it has no timetable, so that only a person starts it.
    """

    name: str
    store: str
    kind: str
    cron: str
    words: str
    is_preset: bool
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


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """A run of a schedule in short: a dot, and what it stands for."""

    job_id: UUID
    at: datetime  # when it was asked for
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class ScheduleOverview(Schedule):
    """A schedule with its runs, on time or by hand.

    Args:
        last_result: what came of the newest run; None before the first.
        last_ten: the newest runs, newest first.
        usual_seconds: the median of how long completed runs took; None before one has completed.
        next_fires: the next five; none while it is paused.
    """

    type_name: str  # what the type of its job is called
    last_result: JobSummary | None
    last_ten: Sequence[ScheduleRun]
    usual_seconds: float | None
    next_fires: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class SchedulesQuery:
    """Which schedules to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    limit: Annotated[int, Ge(1), Le(200)] = 100
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """Schedules, in the order of the configuration."""

    schedules: Sequence[ScheduleOverview]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class ScheduleFire:
    """A fire and what came of it."""

    fire_time: datetime  # as the timetable has it
    fired_at: datetime
    outcome: str
    detail: str | None
    job_id: UUID | None  # the job that it submitted or found live
    summary: JobSummary | None  # None where there is no job, or it has been pruned


@dataclass(frozen=True, slots=True)
class FiresQuery:
    """Which fires to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    limit: Annotated[int, Ge(1), Le(200)] = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class FireList:
    """Fires of a schedule, newest first."""

    fires: Sequence[ScheduleFire]
    next_cursor: str | None  # None on the last page
