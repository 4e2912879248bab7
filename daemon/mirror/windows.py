"""All SQL on `dongbo.source_windows`: how the processes tell each other about the rate limits that they share.

Nothing here goes by the clock of a machine: what a process writes is a number of seconds from the database's time at
which it writes, and is read by that same clock.
"""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from uuid import uuid4

import asyncpg
import structlog

from daemon.database.pool import Connection, Database
from daemon.errors import DatabaseError
from daemon.sources.window import Others

log = structlog.get_logger()

LOCK_SPACE = 0x77696E64  # "wind": the first key of the locks on a window; the other is a hash of which one
CALLING_SECONDS = 10.0  # since its last claim, during which a process counts as calling
# Longer than any place is held. What was written earlier, or by a clock that has been set back since, means nothing.
FORGOTTEN_SECONDS = 120.0
WARNING_SECONDS = 60.0  # between two warnings that other processes could not be told

# A crash of the server loses only the last fraction of a second: the next start takes longer than that. A process that
# was suspended in the middle of a claim must not hold up all others.
BEGIN_CLAIM = """
SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '2s', true),
    pg_advisory_xact_lock($1, hashtext($2))
"""

OTHERS = f"""
SELECT coalesce(sum((SELECT count(*) FROM unnest(free_in) AS seconds WHERE seconds > age)), 0) AS places,
    count(*) FILTER (WHERE age < {CALLING_SECONDS}) AS processes
FROM (
    SELECT free_in, extract(epoch FROM clock_timestamp() - as_of) AS age FROM dongbo.source_windows
    WHERE account = $1 AND url = $2 AND process <> $3
) AS other
WHERE abs(age) < {FORGOTTEN_SECONDS}
"""

TELL = """
INSERT INTO dongbo.source_windows (account, url, process, free_in) VALUES ($1, $2, $3, $4)
ON CONFLICT (account, url, process) DO UPDATE SET free_in = excluded.free_in, as_of = clock_timestamp()
"""

PRUNE = "DELETE FROM dongbo.source_windows WHERE as_of < clock_timestamp() - $1::interval"


class SharedWindows:
    """The claims of this process among those of all that work with the same database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = uuid4()
        self._warned_at = float("-inf")

    async def claim(self, account: str, url: str, decide: Callable[[Others], list[int]]) -> bool:
        """Let `decide` settle what this process claims of a window, while no other process claims any of it.

        `decide` answers with the seconds until each place that this process holds is free. False: the database is away,
        or too busy to answer; a call is not refused for that.
        """
        try:
            async with self._database.acquire() as connection, connection.transaction():
                await connection.execute(BEGIN_CLAIM, LOCK_SPACE, f"{account} {url}")
                others = await connection.fetchrow(OTHERS, account, url, self._process)
                held = decide(Others(int(others["places"]), others["processes"]))
                await connection.execute(TELL, account, url, self._process, held)
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


async def prune(connection: Connection) -> None:
    """Forget processes that are gone."""
    await connection.execute(PRUNE, timedelta(seconds=FORGOTTEN_SECONDS))
