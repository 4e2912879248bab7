"""Questions to a person, the changes that wait for the answer, and the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from annotated_types import Ge, Le

from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN, STORE_PATTERN, STRICT, Limit
from daemon.api.pushes import PushKind
from daemon.jobs.model import ApprovalState
from daemon.jobs.types import JobType

MOST_RUNS = 2**31 - 1  # integer


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A key of a store's configuration that says something else than before; None: it is not there."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to a person: one of a store and type of job until it is decided, whichever run asks it.

    Args:
        name: of the type of job, for people.
        asked_runs: how many runs have asked it; to be sent with the decision.
        job_id: the job that waits, or asked last; jobs are pruned, so it may be gone.
        question: why it is asked, in a sentence; `look_at`: what to check first.
        counts: how many changes of each kind wait for the answer.
        asked_changes: of them, those that the question is about; the others wait with them.
        changed_settings: what is configured otherwise than when a sync went through last, at `settings_since`; where
            that is null, none has since such changes are noted.
        ended_at: when it was decided, or withdrawn because a run found nothing left to ask.
        decided_at, decided_way, decided_by: null where nobody has decided; the way is page, api or cli, and the name is
            null also where none is known.
        decided_job_id: the job that was approved.
    """

    id: int
    store: str
    type: JobType
    name: str
    state: ApprovalState
    since: datetime
    asked_runs: int
    last_asked_at: datetime
    job_id: UUID
    question: str
    look_at: Sequence[str]
    counts: Mapping[str, int]
    asked_changes: int
    changed_settings: Sequence[ChangedSetting]
    settings_since: datetime | None
    ended_at: datetime | None
    decided_at: datetime | None
    decided_way: str | None
    decided_by: str | None
    decided_job_id: UUID | None


@dataclass(frozen=True, slots=True)
class ApprovalList:
    """Questions, newest first."""

    approvals: Sequence[Approval]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Change:
    """A change that waits for the answer.

    Args:
        old, new: numbers as text; None where there is none.
        share: by how much of the old value it changes, 1 is all of it; None where there was nothing.
        is_asked: whether the question is about it; if not, it waits with those that are.
    """

    kind: PushKind
    variant_id: int
    sku: str | None
    title: str | None
    location_id: int | None
    location_name: str | None
    old: str | None
    new: str | None
    share: float | None
    is_asked: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeList:
    """Changes of a question, the largest first: those that it is about, then the others."""

    changes: Sequence[Change]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class DecideBody:
    """What was looked at before the decision."""

    __pydantic_config__: ClassVar[Any] = STRICT

    asked_runs: Annotated[int, Ge(1), Le(MOST_RUNS)] | None = field(
        default=None,
        metadata={"description": "As shown with the question: refused where it is about more changes since then."},
    )


@dataclass(frozen=True, slots=True)
class ApprovalsQuery:
    """Which questions to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str | None = field(default=None, metadata={"pattern": STORE_PATTERN})
    state: Literal["open", "decided"] | None = field(
        default=None, metadata={"description": "Those that wait for somebody, or all others."}
    )
    job: UUID | None = field(
        default=None, metadata={"description": "Only the last one of this job, or of a step of it."}
    )
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """Which changes of a question to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    kind: PushKind | None = None
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class ChangesFileQuery:
    """Which changes of a question to save."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    kind: PushKind | None = None
