"""Rate limits, shared by all jobs of the process: one window per (account, URL) at Nhanh, one bucket per Shopify shop.

All times are those of the running event loop: monotonic, so that a jump of the wall clock changes nothing. Both
limiters serve their waiters in the order of arrival, the window those first who have called least, the bucket those of
a lower rank before all others, and a waiter may be cancelled at any point.
"""

import asyncio
from bisect import insort
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from daemon.sources.meter import Rank
from daemon.sources.points import OtherPoints, OwnPoints, SharedPoints, ToldPoints
from daemon.sources.window import Others, SlidingWindow

# Nhanh documentation, "API Rate Limit": 150 requests per 30 s for each appId + businessId + URL.
NHANH_REQUESTS = 150
NHANH_WINDOW_SECONDS = 30.0

# Shopify documentation, "Rate limits": every bucket restores at least 100 points a second. Its size is learnt from the
# first answer; until then no more is spent than the most that one query may cost.
SHOPIFY_RESTORE_RATE = 100.0
SHOPIFY_MAX_QUERY_COST = 1000.0

SPARE_POINTS = 1.0  # how much a server may overstate by rounding

SHORTEST_WAIT = 0.001  # seconds; the last fraction of a point would otherwise be waited for in rounding errors


class _Line:
    """The waiting line: lowest rank first, and within a rank whoever came first.

    Each waits on an event of their own, and only the first is ever called. Whoever was first until one of a lower rank
    came finds that out when their wait is over, and keeps waiting until called again.
    """

    def __init__(self) -> None:
        self._waiters: list[tuple[int, int, asyncio.Event]] = []  # rank, number, event: in this order
        self._numbers = count()

    @contextmanager
    def place(self, rank: int) -> Iterator[asyncio.Event]:
        """Stand in the line until the context ends; whoever is first then is called."""
        waiter = (rank, next(self._numbers), asyncio.Event())
        insort(self._waiters, waiter)
        try:
            yield waiter[2]
        finally:
            self._waiters.remove(waiter)
            self.call_first()

    def is_first(self, called: asyncio.Event) -> bool:
        """Whether it is this caller's turn."""
        return called is self._waiters[0][2]

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._waiters

    def call_first(self) -> None:
        """Have the first check again whether they may proceed."""
        if self._waiters:
            self._waiters[0][2].set()


async def _called(called: asyncio.Event, within: float | None) -> None:
    """Wait to be called, for at most this many seconds (None: indefinitely)."""
    called.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(None if within is None else max(within, SHORTEST_WAIT)):
            await called.wait()


class WindowLedger(Protocol):
    """Where processes tell each other how much of a window they use."""

    async def claim(self, account: str, url: str, decide: Callable[[Others], list[int]]) -> bool:
        """Let `decide` settle what this process claims, in view of what all others do, while nobody else claims.

        `decide` answers with the seconds until each place that this process holds is free again. False: nobody can be
        told at the moment.
        """


class WindowLimiter:
    """Lets at most `requests` calls reach the server in any `seconds`, and none while the account is locked.

    Of those waiting, the caller who has had the fewest of the window's places goes first: a person's check does not
    queue behind a long pull.
    """

    def __init__(
        self,
        requests: int | None = NHANH_REQUESTS,
        seconds: float = NHANH_WINDOW_SECONDS,
        claim: Callable[[Callable[[Others], list[int]]], Awaitable[bool]] | None = None,
    ) -> None:
        """Limit nothing if `requests` is None, which is for your own servers.

        `claim` is `WindowLedger.claim` for this window; None: no other process calls.
        """
        self._window = SlidingWindow(requests, seconds) if requests is not None else None
        self._line = _Line()
        self._claim = claim
        self._claiming = asyncio.Lock()
        self._locked_until = float("-inf")

    @asynccontextmanager
    async def slot(self, caller: Hashable = None) -> AsyncIterator[float]:
        """Wait for a free place, hold it during the call, and give it back; yields the seconds waited.

        `caller` is whoever the call is made for.
        """
        loop = asyncio.get_running_loop()
        asked = loop.time()
        with self._line.place(self._window.held(asked, caller) if self._window is not None else 0) as called:
            await self._wait_for_turn(loop, caller, called)
            if self._window is not None:
                self._window.take(loop.time(), caller)
        try:
            yield loop.time() - asked
        finally:
            if self._window is not None:
                self._window.free(loop.time(), caller)
                self._line.call_first()

    def lock(self, seconds: float) -> None:
        """Let nobody call for `seconds` from now: the server has locked the account for this URL."""
        until = asyncio.get_running_loop().time() + seconds
        self._locked_until = max(self._locked_until, until)
        if self._window is not None:
            self._window.pace(self._locked_until)

    async def _wait_for_turn(self, loop: asyncio.AbstractEventLoop, caller: Hashable, called: asyncio.Event) -> None:
        """Return when it is this caller's turn and a place is free."""
        while True:
            ready_at: float | None = None
            now = loop.time()
            if self._line.is_first(called):
                ready_at = self._ready_at(now, caller)
                if ready_at is not None and ready_at <= now:
                    if not self._has_to_claim(now):
                        return
                    await self._claim_next(loop)
                    continue
            # Checked again afterwards: the account may have been locked in the meantime.
            await _called(called, None if ready_at is None else ready_at - now)

    def _ready_at(self, now: float, caller: Hashable) -> float | None:
        """When to call, or to claim; None if that depends on a call under way."""
        if self._window is None:
            return max(now, self._locked_until)
        free_at = self._window.earliest(now, caller)
        if self._claim is not None and self._window.look_at != float("inf"):
            free_at = min(free_at if free_at is not None else float("inf"), self._window.look_at)
        return None if free_at is None else max(free_at, self._locked_until)

    def _has_to_claim(self, now: float) -> bool:
        if self._window is None or self._claim is None:
            return False
        return not self._window.has_claim(now) or now >= self._window.look_at

    async def _claim_next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Claim what this process calls next, unless another caller has just done so."""
        window, claim = self._window, self._claim
        if window is None or claim is None:
            return
        async with self._claiming:
            if not self._has_to_claim(loop.time()):
                return
            window.disclaim()
            try:
                is_told = await claim(lambda others: window.claim(loop.time(), others))
            except BaseException:  # it was decided, but perhaps nobody was told
                window.disclaim()
                raise
            if not is_told:
                window.claim_unseen(loop.time())


@dataclass(frozen=True, slots=True)
class ThrottleStatus:
    """`extensions.cost` of a Shopify answer, as far as the bucket needs it; points, and points per second."""

    requested: float | None
    maximum_available: float
    currently_available: float
    restore_rate: float
    actual: float | None = None


class BucketLedger(Protocol):
    """Where processes tell each other how much of a bucket they use."""

    async def claim(self, account: str, rank: int, waited: float, decide: Callable[[OtherPoints], ToldPoints]) -> bool:
        """Let `decide` settle what this process claims, in view of what all others do, while nobody else claims.

        `rank` is that of the call that the points are for, `waited` the seconds for which it has waited. False: nobody
        can be told at the moment.
        """


ClaimPoints = Callable[[int, float, Callable[[OtherPoints], ToldPoints]], Awaitable[bool]]
"""`BucketLedger.claim` for one bucket."""


class Reservation:
    """Points set aside for one call; `report` what the answer says about the bucket."""

    def __init__(self, bucket: "CostBucket", operation: str, cost: float, waited: float) -> None:
        self.cost = cost
        self.waited = waited  # seconds
        self._bucket = bucket
        self._operation = operation
        self._reports_seen = bucket.reports

    def report(self, status: ThrottleStatus) -> None:
        """Learn from the answer to this call what the bucket holds and what the operation costs."""
        self._bucket.learn(self._operation, status, concurrent=self._bucket.reports != self._reports_seen)
        if status.actual is not None:
            self._bucket.give_back(self.cost - status.actual)


class CostBucket:
    """Follows the bucket that Shopify keeps for this app and shop, so that no call is sent that it would throttle.

    Shopify takes the requested cost when a call starts and gives back what it did not use when it ends. So does this:
    a call is sent once the points known to be there, less those set aside for calls under way, cover its cost. What an
    answer says is older than its arrival by the trip back, so the estimate errs on the low side, and the next answer
    corrects it: no restored point is lost while the bucket is not full.

    A call of a lower rank goes before all others, including those that have waited long for many points. It waits for
    its own points only, never for those that others are waiting for, since nothing is set aside until there is enough.

    Where others may draw on the same bucket, what is spent has been claimed before: see `daemon/sources/points.py`.
    """

    def __init__(self, claim: ClaimPoints | None = None) -> None:
        """`claim`: where other processes learn what this one spends; None: there are none."""
        self._claim = claim
        self._shared = SharedPoints()
        self.reports = 0
        self._known = self._maximum = SHOPIFY_MAX_QUERY_COST + SPARE_POINTS
        self._known_at: float | None = None
        self._rate = SHOPIFY_RESTORE_RATE
        self._set_aside = 0.0
        self._blocked_until = float("-inf")
        self._costs: dict[str, float] = {}  # per operation and page shape, as answers have reported
        self._line = _Line()

    @property
    def restore_rate(self) -> float:
        """Points that the bucket restores per second."""
        return self._rate

    @asynccontextmanager
    async def reserve(self, operation: str, estimate: float, *, rank: Rank = Rank.OTHER) -> AsyncIterator[Reservation]:
        """Wait until the bucket covers the operation's cost and set the points aside for the time of the call.

        `operation` names the query along with its page shape; `estimate` is its cost in points until it is learnt.
        Calls of a lower `rank` go before all others.
        """
        loop = asyncio.get_running_loop()
        asked = loop.time()
        cost = await self._take_points(loop, operation, estimate, rank)
        try:
            yield Reservation(self, operation, cost, waited=loop.time() - asked)
        finally:
            self._set_aside -= cost
            self._line.call_first()
        if self._claim is not None and self._line.is_empty and self._shared.is_too_much(loop.time(), self._rate):
            await self._tell(self._claim, rank, 0.0, self._shared.release)

    def learn(self, operation: str, status: ThrottleStatus, *, concurrent: bool) -> None:
        """Take over what an answer says. If another came in during the call, this may be older: believe the lower."""
        now = asyncio.get_running_loop().time()
        self._maximum, self._rate = status.maximum_available, max(status.restore_rate, 1.0)
        reported = status.currently_available
        self._known = min(reported, self._estimate(now)) if concurrent else reported
        self._known_at = now
        self.reports += 1
        if status.requested is not None:
            self._costs[operation] = status.requested
        self._line.call_first()

    def give_back(self, points: float) -> None:
        """A call has cost so many points less than were set aside for it."""
        self._shared.give_back(points, asyncio.get_running_loop().time())

    def block(self, seconds: float) -> None:
        """Let nobody call for `seconds` from now (HTTP 429 with Retry-After)."""
        self._blocked_until = max(self._blocked_until, asyncio.get_running_loop().time() + seconds)

    def _estimate(self, now: float) -> float:
        restored = 0.0 if self._known_at is None else (now - self._known_at) * self._rate
        return min(self._maximum, self._known + restored)

    async def _take_points(self, loop: asyncio.AbstractEventLoop, operation: str, estimate: float, rank: Rank) -> float:
        """Wait for the turn and for enough points, and set them aside; returns how many."""
        asked = loop.time()
        with self._line.place(rank) as called:
            while True:
                wait: float | None = None
                if self._line.is_first(called):
                    now, cost = loop.time(), self._cost(operation, estimate)
                    wait = self._seconds_until(cost, now)
                    if wait <= 0 and self._claim is not None and not self._shared.covers(cost, now):
                        await self._claim_points(self._claim, cost, rank, now - asked)
                        continue
                    if wait <= 0:
                        self._shared.take(cost)
                        self._set_aside += cost
                        return cost
                # A call that ends may give points back sooner than they are restored: then the first in line is called.
                await _called(called, wait)

    async def _claim_points(self, claim: ClaimPoints, cost: float, rank: Rank, waited: float) -> None:
        """Claim what a call costs. Only the first in line does so."""
        if not await self._tell(claim, rank, waited, partial(self._shared.claim, cost)):
            self._shared.claim_unseen(asyncio.get_running_loop().time(), cost)

    async def _tell(
        self,
        claim: ClaimPoints,
        rank: Rank,
        waited: float,
        decide: Callable[[float, OwnPoints, OtherPoints], ToldPoints],
    ) -> bool:
        """Decide in view of what is known now, and tell all; whether they could be told."""
        loop = asyncio.get_running_loop()

        def decide_now(others: OtherPoints) -> ToldPoints:
            now = loop.time()
            points = self._estimate(now) - SPARE_POINTS - self._set_aside
            own = OwnPoints(points, self._known_at, self._set_aside, self._maximum - SPARE_POINTS, self._rate)
            return decide(now, own, others)

        try:
            return await claim(rank, waited, decide_now)
        except BaseException:  # it was decided, but perhaps nobody was told
            self._shared.disclaim()
            raise

    def _cost(self, operation: str, estimate: float) -> float:
        """A cost beyond the bucket's size would never be covered: let the server decide about it."""
        return min(self._costs.get(operation, estimate), self._maximum - SPARE_POINTS)

    def _seconds_until(self, cost: float, now: float) -> float:
        lacking = cost + SPARE_POINTS - (self._estimate(now) - self._set_aside)
        look = 0.0 if self._claim is None or self._shared.covers(cost, now) else self._shared.look_at - now
        return max(self._blocked_until - now, lacking / self._rate, look)


class LimiterRegistry:
    """The limiters of all accounts of this process; give every client the same one."""

    def __init__(
        self,
        nhanh_requests: int | None = NHANH_REQUESTS,
        nhanh_window_seconds: float = NHANH_WINDOW_SECONDS,
        ledger: WindowLedger | None = None,
        bucket_ledger: BucketLedger | None = None,
    ) -> None:
        """`nhanh_requests` per window for each URL; None limits nothing, which is for servers of one's own.

        `ledger`, `bucket_ledger`: where other processes report what they use of the same windows and of the same
        buckets; None: there are none.
        """
        self._ledger = ledger
        self._bucket_ledger = bucket_ledger
        self._nhanh_requests = nhanh_requests
        self._nhanh_window_seconds = nhanh_window_seconds
        self._windows: dict[tuple[str, str], WindowLimiter] = {}
        self._buckets: dict[str, CostBucket] = {}

    def window(self, account: str, url: str) -> WindowLimiter:
        """The window of this account for this URL."""
        key = (account, url)
        if key not in self._windows:
            claim = partial(self._ledger.claim, account, url) if self._ledger is not None else None
            self._windows[key] = WindowLimiter(self._nhanh_requests, self._nhanh_window_seconds, claim)
        return self._windows[key]

    def bucket(self, account: str) -> CostBucket:
        """The bucket of this shop."""
        if account not in self._buckets:
            claim = partial(self._bucket_ledger.claim, account) if self._bucket_ledger is not None else None
            self._buckets[account] = CostBucket(claim)
        return self._buckets[account]
