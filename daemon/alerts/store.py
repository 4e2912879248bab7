"""All SQL on `dongbo.alerts`: what has been told by which channel, and whose turn it is to tell.

Intent comes first: a daemon claims what it is about to tell, tells it, and records that it has. One that dies in
between leaves a claim that lapses, so that another tells it again: twice at worst, and never not at all.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asyncpg import Record

from daemon.api.conditions import Condition, ConditionSeverity
from daemon.database.pool import Connection
from daemon.ids import StoreName

MOST_OPEN: Final = 5_000  # far more than conditions times channels
PRUNED_AT_ONCE: Final = 5_000

COLUMNS = "id, channel, condition, store, severity, text, since, told_at, problem, closed_at"

LIST_OPEN = f"""
SELECT {COLUMNS}, statement_timestamp() - seen_at AS unseen FROM dongbo.alerts
WHERE closed_at IS NULL AND channel = ANY ($1) ORDER BY channel, condition LIMIT $2
"""

LIST = f"""
SELECT {COLUMNS}, statement_timestamp() - seen_at AS unseen FROM dongbo.alerts
WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
"""

SEE = """
UPDATE dongbo.alerts SET seen_at = statement_timestamp() WHERE id IN (
    SELECT id FROM dongbo.alerts WHERE id = ANY ($1) AND closed_at IS NULL ORDER BY id FOR UPDATE
)
"""

# In the order of the conditions, so that two daemons never wait for each other. A row that another daemon has claimed,
# or has told meanwhile, is not returned.
CLAIM = """
INSERT INTO dongbo.alerts AS known (channel, condition, store, severity, text, since, claimed_until)
SELECT $1, due.condition, due.store, due.severity, due.text, due.since, statement_timestamp() + $7::interval
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS due (condition, store, severity, text, since)
ORDER BY condition
ON CONFLICT (channel, condition) WHERE closed_at IS NULL DO UPDATE
SET claimed_until = excluded.claimed_until, severity = excluded.severity, text = excluded.text,
    seen_at = excluded.seen_at
WHERE known.told_at IS NULL AND known.claimed_until <= statement_timestamp()
RETURNING condition
"""

RECORD_TOLD = """
INSERT INTO dongbo.alerts AS known (channel, condition, store, severity, text, since, claimed_until, told_at)
SELECT $1, told.condition, told.store, told.severity, told.text, told.since, statement_timestamp(), $7
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS told (condition, store, severity, text, since)
ORDER BY condition
ON CONFLICT (channel, condition) WHERE closed_at IS NULL DO UPDATE
SET told_at = coalesce(known.told_at, excluded.told_at), claimed_until = statement_timestamp(), problem = NULL
"""

RELEASE = """
UPDATE dongbo.alerts SET claimed_until = statement_timestamp(), problem = $3 WHERE id IN (
    SELECT id FROM dongbo.alerts
    WHERE channel = $1 AND condition = ANY ($2) AND closed_at IS NULL ORDER BY id FOR UPDATE
)
"""

CLAIM_ENDED = """
UPDATE dongbo.alerts SET claimed_until = statement_timestamp() + $2::interval WHERE id IN (
    SELECT id FROM dongbo.alerts
    WHERE id = ANY ($1) AND closed_at IS NULL AND claimed_until <= statement_timestamp()
      AND seen_at < statement_timestamp() - $3::interval
    ORDER BY id FOR UPDATE
)
RETURNING id
"""

CLOSE = """
UPDATE dongbo.alerts SET closed_at = statement_timestamp(), problem = NULL WHERE id IN (
    SELECT id FROM dongbo.alerts WHERE id = ANY ($1) AND closed_at IS NULL ORDER BY id FOR UPDATE
)
"""

# A channel that is in no configuration any more leaves rows that nobody closes.
CLOSE_ABANDONED = """
UPDATE dongbo.alerts SET closed_at = statement_timestamp()
WHERE closed_at IS NULL AND seen_at < statement_timestamp() - $1::interval
"""

PRUNE = """
DELETE FROM dongbo.alerts WHERE id IN (
    SELECT id FROM dongbo.alerts WHERE closed_at < statement_timestamp() - $1::interval ORDER BY closed_at LIMIT $2
)
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A condition that a channel has been told of, or is to be told of.

    Args:
        condition: its id.
        unseen: how long no daemon has seen it hold.
        told_at: when its beginning was told; None: it has not come through yet, because of `problem`.
        closed_at: when its end was told, or it ended untold.
    """

    id: int
    channel: str
    condition: str
    store: StoreName | None
    severity: ConditionSeverity
    text: str
    since: datetime
    unseen: timedelta
    told_at: datetime | None
    problem: str | None
    closed_at: datetime | None

    @property
    def is_owed(self) -> bool:
        """Whether its end is to be told: its beginning was, or should have been and did not come through."""
        return self.told_at is not None or self.problem is not None


async def list_open(connection: Connection, channels: Collection[str]) -> Sequence[Told]:
    """What these channels know of and has not been closed."""
    return _read(await connection.fetch(LIST_OPEN, list(channels), MOST_OPEN))


async def list_recent(connection: Connection, *, before: int | None, limit: int) -> Sequence[Told]:
    """What all channels have been told, newest first; `before` is the last id of the page before."""
    return _read(await connection.fetch(LIST, before, limit))


async def see(connection: Connection, ids: Collection[int]) -> None:
    """The conditions of these rows hold now."""
    await connection.execute(SEE, list(ids))


async def claim(connection: Connection, channel: str, due: Collection[Condition], lease: timedelta) -> set[str]:
    """Take it upon this daemon to tell a channel of these conditions; returns the ids of those that it may tell."""
    rows = await connection.fetch(CLAIM, channel, *_columns(due), lease)
    return {row["condition"] for row in rows}


async def record_told(connection: Connection, channel: str, told: Collection[Condition], at: datetime) -> None:
    """A channel has been told of these conditions, be it while the database was away."""
    await connection.execute(RECORD_TOLD, channel, *_columns(told), at)


async def release(connection: Connection, channel: str, conditions: Collection[str], problem: str) -> None:
    """A message about these did not go out: whoever can may try again."""
    await connection.execute(RELEASE, channel, list(conditions), problem)


async def claim_ended(
    connection: Connection, ids: Collection[int], lease: timedelta, unseen_for: timedelta
) -> set[int]:
    """Take it upon this daemon to tell the end of what no daemon has seen for so long; returns what it may tell."""
    rows = await connection.fetch(CLAIM_ENDED, list(ids), lease, unseen_for)
    return {row["id"] for row in rows}


async def close(connection: Connection, ids: Collection[int]) -> None:
    """These are over, and whoever had to know does."""
    await connection.execute(CLOSE, list(ids))


async def prune(connection: Connection, older_than: timedelta) -> None:
    """Close what nobody has seen for so long, and delete what was closed so long ago."""
    await connection.execute(CLOSE_ABANDONED, older_than)
    await connection.execute(PRUNE, older_than, PRUNED_AT_ONCE)


def _columns(conditions: Collection[Condition]) -> Sequence[Sequence[object]]:
    rows = list(conditions)
    return (
        [each.id for each in rows],
        [each.store for each in rows],
        [each.severity.value for each in rows],
        [each.text for each in rows],
        [each.since for each in rows],
    )


def _read(rows: Sequence[Record]) -> Sequence[Told]:
    return [
        Told(
            id=row["id"],
            channel=row["channel"],
            condition=row["condition"],
            store=None if row["store"] is None else StoreName(row["store"]),
            severity=ConditionSeverity(row["severity"]),
            text=row["text"],
            since=row["since"],
            unseen=row["unseen"],
            told_at=row["told_at"],
            problem=row["problem"],
            closed_at=row["closed_at"],
        )
        for row in rows
    ]
