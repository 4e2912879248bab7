"""A page's rows in their mirror table: only what is new or changed is written, whoever else writes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import asyncpg
import pytest

from daemon.database.pool import Connection, Database
from daemon.ids import StoreName
from daemon.mirror.table import Column, MirrorTable, Outcome
from daemon.sources.page import BadRow, Page, SourceRow, UnreadRow

STORE = StoreName("main")


@dataclass(frozen=True)
class Item:
    """A row of a source."""

    title: str | None
    price: Decimal
    tags: tuple[str, ...] = ()


ITEMS = MirrorTable[Item](
    "items",
    (
        Column("title", "text", "title"),
        Column("price", "numeric", "price"),
        Column("tags", "text[]", lambda item: item.tags),
    ),
)

CREATE = """
CREATE TABLE dongbo.items (
    store text NOT NULL, id bigint NOT NULL, title text, price numeric(20, 4) NOT NULL, tags text[] NOT NULL,
    document jsonb NOT NULL, digest bytea NOT NULL, first_seen_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz, as_of timestamptz, PRIMARY KEY (store, id)
)
"""


@pytest.fixture(autouse=True)
async def _table(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute(CREATE)


def _page(
    numbers: Iterable[int], title: str = "Áo", tags: tuple[str, ...] = ("a", "b, c", '"')
) -> dict[int, tuple[Item, bytes]]:
    return {
        number: (
            Item(f"{title} {number}", Decimal("190000.5"), tags),
            f'{{"id": {number}, "title": "{title}"}}'.encode(),
        )
        for number in numbers
    }


async def _upsert(connection: Connection, page: dict[int, tuple[Item, bytes]]) -> Outcome:
    async with connection.transaction():
        return await ITEMS.upsert(connection, STORE, page)


async def _stored(connection: Connection) -> dict[int, tuple[str | None, Decimal, tuple[str, ...]]]:
    rows = await connection.fetch("SELECT id, title, price, tags FROM dongbo.items WHERE deleted_at IS NULL")
    return {row["id"]: (row["title"], row["price"], tuple(row["tags"])) for row in rows}


async def test_new_rows_are_created(database: Database) -> None:
    """Every column arrives, arrays of any length and text of any kind too."""
    page = _page([1]) | _page([2, 3], tags=())
    async with database.acquire() as connection:
        outcome = await _upsert(connection, page)
        assert (outcome.created, outcome.updated) == ({1, 2, 3}, frozenset())
        stored = await _stored(connection)
    assert stored == {number: (item.title, item.price, item.tags) for number, (item, _) in page.items()}


async def test_changed_rows_are_updated_among_new_and_unchanged_ones(database: Database) -> None:
    """Counted are just those that were written; an unchanged row stays where it is."""
    async with database.acquire() as connection:
        await _upsert(connection, _page([1, 2]))
        place = await connection.fetchval("SELECT ctid::text || xmin::text FROM dongbo.items WHERE id = 1")
        outcome = await _upsert(connection, _page([1]) | _page([2], "Quần", ("x",)) | _page([3]))
        assert (outcome.created, outcome.updated) == ({3}, {2})
        assert (await _stored(connection))[2] == ("Quần 2", Decimal("190000.5"), ("x",))
        assert await connection.fetchval("SELECT ctid::text || xmin::text FROM dongbo.items WHERE id = 1") == place


async def test_deleted_row_comes_back_as_updated(database: Database) -> None:
    """A row that was gone and is there again counts as updated, even if nothing else has changed."""
    async with database.acquire() as connection:
        await _upsert(connection, _page([1, 2]))
        await connection.execute("UPDATE dongbo.items SET deleted_at = now() WHERE id = 2")
        outcome = await _upsert(connection, _page([1, 2]))
        assert (outcome.created, outcome.updated) == (frozenset(), {2})
        assert (await _stored(connection)).keys() == {1, 2}


async def test_rows_of_other_stores_are_not_known(database: Database) -> None:
    """The same id in another store is another row."""
    async with database.acquire() as connection:
        await _upsert(connection, _page([1, 2]))
        async with connection.transaction():
            outcome = await ITEMS.upsert(connection, StoreName("other"), _page([1, 2]))
    assert outcome.created == {1, 2}


async def test_new_rows_that_somebody_else_stores_meanwhile_are_refused_as_a_page(database: Database) -> None:
    """Two that store the same new rows at once: the second waits and fails, and finds them when it tries again."""
    async with database.acquire() as first, database.acquire() as second:
        async with first.transaction():
            await ITEMS.upsert(first, STORE, _page([1, 2]))
            waiting = asyncio.create_task(_upsert(second, _page([2, 3])), name="second")
            await _until_blocked(database)
        with pytest.raises(asyncpg.UniqueViolationError):
            await waiting
        assert (await _upsert(second, _page([2, 3]))).created == {3}


async def test_single_row_that_somebody_else_stores_meanwhile_is_left_or_updated(database: Database) -> None:
    """A row by itself never fails for being there already: it is updated if it differs."""
    for number, title, updated in ((1, "Áo", frozenset()), (2, "Quần", {2})):
        async with database.acquire() as first, database.acquire() as second:
            async with first.transaction():
                await ITEMS.upsert(first, STORE, _page([number]))
                waiting = asyncio.create_task(_upsert(second, _page([number], title)), name="second")
                await _until_blocked(database)
            outcome = await waiting
        assert (outcome.created, outcome.updated) == (frozenset(), updated)


async def _until_blocked(database: Database) -> None:
    async with asyncio.timeout(10), database.acquire() as connection:
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.01)


class Reader:
    """Reads documents of items, and remembers which."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def __call__(self, documents: Iterable[bytes]) -> tuple[list[SourceRow[Item]], list[BadRow]]:
        found = list(documents)
        self.read += found
        good = [document for document in found if b"bad" not in document]
        bad = [BadRow(None, "It is bad.", document) for document in found if document not in good]
        return [SourceRow(Item(document.decode(), Decimal(1)), document) for document in good], bad


def _unread(reader: Reader, *rows: UnreadRow) -> Page[Item]:
    return Page([], [], None, unread=list(rows), read=reader)


async def test_only_rows_that_differ_are_read(database: Database) -> None:
    """New, changed and deleted rows are read, be they good or bad; of the others only the ids are left."""
    page = _page([1, 2, 3, 4])
    reader = Reader()
    rows = [UnreadRow(number, document=document) for number, (_, document) in page.items()]
    rows[1].document = b'{"title": "changed"}'
    rows[2].document = b'{"title": "bad"}'
    rows.append(UnreadRow(5, document=b'{"title": "new"}'))
    async with database.acquire() as connection:
        await _upsert(connection, page)
        await connection.execute("UPDATE dongbo.items SET deleted_at = now() WHERE id = 4")
        sifted = await ITEMS.sift(connection, STORE, _unread(reader, *rows))
    assert reader.read == [row.document for row in rows[1:]]
    assert sifted.same == [1]
    assert [bad.payload for bad in sifted.bad] == [rows[2].document]
    assert [row.document for row in sifted.rows] == [rows[1].document, rows[3].document, rows[4].document]
    assert (sifted.unread, sifted.size) == ([], 5)


async def test_the_last_of_a_repeated_row_counts(database: Database) -> None:
    """As it does where rows are read at once: what came before it is neither stored nor lost from the count."""
    page = _page([1])
    reader = Reader()
    stored, other = page[1][1], b'{"title": "other"}'
    async with database.acquire() as connection:
        await _upsert(connection, page)
        twice = UnreadRow(1, document=other), UnreadRow(1, document=stored)
        as_stored = await ITEMS.sift(connection, STORE, _unread(reader, *twice))
        assert (as_stored.rows, as_stored.same, reader.read) == ([], [1, 1], [])
        changed = await ITEMS.sift(connection, STORE, _unread(reader, *reversed(twice)))
    assert ([row.document for row in changed.rows], changed.same, changed.size) == ([other], [1], 2)
