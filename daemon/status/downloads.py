"""Tables to download: CSV that is sent while it is read, so that neither its length nor a slow reader costs memory."""

from collections.abc import AsyncIterable, Callable, Sequence
from typing import Final, TypeVar

from aiohttp import hdrs, web

from daemon.sales.export import Cell, csv_lines

T = TypeVar("T")

CSV_TYPE: Final = "text/csv"
BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()  # without it, spreadsheets don't take it for UTF-8


async def send_csv(
    request: web.Request,
    name: str,
    columns: Sequence[str],
    pages: AsyncIterable[Sequence[T]],
    cells: Callable[[T], Sequence[Cell]],
) -> web.StreamResponse:
    """Send a table page by page (RFC 4180, UTF-8 with a byte order mark), to be saved as `name`.csv.

    There is at least one page, be it empty. What fails before it is a problem as anywhere; afterwards the answer ends
    in the middle.
    """
    response = web.StreamResponse(headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}.csv"'})
    response.content_type, response.charset = CSV_TYPE, "utf-8"
    if request.method == hdrs.METH_HEAD:
        return response
    lines = BYTE_ORDER_MARK + csv_lines([columns])
    async for page in pages:
        lines += csv_lines([cells(row) for row in page])
        if not response.prepared:
            await response.prepare(request)
        await response.write(lines)
        lines = b""
    await response.write_eof()
    return response


def described(columns: Sequence[str]) -> dict[str, str]:
    """How such a table begins, for the description of the API."""
    return {CSV_TYPE: ",".join(columns) + "\r\n"}
