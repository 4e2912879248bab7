"""Long lists as JSON and CSV: encoded in portions, so that the loop turns between them."""

import asyncio
import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import IO, TypeVar
from uuid import UUID

import orjson

T = TypeVar("T")
Cell = str | int | bool | datetime | UUID | None

PORTION = 250  # rows between two turns of the loop: some milliseconds
# A spreadsheet takes text that begins so for a formula: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


async def portions(rows: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """The rows, a portion at a time; the loop turns between two of them."""
    for start in range(0, len(rows), PORTION):
        yield rows[start : start + PORTION]
        await asyncio.sleep(0)


async def json_with_rows(
    head: Mapping[str, object], name: str, rows: Sequence[T], shown: Callable[[T], object]
) -> bytes:
    """A JSON object with the members of `head` and the shown rows as its last member, called `name`."""
    file = io.BytesIO()
    await write_json(file, head, name, portions(rows), shown)
    return file.getvalue()


async def csv_of(columns: Sequence[str], rows: Sequence[T], cells: Callable[[T], Sequence[Cell]]) -> bytes:
    """A table in CSV, as `write_csv` writes it."""
    file = io.BytesIO()
    await write_csv(file, columns, portions(rows), cells)
    return file.getvalue()


async def write_json(
    file: IO[bytes],
    head: Mapping[str, object],
    name: str,
    pages: AsyncIterable[Sequence[T]],
    shown: Callable[[T], object],
) -> None:
    """The same as `json_with_rows`, page by page."""
    file.write(orjson.dumps({**head, name: []}).removesuffix(b"]}"))
    comma = b""
    async for page in pages:
        if page:
            file.write(comma + orjson.dumps([shown(row) for row in page])[1:-1])
            comma = b","
    file.write(b"]}")


async def write_csv(
    file: IO[bytes], columns: Sequence[str], pages: AsyncIterable[Sequence[T]], cells: Callable[[T], Sequence[Cell]]
) -> None:
    """A table in CSV (RFC 4180, UTF-8) with a line of column names, page by page.

    Texts that a spreadsheet would compute get a ' in front.
    """
    file.write(csv_lines([columns]))
    async for page in pages:
        file.write(csv_lines([cells(row) for row in page]))


def csv_lines(rows: Sequence[Sequence[Cell]]) -> bytes:
    """Rows of a table in CSV, as `write_csv` writes them."""
    written = io.StringIO(newline="")
    csv.writer(written).writerows([[_cell(value) for value in row] for row in rows])
    return written.getvalue().encode()


def _cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case str() if value.startswith(FORMULA_STARTS):
            return f"'{value}"
        case _:
            return str(value)
