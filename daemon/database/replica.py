"""A streaming replica from which larger reads are served, never with less than what was committed when they began."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from daemon.database.connection_errors import is_connection_error, reason
from daemon.database.returning import Returning
from daemon.database.sessions import SessionSetup, unreadable
from daemon.database.usage import ReplicaStanding, ReplicaState
from daemon.errors import DatabaseError, DatabaseUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault

log = structlog.get_logger()

MOST_CONNECTIONS = 4
ACQUIRE_TIMEOUT = 0.5  # seconds that a read waits for a connection to the replica, before it goes to the primary
PATIENCE = 0.2  # seconds that a read waits until the replica has come to where the primary is
PAUSES = (0.002, 0.005, 0.01, 0.02, 0.05)  # seconds between two looks at how far it has come; the last again and again
LOOK_INTERVAL = 5.0  # seconds
LOOK_TIMEOUT = 5.0  # seconds
LONGEST_LAG = 3.0  # seconds, up to which it is measured

# Up to where all that counts as committed has been written. With synchronous_commit off, that is not yet on the disk.
# Only a replica of the same server can tell whether it has come there: `url` may lead to another one by now.
POSITION = """
SELECT (
    CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
    ELSE pg_current_wal_flush_lsn() END
)::text, (SELECT system_identifier FROM pg_control_system()), current_database()
"""
# A replica that receives nothing may have been left behind by a failover, with another history.
HOW_FAR = """
SELECT
    (SELECT system_identifier FROM pg_control_system()) = $2 AND current_database() = $3 AS is_same,
    pg_is_in_recovery() AS is_replica, EXISTS (SELECT FROM pg_stat_wal_receiver) AS receives,
    coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false) AS is_there
"""
MEASURED = (ReplicaStanding.KEEPS_UP, ReplicaStanding.BEHIND)
WORDS = {
    ReplicaStanding.UNKNOWN: mark("has not been looked at yet"),
    ReplicaStanding.KEEPS_UP: mark("keeps up, {milliseconds:.0f} ms behind at most"),
    ReplicaStanding.BEHIND: mark("{milliseconds:.0f} ms behind or more"),
    ReplicaStanding.CUT_OFF: mark("receives nothing from its primary at present"),
    ReplicaStanding.PRIMARY: mark("[database] read_url leads to a primary, not to a streaming replica"),
    ReplicaStanding.ELSEWHERE: mark("[database] read_url leads to another database than url"),
    ReplicaStanding.AWAY: mark("away ({error})"),
}
Position: TypeAlias = tuple[str, int, str]  # in the log of what is written; of which server, by number, and database


class ReplicaFailed(DatabaseUnavailable):
    """A read at the replica broke off; the same goes to the primary from now on, until the replica is back."""


class Replica(Part):
    """The replica, and what is known of how it stands: looked at every few seconds, and used only while it keeps up.

    Args:
        pool: its connections, at most MOST_CONNECTIONS.
        ask: one row of a statement at the primary.
    """

    name = "replica"

    def __init__(
        self, pool: asyncpg.Pool, setup: SessionSetup, ask: Callable[[str], Awaitable[asyncpg.Record]]
    ) -> None:
        self.pool = pool
        self.where = setup.where
        self.state = ReplicaState(ReplicaStanding.UNKNOWN, None, None, None)  # as of the last look
        self.reads_here = 0  # since the start
        self.reads_at_primary = 0
        self._ask_primary = ask
        self._returning = Returning(pool, setup.where)
        self._unusable = Fault(log, "replica_unusable", over="replica_usable", next_step="reads go to the primary")

    @property
    def health(self) -> Health:
        """How it stands; it holds nothing up: what it does not serve, the primary does."""
        return Health(True, describe(self.state))

    async def borrow(self) -> PoolConnectionProxy | None:
        """A connection that sees all that is committed by now; None where the primary has to be asked instead.

        Raises what the primary raises when it is asked how far it has come.
        """
        connection = None
        if self.state.standing is ReplicaStanding.KEEPS_UP:
            connection = await self._borrow_at(await self._position())
        if connection is None:
            self.reads_at_primary += 1
        else:
            self.reads_here += 1
        return connection

    async def give_back(self, connection: PoolConnectionProxy) -> None:
        """Take back what was borrowed, whatever has become of it."""
        await self._returning.give_back(connection)

    def failure(self, error: Exception) -> ReplicaFailed | None:
        """What a statement's error says of the replica; None: it is about the statement.

        A replica ends a statement that needs rows which the primary has cleaned up since (PostgreSQL documentation,
        "Handling Query Conflicts").
        """
        if not (is_connection_error(error) or isinstance(error, asyncpg.SerializationError)):
            return None
        self._lose(reason(error))
        return ReplicaFailed(reason(error))

    async def look(self) -> None:
        """See how it stands now, in at most two LOOK_TIMEOUTs."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._position()
        except (DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return  # the primary does not answer, so nothing is read anywhere
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                self._know(await self._measured())
        except ValueError as error:
            self._lose(str(unreadable("read_url", error)))
        except (DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._lose(reason(error))

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_INTERVAL)

    async def _position(self) -> Position:
        """Up to where the primary has written everything that is committed by now."""
        position, server, database = await self._ask_primary(POSITION)
        return position, server, database

    async def _measured(self) -> ReplicaState:
        now = datetime.now(UTC)
        connection = await self.pool.acquire()
        try:
            position, began = await self._position(), time.monotonic()
            standing = await _comes_to(connection, position, LONGEST_LAG)
        finally:
            await self.give_back(connection)
        lag = time.monotonic() - began
        if standing is ReplicaStanding.KEEPS_UP and lag > PATIENCE:
            standing = ReplicaStanding.BEHIND
        return ReplicaState(standing, None, lag if standing in MEASURED else None, now)

    async def _borrow_at(self, position: Position) -> PoolConnectionProxy | None:
        """A connection to the replica once it has come to this position; None where it does not in PATIENCE."""
        try:
            connection: PoolConnectionProxy = await self.pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except TimeoutError:
            return None  # all are in use
        except (DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._lose(reason(error))
            return None
        is_there = False
        try:
            is_there = await _comes_to(connection, position, PATIENCE) is ReplicaStanding.KEEPS_UP
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._lose(reason(error))
        finally:
            if not is_there:
                await self.give_back(connection)
        return connection if is_there else None

    def _know(self, state: ReplicaState) -> None:
        self.state = state
        if state.standing is ReplicaStanding.KEEPS_UP:
            self._unusable.passed(database=self.where)
        else:
            self._unusable.happened(describe(state), database=self.where)

    def _lose(self, why: str) -> None:
        self._know(ReplicaState(ReplicaStanding.AWAY, why, None, datetime.now(UTC)))


def describe(state: ReplicaState) -> str:
    """How a replica stands, for people: a clause without a full stop."""
    words = _(WORDS[state.standing]).format(error=state.error, milliseconds=(state.lag_seconds or 0) * 1000)
    return (
        words if state.standing is ReplicaStanding.KEEPS_UP else _("{how}: reads go to the primary").format(how=words)
    )


async def _comes_to(connection: PoolConnectionProxy, position: Position, seconds: float) -> ReplicaStanding:
    """Wait until the replica has come to a position of its primary, but not for longer; how it stands then."""
    until, pauses = time.monotonic() + seconds, iter(PAUSES)
    while True:
        row = await connection.fetchrow(HOW_FAR, *position)
        if not row["is_same"]:
            return ReplicaStanding.ELSEWHERE
        if not row["is_replica"]:
            return ReplicaStanding.PRIMARY
        if not row["receives"]:
            return ReplicaStanding.CUT_OFF
        if row["is_there"]:
            return ReplicaStanding.KEEPS_UP
        pause = next(pauses, PAUSES[-1])
        if time.monotonic() + pause > until:
            return ReplicaStanding.BEHIND
        await asyncio.sleep(pause)
