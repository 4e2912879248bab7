"""Rows that are gone at the source: noted page by page during a full pull, marked as deleted only at its end.

A full pull comes in the order of the ids, so within the range of ids that a page covers, a mirrored row that the
page lacks is gone at the source. Noting them first lets the pull stop before it deletes an implausible share of the
table.
Whatever sees such a row meanwhile, another pull or a retry, withdraws its note: a full pull that is put back in the
queue after a failure may be overtaken by other work in its lane.
"""

from collections.abc import Sequence
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.table import MirrorTable

CLEAR = "DELETE FROM dongbo.deletion_candidates WHERE store = $1 AND stream = $2"

COUNT = "SELECT count(*) FROM dongbo.deletion_candidates WHERE store = $1 AND stream = $2"

NOTE = """
INSERT INTO dongbo.deletion_candidates (store, stream, source_id)
SELECT $1, $2, id FROM dongbo.{table}
WHERE store = $1 AND id > $3 AND ($4::bigint IS NULL OR id <= $4) AND deleted_at IS NULL AND id <> ALL ($5)
ON CONFLICT DO NOTHING
"""

TAKE_BACK = "DELETE FROM dongbo.deletion_candidates WHERE store = $1 AND stream = $2 AND source_id = ANY ($3)"

MARK = """
UPDATE dongbo.{table} AS mirrored SET deleted_at = now(), changed_at = now()
FROM dongbo.deletion_candidates AS gone
WHERE gone.store = $1 AND gone.stream = $2
  AND mirrored.store = $1 AND mirrored.{column} = gone.source_id AND mirrored.deleted_at IS NULL
"""


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
) -> None:
    """Note the mirrored rows with `after` < id ≤ `up_to` (None: no end) that are not among `present`."""
    await connection.execute(NOTE.format(table=table.name), store, table.name, after, up_to, present)


async def take_back(connection: Connection, store: StoreName, table: MirrorTable[Any], present: Sequence[int]) -> None:
    """Forget the notes of rows that have just been seen at the source."""
    await connection.execute(TAKE_BACK, store, table.name, present)


async def count(connection: Connection, store: StoreName, table: MirrorTable[Any]) -> int:
    """How many rows are noted."""
    number: int = await connection.fetchval(COUNT, store, table.name)
    return number


async def mark(
    connection: Connection, store: StoreName, table: MirrorTable[Any], details: Sequence[tuple[str, str]]
) -> int:
    """Mark the noted rows, and their rows in the detail tables [(table, column that refers to the row)], as deleted."""
    for detail, column in details:
        await connection.execute(MARK.format(table=detail, column=column), store, table.name)
    tag: str = await connection.execute(MARK.format(table=table.name, column="id"), store, table.name)
    await clear(connection, store, table)
    return int(tag.rpartition(" ")[2])
