"""What the calls of one job cost, so that a person can see why it is slow."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from time import monotonic

from daemon.i18n import mark

LONG_WAIT = 1.0  # seconds after which a person wants to know that a job is waiting for the rate limit

BeforeSend = Callable[[], Awaitable[None]]
"""Awaited right before an attempt of a call is sent: what it raises keeps the attempt from being sent."""


async def at_once() -> None:
    """Let every attempt be sent."""


class Rank(IntEnum):
    """Whose calls go first where they wait for the points of Shopify's bucket."""

    SALE = 0  # one that starts or ends must not wait behind a pull
    ITEMS = 1  # a few, for which somebody waits, or of which a webhook has told
    CUSTOMERS = 2  # of whom a webhook has told: a hundred of them cost all that the bucket holds
    OTHER = 3


@dataclass(slots=True, eq=False)  # compared by identity: it stands for its job
class CallMeter:
    """Counts over all calls made on behalf of one job; every call of a source client adds to the one it is given.

    Calls of a lower `rank` go before those of all other jobs where the source's rate limit makes them wait.
    `before_write` is awaited right before each attempt of a call that changes something: calls wait in memory, for
    points or between attempts, for longer than an earlier check remains valid.
    """

    api_calls: int = 0  # requests sent, repeated ones included
    retries: int = 0
    rate_limit_wait_seconds: float = 0.0  # spent waiting for a free place under the source's rate limit
    retry_wait_seconds: float = 0.0  # spent waiting between attempts after failures
    rate_limited: int = 0  # answers ERR_429, THROTTLED or HTTP 429
    bytes_received: int = 0  # of answers, decompressed
    retry_budget: int = 100  # retries after failures left for the whole job
    rank: Rank = Rank.OTHER
    before_write: BeforeSend = at_once
    _waiting: int = field(default=0, init=False)  # calls waiting for a place right now
    _waiting_since: float = field(default=0.0, init=False)
    _waited_long: bool = field(default=False, init=False)  # the last call that got its place
    _others_awaited: list[str] = field(default_factory=list, init=False)

    @property
    def waits_for(self) -> str:
        """What its calls are waiting for right now, in words."""
        if self._others_awaited:
            return self._others_awaited[-1]
        return mark("the rate limit") if self._waiting else mark("an answer from the source")

    @property
    def limited_since(self) -> datetime | None:
        """Since when calls have waited for a place, where they wait long: for a second, or the last one did."""
        waited = monotonic() - self._waiting_since
        if not self._waiting or not (self._waited_long or waited >= LONG_WAIT):
            return None
        return datetime.now(UTC) - timedelta(seconds=waited)

    def costs(self) -> dict[str, float]:
        """What its job shows of it."""
        return {
            "api_calls": self.api_calls,
            "retries": self.retries,
            "rate_limit_wait_seconds": self.rate_limit_wait_seconds,
            "retry_wait_seconds": self.retry_wait_seconds,
            "rate_limited": self.rate_limited,
            "bytes_received": self.bytes_received,
        }

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """A call waits until the context ends, for neither the limit nor an answer."""
        self._others_awaited.append(what)
        try:
            yield
        finally:
            self._others_awaited.remove(what)

    @contextmanager
    def waiting_for_limit(self) -> Iterator[Callable[[], None]]:
        """Count the time until what this yields is called as waiting; time that calls wait side by side counts once."""
        has_ended = False

        def end() -> None:
            nonlocal has_ended
            if has_ended:
                return
            has_ended = True
            self._waiting -= 1
            self._waited_long = monotonic() - began >= LONG_WAIT
            if self._waiting == 0:
                self.rate_limit_wait_seconds += monotonic() - self._waiting_since

        began = monotonic()
        if self._waiting == 0:
            self._waiting_since = began
        self._waiting += 1
        try:
            yield end
        finally:
            end()
