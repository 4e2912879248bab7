"""The rate limits of both sources: never more than allowed, and all of it used."""

import asyncio
import heapq
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.limits import CostBucket, ThrottleStatus, WindowLimiter
from daemon.sources.window import SlidingWindow
from tests.support.points import Shop, pull
from tests.support.virtual_time import run_in_virtual_time

WINDOW = 30.0


def most_in_any_window(arrivals: list[float], length: float = WINDOW) -> int:
    ordered = sorted(arrivals)
    return max((i - bisect_left(ordered, at - length) + 1 for i, at in enumerate(ordered)), default=0)


def simulate(
    window: SlidingWindow, calls: list[tuple[float, float, float]], until: float = float("inf")
) -> tuple[list[float], list[float]]:
    """Make calls one after another as soon as the window allows; each is (pause before, way there, way back)."""
    now, sent, arrivals = 0.0, [], []
    under_way: list[float] = []
    for pause, there, back in calls:
        now += pause
        while True:
            while under_way and under_way[0] <= now:
                window.free(heapq.heappop(under_way))
            at = window.earliest(now)
            if at is not None and at <= now:
                break
            now = min(moment for moment in (at, *under_way[:1]) if moment is not None)
        if now > until:
            break
        window.take(now)
        sent.append(now)
        arrivals.append(now + there)
        heapq.heappush(under_way, now + there + back)
    return sent, arrivals


delays = st.floats(0, 3, allow_nan=False)


@given(
    requests=st.integers(2, 40),
    calls=st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 7.0, 29.9, 31.0]), delays, delays), max_size=120),
)
@settings(max_examples=200, deadline=None)
def test_no_window_ever_holds_more_than_allowed(requests: int, calls: list[tuple[float, float, float]]) -> None:
    """Whatever the network does to single calls, no more than the allowed number arrive in any 30 s."""
    _, arrivals = simulate(SlidingWindow(requests, WINDOW), calls)
    assert len(arrivals) == len(calls)
    assert most_in_any_window(arrivals) <= requests


@pytest.mark.parametrize("latency", [0.001, 0.05, 0.15])
def test_all_allowed_requests_are_used(latency: float) -> None:
    """A caller that always wants more gets at least 98 % of 150 requests in every 30 s, over ten minutes."""
    calls = [(latency, latency / 2, latency / 2)] * 10_000
    sent, _ = simulate(SlidingWindow(150, WINDOW), calls, until=600)
    assert len(sent) >= 0.98 * 150 * 600 / WINDOW
    per_window = [sum(start <= at < start + WINDOW for at in sent) for start in range(0, 600, 30)]
    assert min(per_window) >= 0.97 * 150


def test_a_pull_that_fits_does_not_wait() -> None:
    """All places but a few are given out without a pause."""
    sent, _ = simulate(SlidingWindow(150, WINDOW), [(0, 0.01, 0.01)] * 141)
    assert sent[-1] == 0


def test_a_pull_that_fits_does_not_wait_after_another_one() -> None:
    """What is unused of the window is given out at once, however much of it is used."""
    sent, _ = simulate(SlidingWindow(150, WINDOW), [(0, 0.01, 0.01)] * 60 + [(20, 0.01, 0.01)] + [(0, 0.01, 0.01)] * 79)
    assert sent[-1] == pytest.approx(20)


def test_the_last_few_places_are_spread() -> None:
    """What is kept back is given out evenly until the first place is free again, so that no gap is left at the end."""
    sent, _ = simulate(SlidingWindow(150, WINDOW), [(0, 0.01, 0.01)] * 151)
    gaps = [after - before for before, after in pairwise(sent[140:])]
    assert len(gaps) == 10
    assert min(gaps) == pytest.approx(max(gaps), rel=0.02) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("latency", [0.01, 0.02, 0.15])
def test_a_long_pull_never_stands_still_for_long(latency: float) -> None:
    """However long a pull is, some page comes every few seconds."""
    sent, _ = simulate(SlidingWindow(150, WINDOW), [(latency, latency / 2, latency / 2)] * 3000)
    assert max(after - before for before, after in pairwise(sent)) < 3


@pytest.mark.parametrize("asked_at", [1.0, 5.0, 29.0, 31.0, 45.0, 100.0])
def test_whoever_else_calls_gets_a_place_within_seconds(asked_at: float) -> None:
    """Next to a long pull, a second caller is given each of its calls within seconds, and the pull goes on."""

    async def main() -> tuple[list[float], int]:
        limiter, waits, pulled = WindowLimiter(), [], 0

        async def pull() -> None:
            nonlocal pulled
            while True:
                async with limiter.slot("pull"):
                    pulled += 1
                    await asyncio.sleep(0.02)

        pulling = asyncio.create_task(pull())
        await asyncio.sleep(asked_at)
        for _ in range(5):
            async with limiter.slot("check") as waited:
                waits.append(waited)
                await asyncio.sleep(0.02)
        before = pulled
        await asyncio.sleep(40)
        pulling.cancel()
        return waits, pulled - before

    waits, pulled = run_in_virtual_time(main)
    assert max(waits) < 3.2
    assert pulled > 150


def test_a_first_call_does_not_wait_for_what_is_kept_back() -> None:
    """While the kept-back places last, one who has called for none of the window's places gets one at once."""

    async def main() -> float:
        limiter = WindowLimiter()
        for _ in range(141):
            async with limiter.slot("pull"):
                pass
        queueing = [asyncio.create_task(_once(limiter, "pull")) for _ in range(20)]
        await asyncio.sleep(1)
        waited = await _once(limiter, "check")
        for task in queueing:
            task.cancel()
        return waited

    assert run_in_virtual_time(main) == 0


async def _once(limiter: WindowLimiter, caller: str) -> float:
    async with limiter.slot(caller) as waited:
        return waited


def test_waiters_are_served_in_order() -> None:
    """Whoever asked first gets the next free place."""

    async def main() -> list[int]:
        limiter, served = WindowLimiter(3, WINDOW), []

        async def caller(number: int) -> None:
            async with limiter.slot():
                served.append(number)
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(caller(number))
        return served

    assert run_in_virtual_time(main) == list(range(12))


def test_a_cancelled_waiter_takes_no_place() -> None:
    """Cancelling one that waits leaves its turn to the next and loses no place."""

    async def main() -> tuple[list[str], float]:
        limiter, served = WindowLimiter(1, WINDOW), []
        loop = asyncio.get_running_loop()

        async def caller(name: str) -> None:
            async with limiter.slot():
                served.append(name)

        await caller("first")
        waiting = loop.create_task(caller("cancelled"))
        behind = loop.create_task(caller("behind"))
        await asyncio.sleep(1)
        waiting.cancel()
        await behind
        return served, loop.time()

    served, took = run_in_virtual_time(main)
    assert served == ["first", "behind"]
    assert took == pytest.approx(30.05, abs=0.2)


def test_a_call_cancelled_under_way_gives_its_place_back() -> None:
    """A place is not lost when the call that holds it is cancelled."""

    async def main() -> float:
        limiter = WindowLimiter(1, WINDOW)
        loop = asyncio.get_running_loop()

        async def endless() -> None:
            async with limiter.slot():
                await asyncio.Event().wait()

        task = loop.create_task(endless())
        await asyncio.sleep(5)
        task.cancel()
        async with limiter.slot() as waited:
            return waited

    assert run_in_virtual_time(main) == pytest.approx(30.05, abs=0.1)


def test_a_lock_holds_everybody_until_its_end() -> None:
    """While the account is locked nobody calls, those who wait already included; afterwards all go on."""

    async def main() -> list[float]:
        limiter = WindowLimiter(10, WINDOW)
        loop = asyncio.get_running_loop()
        at: list[float] = []

        async def caller() -> None:
            async with limiter.slot():
                at.append(loop.time())

        async with asyncio.TaskGroup() as group:
            async with limiter.slot():
                limiter.lock(12)
            for _ in range(3):
                group.create_task(caller())
            await asyncio.sleep(6)
            limiter.lock(20)  # the server has made it longer
        return at

    assert min(run_in_virtual_time(main)) >= 26


def test_without_a_limit_nothing_waits() -> None:
    """A server of one's own may be called without end."""

    async def main() -> float:
        limiter = WindowLimiter(None)
        for _ in range(1000):
            async with limiter.slot():
                pass
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == 0


@pytest.mark.parametrize("jobs", [1, 2, 4])
@pytest.mark.parametrize("way", [0.005, 0.1])
@pytest.mark.parametrize("costs", [[(700.0, 180.0)], [(900.0, 900.0)], [(55.0, 55.0), (400.0, 90.0)]])
def test_all_restored_points_are_used_without_throttling(
    jobs: int, way: float, costs: list[tuple[float, float]]
) -> None:
    """Jobs that always want more use at least 95 % of the points restored in four minutes, and none is throttled."""

    async def main() -> Shop:
        bucket, shop = CostBucket(), Shop()
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(pull(bucket, shop, costs, way, until=240))
        return shop

    shop = run_in_virtual_time(main)
    assert shop.throttled == 0
    assert shop.used >= 0.95 * 240 * shop.rate


@given(
    costs=st.lists(
        st.floats(1, 1000).flatmap(lambda requested: st.tuples(st.just(requested), st.floats(0, requested))),
        min_size=1,
        max_size=6,
    ),
    jobs=st.integers(1, 5),
    way=st.sampled_from([0.0, 0.02, 0.5]),
    rate=st.sampled_from([100.0, 200.0, 2000.0]),
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_throttled_whatever_the_costs(
    costs: list[tuple[float, float]], jobs: int, way: float, rate: float
) -> None:
    """With a bucket of one's own, no mix of operations, jobs and delays leads to THROTTLED."""

    async def main() -> Shop:
        bucket, shop = CostBucket(), Shop(rate, rate * 20)
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(pull(bucket, shop, costs, way, until=10))
        return shop

    assert run_in_virtual_time(main).throttled == 0


def test_a_bucket_emptied_by_others_is_waited_for() -> None:
    """After THROTTLED the next call waits until the points that it needs have been restored."""

    async def main() -> tuple[float, int]:
        bucket, shop = CostBucket(), Shop(available=100)
        async with bucket.reserve("pull", 500) as reservation:
            reservation.report(await shop.call(500, 400, 0.01, 0.01))
        async with bucket.reserve("pull", 500) as reservation:
            reservation.report(await shop.call(500, 400, 0.01, 0.01))
            return reservation.waited, shop.throttled

    waited, throttled = run_in_virtual_time(main)
    assert throttled == 1
    assert waited == pytest.approx(4, abs=0.3)


def test_a_blocked_bucket_lets_nobody_through() -> None:
    """Retry-After holds back every job of the shop."""

    async def main() -> float:
        bucket = CostBucket()
        bucket.block(7)
        async with bucket.reserve("pull", 1) as reservation:
            return reservation.waited

    assert run_in_virtual_time(main) == pytest.approx(7, abs=0.01)


def test_a_cost_beyond_the_bucket_is_not_waited_for_without_end() -> None:
    """A query dearer than the whole bucket is sent as soon as the bucket is full: the server decides about it."""

    async def main() -> float:
        bucket = CostBucket()
        async with bucket.reserve("small", 1) as reservation:
            reservation.report(ThrottleStatus(1, 500, 400, 100))
        async with bucket.reserve("large", 900) as reservation:
            return reservation.waited

    assert run_in_virtual_time(main) == pytest.approx(1, abs=0.01)
