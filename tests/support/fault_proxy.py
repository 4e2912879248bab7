"""A TCP proxy that goes wrong on demand, to stand between the daemon and its database or a source.

    async with fault_proxy("127.0.0.1", 5432) as proxy:
        ...                            # connect to proxy.port
        proxy.behave(Silence())        # both ways, connections that are there and new ones
        await proxy.held()             # something was sent that does not arrive
        proxy.behave(Pass())           # what was held arrives now, as after a lost link

What a mode does holds from the moment that it is set, also for bytes that are under way. A mode can be set for one
direction, or for one connection (`proxy.connections`, `proxy.tagged`).
"""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

from daemon.database.postgres_socket import SOCKET_NAME

CHUNK = 64 * 1024  # bytes that are read at once
UNDER_WAY = 64  # chunks of one direction of a connection; then its sender is held back
DRIPS_PER_SECOND = 20
LONGEST_TAG = 256  # bytes
PATIENCE = 20.0  # seconds
BACKLOG = 128
LOOPBACK = "127.0.0.1"
NO_LINGER = struct.pack("ii", 1, 0)  # close answers with RST instead of FIN


class Way(Enum):
    """The direction in which bytes travel."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


BOTH = (Way.TO_SERVER, Way.TO_CLIENT)


@dataclass(frozen=True)
class Pass:
    """Bytes arrive at once."""


@dataclass(frozen=True)
class Latency:
    """Bytes arrive so many seconds after they were sent."""

    seconds: float


@dataclass(frozen=True)
class Silence:
    """Nothing arrives until another mode is set; no connection ends. To a new client it looks as if it were accepted
    and never spoken to."""


@dataclass(frozen=True)
class Drip:
    """So many bytes arrive a second."""

    bytes_per_second: float


@dataclass(frozen=True)
class Cut:
    """A connection ends after so many more bytes, with FIN: a truncated answer; or with RST."""

    after: int = 0
    reset: bool = False


Mode: TypeAlias = Pass | Latency | Silence | Drip | Cut
MakeSocket: TypeAlias = Callable[[], socket.socket]
Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Chunks: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"  # with the time at which each was sent


class Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: "FaultProxy", number: int, client: asyncio.StreamWriter) -> None:
        self.number = number  # from 1, in the order in which they came
        self.tags: set[str] = set()  # what its client has said, of `FaultProxy.tags`
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._modes: dict[Way, Mode] = {}  # else those of the proxy
        self._passed = dict.fromkeys(Way, 0)  # bytes since the mode was set
        self._is_half_open = False

    def __repr__(self) -> str:
        return f"<Link {self.number} {sorted(self.tags)}>"

    def behave(self, mode: Mode, *ways: Way) -> None:
        """Set the mode of this connection alone, both ways unless told otherwise."""
        for way in ways or BOTH:
            self._modes[way], self._passed[way] = mode, 0
        self._proxy.changed()

    def follow(self) -> None:
        """Behave as the proxy does again."""
        self._modes.clear()
        self.begin_anew()
        self._proxy.changed()

    def begin_anew(self) -> None:
        """Count what passes from here on."""
        self._passed = dict.fromkeys(Way, 0)

    def half_open(self) -> None:
        """The server goes without a word to the client, whose bytes are swallowed from now on."""
        self._is_half_open = True
        if self._server is not None:
            self._server.transport.abort()

    def reset(self) -> None:
        """End it with RST, whatever is under way."""
        for writer in (self._client, self._server):
            if writer is not None:
                _reset(writer)

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Carry bytes both ways until one end is through, and the other has been told so."""
        tasks: list[asyncio.Task[None]] = []
        try:
            server_reader, self._server = await self._proxy.connect()
            deliveries = []
            for way, source, sink in (
                (Way.TO_SERVER, reader, self._server),
                (Way.TO_CLIENT, server_reader, self._client),
            ):
                chunks: Chunks = asyncio.Queue(UNDER_WAY)
                name = f"link-{self.number} {way.value}"
                tasks.append(asyncio.create_task(self._receive(way, source, chunks), name=f"{name}, in"))
                deliveries.append(asyncio.create_task(self._deliver(way, chunks, sink), name=f"{name}, out"))
            tasks += deliveries
            await asyncio.wait(deliveries, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            self.reset()  # the server can't be reached
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            self.close()
            if bugs := [end for end in ends if isinstance(end, Exception)]:
                raise ExceptionGroup(f"bugs of the proxy, in {self!r}", bugs)

    def close(self) -> None:
        """End both connections when what was written to them has gone."""
        for writer in (self._client, self._server):
            if writer is not None:
                writer.close()

    async def _receive(self, way: Way, source: asyncio.StreamReader, chunks: "Chunks") -> None:
        """Read whatever comes, to the end (an empty chunk)."""
        said, chunk = b"", b"?"
        while chunk:
            try:
                chunk = await source.read(CHUNK)
            except OSError:
                chunk = b""
            if way is Way.TO_SERVER and self._proxy.tags:
                said = said[-LONGEST_TAG:] + chunk
                self.tags |= {tag for tag, words in self._proxy.tags.items() if words in said}
            await chunks.put((time.monotonic(), chunk))

    async def _deliver(self, way: Way, chunks: "Chunks", sink: asyncio.StreamWriter) -> None:
        """Hand on what was read as the mode says, to the end of it or of the connection."""
        while True:
            sent_at, chunk = await chunks.get()
            if not chunk:
                await self._due(way, sent_at)
                if not self._is_half_open or way is Way.TO_SERVER:
                    return
            while chunk and not self._is_half_open:
                size = await self._next_size(way, sent_at, len(chunk))
                if size == 0 or not await self._write(way, sink, chunk[:size]):
                    return
                chunk = chunk[size:]

    async def _write(self, way: Way, sink: asyncio.StreamWriter, piece: bytes) -> bool:
        """Whether the other end is still there."""
        try:
            sink.write(piece)
            await sink.drain()
        except OSError:
            return self._is_half_open
        self._passed[way] += len(piece)
        self._proxy.forwarded[way] += len(piece)
        mode = self._mode(way)
        if isinstance(mode, Drip):
            await self._proxy.change(len(piece) / mode.bytes_per_second)
        return True

    async def _next_size(self, way: Way, sent_at: float, size: int) -> int:
        """How many of the next bytes may arrive, as soon as any may; 0: the connection has been cut."""
        await self._due(way, sent_at)
        match self._mode(way):
            case Cut(after, reset):
                left = after - self._passed[way]
                if left <= 0:
                    self._proxy.note_cut()
                    if reset:
                        self.reset()
                return min(size, max(left, 0))
            case Drip(bytes_per_second):
                return max(min(size, int(bytes_per_second / DRIPS_PER_SECOND)), 1)
            case _:
                return size

    async def _due(self, way: Way, sent_at: float) -> None:
        """Wait for as long as the mode of the moment lets nothing through."""
        is_held = False
        try:
            while not self._is_half_open:
                match self._mode(way):
                    case Latency(seconds):
                        wait: float | None = sent_at + seconds - time.monotonic()
                        if wait is not None and wait <= 0:
                            return
                    case Silence():
                        wait = None
                    case _:
                        return
                if not is_held:
                    is_held = True
                    self._proxy.held_now += 1
                    self._proxy.changed()
                await self._proxy.change(wait)
        finally:
            self._proxy.held_now -= is_held

    def _mode(self, way: Way) -> Mode:
        return self._modes.get(way, self._proxy.modes[way])


class FaultProxy:
    """Listens on a port of a loopback address, and hands on to one server what comes there.

    Args:
        connect: opens a connection to the server.
        tags: {name: bytes that a client sends}, by which its connection is told from the others.
        host: the address that it listens on.
        make_socket: makes the TCP socket for it.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Streams]],
        tags: Mapping[str, bytes],
        host: str = LOOPBACK,
        make_socket: MakeSocket = socket.socket,
    ) -> None:
        self._host = host
        self._make_socket = make_socket
        self._open = connect
        self.tags = dict(tags)
        self.modes: dict[Way, Mode] = dict.fromkeys(Way, Pass())
        self.port = 0
        self.accepted = 0  # connections, from the beginning
        self.cuts = 0  # connections that `Cut` has ended
        self.held_now = 0  # directions in which something waits
        self.forwarded = dict.fromkeys(Way, 0)  # bytes
        self.connections: list[Link] = []
        self._numbers = count(1)
        self._news = asyncio.Event()  # replaced at each change
        self._listener: socket.socket | None = None
        self._placeholder: socket.socket | None = None  # keeps the port while nothing listens
        self._plugs: list[socket.socket] = []
        self._links: set[asyncio.Task[None]] = set()
        self._resets = 0

    def __repr__(self) -> str:
        return f"<FaultProxy :{self.port} {self.modes} connections={len(self.connections)}>"

    def url(self, url: str) -> str:
        """An address of the server, by way of this proxy."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{user}{'@' if user else ''}{self._host}:{self.port}").geturl()

    def postgres_url(self, url: str) -> str:
        """The address of a database on the server, by way of this proxy, also where the server is at a Unix socket."""
        return urlsplit(self.url(url))._replace(query="sslmode=disable").geturl()

    def behave(self, mode: Mode, *ways: Way) -> None:
        """Set the mode of all connections, of those to come as well; both ways unless told otherwise."""
        for way in ways or BOTH:
            self.modes[way] = mode
        for link in self.connections:
            link.begin_anew()
        self.changed()

    def half_open(self) -> None:
        """The server goes without a word: connections that are there stay open at the client's end. New ones pass."""
        for link in self.connections:
            link.half_open()
        self.changed()

    def reset(self) -> None:
        """End all connections that are there with RST, also those that have only just come."""
        self._resets += 1
        for link in self.connections:
            link.reset()

    async def refuse(self) -> None:
        """Close the port: new connections are refused. Those that are there pass on; `reset` ends them."""
        self._stop_accepting()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._placeholder = self._bound()

    async def leave_out(self) -> None:
        """Take no connection any more: the kernel drops the SYN of a new one, as where a route leads nowhere."""
        self._stop_accepting()
        assert self._listener is not None, "the port is closed"
        self._listener.listen(0)
        for _ in range(2):  # one more than the queue takes
            plug = self._make_socket()
            plug.setblocking(False)
            with suppress(BlockingIOError):
                plug.connect((self._host, self.port))
            self._plugs.append(plug)

    async def accept(self) -> None:
        """Take connections (again), at the same port."""
        while self._plugs:
            self._plugs.pop().close()
        if self._listener is None:
            self._listener, self._placeholder = self._placeholder or self._bound(), None
            self.port = self._listener.getsockname()[1]
        self._listener.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _bound(self) -> socket.socket:
        """A socket at the port that does not listen: nobody else gets the port meanwhile."""
        opened = self._make_socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((self._host, self.port))
        opened.setblocking(False)
        return opened

    async def restore(self) -> None:
        """End whatever goes wrong; a half-open connection stays so."""
        for link in self.connections:
            link.follow()
        self.behave(Pass())
        await self.accept()

    def tagged(self, tag: str) -> list[Link]:
        """The connections whose client has sent the bytes of a tag."""
        return [link for link in self.connections if tag in link.tags]

    async def held(self, seconds: float = PATIENCE) -> None:
        """Wait until something was sent that is kept from arriving."""
        await self.until(lambda: self.held_now > 0, "nothing was held back", seconds)

    async def has_accepted(self, number: int, seconds: float = PATIENCE) -> None:
        """Wait until so many connections have come, from the beginning."""
        await self.until(lambda: self.accepted >= number, f"fewer than {number} connections came", seconds)

    async def has_cut(self, number: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until `Cut` has ended so many connections, from the beginning."""
        await self.until(lambda: self.cuts >= number, f"fewer than {number} connections were cut", seconds)

    async def until(self, condition: Callable[[], bool], otherwise: str, seconds: float = PATIENCE) -> None:
        """Wait until a condition on this proxy's state holds; an AssertionError if it does not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self.change(None)
        except TimeoutError:
            raise AssertionError(f"{otherwise} within {seconds} s: {self!r}") from None

    def note_cut(self) -> None:
        """Count a connection that `Cut` has ended."""
        self.cuts += 1
        self.changed()

    def changed(self) -> None:
        """Wake up whoever waits for a change."""
        self._news.set()
        self._news = asyncio.Event()

    async def change(self, seconds: float | None) -> None:
        """Wait for the next change, or for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def connect(self) -> Streams:
        """A connection to the server."""
        return await self._open()

    async def close(self) -> None:
        """End all."""
        await self.refuse()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        while self._plugs:
            self._plugs.pop().close()
        for link in self.connections:
            link.reset()
        for task in self._links:
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def _stop_accepting(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):  # whoever came has gone again
            client, _ = listener.accept()
            client.setblocking(False)
            task = asyncio.create_task(self._carry(client, self._resets), name="fault-proxy-link")
            self._links.add(task)
            task.add_done_callback(self._links.discard)

    async def _carry(self, client: socket.socket, resets: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=client)
        except OSError:  # it has gone again
            client.close()
            return
        link = Link(self, next(self._numbers), writer)
        self.connections.append(link)
        self.accepted += 1
        self.changed()
        if resets != self._resets:  # since it came: it was not among the links yet
            link.reset()
        try:
            await link.run(reader)
        finally:
            self.connections.remove(link)
            self.changed()


def _reset(writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("socket")
    if peer is not None and peer.family != socket.AF_UNIX and not writer.transport.is_closing():
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(
    host: str = LOOPBACK,
    port: int = 0,
    *,
    path: str | None = None,
    tags: Mapping[str, bytes] | None = None,
    listen: str = LOOPBACK,
    make_socket: MakeSocket = socket.socket,
) -> AsyncIterator[FaultProxy]:
    """A proxy before the server at a port, or at the Unix socket `path`; `listen` is its own address, on a socket that
    `make_socket` makes."""

    async def connect() -> Streams:
        if path is not None:
            return await asyncio.open_unix_connection(path)
        return await asyncio.open_connection(host, port)

    proxy = FaultProxy(connect, tags or {}, listen, make_socket)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()


def postgres_proxy(
    url: str,
    tags: Mapping[str, bytes] | None = None,
    *,
    listen: str = LOOPBACK,
    make_socket: MakeSocket = socket.socket,
) -> AbstractAsyncContextManager[FaultProxy]:
    """A proxy before the PostgreSQL server of a database's URL."""
    parts = urlsplit(url)
    if directory := parse_qs(parts.query).get("host", [""])[0]:
        return fault_proxy(path=f"{directory}/{SOCKET_NAME}", tags=tags, listen=listen, make_socket=make_socket)
    return fault_proxy(
        parts.hostname or LOOPBACK, parts.port or 5432, tags=tags, listen=listen, make_socket=make_socket
    )
