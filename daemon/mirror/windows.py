"""All SQL on `dongbo.source_windows`: how the processes tell each other about the windows of calls that they share."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from daemon.database.pool import Connection, Database
from daemon.mirror.claims import CALLING_SECONDS, FORGOTTEN_SECONDS, Claims
from daemon.sources.window import Others

LOCK_SPACE = 0x77696E64  # "wind"

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
        self._claims = Claims(database, uuid4(), LOCK_SPACE)

    async def claim(self, account: str, url: str, decide: Callable[[Others], list[int]]) -> bool:
        """Let `decide` settle what this process claims of a window, while no other process claims any of it.

        `decide` answers with the seconds until each place that this process holds is free. False: the database is away,
        or too busy to answer; a call is not refused for that.
        """

        async def make(connection: Connection) -> None:
            others = await connection.fetchrow(OTHERS, account, url, self._claims.process)
            held = decide(Others(int(others["places"]), others["processes"]))
            await connection.execute(TELL, account, url, self._claims.process, held)

        return await self._claims.make(account, f"{account} {url}", make)


async def prune(connection: Connection) -> None:
    """Forget processes that are gone."""
    await connection.execute(PRUNE, timedelta(seconds=FORGOTTEN_SECONDS))
