"""The database's time: the one clock that all daemons share, whatever the clocks of their machines say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from daemon.clock import boot_time
from daemon.database.pool import Connection

NOW = "SELECT clock_timestamp()"
LONGEST_LOOK = 2.0  # seconds: of a look that takes longer it is not known well enough which moment it tells of


class SharedClock(Protocol):
    """Tells the present time, aware UTC, as all daemons of a database do."""

    def __call__(self) -> datetime:
        """The present time."""

    async def look(self, connection: Connection) -> None:
        """See what time it is. Raises what the database raises."""


class DatabaseClock:
    """The database's clock, told between two looks at it by the time since this machine started, which nobody can set.

    Never ahead of it by more than the two drift apart in between: what is due at a time is not due before. Before the
    first look it is the machine's.

    Args:
        machine: this machine's clock, aware UTC.
        since_boot: seconds since it was started, those that it slept through included.
    """

    def __init__(
        self,
        machine: Callable[[], datetime] = lambda: datetime.now(UTC),
        since_boot: Callable[[], float] = boot_time,
    ) -> None:
        self._machine = machine
        self._since_boot = since_boot
        self._seen: tuple[datetime, float] | None = None  # the database's time, and when it was that at the earliest

    def __call__(self) -> datetime:
        """The present time."""
        return self._machine() if self._seen is None else self._at(self._since_boot(), *self._seen)

    async def look(self, connection: Connection) -> None:
        """See what time it is. Raises what the database raises."""
        asked = self._since_boot()
        theirs: datetime = await connection.fetchval(NOW)
        answered = self._since_boot()
        if self._seen is not None:
            if answered - asked > LONGEST_LOOK:
                return
            if theirs <= self._at(answered, *self._seen) <= theirs + timedelta(seconds=answered - asked):
                return  # as far as the look can tell it is right, and does not go back by the time of an answer
        self._seen = theirs, answered

    @staticmethod
    def _at(moment: float, theirs: datetime, seen_at: float) -> datetime:
        return theirs + timedelta(seconds=moment - seen_at)
