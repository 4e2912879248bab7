"""One window of several processes: what one has used, or may have, the others leave alone."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.limits import NHANH_REQUESTS, WindowLimiter
from daemon.sources.window import CLAIMED_CALLS, Others
from tests.support.virtual_time import run_in_virtual_time

WINDOW = 30.0
QUICK = 0.02  # seconds of a call


class Ledger:
    """The claims of all processes, as the table holds them."""

    def __init__(self) -> None:
        self.is_away = False
        self.claims = 0
        self.asked = asyncio.Event()
        self._turn = asyncio.Lock()
        self._rows: dict[str, tuple[float, list[int]]] = {}

    async def claim(self, process: str, decide: Callable[[Others], list[int]]) -> bool:
        self.asked.set()
        async with self._turn:
            if self.is_away:
                return False
            await asyncio.sleep(0.001)
            now = asyncio.get_running_loop().time()
            others = [row for name, row in self._rows.items() if name != process]
            places = sum(as_of + seconds > now for as_of, held in others for seconds in held)
            held = decide(Others(places, sum(now - as_of < 10 for as_of, _ in others)))
            await asyncio.sleep(0.001)
            self._rows[process] = (asyncio.get_running_loop().time(), held)
            self.claims += 1
        return True


class Process:
    """A process that calls again and again until it is killed; `there` and `back` are the seconds of a call's ways."""

    def __init__(self, name: str, ledger: Ledger, arrivals: list[float], requests: int = NHANH_REQUESTS) -> None:
        self.limiter = WindowLimiter(requests, WINDOW, partial(ledger.claim, name))
        self.sent = 0
        self._arrivals = arrivals
        self._tasks: list[asyncio.Task[None]] = []

    async def call(self, there: float = QUICK / 2, back: float = QUICK / 2, caller: str = "pull") -> None:
        async with self.limiter.slot(caller):
            self.sent += 1
            self._arrivals.append(asyncio.get_running_loop().time() + there)
            await asyncio.sleep(there + back)

    def pull(self, delays: list[tuple[float, float]] | None = None) -> None:
        async def pull() -> None:
            while True:
                for there, back in delays or [(QUICK / 2, QUICK / 2)]:
                    await self.call(there, back)

        self._tasks.append(asyncio.create_task(pull()))

    def kill(self) -> None:
        """It is gone without a word, and its calls under way still arrive."""
        for task in self._tasks:
            task.cancel()


def most_in_any_window(arrivals: list[float]) -> int:
    ordered = sorted(arrivals)
    return max((i - bisect_left(ordered, at - WINDOW) + 1 for i, at in enumerate(ordered)), default=0)


ways = st.lists(st.tuples(st.floats(0.001, 3), st.floats(0, 3)), min_size=1, max_size=5)


@given(
    requests=st.integers(2, 40),
    lives=st.lists(st.tuples(st.floats(0, 60), st.floats(0.01, 70), st.integers(1, 3), ways), min_size=1, max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_no_window_ever_holds_more_than_allowed(
    requests: int, lives: list[tuple[float, float, int, list[tuple[float, float]]]]
) -> None:
    """However many processes call, and whenever each of them is killed: no more than allowed arrive in any 30 s."""

    async def main() -> list[float]:
        ledger, arrivals = Ledger(), list[float]()

        async def live(number: int, begins: float, lasts: float, jobs: int, delays: list[tuple[float, float]]) -> None:
            await asyncio.sleep(begins)
            process = Process(f"process-{number}", ledger, arrivals, requests)
            for _ in range(jobs):
                process.pull(delays)
            await asyncio.sleep(lasts)
            process.kill()

        async with asyncio.TaskGroup() as group:
            for number, (begins, lasts, jobs, delays) in enumerate(lives):
                group.create_task(live(number, begins, lasts, jobs, delays))
        return arrivals

    assert most_in_any_window(run_in_virtual_time(main)) <= requests


@pytest.mark.parametrize("killed_at", [0.1, 1.0, 2.5, 10.0, 33.0, 47.0])
@pytest.mark.parametrize("gap", [0.5, 20.0])
def test_what_a_killed_process_used_counts_for_the_next(killed_at: float, gap: float) -> None:
    """A pull goes on elsewhere at once with what is left of the window, and soon with all of it."""

    async def main() -> tuple[list[float], list[float]]:
        ledger, first, second = Ledger(), list[float](), list[float]()
        one = Process("one", ledger, first)
        one.pull()
        await asyncio.sleep(killed_at)
        one.kill()
        await asyncio.sleep(gap)
        other = Process("other", ledger, second)
        other.pull()
        await asyncio.sleep(120)
        other.kill()
        return first, second

    first, second = run_in_virtual_time(main)
    assert most_in_any_window(first + second) <= NHANH_REQUESTS
    used = sum(at > killed_at + gap - WINDOW for at in first)
    # Four windows, less what the first has used of them and what it may have used, which is two claims at most.
    assert len(second) >= 4 * NHANH_REQUESTS - used - 2 * CLAIMED_CALLS


def test_a_process_alone_uses_all_of_it_and_asks_seldom() -> None:
    """To tell others costs neither calls nor a question for each of them."""

    async def main() -> tuple[Process, Ledger, list[float]]:
        ledger, arrivals = Ledger(), list[float]()
        process = Process("one", ledger, arrivals)
        process.pull()
        await asyncio.sleep(300)
        process.kill()
        return process, ledger, arrivals

    process, ledger, arrivals = run_in_virtual_time(main)
    assert process.sent >= 0.98 * NHANH_REQUESTS * 10
    assert ledger.claims < process.sent / 4
    assert most_in_any_window(arrivals) <= NHANH_REQUESTS


def test_a_process_that_comes_second_gets_its_share() -> None:
    """Two that pull at the same time come to the same number of calls, and to all of the window when one ends."""

    async def main() -> tuple[int, int, int]:
        ledger, arrivals = Ledger(), list[float]()
        one, other = Process("one", ledger, arrivals), Process("other", ledger, arrivals)
        one.pull()
        await asyncio.sleep(45)
        other.pull()
        await asyncio.sleep(60)
        before = one.sent, other.sent
        await asyncio.sleep(90)
        together = one.sent - before[0], other.sent - before[1]
        one.kill()
        await asyncio.sleep(60)
        alone = other.sent
        await asyncio.sleep(60)
        other.kill()
        assert most_in_any_window(arrivals) <= NHANH_REQUESTS
        return (*together, other.sent - alone)

    one, other, alone = run_in_virtual_time(main)
    assert one == pytest.approx(other, rel=0.15)
    assert one + other >= 0.9 * NHANH_REQUESTS * 3
    assert alone >= 0.97 * NHANH_REQUESTS * 2


def test_calls_go_on_while_nobody_can_be_told() -> None:
    """Without the database the window is kept all the same, as far as this process knows."""

    async def main() -> tuple[int, list[float]]:
        ledger, arrivals = Ledger(), list[float]()
        process = Process("one", ledger, arrivals)
        ledger.is_away = True
        process.pull()
        await asyncio.sleep(60)
        process.kill()
        return process.sent, arrivals

    sent, arrivals = run_in_virtual_time(main)
    assert sent >= 2 * NHANH_REQUESTS
    assert most_in_any_window(arrivals) <= NHANH_REQUESTS


def test_a_claim_that_is_cut_off_is_no_claim() -> None:
    """What was decided and perhaps not told is not called upon."""

    async def main() -> int:
        ledger, arrivals = Ledger(), list[float]()
        process = Process("one", ledger, arrivals)
        calling = asyncio.create_task(process.call())
        await ledger.asked.wait()
        await asyncio.sleep(0.0015)  # between the decision and its commit
        calling.cancel()
        await asyncio.wait({calling})
        assert process.sent == ledger.claims == 0
        await process.call()
        return ledger.claims

    assert run_in_virtual_time(main) == 1
