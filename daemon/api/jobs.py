"""Jobs, their dead letters, the events that tell of their changes, and what is asked of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from annotated_types import Len

from daemon.api.actions import SteeringAction
from daemon.api.fields import (
    LENIENT,
    NUMBER_CURSOR_PATTERN,
    STORABLE,
    STORE_PATTERN,
    STRICT,
    Days,
    Limit,
    Moment,
    StoreText,
)
from daemon.jobs.model import (
    GROUPED_BY,
    FailureGroup,
    Job,
    JobAttempt,
    JobFailure,
    JobOutcome,
    JobStatus,
    JobSummary,
    JobTrigger,
    PacePoint,
)
from daemon.jobs.types import JobType

UUID_PATTERN: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
JOB_CURSOR_PATTERN: Final = r"^[A-Za-z0-9_-]{21}[AQgw]$"  # 16 bytes


@dataclass(frozen=True, slots=True)
class JobList:
    """Jobs, newest first."""

    jobs: Sequence[Job]
    summaries: Sequence[JobSummary]  # of the same jobs in the same order
    next_cursor: str | None  # None on the last page; a search may find fewer jobs than `limit` and go on all the same


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
class FailureGroupList:
    """The reasons of a job's dead letters, the most frequent first, of the first tens of thousands."""

    groups: Sequence[FailureGroup]


@dataclass(frozen=True, slots=True)
class JobParent:
    """The job that another one is a step of."""

    id: UUID
    type: JobType
    name: str  # what its type is called


@dataclass(frozen=True, slots=True)
class JobStory:
    """All that happened to a job.

    Args:
        attempts: oldest first, of very many the last ones.
        actions: what people did to it, or what it came of; oldest first.
        approval_id: the question that it has asked, if any.
        schedule: the one that it came by.
    """

    job: Job
    summary: JobSummary
    attempts: Sequence[JobAttempt]
    actions: Sequence[SteeringAction]
    pace: Sequence[PacePoint]
    approval_id: int | None
    parent: JobParent | None
    schedule: str | None


@dataclass(frozen=True, slots=True)
class JobLogLine:
    """A line that was logged while a job ran.

    Args:
        event: its name, as in the daemon's log; `text`: the same for people.
        fields: what it says besides.
    """

    id: int
    at: datetime
    level: str
    event: str
    text: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobLogPage:
    """What was logged while a job ran, oldest first; of very much only the last lines are kept."""

    lines: Sequence[JobLogLine]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning did."""

    deleted: int  # jobs


@dataclass(frozen=True, slots=True)
class SubmitBody:
    """A job that is asked for."""

    __pydantic_config__: ClassVar[Any] = STRICT

    type: JobType
    store: StoreText = field(metadata={"description": "A store of the configuration."})
    params: Annotated[dict[str, Any], STORABLE] = field(
        default_factory=dict,
        metadata={"description": "Of a pull: full, restart, filters (Nhanh.vn), or query and method (Shopify)."},
    )


@dataclass(frozen=True, slots=True)
class RetryBody:
    """How to retry a job."""

    __pydantic_config__: ClassVar[Any] = STRICT

    failed: bool = field(default=False, metadata={"description": "Make a job of just the rows that failed."})


@dataclass(frozen=True, slots=True)
class PruneBody:
    """What to delete."""

    __pydantic_config__: ClassVar[Any] = STRICT

    older_than_days: Days = field(metadata={"description": "Delete jobs that ended longer ago."})


@dataclass(frozen=True, slots=True)
class JobFilterQuery:
    """Which jobs are wanted: those with all of these properties."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str | None = field(default=None, metadata={"pattern": STORE_PATTERN})
    type: JobType | None = None
    status: JobStatus | None = None
    outcome: JobOutcome | None = field(
        default=None, metadata={"description": "As its summary says: completed_with_failures, repaired, retrying…"}
    )
    schedule: Annotated[str, Len(1, 63), STORABLE] | None = field(
        default=None, metadata={"description": "By this schedule, also those that a person ran."}
    )
    trigger: JobTrigger | None = None
    parent: UUID | None = field(default=None, metadata={"description": "Only the steps of this job."})
    since: Moment | None = field(default=None, metadata={"description": "Asked for at this time or later."})
    until: Moment | None = field(default=None, metadata={"description": "Asked for before this time."})
    search: Annotated[str, Len(1, 200), STORABLE] | None = field(
        default=None,
        metadata={
            "description": "In the error or the parameters; or the id of a job, or the beginning of one from four "
            "digits on. Such a page may hold few jobs or none though there are more: next_cursor goes on."
        },
    )
    runs: bool = field(
        default=False, metadata={"description": "One row a run: no steps of chains, no tests of dongbo doctor."}
    )
    ids: str | None = field(
        default=None,
        metadata={
            "pattern": f"^{UUID_PATTERN}(,{UUID_PATTERN}){{0,99}}$",
            "description": "Only these jobs: at most a hundred ids, with commas between them.",
        },
    )


@dataclass(frozen=True, slots=True)
class JobsQuery(JobFilterQuery):
    """Which jobs to list."""

    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": JOB_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class PruneQuery:
    """What would be deleted."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    older_than_days: Days = field(metadata={"description": "As for the deletion."})


@dataclass(frozen=True, slots=True)
class FailureFilterQuery:
    """Which dead letters of a job are wanted."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    reason: Annotated[str, Len(1, GROUPED_BY), STORABLE] | None = field(
        default=None,
        metadata={"description": f"Exactly this one; of a long one its first {GROUPED_BY} characters."},
    )


@dataclass(frozen=True, slots=True)
class FailuresQuery(FailureFilterQuery):
    """Which dead letters of a job to list."""

    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """Where to go on."""

    last_event_id: str | None = field(
        default=None, metadata={"description": "For clients that can't send Last-Event-ID."}
    )
