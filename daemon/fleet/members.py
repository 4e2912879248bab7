"""All SQL on `dongbo.daemons`: who is in the fleet. Whether a daemon lives is told by the database's clock alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import Lane, WorkerName
from daemon.jobs import store
from daemon.roles import DaemonRole, in_order

LIVE_FOR: Final = 15.0  # seconds after its last sign of life: three of them have been missed then
MOST_MEMBERS: Final = 500

# The name is held by whoever writes this (`daemon/jobs/queue/recovery.py`), so no living daemon's row is taken from it.
SEE = """
INSERT INTO dongbo.daemons AS member
    (name, instance, host, pid, version, roles, address, clock_offset_seconds, started_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() - $9::interval)
ON CONFLICT (name) DO UPDATE SET
    instance = excluded.instance, host = excluded.host, pid = excluded.pid, version = excluded.version,
    roles = excluded.roles, address = excluded.address, clock_offset_seconds = excluded.clock_offset_seconds,
    started_at = CASE WHEN member.instance = excluded.instance THEN member.started_at ELSE excluded.started_at END,
    seen_at = clock_timestamp(), left_at = NULL, takes_no_jobs_since = NULL
RETURNING clock_timestamp()
"""

# Of a worker that has lost its name for the moment: while the row is its own, nobody else has taken the name.
SEE_WITHOUT_JOBS = """
UPDATE dongbo.daemons SET seen_at = clock_timestamp(), clock_offset_seconds = $3,
    takes_no_jobs_since = coalesce(takes_no_jobs_since, clock_timestamp())
WHERE name = $1 AND instance = $2
RETURNING clock_timestamp()
"""

LEAVE = "UPDATE dongbo.daemons SET left_at = clock_timestamp() WHERE name = $1 AND instance = $2"

# Where each start has a name of its own, as in containers, a day may see more of them than are listed.
LIST = """
SELECT * FROM (
    SELECT name, host, pid, version, roles, address, started_at, seen_at, left_at, takes_no_jobs_since,
        clock_offset_seconds, clock_timestamp() AS read_at
    FROM dongbo.daemons ORDER BY left_at IS NULL DESC, seen_at DESC LIMIT $1
) AS member ORDER BY name
"""

PRUNE = "DELETE FROM dongbo.daemons WHERE coalesce(left_at, seen_at) < clock_timestamp() - $1::interval"


@dataclass(frozen=True, slots=True)
class Presence:
    """What a daemon says of itself.

    Args:
        instance: of the process.
        address: where its endpoint is reached, as it shows it.
        clock_offset: seconds by which its machine's clock is ahead of the database's, at least; None: not measured yet.
        uptime: of the process.
    """

    name: WorkerName
    instance: UUID
    host: str
    pid: int
    version: str
    roles: frozenset[DaemonRole]
    address: str
    clock_offset: float | None
    uptime: timedelta


@dataclass(frozen=True, slots=True)
class Member:
    """A daemon as the others see it. Times are the database's; `read_at` is when it was looked at.

    Args:
        left_at: when it has said that it stops; None: it has not.
        takes_no_jobs_since: since when it takes none although it should.
        clock_offset: as in `Presence`.
        running_jobs: how many it runs, in `lanes`.
    """

    name: WorkerName
    host: str
    pid: int
    version: str
    roles: frozenset[DaemonRole]
    address: str
    started_at: datetime
    seen_at: datetime
    left_at: datetime | None
    takes_no_jobs_since: datetime | None
    clock_offset: float | None
    read_at: datetime
    running_jobs: int = 0
    lanes: Sequence[Lane] = ()

    @property
    def is_live(self) -> bool:
        """Whether it runs, as far as anybody knows. What was seen before the database's clock was set back tells
        nothing: who lives is seen again at once."""
        return self.left_at is None and abs((self.read_at - self.seen_at).total_seconds()) < LIVE_FOR

    @property
    def silent_seconds(self) -> float:
        """Since its last sign of life."""
        return max((self.read_at - self.seen_at).total_seconds(), 0.0)

    def does(self, role: DaemonRole) -> bool:
        """Whether it lives and does the work of a role."""
        return self.is_live and role in self.roles and not self._is_idle(role)

    def idle_since(self, role: DaemonRole) -> datetime:
        """Since when it does not do the work of one of its roles; to be asked only where it does not."""
        if self.is_live and self.takes_no_jobs_since is not None and self._is_idle(role):
            return self.takes_no_jobs_since
        return self.left_at or self.seen_at

    def _is_idle(self, role: DaemonRole) -> bool:
        return role is DaemonRole.WORKER and self.takes_no_jobs_since is not None


async def see(connection: Connection, presence: Presence) -> datetime:
    """Note that a daemon lives, which holds its name; the time by the database's clock."""
    now: datetime = await connection.fetchval(
        SEE,
        presence.name,
        presence.instance,
        presence.host,
        presence.pid,
        presence.version,
        in_order(presence.roles),
        presence.address,
        presence.clock_offset,
        presence.uptime,
    )
    return now


async def see_without_jobs(connection: Connection, presence: Presence) -> datetime | None:
    """Note that a daemon lives, which takes no jobs at the moment; None where its name is another daemon's by now."""
    now: datetime | None = await connection.fetchval(
        SEE_WITHOUT_JOBS, presence.name, presence.instance, presence.clock_offset
    )
    return now


async def leave(connection: Connection, name: WorkerName, instance: UUID) -> None:
    """Note that a daemon stops; no effect where its name is another daemon's by now."""
    await connection.execute(LEAVE, name, instance)


async def list_members(connection: Connection) -> list[Member]:
    """All that live, and those that have been there within the last day, by name."""
    rows = await connection.fetch(LIST, MOST_MEMBERS)
    running = await store.running_by_worker(connection)
    return [_member(row, *running.get(WorkerName(row["name"]), (0, ()))) for row in rows]


async def prune(connection: Connection, older_than: timedelta) -> None:
    """Forget those that have not been there for so long."""
    await connection.execute(PRUNE, older_than)


def _member(row: Record, running_jobs: int, lanes: Sequence[Lane]) -> Member:
    known = [DaemonRole(role) for role in row["roles"] if role in frozenset(DaemonRole)]  # of a newer program, too
    return Member(
        name=WorkerName(row["name"]),
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        roles=frozenset(known),
        address=row["address"],
        started_at=row["started_at"],
        seen_at=row["seen_at"],
        left_at=row["left_at"],
        takes_no_jobs_since=row["takes_no_jobs_since"],
        clock_offset=row["clock_offset_seconds"],
        read_at=row["read_at"],
        running_jobs=running_jobs,
        lanes=lanes,
    )
