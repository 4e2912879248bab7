"""Tables to save, in CSV: written page by page into a temporary file, whatever their length and their readers."""

import tempfile
from codecs import BOM_UTF8
from collections.abc import AsyncIterable, Callable, Sequence
from typing import TypeVar

from aiohttp import hdrs, web

from daemon.sales.export import Cell, write_csv
from daemon.status.operations import Answer

T = TypeVar("T")

CSV_TYPE = "text/csv"


async def csv_download(
    name: str, columns: Sequence[str], pages: AsyncIterable[Sequence[T]], cells: Callable[[T], Sequence[Cell]]
) -> web.Response:
    """A table with a line of column names; `name` is that of the file, without its ending or what has to be quoted."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        file.write(BOM_UTF8)  # by which Excel recognises UTF-8
        await write_csv(file, columns, pages, cells)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}.csv"'}
    return web.Response(body=file, content_type=CSV_TYPE, charset="utf-8", headers=headers)


def csv_answer(description: str, columns: Sequence[str]) -> Answer:
    """The answer with such a table, for the description of an operation."""
    example = ",".join(columns) + "\r\n"
    return Answer(description, texts={CSV_TYPE: example}, headers=("Content-Disposition",))
