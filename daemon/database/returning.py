"""Gives connections back to their pools."""

import asyncio

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from daemon.database.connection_errors import reason
from daemon.logging.faults import Fault

log = structlog.get_logger()

RELEASE_TIMEOUT = 10.0  # seconds for the reset of a connection that comes back, else it is closed


class Returning:
    """Each goes back in a task of its own: where its borrower is cancelled, it goes on, and how it ends is heard."""

    def __init__(self, pool: asyncpg.Pool, where: str) -> None:
        self._pool = pool
        self._where = where
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropped = Fault(log, "connection_dropped")

    async def give_back(self, connection: PoolConnectionProxy) -> None:
        """Give back what the pool has lent, whatever has become of it."""
        task = asyncio.create_task(self._pool.release(connection, timeout=RELEASE_TIMEOUT), name="return-connection")
        self._tasks.add(task)
        task.add_done_callback(self._returned)
        await asyncio.wait({task})

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._dropped.passed()
        else:
            # The pool has dropped it already. What was done over it is done: a commit must not look like a failure.
            self._dropped.happened(reason(error), database=self._where)
