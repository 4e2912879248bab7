"""What the calls of one job cost, so that a person can see why it is slow."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

BeforeSend = Callable[[], Awaitable[None]]
"""What is awaited right before an attempt of a call is sent: what it raises keeps the attempt from being sent."""


async def at_once() -> None:
    """Let every attempt be sent."""


@dataclass(slots=True)
class CallMeter:
    """Counts over all calls made on behalf of one job; every call of a source client adds to the one it is given.

    `is_urgent` calls go before those of all other jobs where the source's rate limit makes them wait: Shopify's bucket.
    `before_write` is awaited right before each attempt of a call that changes something: calls wait in memory, for
    points or between attempts, for longer than what was checked before them holds.
    """

    api_calls: int = 0  # requests sent, repeated ones included
    retries: int = 0
    rate_limit_wait_seconds: float = 0.0  # waited for a free place under the source's rate limit
    retry_wait_seconds: float = 0.0  # waited between attempts after failures
    rate_limited: int = 0  # answers ERR_429, THROTTLED or HTTP 429
    bytes_received: int = 0  # of answers, decompressed
    retry_budget: int = 100  # retries after failures that the whole job has left
    is_urgent: bool = False  # a sale that starts or ends must not wait behind a pull
    before_write: BeforeSend = at_once
    _waiting: int = field(default=0, init=False)  # calls that wait for a place at this moment
    _waiting_since: float = field(default=0.0, init=False)
    _others_awaited: list[str] = field(default_factory=list, init=False)

    @property
    def waits_for(self) -> str:
        """What its calls wait for at this moment, in words."""
        if self._others_awaited:
            return self._others_awaited[-1]
        return "the rate limit" if self._waiting else "an answer of the source"

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """A call waits until the context ends, and neither for the limit nor for an answer."""
        self._others_awaited.append(what)
        try:
            yield
        finally:
            self._others_awaited.remove(what)

    @contextmanager
    def waiting_for_limit(self) -> Iterator[Callable[[], None]]:
        """Count the time until what this yields is called as waited for; of calls that wait side by side, once."""
        has_ended = False

        def end() -> None:
            nonlocal has_ended
            if has_ended:
                return
            has_ended = True
            self._waiting -= 1
            if self._waiting == 0:
                self.rate_limit_wait_seconds += monotonic() - self._waiting_since

        if self._waiting == 0:
            self._waiting_since = monotonic()
        self._waiting += 1
        try:
            yield end
        finally:
            end()
