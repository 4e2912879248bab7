"""What people have done to jobs, schedules, approvals, mappings and sales."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from annotated_types import Len

from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN, STORABLE, STORE_PATTERN, Limit
from daemon.jobs.steering import ActionKind, SubjectKind, Way


@dataclass(frozen=True, slots=True)
class SteeringAction:
    """What a person did.

    Args:
        who: the name of the token that was shown, or of the user whom a proxy has named; null where there is none.
        subject: the id or name of what it was done to.
        job_id: the job that came of it; jobs are pruned, so it may be gone.
        text: what it was, by whom and how it came, for people.
    """

    id: int
    at: datetime
    way: Way
    who: str | None
    kind: ActionKind
    store: str
    subject_kind: SubjectKind
    subject: str
    job_id: UUID | None
    text: str


@dataclass(frozen=True, slots=True)
class ActionList:
    """What people have done, newest first."""

    actions: Sequence[SteeringAction]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class ActionsQuery:
    """What to list: what was done to whatever has all of these properties."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str | None = field(default=None, metadata={"pattern": STORE_PATTERN})
    subject_kind: SubjectKind | None = None
    subject: Annotated[str, Len(1, 200), STORABLE] | None = field(
        default=None, metadata={"description": "The id or name of what it was done to."}
    )
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )
