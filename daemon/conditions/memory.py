"""All SQL on `dongbo.conditions`: since when conditions hold whose beginning nothing else tells."""

from collections.abc import Collection, Mapping

from daemon.api.conditions import ConditionName
from daemon.conditions.facts import ConditionKey, Remembered
from daemon.database.pool import Connection
from daemon.ids import StoreName

MOST_REMEMBERED = 10_000  # far more than there can be: a few for each store

LIST = "SELECT store, name, subject, since, cause FROM dongbo.conditions ORDER BY store, name, subject LIMIT $1"

# Another daemon may have seen it before, or has been told another reason: the earliest time holds, and the last reason.
REMEMBER = """
INSERT INTO dongbo.conditions AS known (store, name, subject, since, cause)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
    AS seen (store, name, subject, since, cause) ORDER BY store, name, subject
ON CONFLICT (store, name, subject) DO UPDATE SET since = least(known.since, excluded.since), cause = excluded.cause
WHERE (known.since, known.cause) IS DISTINCT FROM (least(known.since, excluded.since), excluded.cause)
"""

FORGET = """
DELETE FROM dongbo.conditions AS known
USING unnest($1::text[], $2::text[], $3::text[]) AS past (store, name, subject)
WHERE (known.store, known.name, known.subject) = (past.store, past.name, past.subject)
"""

OF_THE_DAEMON = ""  # in the place of a store


async def load(connection: Connection) -> dict[ConditionKey, Remembered]:
    """All that is remembered; names that this version does not know are left alone."""
    known = {str(name) for name in ConditionName}
    return {
        ConditionKey(_store(row["store"]), ConditionName(row["name"]), row["subject"]): Remembered(
            row["since"], row["cause"]
        )
        for row in await connection.fetch(LIST, MOST_REMEMBERED)
        if row["name"] in known
    }


async def remember(connection: Connection, conditions: Mapping[ConditionKey, Remembered]) -> None:
    """Keep since when these hold."""
    await connection.execute(
        REMEMBER,
        *_columns(conditions),
        [each.since for each in conditions.values()],
        [each.cause for each in conditions.values()],
    )


async def forget(connection: Connection, keys: Collection[ConditionKey]) -> None:
    """These hold no longer."""
    await connection.execute(FORGET, *_columns(keys))


def _columns(keys: Collection[ConditionKey]) -> tuple[list[str], list[str], list[str]]:
    return (
        [key.store or OF_THE_DAEMON for key in keys],
        [str(key.name) for key in keys],
        [key.subject for key in keys],
    )


def _store(stored: str) -> StoreName | None:
    return None if stored == OF_THE_DAEMON else StoreName(stored)
