"""What single rows are read in, be it a job or something else."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from daemon.database.pool import Database

P = TypeVar("P")


class ReadingContext(Protocol):
    """What rows are read in: a job, or the request of a person who waits."""

    @property
    def database(self) -> Database:
        """Where they are stored."""

    async def unless_stopped(self, call: Awaitable[P]) -> P:
        """The result of a call to a source; raises where nobody waits for it any more."""
