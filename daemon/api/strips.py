"""How the runs of the last hours went, as one strip of cells each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from annotated_types import Ge, Le

from daemon.api.fields import LENIENT
from daemon.jobs.types import JobType

SLOT_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class StripsQuery:
    """How far back to look."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    hours: Annotated[int, Ge(1), Le(24)] = 24


@dataclass(frozen=True, slots=True)
class Strip:
    """The runs of one type of a schedule, or without one.

    `cells`: one character for each slot, oldest first: "." nothing ran, "o" all went well, "a" rows failed or a person
    is asked, "r" running, "f" a run failed; of several runs in one slot the worst.
    """

    store: str
    schedule: str | None
    type: JobType
    cells: str


@dataclass(frozen=True, slots=True)
class StripList:
    """All strips of a time; the slot that is under way is the last."""

    since: datetime
    until: datetime
    slot_seconds: int
    strips: Sequence[Strip]
