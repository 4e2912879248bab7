"""Where a list of a source stands when somebody begins to read it, in the source's own words."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Horizon:
    """Who answers, and what is the latest that it knows of.

    Args:
        identity: which shop or business this is: the rows of another one are other rows.
        time: the source's time, at least; None where its answers tell none.
        newest: when the row was changed that has changed last; None where there is none, or the source can't tell.
    """

    identity: str
    time: datetime | None
    newest: datetime | None = None
