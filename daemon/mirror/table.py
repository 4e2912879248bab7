"""How a page of rows goes into a mirror table: one statement, whatever the page's size.

A row is recognised as unchanged by the digest of its document and then not touched at all: no dead tuple, no lock, no
WAL. `ON CONFLICT DO UPDATE … WHERE` alone would lock every unchanged row, which writes to its page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.model import Counters

DIGEST_SIZE = 16  # bytes: 128 bits leave no room for two documents to meet by chance


@dataclass(frozen=True, slots=True)
class Column:
    """One typed column: `kind` is its type on the way in, `read` the expression that makes the value of that."""

    name: str
    kind: str
    read: str | None = None

    @property
    def expression(self) -> str:
        """The column's value, out of the page."""
        return self.read or f"page.{self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a page's rows: the ids that were new and those that had changed; all others were left alone."""

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


@dataclass(frozen=True)
class MirrorTable:
    """A mirror table with key (store, id), typed columns, `document` and `digest`."""

    name: str
    columns: tuple[Column, ...]

    async def upsert(self, connection: Connection, store: StoreName, rows: Sequence[Mapping[str, Any]]) -> Outcome:
        """Store rows given as {column: value} with `id` and `document` (JSON bytes); of repeated ids the last counts.

        A row that had been marked as deleted comes back as updated.
        """
        latest = {row["id"]: row for row in rows}
        if not latest:
            return Outcome(frozenset(), frozenset())
        distinct = latest.values()
        arguments: list[list[Any]] = [[row[column.name] for row in distinct] for column in self.columns]
        documents = [row["document"] for row in distinct]
        stored = await connection.fetch(
            self._upsert,
            store,
            list(latest),
            *arguments,
            [document.decode() for document in documents],
            [digest(document) for document in documents],
        )
        created = frozenset(row["id"] for row in stored if row["created"])
        return Outcome(created, frozenset(row["id"] for row in stored) - created)

    async def count_present(self, connection: Connection, store: StoreName) -> int:
        """How many rows of the store are not marked as deleted."""
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM dongbo.{self.name} WHERE store = $1 AND deleted_at IS NULL",
            store,
        )
        return count

    @cached_property
    def _upsert(self) -> str:
        names = [column.name for column in self.columns]
        arrays = [f"${number}::{column.kind}[]" for number, column in enumerate(self.columns, start=3)]
        after = len(self.columns) + 3
        return f"""
        WITH page AS (
            SELECT * FROM unnest($2::bigint[], {", ".join(arrays)}, ${after}::text[], ${after + 1}::bytea[])
                AS page (id, {", ".join(names)}, document, digest)
        ), changed AS (
            SELECT page.* FROM page LEFT JOIN dongbo.{self.name} AS mirrored
                ON mirrored.store = $1 AND mirrored.id = page.id
            WHERE mirrored.id IS NULL OR mirrored.digest <> page.digest OR mirrored.deleted_at IS NOT NULL
        )
        INSERT INTO dongbo.{self.name} AS mirrored (store, id, {", ".join(names)}, document, digest)
        SELECT $1, page.id, {", ".join(column.expression for column in self.columns)}, page.document::jsonb, page.digest
        FROM changed AS page
        ON CONFLICT (store, id) DO UPDATE SET
            {", ".join(f"{name} = excluded.{name}" for name in (*names, "document", "digest"))},
            changed_at = now(), deleted_at = NULL
        RETURNING id, xmax = 0 AS created
        """


def digest(document: bytes) -> bytes:
    """The fingerprint of a document."""
    return blake2b(document, digest_size=DIGEST_SIZE).digest()


def text_array(name: str) -> Column:
    """A text[] column, sent as a JSON array: `unnest` can't take apart arrays of unequal arrays."""
    return Column(name, "text", f"ARRAY(SELECT jsonb_array_elements_text(page.{name}::jsonb))")


def ids(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """The ids of rows."""
    return [row["id"] for row in rows]
