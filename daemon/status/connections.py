"""The connections of the endpoint: none stays silent, slow or deaf for long, and however many do, others get in.

A newcomer is not turned away because of what others hold open: beyond a number per address, and in all, it takes the
place of the connection that has waited longest without having shown a token. aiohttp's `keepalive_timeout` is one time
for all, and leaves a connection open for as long as its peer does not take what was sent; so the times are kept here.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from itertools import islice
from typing import Any, Final, cast

import structlog
from aiohttp import hdrs, web

from daemon.config.address import plain_ip
from daemon.open_files import open_files
from daemon.serving.addresses import UNIX, Address, address_of, ip_of
from daemon.serving.tally import Tally
from daemon.status.malformed import problem_of, problem_of_refusal
from daemon.status.problems import HEADERS, RETRY_AFTER, Problem

log = structlog.get_logger()

REQUEST_TIMEOUT: Final = 10.0  # seconds from the opening of a connection to the end of the first request's head
BODY_TIMEOUT: Final = 30.0  # seconds for the body of a request
IDLE_TIMEOUT: Final = 20.0  # seconds between two requests: longer than aiohttp's and httpx's clients keep a connection
TRUSTED_IDLE_TIMEOUT: Final = 75.0  # the same once a token was shown: longer than nginx keeps one, which is 60 s
UNREAD_TIMEOUT: Final = 30.0  # seconds in which a peer must take something of what is sent
CLOSING_TIMEOUT: Final = 5.0  # seconds to take the last of it
LINGERING_TIME: Final = 1.0  # seconds for the rest of a body that nobody wants
SWEEP_INTERVAL: Final = 1.0  # seconds
NEWCOMER_TIME: Final = 0.5  # seconds in which whoever connects sends a request, unless it is a browser's reserve
MOST_WAITING: Final = 64  # connections from one address that wait for a request and have shown no token
GRACE: Final = 1.0  # seconds during which no connection is closed for a newcomer from the same address
FILES_SHARE: Final = 0.9  # of the limit of open files, beyond which the log warns
FILES_INTERVAL: Final = 10.0  # seconds between two looks: each reads a line for every open file
BEGINNING: Final = 512  # bytes of a request that are kept to say what is wrong with them
AIOHTTP_TIMEOUT: Final = 3600.0  # seconds of aiohttp's own timer, which must not come before those above


class State(StrEnum):
    """What a connection is doing."""

    WAITING = "waiting"  # for the first request, or the rest of its head
    ACTIVE = "active"  # a request is answered, or events are sent
    IDLE = "idle"  # between two requests
    CLOSING = "closing"  # until the peer has taken the rest


class Cut(StrEnum):
    """Why a connection was ended that its peer has not closed."""

    SILENT = "silent"  # no request, or half of its head
    IDLE = "idle"
    UNREAD = "unread"  # the peer did not take what was sent
    CROWDED = "crowded"  # gave way to a newcomer
    REFUSED = "refused"  # a newcomer for which there was no room
    MALFORMED = "malformed"  # what came was not HTTP


class Connections:
    """All open connections of one endpoint.

    Args:
        most: connections in all.
        clock: seconds of the loop's clock.
        methods_at: the methods that a path answers to; None where there is nothing.
    """

    def __init__(
        self, most: int, clock: Callable[[], float], methods_at: Callable[[str], str | None] = lambda _path: None
    ) -> None:
        self.most = most
        self.clock = clock
        self.methods_at = methods_at
        self.cuts: Counter[Cut] = Counter()
        self._all: set[Connection] = set()
        # Those that may be closed, longest waiting first; strangers have not shown the token.
        self._of_address: dict[Address, dict[Connection, None]] = {}
        self._strangers: dict[Connection, None] = {}
        self._trusted: dict[Connection, None] = {}
        self._closing: dict[Connection, None] = {}  # that wait for their peers; others are gone in a moment
        told = (cut for cut in Cut if cut is not Cut.IDLE)  # which is how connections end in quiet times
        self._tallies: dict[Cut, Tally] = {cut: Tally("connections_cut", reason=str(cut)) for cut in told}
        self.tallies = list(self._tallies.values())  # reported with every sweep
        self._files_looked_at = 0.0
        self._one_works = asyncio.Event()  # no longer waits for its request

    def __len__(self) -> int:
        return len(self._all)

    def by_state(self) -> dict[State, int]:
        """How many connections are in each state."""
        counted = Counter(connection.state for connection in self._all)
        return {state: counted[state] for state in State}

    async def watch(self) -> None:
        """End what has taken too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self.sweep()

    async def newcomers_heard(self) -> None:
        """Once nobody is let in any more: wait, not for long, until the last who were have sent their requests."""
        with suppress(TimeoutError):
            async with asyncio.timeout(NEWCOMER_TIME):
                while any(connection.is_newcomer for connection in self._all):
                    self._one_works.clear()
                    await self._one_works.wait()

    def sweep(self) -> None:
        """End what has taken too long."""
        now = self.clock()
        for connection in list(self._all):
            connection.end_if_late(now)
        for tally in self.tallies:
            tally.tell()
        self._look_at_files(now)

    def _look_at_files(self, now: float) -> None:
        if now - self._files_looked_at < FILES_INTERVAL:
            return
        self._files_looked_at = now
        files = open_files()
        if files.count > FILES_SHARE * files.limit:
            log.warning("open_files_scarce", open=files.count, limit=files.limit, connections=len(self._all))

    def admit(self, connection: "Connection") -> bool:
        """Let a newcomer in, in place of another if necessary; False where nobody can give way."""
        waiting = self._of_address.get(connection.address, {})
        if len(waiting) >= MOST_WAITING:
            oldest = next(iter(waiting))
            # So many newcomers at once are more likely pages that come back; `most` bounds them all the same.
            if self.clock() - oldest.since >= GRACE:
                oldest.cut(Cut.CROWDED)
        if len(self._all) >= self.most and not self._make_room():
            self.count(Cut.REFUSED, connection.address)
            return False
        self._all.add(connection)
        self.rests(connection)
        return True

    def _make_room(self) -> bool:
        """End one connection, a different one each time, since it is only gone once the loop has turned."""
        for connection in self._closing:
            connection.give_up()
            return True
        for connection in (*islice(self._strangers, 1), *islice(self._trusted, 1)):
            connection.cut(Cut.CROWDED)
            return True
        return False

    def rests(self, connection: "Connection") -> None:
        """It may be closed in favour of others."""
        if connection not in self._all or connection.is_closing:
            return
        if connection.is_trusted:
            self._trusted[connection] = None
        else:
            self._strangers[connection] = None
            self._of_address.setdefault(connection.address, {})[connection] = None

    def works(self, connection: "Connection") -> None:
        """It must not be closed."""
        self._one_works.set()
        self._closing.pop(connection, None)
        self._trusted.pop(connection, None)
        self._strangers.pop(connection, None)
        waiting = self._of_address.get(connection.address)
        if waiting is not None:
            waiting.pop(connection, None)
            if not waiting:
                del self._of_address[connection.address]

    def closes(self, connection: "Connection") -> None:
        """It waits for its peer to take the rest, or to close."""
        self.works(connection)
        if connection in self._all:
            self._closing[connection] = None

    def forget(self, connection: "Connection") -> None:
        """It has ended."""
        self.works(connection)
        self._all.discard(connection)

    def count(self, cut: Cut, address: Address) -> None:
        """Note that a connection was ended."""
        self.cuts[cut] += 1
        tally = self._tallies.get(cut)
        if tally is not None:
            tally.note(address)


class Connection(web.RequestHandler):
    """One connection, of which the time is kept."""

    __slots__ = (
        "_beginning",
        "_connections",
        "_has_begun",
        "_unread_since",
        "_wire",
        "address",
        "is_trusted",
        "local_host",
        "peer",
        "since",
        "state",
    )

    def __init__(self, server: web.Server, connections: Connections, **options: Any) -> None:
        super().__init__(
            server,
            lingering_time=LINGERING_TIME,
            keepalive_timeout=AIOHTTP_TIMEOUT,
            auto_decompress=False,  # otherwise a stranger could make the loop unpack 1,000 times what they send
            **options,
        )
        self._connections = connections
        self._wire: asyncio.Transport | None = None  # also while it closes, when aiohttp has let go of it
        self._beginning = b""
        self._has_begun = False  # something of the next request has come
        self._unread_since: float | None = None
        self.address = UNIX
        self.peer: str | None = None  # its IP address; None for a Unix socket
        self.local_host: str | None = None  # the IP address that it came in on; None for a Unix socket
        self.is_trusted = False  # has shown a valid token
        self.state = State.WAITING
        self.since = connections.clock()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A newcomer: it gets a place, or is told that there is none."""
        self._wire = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address, self.peer = address_of(peer), ip_of(peer)
        # Read now: nothing can be learnt about a peer that has gone, yet its request may still be answered.
        name = transport.get_extra_info("sockname")
        self.local_host = plain_ip(name[0]) if isinstance(name, tuple) else None
        if self._connections.admit(self):
            super().connection_made(transport)
        else:
            self.close()
            self._say(_too_many())
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The peer, or this side, has closed it."""
        self._connections.forget(self)
        self._wire = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        if data and not self._has_begun:  # aiohttp comes by with nothing, to have it parse what it has kept
            self._has_begun = True
            self._beginning = data[:BEGINNING]
        super().data_received(data)

    def pause_writing(self) -> None:
        """The peer takes less than is sent."""
        self._unread_since = self._connections.clock()
        self._connections.rests(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has taken it."""
        self._unread_since = None
        if self.state is State.ACTIVE:
            self._connections.works(self)
        super().resume_writing()

    def begin_request(self) -> None:
        """The head of a request has come."""
        self._enter(State.ACTIVE)
        self._connections.works(self)

    @asynccontextmanager
    async def awaiting_body(self) -> AsyncIterator[None]:
        """While the rest of a request is waited for. Raises Problem 408 if that takes too long."""
        self._connections.rests(self)
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                yield
        except TimeoutError:
            self._connections.count(Cut.SILENT, self.address)
            raise _too_slow("body", BODY_TIMEOUT) from None
        finally:
            self._connections.works(self)

    def trust(self) -> None:
        """It has shown a valid token."""
        self.is_trusted = True

    @property
    def is_newcomer(self) -> bool:
        """Whether its first request is likely to be on its way."""
        return self.state is State.WAITING and self._connections.clock() - self.since < NEWCOMER_TIME

    @property
    def is_closing(self) -> bool:
        """Whether it ends as soon as the peer has taken the rest."""
        return self._wire is None or self._wire.is_closing()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of an answer; what aiohttp itself refuses becomes a problem."""
        if isinstance(resp, web.HTTPException):
            resp = problem_of_refusal(resp).to_response()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._has_begun = False
            self._enter(State.IDLE)
            self._connections.rests(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds what came
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, and to a bug in what lies before the handlers."""
        if status == 500:
            self.logger.error("a request failed before its handler", exc_info=exc)
        else:
            self._connections.count(Cut.MALFORMED, self.address)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        answer = problem_of(status, exc, self._beginning, self._connections.methods_at).to_response()
        answer.headers.update(HEADERS)
        answer.force_close()
        return answer

    def end_if_late(self, now: float) -> None:
        """End it if it has taken too long for what it is doing."""
        if self._wire is None:
            return
        if self._wire.is_closing() and self.state is not State.CLOSING:
            self._closes()
        took = now - self.since
        match self.state:
            case State.WAITING if took >= REQUEST_TIMEOUT:
                self.cut(Cut.SILENT)
            case State.IDLE if took >= (TRUSTED_IDLE_TIMEOUT if self.is_trusted else IDLE_TIMEOUT):
                self.cut(Cut.SILENT if self._has_begun else Cut.IDLE)
            case State.CLOSING if took >= CLOSING_TIMEOUT:
                self.give_up()
            case State.ACTIVE if self._unread_since is not None and now - self._unread_since >= UNREAD_TIMEOUT:
                self.cut(Cut.UNREAD)
            case _:
                pass

    def cut(self, reason: Cut) -> None:
        """End it; whoever has sent half a head is told why."""
        if self._wire is None:
            return
        self._connections.works(self)
        self._connections.count(reason, self.address)
        if reason is Cut.UNREAD or self._wire.get_write_buffer_size() > 0:
            self._wire.abort()  # to close it in order would wait for the peer
        elif reason is Cut.SILENT and self._has_begun:
            self._say(_too_slow("request", REQUEST_TIMEOUT))
            # Closed at once, a connection on which more comes is reset, and the answer is lost (RFC 9112, 9.6).
            self._wire.write_eof()
            self.close()  # nothing more is read
            self._closes()
        else:
            if self._has_begun and self.state is not State.ACTIVE:
                self._say(_too_many())
            self.force_close()

    def give_up(self) -> None:
        """Stop waiting for a peer that should have taken the rest, or closed."""
        self._connections.works(self)
        if self._wire is not None:
            if self._wire.get_write_buffer_size() > 0:
                self._connections.count(Cut.UNREAD, self.address)
            self._wire.abort()

    def _closes(self) -> None:
        self._enter(State.CLOSING)
        self._connections.closes(self)

    def _enter(self, state: State) -> None:
        self.state = state
        self.since = self._connections.clock()

    def _say(self, problem: Problem) -> None:
        """Answer without a request."""
        if self._wire is not None:
            self._wire.write(problem.to_bytes())


def connection_of(request: web.BaseRequest) -> Connection:
    """The connection that a request came on."""
    return cast("Connection", request.protocol)


def _too_slow(what: str, seconds: float) -> Problem:
    return Problem(
        408,
        f"The {what} did not come within {seconds:g} s: send it at once, on a new connection",
        kind="too-slow",
        headers={hdrs.CONNECTION: "close"},
    )


def _too_many() -> Problem:
    return Problem(
        503,
        "Too many connections are open: close those that are not needed, and try again",
        kind="too-many-connections",
        headers={hdrs.RETRY_AFTER: str(RETRY_AFTER)},
    )
