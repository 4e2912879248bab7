"""The connections of the listener for webhooks: not too many of them, and none that says nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp import hdrs, web

from daemon.serving.addresses import Address, address_of
from daemon.serving.tally import Tally

MOST_VISITORS = 512
HEAD_TIMEOUT = 10.0  # seconds from the opening of a connection to the end of its first request's head
IDLE_TIMEOUT = 75.0  # seconds between two requests: longer than nginx keeps a connection, which is 60 s
SWEEP_INTERVAL = 1.0  # seconds
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def plain_answer(status: int, text: str = "", *, is_last: bool = False, **headers: str) -> web.Response:
    """An answer that says nothing of the program; the connection ends with the last one."""
    answer = web.Response(status=status, text=text, headers={**headers, hdrs.SERVER: "dongbo"})
    if is_last:
        answer.force_close()
    return answer


class Visitors:
    """All open connections. `clock`: seconds of the loop's; `crowd` counts those for whom there is no room."""

    def __init__(self, clock: Callable[[], float], crowd: Tally) -> None:
        self._clock = clock
        self._crowd = crowd
        self._silent: dict[Visitor, float] = {}  # since when, those that have not sent the head of a request
        self._all: set[Visitor] = set()

    def admit(self, visitor: "Visitor", address: Address) -> bool:
        """Let a newcomer in; False where there is no room."""
        if len(self._all) >= MOST_VISITORS:
            self._crowd.note(address)
            return False
        self._all.add(visitor)
        self._silent[visitor] = self._clock()
        return True

    def speaks(self, visitor: "Visitor") -> None:
        """It has sent the head of a request; from then on the keep-alive timer looks after it."""
        self._silent.pop(visitor, None)

    def forget(self, visitor: "Visitor") -> None:
        """It has gone."""
        self._silent.pop(visitor, None)
        self._all.discard(visitor)

    async def watch(self) -> None:
        """Close those that say nothing, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self.sweep()

    def sweep(self) -> None:
        """Close those that have said nothing for too long; log whom there was no room for."""
        self._crowd.tell()
        latest = self._clock() - HEAD_TIMEOUT
        for visitor in [visitor for visitor, since in self._silent.items() if since <= latest]:
            visitor.force_close()


class Visitor(web.RequestHandler):
    """One connection."""

    __slots__ = ("_visitors",)

    def __init__(self, server: web.Server, visitors: Visitors, **options: Any) -> None:
        super().__init__(
            server,
            keepalive_timeout=IDLE_TIMEOUT,
            lingering_time=1.0,
            auto_decompress=False,  # otherwise a stranger could make the loop unpack 1,000 times what they send
            **options,
        )
        self._visitors = visitors

    @classmethod
    def of(cls, request: web.BaseRequest) -> "Visitor":
        """The one that a request has come by."""
        return cast("Visitor", request.protocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A newcomer."""
        if self._visitors.admit(self, address_of(transport.get_extra_info("peername"))):
            super().connection_made(transport)
            return
        wire = cast("asyncio.Transport", transport)
        self.close()
        wire.write(FULL)
        wire.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is closed."""
        self._visitors.forget(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds what came
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, without a word of what came, and to a bug."""
        if status >= 500:
            self.logger.error("a webhook could not be answered", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        return plain_answer(status, is_last=True)

    def arrived(self) -> None:
        """The head of a request has come."""
        self._visitors.speaks(self)
