"""Stores to which nothing is written for now. All SQL on `dongbo.store_pauses`.

Whoever is about to write asks here, in the transaction that notes what is to be written. A pause waits for all such
transactions, so that nothing is noted after it has begun. What was noted before it is asked about once more right
before each attempt to send it: a call may have waited for the rate limit, or between attempts, for long.
"""

from dataclasses import dataclass
from datetime import datetime

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.errors import StorePaused
from daemon.i18n import gettext as _
from daemon.ids import StoreName

PAUSE_LOCK = 0x70617573  # "paus": the first key of these locks

WRITE = "SELECT pg_advisory_xact_lock_shared($1, hashtext($2))"
STOP_WRITES = "SELECT pg_advisory_xact_lock($1, hashtext($2))"

COLUMNS = "store, since, until, reason, who"
IS_ACTIVE = "(until > clock_timestamp()) IS NOT FALSE"

GET = f"SELECT {COLUMNS} FROM dongbo.store_pauses WHERE store = $1 AND {IS_ACTIVE}"

LIST = f"SELECT {COLUMNS} FROM dongbo.store_pauses WHERE store = ANY ($1) AND {IS_ACTIVE} ORDER BY store"

# One that goes on is paused since its beginning, and is what it was last said to be.
PAUSE = f"""
INSERT INTO dongbo.store_pauses AS pause (store, until, reason, who) VALUES ($1, $2, $3, $4)
ON CONFLICT (store) DO UPDATE SET
    since = CASE WHEN (pause.until > clock_timestamp()) IS NOT FALSE THEN pause.since ELSE excluded.since END,
    until = excluded.until, reason = excluded.reason, who = excluded.who
RETURNING {COLUMNS}
"""

RESUME = f"DELETE FROM dongbo.store_pauses WHERE store = $1 AND {IS_ACTIVE} RETURNING {COLUMNS}"


@dataclass(frozen=True, slots=True)
class StorePause:
    """A store to which nothing is written.

    Args:
        until: when it ends by itself; None: when somebody resumes it. Aware UTC, as `since`.
        who: the name under which whoever paused it is known.
    """

    store: StoreName
    since: datetime
    until: datetime | None
    reason: str | None
    who: str | None


async def active(connection: Connection, store: StoreName) -> StorePause | None:
    """The pause of a store; None where it is not paused."""
    row = await connection.fetchrow(GET, store)
    return None if row is None else _pause(row)


async def list_active(connection: Connection, stores: list[StoreName]) -> list[StorePause]:
    """The pauses of these stores, by store."""
    return [_pause(row) for row in await connection.fetch(LIST, stores)]


async def check(connection: Connection, store: StoreName) -> None:
    """Make sure that the store is not paused before the caller's transaction ends. Raises StorePaused."""
    await connection.execute(WRITE, PAUSE_LOCK, store)
    await refuse_paused(connection, store)


async def refuse_paused(connection: Connection, store: StoreName) -> None:
    """Make sure that the store is not paused at this moment. Raises StorePaused."""
    if (pause := await active(connection, store)) is not None:
        raise StorePaused(sentence(pause))


async def pause(
    connection: Connection, store: StoreName, until: datetime | None, reason: str | None, who: str | None
) -> StorePause:
    """Pause a store, or change the pause that it has; when the caller's transaction has committed, nothing is noted to
    be written any more.

    `until`: in the future, aware; None: until somebody resumes it.
    """
    await connection.execute(STOP_WRITES, PAUSE_LOCK, store)
    return _pause(await connection.fetchrow(PAUSE, store, until, reason, who))


async def resume(connection: Connection, store: StoreName) -> StorePause | None:
    """End a pause; the one that it was, None where there was none."""
    row = await connection.fetchrow(RESUME, store)
    return None if row is None else _pause(row)


def sentence(pause: StorePause) -> str:
    """What a pause means, for whoever wonders why nothing is written."""
    return _(
        "Nothing is written to Shopify: the store {store} is paused. Resume it with `dongbo sync resume {store}`."
    ).format(store=pause.store)


def _pause(row: Record) -> StorePause:
    return StorePause(StoreName(row["store"]), row["since"], row["until"], row["reason"], row["who"])
