"""Urgent calls under Shopify's limits: before all others, at no cost to anybody's safety."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.limits import CostBucket, ThrottleStatus
from daemon.sources.meter import Rank
from tests.support.virtual_time import run_in_virtual_time

RATE = 100.0
SIZE = 2000.0


@dataclass(frozen=True)
class Caller:
    """Somebody who calls once."""

    at: float  # seconds
    cost: float  # points
    urgent: bool
    holds: float  # seconds that the call takes
    gives_up: float | None  # seconds after `at`


class Desk:
    """A bucket, and who was served when."""

    def __init__(self, points: float) -> None:
        self.bucket = CostBucket()
        self.served: list[tuple[float, int]] = []
        self.bucket.learn("first", ThrottleStatus(None, SIZE, points, RATE), concurrent=False)

    @property
    def order(self) -> list[int]:
        """The names of the callers, as they were served."""
        return [name for _, name in self.served]

    @asynccontextmanager
    async def call(self, name: int, cost: float, *, urgent: bool = False) -> AsyncIterator[None]:
        """A call under way."""
        async with self.bucket.reserve(f"{name}", cost, rank=Rank.SALE if urgent else Rank.OTHER):
            self.served.append((asyncio.get_running_loop().time(), name))
            yield

    async def spend(self, name: int, cost: float, *, urgent: bool = False) -> None:
        """A call that uses all that it was charged, and is answered at once."""
        async with self.bucket.reserve(f"{name}", cost, rank=Rank.SALE if urgent else Rank.OTHER) as reservation:
            now = asyncio.get_running_loop().time()
            self.served.append((now, name))
            known = self.points
            reservation.report(ThrottleStatus(cost, SIZE, known - cost, RATE))

    @property
    def points(self) -> float:
        """What the bucket is thought to hold."""
        return self.bucket._estimate(asyncio.get_running_loop().time())


async def settle() -> None:
    """Let all that can go on at this moment do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_urgent_go_first() -> None:
    """Of all that wait, the urgent are served first; in both groups whoever came first."""

    async def main() -> list[int]:
        desk = Desk(points=0)
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(desk.spend(number, 50, urgent=number % 2 == 1))
        return desk.order

    assert run_in_virtual_time(main) == [1, 3, 5, 0, 2, 4]


def test_one_who_waits_for_many_points_steps_back() -> None:
    """An urgent call takes its few points at once, though another has waited long for many."""

    async def main() -> list[tuple[float, int]]:
        desk = Desk(points=100)
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.spend(1, 800))
            await asyncio.sleep(3)
            group.create_task(desk.spend(2, 10, urgent=True))
        return desk.served

    served = run_in_virtual_time(main)
    assert served == [(pytest.approx(3), 2), (pytest.approx(7.11, abs=0.02), 1)]


def test_one_whose_points_are_nearly_there_steps_back_too() -> None:
    """An urgent call that is still short of points keeps its place at the front while others could be covered."""

    async def main() -> list[int]:
        desk = Desk(points=0)
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.spend(1, 100))
            await asyncio.sleep(0.9)
            group.create_task(desk.spend(2, 500, urgent=True))
            await asyncio.sleep(1)
            assert desk.order == []
        return desk.order

    assert run_in_virtual_time(main) == [2, 1]


def test_what_somebody_waits_for_goes_between_sales_and_all_else() -> None:
    """A few items overtake customers, who are told of by the hundred; both overtake a pull or a sync of everything."""

    async def main() -> list[Rank]:
        bucket, served = Desk(points=0).bucket, list[Rank]()

        async def spend(rank: Rank) -> None:
            async with bucket.reserve(rank.name, 50, rank=rank):
                served.append(rank)

        async with asyncio.TaskGroup() as group:
            for rank in (Rank.OTHER, Rank.CUSTOMERS, Rank.ITEMS, Rank.SALE):
                group.create_task(spend(rank))
        return served

    assert run_in_virtual_time(main) == [Rank.SALE, Rank.ITEMS, Rank.CUSTOMERS, Rank.OTHER]


def test_the_urgent_are_not_starved() -> None:
    """However many others always want more, an urgent call waits no longer than its own points take to be restored."""

    async def main() -> list[float]:
        desk, waits = Desk(points=0), []
        loop = asyncio.get_running_loop()

        async def pull(name: int) -> None:
            while True:
                await desk.spend(name, 700)

        async def sale() -> None:
            for number in range(200):
                asked = loop.time()
                await desk.spend(100 + number, 10, urgent=True)
                waits.append(loop.time() - asked)
                await asyncio.sleep(0.5)

        async with asyncio.TaskGroup() as group:
            pulls = [group.create_task(pull(number)) for number in range(4)]
            await sale()
            for task in pulls:
                task.cancel()
        return waits

    assert max(run_in_virtual_time(main)) <= 11 / RATE + 0.01


def test_the_rest_is_left_to_the_others() -> None:
    """What the urgent do not use, others do: no restored point is lost."""

    async def main() -> float:
        desk = Desk(points=0)

        async def pull() -> None:
            while True:
                await desk.spend(1, 400)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(pull())
            for _ in range(100):
                await desk.spend(2, 10, urgent=True)
                await asyncio.sleep(0.4)
            task.cancel()
        return desk.order.count(1) * 400 + desk.order.count(2) * 10

    used = run_in_virtual_time(main)
    assert used >= 0.85 * 40 * RATE  # what lacks is what the last call waits for


def test_an_urgent_one_who_gives_up_lets_the_others_go_on() -> None:
    """Cancelling an urgent caller who waits calls the one who had stepped back."""

    async def main() -> list[tuple[float, int]]:
        desk = Desk(points=0)
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.spend(1, 100))
            urgent = group.create_task(desk.spend(2, 900, urgent=True))
            await asyncio.sleep(5)
            urgent.cancel()
        return desk.served

    assert run_in_virtual_time(main) == [(pytest.approx(5), 1)]


def test_one_who_gives_up_when_called_passes_the_call_on() -> None:
    """Points come back and the first is called; cancelled in that very moment, it does not take the call with it."""

    async def main() -> list[int]:
        desk = Desk(points=101)
        async with asyncio.TaskGroup() as group:
            async with desk.call(0, 100):
                first = group.create_task(desk.spend(1, 60))
                group.create_task(desk.spend(2, 60))
                await settle()
            first.cancel()  # called by the end of the call, but not yet awake
            await settle()
            return desk.order

    assert run_in_virtual_time(main) == [0, 2]


def test_points_that_come_back_are_used_at_once() -> None:
    """Whoever is first goes on as soon as a call ends or an answer tells of more points, before time restores them."""

    async def main() -> list[tuple[float, int]]:
        desk = Desk(points=100)
        async with asyncio.TaskGroup() as group:
            async with desk.call(0, 90):
                group.create_task(desk.spend(1, 60))
                await asyncio.sleep(0.25)  # the waiting one would go on at 0.51 s by itself
            await settle()
            group.create_task(desk.spend(2, 900, urgent=True))
            await asyncio.sleep(1)
            desk.bucket.learn("other", ThrottleStatus(None, SIZE, 1500, RATE), concurrent=False)
        return desk.served

    assert run_in_virtual_time(main) == [(0, 0), (pytest.approx(0.25), 1), (pytest.approx(1.25), 2)]


def test_a_blocked_bucket_holds_back_the_urgent_too() -> None:
    """Retry-After holds for every call; afterwards the urgent is first."""

    async def main() -> list[tuple[float, int]]:
        desk = Desk(points=SIZE)
        desk.bucket.block(7)
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.spend(1, 10))
            group.create_task(desk.spend(2, 10, urgent=True))
        return desk.served

    assert run_in_virtual_time(main) == [(pytest.approx(7), 2), (pytest.approx(7, abs=0.01), 1)]


callers_strategy = st.lists(
    st.builds(
        Caller,
        at=st.sampled_from([0.0, 0.0, 0.5, 1.0, 1.0, 2.5, 4.0]),
        cost=st.sampled_from([1.0, 10.0, 90.0, 400.0, 900.0]),
        urgent=st.booleans(),
        holds=st.sampled_from([0.0, 0.05, 1.0, 3.0]),
        gives_up=st.sampled_from([None, None, None, 0.0, 0.25, 1.0, 3.0]),
    ),
    min_size=1,
    max_size=12,
)


@given(callers=callers_strategy, points=st.sampled_from([0.0, 100.0, 950.0, SIZE]))
@settings(max_examples=150, deadline=None)
def test_whoever_comes_and_goes(callers: list[Caller], points: float) -> None:
    """In any history nobody overtakes one who is before them, no more is set aside than there is, and all get through.

    Whoever gives up, waiting or under way, leaves nothing behind.
    """

    async def main() -> None:
        desk = Desk(points)
        arrivals = itertools.count()
        waiting: dict[int, Caller] = {}
        completed = 0

        def is_before(other: int, me: int, caller: Caller) -> bool:
            urgent = waiting[other].urgent
            return urgent > caller.urgent or (urgent == caller.urgent and other < me)

        async def visit(caller: Caller) -> None:
            nonlocal completed
            await asyncio.sleep(caller.at)
            me = next(arrivals)
            waiting[me] = caller
            try:
                async with (
                    asyncio.timeout(caller.gives_up),
                    desk.bucket.reserve(
                        f"{me}", caller.cost, rank=Rank.SALE if caller.urgent else Rank.OTHER
                    ) as reservation,
                ):
                    del waiting[me]
                    assert not [other for other in waiting if is_before(other, me, caller)]
                    assert desk.bucket._set_aside <= desk.points
                    assert reservation.cost == caller.cost
                    await asyncio.sleep(caller.holds)
                    completed += 1
            except TimeoutError:
                waiting.pop(me, None)

        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(visit(caller))
        assert completed >= sum(caller.gives_up is None for caller in callers)
        assert desk.bucket._set_aside == 0
        async with asyncio.timeout(1), desk.bucket.reserve("last", 0):
            pass

    run_in_virtual_time(main)
