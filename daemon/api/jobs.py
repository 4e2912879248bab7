"""Jobs, their dead letters, and the events that tell of their changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.jobs.model import Job, JobFailure


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
class Pruned:
    """What pruning did."""

    deleted: int  # jobs
