"""Schedules and where they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


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


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """The schedules, in the order of the configuration."""

    schedules: Sequence[Schedule]
