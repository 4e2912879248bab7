"""The proxy that goes wrong on demand does just what is asked of it: what the tests of faults rest on."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from tests.support.fault_proxy import Cut, Drip, FaultProxy, Latency, Pass, Silence, Streams, Way, fault_proxy

Connect: TypeAlias = Callable[..., Awaitable[Streams]]


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """Before a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, fault_proxy(port=server.sockets[0].getsockname()[1], tags={"hello": b"hello"}) as opened:
        yield opened


@pytest.fixture
async def connect(proxy: FaultProxy) -> AsyncIterator[Connect]:
    """Opens connections of clients; raises TimeoutError after so many seconds."""
    writers = []

    async def open_one(seconds: float = 5.0) -> Streams:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.transport.abort()


async def said_back(streams: Streams, words: bytes, seconds: float = 5.0) -> bytes:
    """What comes back of what is said."""
    reader, writer = streams
    writer.write(words)
    async with asyncio.timeout(seconds):
        return await reader.readexactly(len(words))


async def test_what_is_held_arrives_when_the_fault_is_over(proxy: FaultProxy, connect: Connect) -> None:
    """In silence nothing arrives and nothing ends; then everything arrives."""
    streams = await connect()
    assert await said_back(streams, b"hello") == b"hello"
    assert [link.number for link in proxy.tagged("hello")] == [1]
    proxy.behave(Silence())
    answer = asyncio.create_task(said_back(streams, b"again"))
    await proxy.held()
    assert not answer.done()
    proxy.behave(Pass())
    assert await answer == b"again"
    assert proxy.forwarded == {Way.TO_SERVER: 10, Way.TO_CLIENT: 10}


async def test_latency_and_drip(proxy: FaultProxy, connect: Connect) -> None:
    """Each byte arrives as late as asked for, and no faster."""
    streams = await connect()
    proxy.behave(Latency(0.1))
    began = time.monotonic()
    await said_back(streams, b"late")
    assert time.monotonic() - began >= 0.2
    proxy.behave(Pass(), Way.TO_SERVER)
    proxy.behave(Drip(100), Way.TO_CLIENT)
    began = time.monotonic()
    await said_back(streams, b"x" * 30)
    assert time.monotonic() - began >= 0.2


async def test_a_cut_answer_is_truncated(proxy: FaultProxy, connect: Connect) -> None:
    """So many bytes arrive, and then the end; or a reset."""
    for reset in (False, True):
        reader, writer = await connect()
        proxy.behave(Cut(after=3, reset=reset), Way.TO_CLIENT)
        writer.write(b"truncated")
        await proxy.has_cut(1 + reset)
        if reset:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            assert await reader.read() == b"tru"


async def test_half_open_connections_stay_open(proxy: FaultProxy, connect: Connect) -> None:
    """The server has gone, and its client does not hear of it; a new client reaches it."""
    old = await connect()
    await said_back(old, b"hello")
    proxy.half_open()
    with pytest.raises(TimeoutError):
        await said_back(old, b"anyone?", 0.1)
    assert not old[0].at_eof()
    assert await said_back(await connect(), b"new") == b"new"


async def test_resets_refusals_and_routes_that_lead_nowhere(proxy: FaultProxy, connect: Connect) -> None:
    """Connections are reset; new ones are refused, or never established; until the fault is over."""
    reader, writer = await connect()
    await said_back((reader, writer), b"hello")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect()
    await proxy.restore()
    assert await said_back(await connect(), b"back") == b"back"
    await proxy.leave_out()
    with pytest.raises(TimeoutError):
        await connect(0.2)
    await proxy.restore()
    assert await said_back(await connect(), b"back") == b"back"


async def test_one_connection_of_several(proxy: FaultProxy, connect: Connect) -> None:
    """A fault of one connection leaves the others alone."""
    one, other = await connect(), await connect()
    await said_back(one, b"hello")
    await said_back(other, b"other")
    (link,) = proxy.tagged("hello")
    link.behave(Silence())
    answer = asyncio.create_task(said_back(one, b"held"))
    await proxy.held()
    assert await said_back(other, b"passes") == b"passes"
    link.follow()
    assert await answer == b"held"


async def test_reset_ends_also_what_has_only_just_come(proxy: FaultProxy, connect: Connect) -> None:
    """A connection that was taken and that is not among the others yet does not outlive them."""
    taken = asyncio.Event()
    accept, loop = proxy._accept, asyncio.get_running_loop()

    def accept_and_reset(listener: socket.socket) -> None:
        accept(listener)
        assert not proxy.connections
        proxy.reset()
        taken.set()

    listener = proxy._listener
    assert listener is not None
    loop.add_reader(listener, accept_and_reset, listener)
    reader, _ = await connect()
    await taken.wait()
    async with asyncio.timeout(5.0):
        with pytest.raises(ConnectionError):
            await reader.read()
    await proxy.until(lambda: not proxy.connections, "connections are left")
    assert proxy.accepted == 1
