"""Nhanh's rate limit: 150 requests in 30 s for each (app, business, URL), and locks that grow when disregarded."""

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

REQUESTS = 150  # Nhanh documentation, "API Rate Limit"
WINDOW_SECONDS = 30.0
FIRST_LOCK_SECONDS = 10
LONGEST_LOCK_SECONDS = 3600  # ours: the documentation only says that a lock grows


@dataclass(frozen=True, slots=True)
class Lock:
    """What ERR_429 tells the caller."""

    locked_seconds: int
    unlocked_at: int  # Unix seconds


@dataclass(slots=True)
class _Window:
    arrivals: deque[float] = field(default_factory=deque)
    locked_seconds: int = 0
    unlocked_at: int = 0


class RateLimit:
    """A sliding window, the strictest reading of the documentation: never more than 150 requests in *any* 30 s."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, _Window] = {}

    def admit(self, key: Hashable, now: float) -> Lock | None:
        """Count a request, and say whether it is refused.

        Args:
            key: (app id, business id, path).
            now: Unix seconds.
        """
        window = self._windows.setdefault(key, _Window())
        if now < window.unlocked_at:
            return _lock(window, now, min(window.locked_seconds * 2, LONGEST_LOCK_SECONDS))
        while window.arrivals and window.arrivals[0] <= now - WINDOW_SECONDS:
            window.arrivals.popleft()
        if len(window.arrivals) >= REQUESTS:
            window.arrivals.clear()  # the lock is the penalty: whoever waits for its end starts afresh
            return _lock(window, now, FIRST_LOCK_SECONDS)
        window.arrivals.append(now)
        return None


def _lock(window: _Window, now: float, seconds: int) -> Lock:
    window.locked_seconds = seconds
    window.unlocked_at = math.ceil(now + seconds)
    return Lock(seconds, window.unlocked_at)
