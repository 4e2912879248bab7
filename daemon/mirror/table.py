"""How a page of rows goes into a mirror table: what is new by one COPY, what has changed by one statement.

The digests of existing rows are asked for first. A row whose digest is the same is not even read, let alone sent and
touched: no dead tuple, no lock, no WAL. A program that reads more of a row than those before it comes with a migration
that empties the digests. `ON CONFLICT DO UPDATE … WHERE` alone would lock every unchanged row, which writes to its
page.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sources.page import Page, UnreadRow

T = TypeVar("T")
R = TypeVar("R")

ROWS_AT_ONCE = 500  # that are encoded for one statement
DIGEST_SIZE = 16  # bytes: with 128 bits, two documents won't share one by chance


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One typed column: its type, and where its value is in a row of the source: an attribute, such as `product.code`,
    or a function of the row."""

    name: str
    type: str
    read: str | Callable[[T], Any]

    @property
    def is_array(self) -> bool:
        """Whether the values are lists."""
        return self.type.endswith("[]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a page's rows: the ids that were new and those that had changed; all others were left alone."""

    created: frozenset[int]
    updated: frozenset[int]

    def count(self, rows: int) -> Counters:
        """Counters of a page of `rows` rows; repetitions of a row within the page count as skipped."""
        return Counters(
            created=len(self.created),
            updated=len(self.updated),
            skipped=rows - len(self.created) - len(self.updated),
        )

    @property
    def written(self) -> frozenset[int]:
        """All ids that were written."""
        return self.created | self.updated


NOTHING = Outcome(frozenset(), frozenset())


@dataclass(frozen=True)
class MirrorTable(Generic[T]):
    """A mirror table with key (store, id), typed columns, `document` and `digest`."""

    name: str
    columns: tuple[Column[T], ...]
    is_pushed: bool = False  # whether pushes write it, too
    beside: Callable[[T], bytes] | None = None  # what is not in the document and still makes a row different

    async def upsert(
        self,
        connection: Connection,
        store: StoreName,
        rows: Mapping[int, tuple[T, bytes]],
        asked: SnapshotTime | None = None,
    ) -> Outcome:
        """Store rows, {id: (row, its document as JSON)}, in the caller's transaction.

        A row that was pushed, or stored from a later answer, after it was asked for is left alone: it says what is
        newer. So is one that has been found gone since then.

        A row that had been marked as deleted comes back as updated. Where somebody else stores one of several new rows
        at the same moment, this raises asyncpg.UniqueViolationError; for a single row it never does.
        """
        digests: dict[int, bytes] = {}
        known: dict[int, bytes] = {}
        for portion in _portions(rows):
            digests |= self._digests(portion)
            known |= await self._known(connection, store, list(portion))
        written = {row_id: row for row_id, row in rows.items() if known.get(row_id) != digests[row_id]}
        if len(written) > 1 and known.keys().isdisjoint(written):
            for portion in _portions(written):
                await self._copy(connection, store, portion, digests, asked)
            return Outcome(frozenset(written), frozenset())
        created, updated = NOTHING.created, NOTHING.updated
        for portion in _portions(written):
            outcome = await self._write(connection, store, portion, digests, asked)
            created, updated = created | outcome.created, updated | outcome.updated
        return Outcome(created, updated)

    async def sift(self, connection: Connection, store: StoreName, page: Page[T]) -> Page[T]:
        """The page with those of its unread rows read that are not stored just as they came.

        Only for tables whose rows are told apart by their documents alone.
        """
        if page.read is None:
            return page
        latest: dict[int, UnreadRow] = {row.id: row for row in page.unread}
        rows, bad = list(page.rows), list(page.bad)
        same = [*page.same, *(row.id for row in page.unread if row is not latest[row.id])]
        for portion in _portions(latest):
            known = await self._known(connection, store, list(portion))
            differ = [row for row_id, row in portion.items() if known.get(row_id) != digest(row.document)]
            good, unfit = page.read(row.document for row in differ)
            rows += good
            bad += unfit
            same += portion.keys() - {row.id for row in differ}
        return replace(page, rows=rows, bad=bad, same=same, unread=[])

    async def count_present(self, connection: Connection, store: StoreName) -> int:
        """How many rows of the store are not marked as deleted."""
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM dongbo.{self.name} WHERE store = $1 AND deleted_at IS NULL",
            store,
        )
        return count

    def _digests(self, rows: Mapping[int, tuple[T, bytes]]) -> dict[int, bytes]:
        beside = self.beside
        if beside is None:
            return {row_id: digest(document) for row_id, (_, document) in rows.items()}
        return {row_id: digest(document + beside(row)) for row_id, (row, document) in rows.items()}

    async def _known(self, connection: Connection, store: StoreName, row_ids: Sequence[int]) -> dict[int, bytes]:
        """The digests of those rows that exist; that of a deleted row is empty, since it must be written anyway."""
        return dict(await connection.fetch(self._select_digests, store, row_ids) if row_ids else ())

    async def _copy(
        self,
        connection: Connection,
        store: StoreName,
        rows: Mapping[int, tuple[T, bytes]],
        digests: Mapping[int, bytes],
        asked: SnapshotTime | None,
    ) -> None:
        await connection.copy_records_to_table(
            self.name,
            schema_name="dongbo",
            columns=["store", "id", *self._names, "document", "digest", self.as_of],
            records=[
                (
                    store,
                    row_id,
                    *self.values(row),
                    document.decode(),
                    digests[row_id],
                    asked and asked.at,
                )
                for row_id, (row, document) in rows.items()
            ],
        )

    async def _write(
        self,
        connection: Connection,
        store: StoreName,
        rows: Mapping[int, tuple[T, bytes]],
        digests: Mapping[int, bytes],
        asked: SnapshotTime | None,
    ) -> Outcome:
        stored = await connection.fetch(
            self._insert_or_update,
            store,
            list(rows),
            *self._parameters([row for row, _ in rows.values()]),
            [document.decode() for _, document in rows.values()],
            [digests[row_id] for row_id in rows],
            asked and asked.at,
        )
        created = frozenset(row["id"] for row in stored if row["created"])
        return Outcome(created, frozenset(row["id"] for row in stored) - created)

    def _parameters(self, rows: list[T]) -> list[list[Any]]:
        """The values of each column."""
        columns = map(list, zip(*map(self.values, rows), strict=True))
        return [
            [msgspec.json.encode(value).decode() for value in values] if column.is_array else values
            for column, values in zip(self.columns, columns, strict=True)
        ]

    @cached_property
    def values(self) -> Callable[[T], tuple[Any, ...]]:
        """What the columns hold of a row."""
        attributes = [column.read for column in self.columns if isinstance(column.read, str)]
        if len(attributes) == len(self.columns) > 1:
            return attrgetter(*attributes)
        readers = [attrgetter(column.read) if isinstance(column.read, str) else column.read for column in self.columns]
        return lambda row: tuple(read(row) for read in readers)

    @property
    def as_of(self) -> str:
        """The column that says as of when a row is known."""
        return "pushed_at" if self.is_pushed else "as_of"

    @property
    def _names(self) -> list[str]:
        return [column.name for column in self.columns]

    @cached_property
    def _select_digests(self) -> str:
        return f"""
        SELECT id, CASE WHEN deleted_at IS NULL THEN digest ELSE '' END FROM dongbo.{self.name}
        WHERE store = $1 AND id = ANY ($2::bigint[])
        """

    @cached_property
    def _insert_or_update(self) -> str:
        # `unnest` can't take apart arrays of arrays of unequal length: those travel as JSON.
        arrays = [
            f"${number}::{'text' if column.is_array else column.type}[]"
            for number, column in enumerate(self.columns, start=3)
        ]
        after = len(self.columns) + 3
        values = [
            f"ARRAY(SELECT jsonb_array_elements_text(page.{column.name}::jsonb))::{column.type}"
            if column.is_array
            else f"page.{column.name}"
            for column in self.columns
        ]
        written = [*self._names, "document", "digest"]
        asked, as_of = f"${after + 2}::timestamptz", self.as_of
        return f"""
        INSERT INTO dongbo.{self.name} AS mirrored (store, id, {", ".join(written)}, {as_of})
        SELECT $1, page.id, {", ".join(values)}, page.document::jsonb, page.digest, {asked}
        FROM unnest($2::bigint[], {", ".join(arrays)}, ${after}::text[], ${after + 1}::bytea[])
            AS page (id, {", ".join(written)})
        ON CONFLICT (store, id) DO UPDATE SET
            {", ".join(f"{name} = excluded.{name}" for name in written)}, changed_at = now(), deleted_at = NULL,
            {as_of} = greatest(mirrored.{as_of}, excluded.{as_of})
        WHERE (mirrored.digest <> excluded.digest OR mirrored.deleted_at IS NOT NULL)
            AND (mirrored.{as_of} <= {asked}) IS NOT FALSE AND (mirrored.deleted_at <= {asked}) IS NOT FALSE
        RETURNING id, xmax = 0 AS created
        """


def _portions(rows: Mapping[int, R]) -> Iterator[dict[int, R]]:
    """The rows in batches that each hold up the loop for a few milliseconds: a bulk operation brings thousands."""
    items = iter(rows.items())
    while portion := dict(islice(items, ROWS_AT_ONCE)):
        yield portion


def digest(document: bytes) -> bytes:
    """The fingerprint of a document."""
    return blake2b(document, digest_size=DIGEST_SIZE).digest()
