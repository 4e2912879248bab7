"""The state of a source's list when reading it begins, by the source's own account."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Horizon:
    """Who answers, and what is the latest that it knows of.

    Args:
        identity: which shop or business this is: another one has other rows.
        time: the source's time, at least; None where its answers do not give it.
        newest: when a row was last changed; None where there are no rows, or the source can't tell.
    """

    identity: str
    time: datetime | None
    newest: datetime | None = None
