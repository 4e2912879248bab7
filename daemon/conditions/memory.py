"""All SQL on `dongbo.conditions`: since when conditions hold whose beginning nothing else tells."""

from collections.abc import Collection, Mapping

from daemon.conditions.facts import Remembered
from daemon.database.pool import Connection
from daemon.ids import StoreName

MOST_REMEMBERED = 10_000  # far more than there can be: a few for each store

LIST = "SELECT id, store, since, cause FROM dongbo.conditions ORDER BY id LIMIT $1"

# Another daemon may have seen it before, or may have been told another reason: the earliest time and the last reason.
REMEMBER = """
INSERT INTO dongbo.conditions AS known (id, store, since, cause)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) AS seen (id, store, since, cause)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET since = least(known.since, excluded.since), cause = excluded.cause
WHERE (known.since, known.cause) IS DISTINCT FROM (least(known.since, excluded.since), excluded.cause)
"""

# In the order in which others remember, so that neither waits for the other for ever.
FORGET = """
DELETE FROM dongbo.conditions WHERE id IN (
    SELECT id FROM dongbo.conditions WHERE id = ANY ($1) ORDER BY id FOR UPDATE
)
"""


async def load(connection: Connection) -> dict[str, Remembered]:
    """All that is remembered, by the conditions' ids."""
    rows = await connection.fetch(LIST, MOST_REMEMBERED)
    return {row["id"]: Remembered(_store(row["store"]), row["since"], row["cause"]) for row in rows}


async def remember(connection: Connection, conditions: Mapping[str, Remembered]) -> None:
    """Keep since when these hold, by their ids."""
    kept = list(conditions.values())
    await connection.execute(
        REMEMBER,
        list(conditions),
        [each.store for each in kept],
        [each.since for each in kept],
        [each.cause for each in kept],
    )


async def forget(connection: Connection, ids: Collection[str]) -> None:
    """These hold no longer."""
    await connection.execute(FORGET, list(ids))


def _store(stored: str | None) -> StoreName | None:
    return None if stored is None else StoreName(stored)
