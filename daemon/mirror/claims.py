"""Claims on what all processes share, made one after the other, each in sight of all others.

Nothing here goes by the clock of a machine: what a process writes is a number of seconds from the database's time at
which it writes, and is read by that same clock.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from uuid import UUID

import asyncpg
import structlog

from daemon.database.pool import Connection, Database
from daemon.errors import DatabaseError

log = structlog.get_logger()

CALLING_SECONDS = 10.0  # since its last claim, during which a process counts as calling
# Longer than any claim lasts. What was written earlier, or by a clock that has been set back since, means nothing.
FORGOTTEN_SECONDS = 120.0
WARNING_SECONDS = 60.0  # between two warnings that other processes could not be told

# A crash of the server loses only the last fraction of a second: the next start takes longer than that. A process that
# was suspended or cut off in the middle of a claim must not hold up all others: its session ends before they give up.
BEGIN_CLAIM = """
SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '2s', true),
    set_config('idle_in_transaction_session_timeout', '1s', true), pg_advisory_xact_lock($1, hashtext($2))
"""


class Claims:
    """The claims of this process on one kind of thing.

    Args:
        process: who claims.
        lock_space: the first key of the locks on what is claimed; the other is a hash of what.
    """

    def __init__(self, database: Database, process: UUID, lock_space: int) -> None:
        self.process = process
        self._database = database
        self._lock_space = lock_space
        self._warned_at = float("-inf")

    async def make(self, account: str, key: str, claim: Callable[[Connection], Awaitable[None]]) -> bool:
        """Let `claim` read what others hold and write what this process does, while nobody else claims the same.

        False: the database is away, or too busy to answer; a call is not refused for that.
        """
        try:
            async with self._database.acquire() as connection, connection.transaction():
                await connection.execute(BEGIN_CLAIM, self._lock_space, key)
                await claim(connection)
        except (
            DatabaseError,
            asyncpg.PostgresError,
            OSError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as error:
            self._warn(account, error)
            return False
        return True

    def _warn(self, account: str, error: Exception) -> None:
        if monotonic() - self._warned_at < WARNING_SECONDS:
            return
        self._warned_at = monotonic()
        log.warning(
            "window_not_shared",
            account=account,
            error=str(error) or type(error).__name__,
            next_step="calls continue; until the database answers, other daemons do not know about them",
        )
