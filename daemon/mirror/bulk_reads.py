"""All SQL on `dongbo.bulk_reads`, and on the table `bulk_lines_<id>` of each read: a list that a bulk operation gives.

The lines of its file go into that table as they come, and into the mirror only once all of them are there. The table is
unlogged: after a crash of PostgreSQL it is empty, which shows in the number of lines that its row has noted, and the
file is downloaded again. It has no index until it is whole.

Whoever calls what writes here does so in the transaction in which the run's token is checked.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import orjson
from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.store import plain_id

UNREADABLE, ROOT = 0, 1  # kinds of lines; what belongs to a root is of kind 2, what belongs to that of kind 3
NO_PARENT = 0  # of a root
KEPT = timedelta(
    days=1
)  # after the last sign of life of a read whose job has ended without it: as long as a checkpoint
SORTING_SECONDS = 1800.0  # for one statement over all lines: 16 million take some minutes on a slow disk

COLUMNS = """
id, job_id, store, stream, digest, identity, asked_at, source_time, beginning, operation, next_byte, lines, nameless,
is_sorted
"""

BEGIN = f"""
INSERT INTO dongbo.bulk_reads (job_id, store, stream, digest, identity, source_time, beginning)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {COLUMNS}
"""

CREATE_LINES = """
CREATE UNLOGGED TABLE dongbo.{lines} (
    kind smallint NOT NULL, id bigint, parent bigint, line bytea
) WITH (autovacuum_enabled = false)
"""

GET = f"SELECT {COLUMNS} FROM dongbo.bulk_reads WHERE id = $1"

# A read of the job itself, or one of an earlier job that may be continued: it has ended, and not by completing.
FIND = f"""
SELECT {COLUMNS} FROM dongbo.bulk_reads AS read
WHERE store = $2 AND stream = $3 AND digest = $4 AND identity = $5 AND touched_at > clock_timestamp() - $6::interval
  AND (job_id = $1 OR ($7 AND EXISTS (
      SELECT FROM dongbo.background_jobs AS job WHERE job.id = read.job_id AND job.status IN ('FAILED', 'CANCELLED')
  )))
ORDER BY job_id = $1 DESC, id DESC LIMIT 1
"""

TAKE = """
UPDATE dongbo.bulk_reads AS read SET job_id = $2, touched_at = clock_timestamp()
WHERE id = $1 AND (job_id = $2 OR EXISTS (
    SELECT FROM dongbo.background_jobs AS job WHERE job.id = read.job_id AND job.status IN ('FAILED', 'CANCELLED')
))
RETURNING id
"""

NOTE_OPERATION = "UPDATE dongbo.bulk_reads SET operation = $2, touched_at = clock_timestamp() WHERE id = $1"

NOTE_LINES = """
UPDATE dongbo.bulk_reads SET lines = lines + $2, next_byte = $3, touched_at = clock_timestamp() WHERE id = $1
"""

EMPTY = "TRUNCATE dongbo.{lines}"
DROP_INDEX = "DROP INDEX IF EXISTS dongbo.{lines}_in_order"
NOTE_EMPTY = "UPDATE dongbo.bulk_reads SET lines = 0, next_byte = 0, is_sorted = false WHERE id = $1"

HAS_TABLE = "SELECT to_regclass($1) IS NOT NULL"
HAS_LINES = "SELECT EXISTS (SELECT FROM dongbo.{lines})"

COUNT_LINES = f"""
SELECT count(*) AS lines, count(*) FILTER (WHERE kind = {ROOT}) AS roots,
    count(*) FILTER (WHERE kind = {UNREADABLE}) AS unreadable,
    count(*) FILTER (WHERE kind = {UNREADABLE} AND parent IS NULL) AS nameless
FROM dongbo.{{lines}}
"""

# Rows that only what belongs to them names: their own lines can't be read.
MISSING = """
SELECT DISTINCT child.parent AS id FROM dongbo.{lines} AS child
WHERE child.kind = $1 AND NOT EXISTS (
    SELECT FROM dongbo.{lines} AS parent WHERE parent.kind = $1 - 1 AND parent.id = child.parent
)
LIMIT $2
"""

ADD_MISSING = f"""
INSERT INTO dongbo.{{lines}} (kind, id, parent) SELECT {ROOT}, unnest($1::bigint[]), {NO_PARENT}
"""

# Unique: a row that comes twice has been read at two times, and one of the two is not of the same file.
SORT = "CREATE UNIQUE INDEX {lines}_in_order ON dongbo.{lines} (kind, parent, id)"
ANALYZE = "ANALYZE dongbo.{lines}"
NOTE_SORTED = (
    "UPDATE dongbo.bulk_reads SET is_sorted = true, nameless = $2, touched_at = clock_timestamp() WHERE id = $1"
)

LIST_NAMELESS = f"SELECT line FROM dongbo.{{lines}} WHERE kind = {UNREADABLE} AND parent IS NULL LIMIT $1"

LIST_ROOTS = f"""
SELECT id, line FROM dongbo.{{lines}} WHERE kind = {ROOT} AND parent = {NO_PARENT} AND id > $1 ORDER BY id LIMIT $2
"""

# With what names them and can't be read: to whom it belongs is not whole.
LIST_CHILDREN = f"""
SELECT kind, id, line FROM dongbo.{{lines}} WHERE kind IN ({UNREADABLE}, $1) AND parent = ANY ($2) LIMIT $3
"""

DROP_LINES = "DROP TABLE IF EXISTS dongbo.{lines}"
DELETE = "DELETE FROM dongbo.bulk_reads WHERE id = $1"
SHORT_WAIT = "SET LOCAL lock_timeout = '2s'"
LIST_OF_JOB = "SELECT id FROM dongbo.bulk_reads WHERE job_id = $1"

# Of a job that is gone or has completed, or that nobody continues any more; unless it is being taken at this moment.
FIND_LEFT = """
SELECT read.id FROM dongbo.bulk_reads AS read LEFT JOIN dongbo.background_jobs AS job ON job.id = read.job_id
WHERE job.id IS NULL OR job.status = 'COMPLETED'
   OR (job.status IN ('FAILED', 'CANCELLED') AND read.touched_at < clock_timestamp() - $1::interval)
LIMIT 1 FOR UPDATE OF read SKIP LOCKED
"""


class StagedLine(NamedTuple):
    """A line of a file as it is staged: `kind` counts from the root, and a root has NO_PARENT."""

    kind: int
    id: int | None
    parent: int | None
    line: bytes


@dataclass(frozen=True, slots=True)
class LineCounts:
    """How many lines there are; of those that can't be read, `nameless` ones do not even say to what they belong."""

    lines: int
    roots: int
    unreadable: int
    nameless: int


@dataclass(frozen=True, slots=True)
class BulkRead:
    """A list that is read whole by a bulk operation.

    Args:
        job_id: the job that reads it.
        digest: of the query.
        identity: of the shop.
        asked_at: not later than Shopify was asked, by the database's clock; what is newer than that, the rows are not.
        source_time: likewise by Shopify's clock; None where that was not known.
        beginning: under which circumstances its pull began.
        operation: its global id at Shopify; None: not known yet.
        next_byte: how much of the file is in the table.
        lines: how many lines that is.
        nameless: how many rows there are of which not even the id can be read; known once it is sorted.
        is_sorted: whether all of the file is there, was checked, and can be read in the order of its roots.
    """

    id: int
    job_id: JobId
    store: StoreName
    stream: str
    digest: bytes
    identity: str
    asked_at: datetime
    source_time: datetime | None
    beginning: Mapping[str, Any]
    operation: str | None
    next_byte: int
    lines: int
    nameless: int
    is_sorted: bool

    @property
    def table(self) -> str:
        """The name of the table of its lines."""
        return _table(self.id)


@dataclass(frozen=True, slots=True)
class NewRead:
    """What is known of a read before Shopify is asked; as in `BulkRead`."""

    job_id: JobId
    store: StoreName
    stream: str
    digest: bytes
    identity: str
    source_time: datetime | None
    beginning: Mapping[str, Any]


async def begin(connection: Connection, new: NewRead) -> BulkRead:
    """Note a read, before Shopify is asked, and make the table for its lines."""
    row = await connection.fetchrow(
        BEGIN,
        new.job_id,
        new.store,
        new.stream,
        new.digest,
        new.identity,
        new.source_time,
        orjson.dumps(new.beginning).decode(),
    )
    read = _read(row)
    await connection.execute(CREATE_LINES.format(lines=read.table))
    return read


async def get(connection: Connection, read_id: int) -> BulkRead | None:
    """A read that still has its table."""
    row = await connection.fetchrow(GET, read_id)
    if row is None or not await connection.fetchval(HAS_TABLE, f"dongbo.{_table(read_id)}"):
        return None
    return _read(row)


async def find(connection: Connection, new: NewRead, younger_than: timedelta, *, of_others: bool) -> BulkRead | None:
    """A read of the same list that the job of `new` has begun before; with `of_others` also one that an earlier job has
    left behind and nobody has touched for less than `younger_than`."""
    row = await connection.fetchrow(
        FIND, new.job_id, new.store, new.stream, new.digest, new.identity, younger_than, of_others
    )
    return await get(connection, row["id"]) if row is not None else None


async def take(connection: Connection, read: BulkRead, job_id: JobId) -> bool:
    """Make it that of this job, unless another one still needs it; whether it is."""
    return await connection.fetchval(TAKE, read.id, job_id) is not None


async def note_operation(connection: Connection, read: BulkRead, operation: str) -> None:
    """Note which operation of Shopify gives the list."""
    await connection.execute(NOTE_OPERATION, read.id, operation)


async def add(connection: Connection, read: BulkRead, lines: Sequence[StagedLine], end: int) -> None:
    """Store lines of its file, up to the byte `end`."""
    await connection.copy_records_to_table(read.table, schema_name="dongbo", columns=StagedLine._fields, records=lines)
    await connection.execute(NOTE_LINES, read.id, len(lines), end)


async def has_lost_lines(connection: Connection, read: BulkRead) -> bool:
    """Whether PostgreSQL has emptied the table in a crash."""
    has_lines: bool = await connection.fetchval(HAS_LINES.format(lines=read.table))
    return read.lines > 0 and not has_lines


async def empty(connection: Connection, read: BulkRead) -> None:
    """Forget all lines, so that the file is downloaded again."""
    await connection.execute(EMPTY.format(lines=read.table))
    await connection.execute(DROP_INDEX.format(lines=read.table))
    await connection.execute(NOTE_EMPTY, read.id)


async def count_lines(connection: Connection, read: BulkRead) -> LineCounts:
    """The lines that are in the table; in a transaction of its own."""
    await _allow_time(connection)
    return LineCounts(**await connection.fetchrow(COUNT_LINES.format(lines=read.table), timeout=SORTING_SECONDS))


async def list_missing(connection: Connection, read: BulkRead, kind: int, limit: int) -> list[int]:
    """Ids that rows of a kind name as those they belong to, and that have no line; in a transaction of its own."""
    await _allow_time(connection)
    rows = await connection.fetch(MISSING.format(lines=read.table), kind, limit, timeout=SORTING_SECONDS)
    return [row["id"] for row in rows]


async def sort(connection: Connection, read: BulkRead, missing: Sequence[int], nameless: int) -> None:
    """Make the lines readable in the order of their roots, among which are `missing`, that have no line, and
    `nameless` ones, the id of which can't be read.

    Raises:
        asyncpg.UniqueViolationError: a row comes twice.
    """
    await _allow_time(connection)
    if missing:
        await connection.execute(ADD_MISSING.format(lines=read.table), missing)
    await connection.execute(SORT.format(lines=read.table), timeout=SORTING_SECONDS)
    await connection.execute(ANALYZE.format(lines=read.table), timeout=SORTING_SECONDS)
    await connection.execute(NOTE_SORTED, read.id, nameless)


async def list_nameless(connection: Connection, read: BulkRead) -> list[bytes]:
    """Lines that stand for the nameless rows."""
    return [row["line"] for row in await connection.fetch(LIST_NAMELESS.format(lines=read.table), read.nameless)]


async def list_roots(connection: Connection, read: BulkRead, after: int, limit: int) -> dict[int, bytes | None]:
    """{id: line} of the next roots, in the order of their ids; None where only what belongs to it was readable."""
    rows = await connection.fetch(LIST_ROOTS.format(lines=read.table), after, limit)
    return {row["id"]: row["line"] for row in rows}


async def list_below(
    connection: Connection, read: BulkRead, roots: Sequence[int], deepest: int, limit: int | None
) -> list[bytes] | None:
    """The lines of what belongs to these roots, down to the kind `deepest`; None where they are more than `limit`."""
    lines: list[bytes] = []
    parents = roots
    for kind in range(ROOT + 1, deepest + 1):
        if not parents:
            break
        left = None if limit is None else limit - len(lines) + 1
        rows = await connection.fetch(LIST_CHILDREN.format(lines=read.table), kind, parents, left)
        lines += [row["line"] for row in rows]
        if limit is not None and len(lines) > limit:
            return None
        parents = [row["id"] for row in rows if row["kind"] == kind]
    return lines


async def drop_of_job(connection: Connection, job_id: JobId) -> None:
    """Forget the reads of a job along with their lines."""
    for row in await connection.fetch(LIST_OF_JOB, job_id):
        await drop(connection, row["id"])


async def drop(connection: Connection, read_id: int) -> None:
    """Forget a read along with its lines.

    Raises:
        asyncpg.LockNotAvailableError: somebody reads them at this moment.
    """
    await connection.execute(SHORT_WAIT)
    await connection.execute(DROP_LINES.format(lines=_table(read_id)))
    await connection.execute(DELETE, read_id)


async def prune(connection: Connection, older_than: timedelta) -> None:
    """Drop the reads that nobody needs any more; of a job that has not completed, if nobody has touched it for so long.

    One whose lines somebody reads at this moment, such as a backup, stays until the next time.
    """
    with suppress(asyncpg.LockNotAvailableError):
        while True:
            async with connection.transaction():
                left = await connection.fetchval(FIND_LEFT, older_than)
                if left is None:
                    return
                await drop(connection, left)


async def _allow_time(connection: Connection) -> None:
    """Until the end of the transaction: a statement over all lines takes longer than any other may."""
    await connection.execute(f"SET LOCAL statement_timeout = {SORTING_SECONDS * 1000:.0f}")


def _table(read_id: int) -> str:
    return f"bulk_lines_{read_id}"


def _read(row: Record) -> BulkRead:
    columns = dict(row)
    job_id = plain_id(columns["job_id"])
    if job_id is None:
        raise AssertionError("unreachable: the column is NOT NULL")
    return BulkRead(**{**columns, "job_id": job_id, "beginning": orjson.loads(columns["beginning"])})
