"""Several processes on one bucket of Shopify's: nothing is throttled, all of it is used, and nobody starves."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.limits import ClaimPoints, CostBucket
from daemon.sources.meter import Rank
from daemon.sources.points import OtherPoints, ToldPoints
from tests.support.points import Shop, pull
from tests.support.virtual_time import run_in_virtual_time

CALLING_SECONDS, WAITING_SECONDS = 10.0, 3.0  # as `daemon/mirror` has them
ANSWER_SECONDS = 0.01  # of the database
SECONDS = 240.0


class Ledger:
    """What `daemon/mirror/buckets.py` does, in memory."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[float, ToldPoints, int, float]] = {}  # at, what, rank, waiting since
        self._last: tuple[float, int, float] | None = None  # at, process, free
        self._lock = asyncio.Lock()
        self.is_away = False

    def of(self, process: int) -> ClaimPoints:
        """The way in for one process."""
        return partial(self._claim, process)

    async def _claim(self, process: int, rank: int, waited: float, decide: Callable[[OtherPoints], ToldPoints]) -> bool:
        async with self._lock:
            await asyncio.sleep(ANSWER_SECONDS)
            if self.is_away:
                return False
            now = asyncio.get_running_loop().time()
            others = {
                number: row
                for number, row in self._told.items()
                if number != process and now - row[0] < CALLING_SECONDS
            }
            told = decide(
                OtherPoints(
                    free=None if self._last is None else self._last[2],
                    age=0.0 if self._last is None else now - self._last[0],
                    is_ours=self._last is not None and self._last[1] == process,
                    held=sum(row[1].held for row in others.values()),
                    ahead=sum(
                        row[1].wanted
                        for row in others.values()
                        if now - row[0] < WAITING_SECONDS and row[2:] < (rank, now - waited)
                    ),
                    processes=len(others),
                )
            )
            self._told[process] = now, told, rank, now - waited
            self._last = now, process, told.free
            await asyncio.sleep(ANSWER_SECONDS)
            return True


def draw(shop: Shop, costs: list[list[tuple[float, float]]], way: float = 0.1, rest: float = 0.0) -> list[float]:
    """Let processes draw on a shop's bucket, each with these costs and from `rest` seconds after the one before; what
    each has used."""

    async def main() -> list[float]:
        ledger = Ledger()

        async def one(number: int, own: list[tuple[float, float]]) -> float:
            await asyncio.sleep(number * rest)
            return await pull(CostBucket(ledger.of(number)), shop, own, way, SECONDS)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number, own)) for number, own in enumerate(costs)]
        return [task.result() for task in tasks]

    return run_in_virtual_time(main)


COSTS = [[(700.0, 180.0)], [(900.0, 900.0)], [(55.0, 55.0), (400.0, 90.0)], [(10.0, 10.0)]]


@pytest.mark.parametrize("costs", COSTS)
def test_one_that_is_alone_uses_all(costs: list[tuple[float, float]]) -> None:
    """That others could come costs next to nothing."""
    shop = Shop()
    draw(shop, [costs])
    assert shop.throttled == 0
    assert shop.used >= min(0.94 * SECONDS * shop.rate, 0.94 * most_by_calls(costs))


def most_by_calls(costs: list[tuple[float, float]]) -> float:
    """What one call after the other can use at most, each of which takes its time."""
    return SECONDS / 0.25 * sum(actual for _, actual in costs) / len(costs)


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("rest", [0.0, 7.0])
@pytest.mark.parametrize("costs", COSTS[:3])
def test_several_use_all_and_each_gets_its_share(number: int, rest: float, costs: list[tuple[float, float]]) -> None:
    """Nothing is throttled, nine tenths of what is restored is used, and nobody gets half as much as another."""
    shop = Shop()
    used = draw(shop, [costs] * number, rest=rest)
    assert shop.throttled == 0
    assert shop.used >= 0.9 * SECONDS * shop.rate
    if rest == 0.0:
        assert min(used) >= 0.5 * max(used)


def test_large_calls_do_not_starve_beside_small_ones() -> None:
    """A process whose calls cost nearly all that the bucket holds gets its turn among others with small ones."""
    shop = Shop()
    used = draw(shop, [[(950.0, 950.0)], [(10.0, 10.0)], [(10.0, 10.0)]])
    assert shop.throttled == 0
    assert used[0] >= 0.2 * sum(used)


process_costs = st.lists(
    st.floats(1, 1000).flatmap(lambda requested: st.tuples(st.just(requested), st.floats(0, requested))),
    min_size=1,
    max_size=4,
)


@given(
    costs=st.lists(process_costs, min_size=2, max_size=4),
    way=st.sampled_from([0.0, 0.02, 0.5]),
    rest=st.sampled_from([0.0, 3.0, 13.0]),
    rate=st.sampled_from([100.0, 200.0, 2000.0]),
)
@settings(max_examples=60, deadline=None)
def test_nothing_is_throttled_whatever_they_ask_for(
    costs: list[list[tuple[float, float]]], way: float, rest: float, rate: float
) -> None:
    """No mix of operations, processes and delays leads to THROTTLED."""
    shop = Shop(rate, rate * 20)
    draw(shop, costs, way, rest)
    assert shop.throttled == 0


def test_a_sale_does_not_wait_behind_the_pulls_of_other_processes() -> None:
    """A call of a lower rank gets its points before all others that wait, wherever they are."""

    async def main() -> list[float]:
        ledger, shop, waits = Ledger(), Shop(), list[float]()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(pull(CostBucket(ledger.of(number)), shop, [(900.0, 900.0)], 0.1, 120.0))
            bucket = CostBucket(ledger.of(9))
            await asyncio.sleep(60)
            for _ in range(5):
                asked = loop.time()
                async with bucket.reserve("price", 10, rank=Rank.SALE) as reservation:
                    waits.append(loop.time() - asked)
                    reservation.report(await shop.call(10, 10, 0.1, 0.1))
        assert shop.throttled == 0
        return waits

    assert max(run_in_virtual_time(main)) <= 2.0


def test_what_a_process_that_dies_held_is_not_lost_for_long() -> None:
    """The others go on at once, and the one that is left uses all that is restored."""

    async def main() -> float:
        ledger, shop = Ledger(), Shop()
        killed = [
            asyncio.create_task(pull(CostBucket(ledger.of(number)), shop, [(300.0, 300.0)], 0.1, SECONDS))
            for number in range(2)
        ]
        left = asyncio.create_task(pull(CostBucket(ledger.of(2)), shop, [(300.0, 300.0)], 0.1, SECONDS))
        await asyncio.sleep(60)
        for task in killed:
            task.cancel()
        await asyncio.wait(killed)
        used = shop.used
        await left
        assert shop.throttled == 0
        return shop.used - used

    assert run_in_virtual_time(main) >= 0.9 * (SECONDS - 60) * 100


def test_what_a_call_has_not_cost_is_for_others_at_once() -> None:
    """An operation of which the cost is not known yet claims as much as one may cost, but does not keep it."""

    async def main() -> float:
        ledger, shop = Ledger(), Shop(maximum=1000.0)
        loop = asyncio.get_running_loop()
        for number in range(4):
            asked = loop.time()
            async with CostBucket(ledger.of(number)).reserve("unknown", 1000) as reservation:
                waited = loop.time() - asked
                reservation.report(await shop.call(10, 10, 0.1, 0.1))
        assert shop.throttled == 0
        return waited

    assert run_in_virtual_time(main) <= 1.0


def test_without_the_database_calls_go_on() -> None:
    """A database that is away holds up no call; what the shop answers is gone by alone."""

    async def main() -> float:
        ledger, shop = Ledger(), Shop()
        ledger.is_away = True
        await pull(CostBucket(ledger.of(0)), shop, [(300.0, 300.0)], 0.1, SECONDS)
        assert shop.throttled == 0
        return shop.used

    assert run_in_virtual_time(main) >= 0.9 * SECONDS * 100
