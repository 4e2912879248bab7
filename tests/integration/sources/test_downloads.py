"""Files whose addresses are as good as a password: they are asked for as they are, and never told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from daemon.errors import SourceUnavailable
from daemon.sources.http import downloading, open_session
from daemon.sources.meter import CallMeter

PATH = "/bulk%2Fx.jsonl?Signature=a%2Fb%2BSECRET%3D%3D&response-content-disposition=attachment%3B+x%2A%3DUTF-8%27%27b"


@asynccontextmanager
async def answering(answer: bytes, asked: list[bytes]) -> AsyncIterator[str]:
    """The address of a server that says the same to whatever it is asked."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def download(url: str) -> bytes:
    async with (
        open_session() as session,
        downloading(session, url, source="The file of a bulk operation", meter=CallMeter()) as response,
    ):
        return await response.read()


async def test_a_signed_address_is_asked_for_as_it_is() -> None:
    """A signature is of one spelling, and need not hold for another that means the same."""
    asked: list[bytes] = []
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", asked) as url:
        assert await download(url + PATH) == b"{}"
    assert asked[0].startswith(f"GET {PATH} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        b"",
    ],
)
async def test_no_failure_tells_a_signed_address(answer: bytes) -> None:
    """Not even an answer that is no HTTP, whose error has the address in it."""
    async with answering(answer, []) as url:
        with pytest.raises(SourceUnavailable) as caught:
            await download(url + PATH)
    assert "The file of a bulk operation can't be reached" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)
