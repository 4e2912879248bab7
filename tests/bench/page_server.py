"""A Nhanh.vn of customers whose pages are ready-made bytes, so that a benchmark measures the daemon alone.

It speaks just enough HTTP for one kind of request, `POST …/customer/list`, and answers it with the rows that the
sandbox's shop has. It runs in a process of its own (`serving`), whose first line of output is its URL.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import cast

import uvloop

from daemon.sandbox.catalogue import generate
from daemon.sandbox.nhanh import NhanhSandbox

PAGE_SIZE = 100  # what the daemon asks for; Nhanh's maximum
SEED = 7

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_NEXT = re.compile(rb'"next": ?\{"page": ?([0-9]+)\}')


def customer_rows(customers: int) -> Iterator[bytes]:
    """The JSON of each customer of the sandbox's shop, by ascending id."""
    shop = NhanhSandbox(generate(SEED, products=1, customers=customers), seed=SEED, quirks=False)
    return map(shop.customer_json, shop.customers.values())


def customer_pages(customers: int) -> list[bytes]:
    """Whole answers, headers included."""
    last = (customers + PAGE_SIZE - 1) // PAGE_SIZE - 1
    rows = customer_rows(customers)
    return [_answer(list(islice(rows, PAGE_SIZE)), page + 1 if page < last else None) for page in range(last + 1)]


@asynccontextmanager
async def serving(customers: int, delay: float = 0.0) -> AsyncIterator[tuple[str, int]]:
    """Run the server; its base URL and process id. Each answer waits `delay` seconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(customers), str(delay), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.kill()
        await process.wait()


def _answer(rows: list[bytes], following: int | None) -> bytes:
    paginator = b"" if following is None else b',"paginator":{"next":{"page":%d}}' % following
    body = b'{"code":1%b,"data":[%b]}' % (paginator, b",".join(rows))
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class PageProtocol(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, pages: list[bytes], delay: float) -> None:
        self._pages = pages
        self._delay = delay  # seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        """Answer each request as soon as it is there."""
        self._received += data
        while (end := self._request_end()) is not None:
            request, self._received = self._received[:end], self._received[end:]
            asked = _NEXT.search(request)
            page = self._pages[int(asked[1]) if asked else 0]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, page)
            else:
                self._transport.write(page)

    def _request_end(self) -> int | None:
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = _LENGTH.search(self._received, 0, head + 2)
        end = head + 4 + (int(length[1]) if length else 0)
        return end if len(self._received) >= end else None


async def serve(customers: int, delay: float) -> None:
    """Serve until the process is ended."""
    pages = customer_pages(customers)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: PageProtocol(pages, delay), "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
