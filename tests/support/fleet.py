"""Other daemons on a database, of which there is no more than what they have said."""

from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

from daemon.database.pool import Database
from daemon.fleet import members
from daemon.fleet.members import Presence
from daemon.ids import WorkerName
from daemon.roles import ALL_ROLES, DaemonRole

AGE = "UPDATE dongbo.daemons SET seen_at = seen_at - $2::interval WHERE name = $1"


async def join(
    database: Database,
    name: str,
    roles: Collection[DaemonRole] = ALL_ROLES,
    *,
    clock_offset: float = 0.0,
    silent: timedelta = timedelta(0),
) -> None:
    """Let a daemon say that it lives, which was so long ago."""
    address = "http://127.0.0.1:8765"
    uptime = timedelta(hours=3)
    presence = Presence(WorkerName(name), uuid4(), name, 77, "9.9.9", frozenset(roles), address, clock_offset, uptime)
    async with database.acquire() as connection:
        await members.see(connection, presence)
        await connection.execute(AGE, name, silent)
