"""Silent, slow and deaf connections end after a time, and take nobody's place."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from daemon.status import connections

TOKEN = "a-token-of-the-endpoint"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
CHANGE = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Visitor:
    """A connection that does what a well-behaved client does not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ended(self) -> bytes:
        """What has come until the endpoint closed the connection."""
        async with asyncio.timeout(15):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def head(self) -> bytes:
        """The head of the next answer."""
        async with asyncio.timeout(15):
            return await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def visiting(endpoint: Any, number: int = 1) -> AsyncIterator[list[Visitor]]:
    """So many open connections."""
    host, port = endpoint.url.removeprefix("http://").rstrip("/").split(":")
    visitors = [Visitor(*await asyncio.open_connection(host, int(port))) for _ in range(number)]
    try:
        yield visitors
    finally:
        for visitor in visitors:
            visitor.writer.transport.abort()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that waits for moments only."""
    for name in ("REQUEST_TIMEOUT", "BODY_TIMEOUT", "IDLE_TIMEOUT", "UNREAD_TIMEOUT", "CLOSING_TIMEOUT"):
        monkeypatch.setattr(connections, name, 0.3)
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)


async def metric(endpoint: Any, line: str) -> float:
    """A figure of /metrics, as soon as there is room to ask for it."""
    text, status = "", 503
    while status == 503:
        async with endpoint.client.get("/metrics") as response:
            text, status = await response.text(), response.status
    return float(next(one for one in text.splitlines() if one.startswith(line)).rpartition(" ")[2])


@pytest.mark.usefixtures("hasty")
async def test_a_connection_that_sends_nothing_is_closed(endpoint: Any) -> None:
    """Without a word, as there was none; it is counted."""
    async with visiting(endpoint) as (visitor,):
        assert await visitor.ended() == b""
    assert await metric(endpoint, 'dongbo_connections_cut_total{reason="silent"}') == 1


@pytest.mark.usefixtures("hasty")
async def test_half_a_head_is_408(endpoint: Any) -> None:
    """Also the second request's on a connection."""
    async with visiting(endpoint, 2) as (first, second):
        second.writer.write(HEAD + b"\r\n")
        assert b" 200 " in await second.head()
        second.writer.write(HEAD)
        first.writer.write(HEAD)
        answer = await first.ended()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert b"Server: dongbo" in answer
        assert b"HTTP/1.1 408 " in await second.ended()


@pytest.mark.usefixtures("hasty")
async def test_slowloris_is_408(endpoint: Any) -> None:
    """A byte now and then buys no time."""
    async with visiting(endpoint) as (visitor,):
        ended = asyncio.create_task(visitor.ended(), name="ended")
        for byte in HEAD * 10:
            visitor.writer.write(bytes([byte]))
            done, _ = await asyncio.wait({ended}, timeout=0.05)
            if done:
                break
        assert b"HTTP/1.1 408 " in await ended


@pytest.mark.usefixtures("hasty")
async def test_half_a_body_is_408(endpoint: Any) -> None:
    """By length and by chunks; and a body that nobody asked for holds nothing up."""
    async with visiting(endpoint, 3) as (by_length, by_chunks, unasked):
        by_length.writer.write(CHANGE + b'Content-Length: 100\r\n\r\n{"type"')
        by_chunks.writer.write(CHANGE + b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"type"\r\n')
        unasked.writer.write(HEAD + b"Content-Length: 100\r\n\r\nabc")
        for visitor in (by_length, by_chunks):
            answer = await visitor.ended()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert answer.count(b"Content-Length: ") == 1
        assert (await unasked.ended()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("hasty")
async def test_who_reads_no_answers_is_cut_off(endpoint: Any) -> None:
    """Whatever is left to send to it."""
    port = int(endpoint.url.rstrip("/").rpartition(":")[2])
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", port))
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        async with asyncio.timeout(15):
            with pytest.raises(ConnectionError):  # it takes in no more requests, and then it is gone
                while True:
                    await loop.sock_sendall(deaf, request * 100)
    assert await metric(endpoint, 'dongbo_connections_cut_total{reason="unread"}') == 1


@pytest.mark.usefixtures("hasty")
async def test_an_idle_connection_is_closed_and_a_stream_is_not_idle(open_endpoint: Any) -> None:
    """One that has shown the token stays longer."""
    async with open_endpoint(token=TOKEN) as endpoint, visiting(endpoint, 3) as (stranger, known, reader):
        show = f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        reader.writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n" + show)
        known.writer.write(HEAD + show)
        stranger.writer.write(HEAD + b"\r\n")
        for visitor in (reader, known, stranger):
            assert b" 200 " in await visitor.head()
        assert (await stranger.ended()).endswith(b"ok\n")
        known.writer.write(HEAD + show)
        await known.reader.readuntil(b"ok\n")
        assert b" 200 " in await known.head()
        await endpoint.submit()
        async with asyncio.timeout(10):
            await reader.reader.readuntil(b"event: job\n")


async def test_readers_get_in_while_silent_ones_are_open(open_endpoint: Any) -> None:
    """600 silent connections against 150 in all: with a token one gets in at once, and a stream goes on."""
    async with (
        open_endpoint(token=TOKEN, most_connections=150) as endpoint,
        endpoint.client.get("/api/events", headers=BEARER) as stream,
        visiting(endpoint, 600) as silent,
    ):
        async with asyncio.timeout(5):
            for _ in range(20):
                await endpoint.get("/api/jobs", headers=BEARER)
        await endpoint.submit()
        async with asyncio.timeout(5):
            while b"event: job" not in await stream.content.readline():
                pass
        assert await metric(endpoint, 'dongbo_connections_cut_total{reason="crowded"}') >= 440
        assert await metric(endpoint, "dongbo_connections_max") == 150
        assert await metric(endpoint, 'dongbo_connections{state="active"}') == 2  # the stream and this question
        assert await silent[0].ended() == b""  # the oldest gave way


async def test_of_one_address_the_longest_waiting_gives_way(
    open_endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that has shown the token, nor a stream."""
    monkeypatch.setattr(connections, "MOST_WAITING", 3)
    monkeypatch.setattr(connections, "GRACE", 0.0)
    async with open_endpoint(token=TOKEN) as endpoint, visiting(endpoint, 1) as (known,):
        known.writer.write(HEAD + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert b" 200 " in await known.head()
        async with endpoint.client.get("/api/events", headers=BEARER), visiting(endpoint, 4) as waiting:
            assert await waiting[0].ended() == b""
            known.writer.write(HEAD + b"\r\n")
            await known.reader.readuntil(b"ok\n")
            assert b" 200 " in await known.head()
            waiting[3].writer.write(HEAD + b"\r\n")
            assert b" 200 " in await waiting[3].head()


async def test_where_all_are_served_a_newcomer_hears_that_there_is_no_room(open_endpoint: Any) -> None:
    """503 with Retry-After; it is told in log and metrics, and whoever is served stays so."""
    async with open_endpoint(most_connections=3) as endpoint:
        async with (
            endpoint.client.get("/api/events"),
            endpoint.client.get("/api/events"),
            endpoint.client.get("/api/events") as third,
            visiting(endpoint, 1) as (late,),
        ):
            answer = await late.ended()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: " in answer
            assert b"application/problem+json" in answer
            async with asyncio.timeout(5):
                await third.content.readuntil(b"event: snapshot")
        assert await metric(endpoint, 'dongbo_connections_cut_total{reason="refused"}') >= 1


async def test_half_bodies_give_way_to_others(open_endpoint: Any) -> None:
    """Where no token is asked for, either."""
    async with open_endpoint(most_connections=20) as endpoint, visiting(endpoint, 40) as visitors:
        for visitor in visitors:
            visitor.writer.write(CHANGE + b'Content-Length: 100\r\n\r\n{"type"')
        async with asyncio.timeout(5):
            for _ in range(5):
                await endpoint.get("/api/jobs")


async def test_who_was_let_in_last_is_answered(open_endpoint: Any) -> None:
    """A request whose connection was accepted before the endpoint closed gets its answer, though it comes after."""
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(open_endpoint())
        port = int(endpoint.url.rstrip("/").rpartition(":")[2])
        async with visiting(endpoint) as (visitor,):
            await metric(endpoint, 'dongbo_connections{state="waiting"}')
            closing = asyncio.create_task(stack.aclose())
            while await is_open(port):
                pass
            visitor.writer.write(HEAD + b"\r\n")
            assert (await visitor.head()).startswith(b"HTTP/1.1 200")
            await closing


async def is_open(port: int) -> bool:
    """Whether anybody listens on this port."""
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.transport.abort()
    return True
