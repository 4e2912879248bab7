"""Rows that are gone at the source: noted page by page during a full pull, marked as deleted only at its end.

A full pull comes in the order of the ids, so within the range of ids that a page covers, a mirrored row that the
page lacks is gone at the source. Noting them first lets the pull stop before it deletes an implausible share of the
table.
What is asked for by its id needs no such care: the source has been asked for exactly that, and twice.
Whatever sees such a row meanwhile, another pull, a retry or a reading of single rows, withdraws its note: a full pull
that is put back in the queue after a failure may be overtaken by other work in its lane, and single rows are read
beside it. Nor is a row marked that the mirror knows as of a later time than that at which the source was asked: whoever
brought it has seen it since. A row is marked as of when the source was asked, so that no older page brings it back.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.table import MirrorTable

CLEAR = "DELETE FROM dongbo.deletion_candidates WHERE store = $1 AND stream = $2"

# A note of an older program does not say when its page was asked for.
GONE = """
gone.store = $1 AND gone.stream = $2 AND mirrored.store = $1 AND mirrored.id = gone.source_id
  AND mirrored.deleted_at IS NULL AND (mirrored.{as_of} <= gone.asked_at) IS NOT FALSE
"""

COUNT = f"SELECT count(*) FROM dongbo.deletion_candidates AS gone, dongbo.{{table}} AS mirrored WHERE {GONE}"

NOTE = """
INSERT INTO dongbo.deletion_candidates (store, stream, source_id, asked_at)
SELECT $1, $2, id, $6 FROM dongbo.{table}
WHERE store = $1 AND id > $3 AND ($4::bigint IS NULL OR id <= $4) AND deleted_at IS NULL AND id <> ALL ($5)
ON CONFLICT DO NOTHING
"""

TAKE_BACK = "DELETE FROM dongbo.deletion_candidates WHERE store = $1 AND stream = $2 AND source_id = ANY ($3)"

MARK = f"""
UPDATE dongbo.{{table}} AS mirrored SET deleted_at = coalesce(gone.asked_at, now()), changed_at = now()
FROM dongbo.deletion_candidates AS gone WHERE {GONE}
RETURNING id
"""

MARK_DETAILS = """
UPDATE dongbo.{table} SET deleted_at = now(), changed_at = now()
WHERE store = $1 AND {column} = ANY ($2) AND deleted_at IS NULL
"""

MARK_ROWS = """
UPDATE dongbo.{table} SET deleted_at = $3, changed_at = now()
WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL AND ({as_of} <= $3) IS NOT FALSE
RETURNING id
"""

# A row that has not changed, and is not written for that, has been seen all the same.
SEE = """
UPDATE dongbo.{table} SET {as_of} = $3
WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL AND ({as_of} < $3) IS NOT FALSE
"""

PRESENT = "SELECT id FROM dongbo.{table} WHERE store = $1 AND id = ANY ($2) AND deleted_at IS NULL"


async def clear(connection: Connection, store: StoreName, table: MirrorTable[Any]) -> None:
    """Forget what an earlier pull noted."""
    await connection.execute(CLEAR, store, table.name)


async def note(
    connection: Connection,
    store: StoreName,
    table: MirrorTable[Any],
    after: int,
    up_to: int | None,
    present: Sequence[int],
    asked_at: datetime,
) -> None:
    """Note the mirrored rows with `after` < id ≤ `up_to` (None: no end) that are not among `present`.

    `asked_at`: not later than the source was asked for them, by the database's clock.
    """
    await connection.execute(NOTE.format(table=table.name), store, table.name, after, up_to, present, asked_at)


async def take_back(connection: Connection, store: StoreName, table: MirrorTable[Any], present: Sequence[int]) -> None:
    """Forget the notes of rows that have just been seen at the source."""
    await connection.execute(TAKE_BACK, store, table.name, present)


async def see(
    connection: Connection, store: StoreName, table: MirrorTable[Any], present: Sequence[int], asked_at: datetime
) -> None:
    """Note that the source had these rows, which it was asked for by their ids: no full pull that read its page before
    marks them. `asked_at` as of `note`."""
    await take_back(connection, store, table, present)
    await connection.execute(SEE.format(table=table.name, as_of=table.as_of), store, present, asked_at)


async def count(connection: Connection, store: StoreName, table: MirrorTable[Any]) -> int:
    """How many rows `mark` would mark."""
    number: int = await connection.fetchval(COUNT.format(table=table.name, as_of=table.as_of), store, table.name)
    return number


async def mark(
    connection: Connection, store: StoreName, table: MirrorTable[Any], details: Sequence[tuple[str, str]]
) -> int:
    """Mark the noted rows, and their rows in the detail tables [(table, column that refers to the row)], as deleted."""
    rows = await connection.fetch(MARK.format(table=table.name, as_of=table.as_of), store, table.name)
    marked = [row["id"] for row in rows]
    await _mark_details(connection, store, details, marked)
    await clear(connection, store, table)
    return len(marked)


async def mark_rows(
    connection: Connection,
    store: StoreName,
    table: MirrorTable[Any],
    details: Sequence[tuple[str, str]],
    gone: Sequence[int],
    asked_at: datetime,
) -> frozenset[int]:
    """Mark rows that the source was asked for by their ids, and no longer has; returns those that are marked now.

    Args:
        details: as of `mark`.
        asked_at: as of `note`.
    """
    statement = MARK_ROWS.format(table=table.name, as_of=table.as_of)
    rows = await connection.fetch(statement, store, gone, asked_at)
    marked = [row["id"] for row in rows]
    await _mark_details(connection, store, details, marked)
    await take_back(connection, store, table, marked)
    return frozenset(marked)


async def present(
    connection: Connection, store: StoreName, table: MirrorTable[Any], ids: Sequence[int]
) -> frozenset[int]:
    """Those of these rows that are mirrored and not marked as deleted."""
    return frozenset(row["id"] for row in await connection.fetch(PRESENT.format(table=table.name), store, ids))


async def _mark_details(
    connection: Connection, store: StoreName, details: Sequence[tuple[str, str]], marked: Sequence[int]
) -> None:
    for detail, column in details:
        await connection.execute(MARK_DETAILS.format(table=detail, column=column), store, marked)
