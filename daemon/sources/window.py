"""The arithmetic of a sliding window of requests, without clock or waiting."""

import math
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass

# Added to the time a place rests, for servers that count both ends of the window as inside, and for clocks that drift
# apart by a few parts in ten thousand. Costs 0.17 % of 30 s.
MARGIN_SECONDS = 0.05

KEPT_BACK = 16  # one place in this many: 9 of Nhanh's 150, so that one comes every 3 s of a window that is used up

# What a process claims at a time: calls, and the seconds within which it makes them. Both are what a process that is
# killed takes with it at most, and what another one then leaves unused.
CLAIMED_CALLS = 10
CLAIM_SECONDS = 5.0
# A call whose process is killed is at the server this long after it was sent, or never.
ARRIVAL_SECONDS = 5.0
LOOK_SECONDS = 2.0  # between two looks at what others hold, for a process that they hold up


@dataclass(frozen=True, slots=True)
class Others:
    """What other processes hold of a window: how many of its places, and how many of them are calling at present."""

    places: int = 0
    processes: int = 0


class SlidingWindow:
    """`requests` places, each of which rests for `seconds` after its call was answered before it serves again.

    Why this never lets more than `requests` calls arrive in any `seconds`, whatever the network does: a call arrives at
    the server after it was sent and before its answer is here. A place is taken again only `seconds` after the answer
    to its last call came. So two calls of one place arrive more than `seconds` apart, and any window of that length
    holds at most one of each place. Counting from the sending instead would be wrong by the jitter of the way there.

    Why all of them are used: a place serves again as soon as it has rested, so what is lost of each round is the time
    of one call in `seconds`, 0.3 % at 100 ms.

    All places but a few are given out at once. Those few are kept back: they are spread over the time until the first
    of the others is free again, so that whoever else calls gets one within seconds, and a long pull moves on visibly
    instead of standing still until the window opens. A caller who has none of the places yet is not kept waiting.

    Where other processes call, too, each place belongs to one of them at a time. A process makes calls that it has
    claimed before, and a claim says for each of its places when that will be free at the latest: claims are made one
    after the other, each in sight of all others, and never go beyond `requests` places together. So the above holds for
    all of them together, and of one that was killed just what it may have used counts as used.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests = requests
        self._rest = seconds + MARGIN_SECONDS
        self._capacity = requests  # those places that are not with other processes
        self._under_way = 0
        self._resting: deque[tuple[float, Hashable]] = deque()  # when each is free again, in order; whose it was
        self._held: Counter[Hashable] = Counter()  # under way or resting, by caller
        self._next_by_pace = float("-inf")
        self._paced_until = float("-inf")
        self._claimed = 0
        self._claimed_until = float("-inf")
        self._look_at = float("inf")

    def earliest(self, now: float, caller: Hashable = None) -> float | None:
        """When the next call may be sent: a time, perhaps past; None if only the end of a call under way can tell."""
        self._wake(now)
        if self._free > 0:
            return self._next_by_pace if self._is_paced(now, caller) else now
        return max(self._resting[0][0], self._next_by_pace) if self._resting else None

    def take(self, now: float, caller: Hashable = None) -> None:
        """Send a call: `earliest` said that it may be."""
        self._wake(now)
        self._under_way += 1
        self._claimed -= 1
        self._held[caller] += 1
        until_next_free = self._resting[0][0] - now if self._resting else self._rest
        gap = until_next_free / (self._free + 1) if self._free <= self._kept_back else 0.0
        if now < self._paced_until:
            gap = max(gap, self._rest / self._requests)
        self._next_by_pace = now + gap

    def free(self, now: float, caller: Hashable = None) -> None:
        """The answer came, or the call failed: the place rests from now on."""
        self._under_way -= 1
        self._resting.append((now + self._rest, caller))

    def held(self, now: float, caller: Hashable) -> int:
        """How many places this caller has taken within the window."""
        self._wake(now)
        return self._held[caller]

    def pace(self, since: float) -> None:
        """Give out nothing in bursts for one window from `since`: the server has counted more than we did."""
        self._paced_until = max(self._paced_until, since + self._rest)

    def has_claim(self, now: float) -> bool:
        """Whether a call may be made without a further claim."""
        return self._claimed > 0 and now < self._claimed_until

    @property
    def look_at(self) -> float:
        """When to claim again, whether a place is free or not: others may hold less than they did."""
        return self._look_at

    def claim(self, now: float, others: Others) -> list[int]:
        """Claim the next calls; in how many seconds each place that this process holds is free again at the latest.

        What is returned must be known to all before the first of these calls.
        """
        self._wake(now)
        # Whoever comes last must not be kept out by others who take the same places again and again.
        share = self._requests // (1 + others.processes)
        self._capacity = max(min(self._requests - others.places, share), 0)
        soon = sum(free_at <= now + CLAIM_SECONDS for free_at, _ in self._resting)
        usable = max(self._free + soon, 0)
        calls = min(CLAIMED_CALLS, max(usable - self._kept_back, min(usable, 1)))
        self._claimed, self._claimed_until = calls, now + CLAIM_SECONDS
        self._look_again(now)
        again = max(calls - max(self._free, 0), 0)  # places that rest, and will have been taken again
        resting = [free_at - now for free_at, _ in self._resting][again:]
        under_way = [ARRIVAL_SECONDS + self._rest] * self._under_way
        claimed = [CLAIM_SECONDS + ARRIVAL_SECONDS + self._rest] * calls
        return [math.ceil(seconds) for seconds in (*resting, *under_way, *claimed)]

    def disclaim(self) -> None:
        """Make no call before the next claim."""
        self._claimed = 0

    def claim_unseen(self, now: float) -> None:
        """Claim the next calls without knowing of others: what all know of can't be asked now."""
        self._claimed, self._claimed_until = CLAIMED_CALLS, now + CLAIM_SECONDS
        self._look_again(now)

    @property
    def _free(self) -> int:
        return self._capacity - self._under_way - len(self._resting)

    @property
    def _kept_back(self) -> int:
        return self._requests // KEPT_BACK

    def _is_paced(self, now: float, caller: Hashable) -> bool:
        return now < self._paced_until or (self._free <= self._kept_back and self._held[caller] > 0)

    def _look_again(self, now: float) -> None:
        self._look_at = now + LOOK_SECONDS if self._capacity < self._requests else float("inf")

    def _wake(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            _, caller = self._resting.popleft()
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
