"""The arithmetic of a sliding window of requests, without clock or waiting."""

from collections import deque

# Added to the time a place rests, for servers that count both ends of the window as inside, and for clocks that run
# apart by a few parts in ten thousand. Costs 0.17 % of 30 s.
MARGIN_SECONDS = 0.05


class SlidingWindow:
    """`requests` places, each of which rests for `seconds` after its call was answered before it serves again.

    Why this never lets more than `requests` calls arrive in any `seconds`, whatever the network does: a call arrives at
    the server after it was sent and before its answer is here. A place is taken again only `seconds` after the answer
    to its last call came. So two calls of one place arrive more than `seconds` apart, and any window of that length
    holds at most one of each place. Counting from the sending instead would be wrong by the jitter of the way there.

    Why all of them are used: a place serves again as soon as it has rested, so what is lost of each round is the time
    of one call in `seconds`, 0.3 % at 100 ms.

    Half of the places are given out at once, for the sake of short pulls. The rest is spread over the time until the
    first place is free again, so that a long pull moves on visibly instead of standing still until the window opens.
    Places that rested unused are caught up on at twice the sustained rate, so nothing is lost by the spreading.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests = requests
        self._rest = seconds + MARGIN_SECONDS
        self._fastest_gap = self._rest / requests / 2
        self._few = requests // 20
        self._under_way = 0
        self._resting: deque[float] = deque()  # when each of them is free again, in order
        self._next_by_pace = float("-inf")
        self._paced_until = float("-inf")

    def earliest(self, now: float) -> float | None:
        """When the next call may be sent: a time, perhaps past; None if only the end of a call under way can tell."""
        self._wake(now)
        if self._taken < self._requests:
            return self._next_by_pace if self._is_paced(now) else now
        return max(self._resting[0], self._next_by_pace) if self._resting else None

    def take(self, now: float) -> None:
        """Send a call: `earliest` said that it may be."""
        self._wake(now)
        self._under_way += 1
        left = self._requests - self._taken
        until_next_free = self._resting[0] - now if self._resting else self._rest
        # The last few are not spread: there would always be one that waits for the next to come free.
        spread = until_next_free / left if left > self._few else 0.0
        self._next_by_pace = now + max(self._fastest_gap, spread)

    def free(self, now: float) -> None:
        """The answer came, or the call failed: the place rests from now on."""
        self._under_way -= 1
        self._resting.append(now + self._rest)

    def pace(self, since: float) -> None:
        """Give out nothing in bursts for one window from `since`: the server has counted more than we did."""
        self._paced_until = max(self._paced_until, since + self._rest)

    @property
    def _taken(self) -> int:
        return self._under_way + len(self._resting)

    def _is_paced(self, now: float) -> bool:
        return self._taken >= self._requests // 2 or now < self._paced_until

    def _wake(self, now: float) -> None:
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
