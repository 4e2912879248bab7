"""Faults on demand for both sandbox servers: at a rate, or scripted one by one.

`Faults(error_500=0.05)` fails one request of twenty. `faults.next("truncated", path="customer/list", times=2)` fails
the next two of that path. Bad rows are chosen by (seed, row id), so a row is as bad the second time it is asked for.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.sandbox.catalogue import Draws
from daemon.sandbox.download import FileAnswer

_HTML_500 = "<html><head><title>500 Internal Server Error</title></head><body><h1>Lỗi hệ thống</h1></body></html>"
_HTML_200 = "<!DOCTYPE html><html><body>Hệ thống đang bảo trì, vui lòng quay lại sau.</body></html>"
_LONG_TEXT = "x" * 2**20
_HUGE_NUMBER = 10**30

CONTROL = "/_sandbox/"
"""Addresses of the sandbox itself, not of the shop: no fault strikes there."""


class Fault(StrEnum):
    """What can go wrong with a request."""

    ERROR_500 = "error_500"  # HTTP 500 with an HTML body; nothing was done
    RATE_LIMITED = "rate_limited"  # the API's own form of 429; nothing was done
    NONSENSE = "nonsense"  # HTML with HTTP 200; nothing was done
    RESET = "reset"  # done, but the connection is aborted instead of an answer
    TRUNCATED = "truncated"  # done, but the JSON stops half-way although the HTTP message is complete
    CUT_OFF = "cut_off"  # done, but the connection ends half-way through the body
    SLOW = "slow"  # answered correctly, after `slow_seconds`
    STATUS = "status"  # the HTTP status of `next_status`, with a web page for a body; nothing was done


class RowFault(StrEnum):
    """What can be wrong with a row."""

    MISSING_ID = "missing_id"
    WRONG_TYPES = "wrong_types"
    HUGE_NUMBER = "huge_number"
    NEGATIVE_NUMBER = "negative_number"
    NUL_CHARACTER = "nul_character"
    LONG_TEXT = "long_text"
    NULL_ROW = "null_row"


@dataclass(slots=True)
class OneIn:
    """Strikes the first time and then each `every`-th, so that what it stands for is sure to be met."""

    every: int
    _asked: int = 0

    def strikes(self) -> bool:
        """Whether it strikes this time."""
        self._asked += 1
        return (self._asked - 1) % self.every == 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request that nothing was done for."""

    status: int
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Scripted:
    fault: Fault
    path: str
    times: int
    reply: Reply | None = None


@dataclass(slots=True, eq=False)
class _Lasting:
    statuses: Iterator[int]
    path: str
    turn: OneIn


@dataclass
class Faults:
    """Which faults to commit. Rates are shares of requests from 0 to 1, and may be changed at any time.

    Args:
        error_500: and the other rates: see `Fault`.
        bad_rows: share of rows that are bad, see `RowFault`.
        slow_seconds: how long a slow answer takes.
        seed: the same seed commits the same faults in the same order of requests.
    """

    error_500: float = 0.0
    rate_limited: float = 0.0
    nonsense: float = 0.0
    reset: float = 0.0
    truncated: float = 0.0
    cut_off: float = 0.0
    slow: float = 0.0
    bad_rows: float = 0.0
    slow_seconds: float = 2.0
    seed: int = 0
    counts: Counter[Fault] = field(default_factory=Counter)  # faults committed so far
    _script: list[_Scripted] = field(default_factory=list, repr=False)
    _lasting: list[_Lasting] = field(default_factory=list, repr=False)
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def next(self, fault: Fault | str, *, path: str = "", times: int = 1) -> None:
        """Commit `fault` on the next `times` requests whose path ends with `path`, before any random fault."""
        self._script.append(_Scripted(Fault(fault), path, times))

    def next_status(self, status: int, *, path: str = "", times: int = 1, **headers: str) -> None:
        """Answer the next `times` requests whose path ends with `path` by an HTTP status and these headers, of which
        `Retry_After` stands for `Retry-After`."""
        reply = Reply(status, {name.replace("_", "-"): value for name, value in headers.items()})
        self._script.append(_Scripted(Fault.STATUS, path, times, reply))

    @contextmanager
    def answering(self, *statuses: int, path: str = "", every: int = 1) -> Iterator[None]:
        """Meanwhile, answer one request in `every` whose path ends with `path` by these HTTP statuses in turn."""
        lasting = _Lasting(itertools.cycle(statuses), path, OneIn(every))
        self._lasting.append(lasting)
        try:
            yield
        finally:
            self._lasting.remove(lasting)

    def bad_row(self, kind: str, row_id: int | str) -> RowFault | None:
        """What is wrong with this row, the same at every call; None for a good row.

        Args:
            kind: keeps rows of different tables apart, such as "customers".
            row_id: the source's id of the row.
        """
        if not self.bad_rows:
            return None
        draws = Draws(self.seed, f"bad/{kind}/{row_id}", 0)
        return draws.choice(tuple(RowFault)) if draws.below(1_000_000) < self.bad_rows * 1_000_000 else None

    def middleware(
        self, rate_limited: Callable[[], web.Response], on_fault: Callable[[Fault], None] | None = None
    ) -> Middleware:
        """The faults as an aiohttp middleware.

        Args:
            rate_limited: makes the API's own answer to too many requests.
            on_fault: called with each fault after it was committed, in the task of its request.
        """

        @web.middleware
        async def commit_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault, reply = (None, None) if request.path.startswith(CONTROL) else self._choose(request.path)
            if fault is None:
                return await handler(request)
            self.counts[fault] += 1
            try:
                if reply is not None:
                    return web.Response(
                        status=reply.status, headers=reply.headers, text=_HTML_500, content_type="text/html"
                    )
                return await _commit(fault, request, handler, rate_limited, self.slow_seconds)
            finally:
                if on_fault is not None:
                    on_fault(fault)

        return commit_faults

    def _choose(self, path: str) -> tuple[Fault | None, Reply | None]:
        for scripted in self._script:
            if path.endswith(scripted.path):
                scripted.times -= 1
                if not scripted.times:
                    self._script.remove(scripted)
                return scripted.fault, scripted.reply
        for lasting in self._lasting:
            if path.endswith(lasting.path) and lasting.turn.strikes():
                return Fault.STATUS, Reply(next(lasting.statuses), {})
        rates = [(fault, getattr(self, fault.value)) for fault in Fault if fault is not Fault.STATUS]
        if not any(rate for _, rate in rates):
            return None, None
        drawn = self._random.random()
        for fault, rate in rates:
            if drawn < rate:
                return fault, None
            drawn -= rate
        return None, None


async def _commit(
    fault: Fault, request: web.Request, handler: Handler, rate_limited: Callable[[], web.Response], slow_seconds: float
) -> web.StreamResponse:
    match fault:
        case Fault.ERROR_500 | Fault.STATUS:
            return web.Response(status=500, text=_HTML_500, content_type="text/html")
        case Fault.NONSENSE:
            return web.Response(text=_HTML_200, content_type="text/html")
        case Fault.RATE_LIMITED:
            return rate_limited()
        case Fault.SLOW:
            await asyncio.sleep(slow_seconds)
            if request.transport is None:  # the caller did not wait, and there is no longer a body to read
                return web.Response()
            return await handler(request)
        case Fault.RESET:
            response = await handler(request)
            abort(request)
            return response
        case Fault.TRUNCATED:
            response = await handler(request)
            return web.Response(status=response.status, body=_half(response), content_type="application/json")
        case Fault.CUT_OFF:
            return await _cut_off(request, await handler(request))


async def _cut_off(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """Promise the whole body, send half of it, and abort."""
    body = _half(whole)
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/json"})
    response.content_length = 2 * len(body) + 2
    await response.prepare(request)
    await response.write(body)
    abort(request)
    return response


def abort(request: web.BaseRequest) -> None:
    """End the connection right now, whatever its caller is still waiting for."""
    if request.transport is not None:
        request.transport.abort()


def _half(response: web.StreamResponse) -> bytes:
    if isinstance(response, FileAnswer):
        return response.half()
    body = response.body if isinstance(response, web.Response) else b""
    return bytes(body)[: len(body) // 2] if isinstance(body, bytes | bytearray) else b""


def spoil(
    row: dict[str, Any], bad: RowFault, *, id_field: str, text_field: str, number_fields: tuple[str, ...]
) -> dict[str, Any] | None:
    """A copy of `row` that is bad in the given way; None is a null in place of the row.

    Args:
        row: a row as the API would send it.
        bad: what should be wrong.
        id_field: the row's id.
        text_field: a text that every row has, such as the name.
        number_fields: numbers and times (may be absent from the row).
    """
    match bad:
        case RowFault.MISSING_ID:
            return {name: value for name, value in row.items() if name != id_field}
        case RowFault.WRONG_TYPES:
            return row | {text_field: {"unexpected": ["object"]}} | dict.fromkeys(number_fields, "không phải số")
        case RowFault.HUGE_NUMBER:
            return row | dict.fromkeys(number_fields, _HUGE_NUMBER)
        case RowFault.NEGATIVE_NUMBER:
            return row | {id_field: -1} | dict.fromkeys(number_fields, -5)
        case RowFault.NUL_CHARACTER:
            return row | {text_field: f"{row.get(text_field)}\0"}
        case RowFault.LONG_TEXT:
            return row | {text_field: _LONG_TEXT}
        case RowFault.NULL_ROW:
            return None
