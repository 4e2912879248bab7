"""A part starts once, ends when it is asked to, and says how it is."""

import asyncio
from contextlib import suppress

import pytest

from daemon.lifecycle import Part


class Patient(Part):
    """Works until it is stopped, and needs a while to end."""

    name = "patient"

    def __init__(self) -> None:
        self.working = asyncio.Event()
        self.ending = asyncio.Event()
        self.may_end = asyncio.Event()
        self.has_ended = False

    async def _run(self) -> None:
        try:
            self.working.set()
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            await self.may_end.wait()
            self.has_ended = True


class Broken(Part):
    """Crashes at once."""

    name = "broken"

    async def _run(self) -> None:
        raise RuntimeError("out of order")


class Punctual(Part):
    """Waits again and again, each time until a deadline."""

    name = "punctual"
    deadline: asyncio.Timeout

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self.deadline:
                    await asyncio.Event().wait()


async def test_a_deadline_at_the_same_moment_does_not_swallow_the_request_to_end() -> None:
    """Both cancel the task: what the deadline takes back is its own."""
    loop, part = asyncio.get_running_loop(), Punctual()
    part.start()
    await asyncio.sleep(0)
    part.deadline.reschedule(loop.time())
    loop.call_soon(part.stop)  # the task has been cancelled by its deadline then, and does not know it yet
    async with asyncio.timeout(5):
        await part.wait()
    assert not part.is_running


async def test_it_runs_from_start_until_it_has_ended() -> None:
    """Before, and once it has ended, its health says so."""
    part = Patient()
    part.may_end.set()
    assert not part.is_running
    assert not part.health.is_ok
    async with part:
        await part.working.wait()
        assert part.is_running
        assert part.health.is_ok
    assert not part.is_running
    assert part.has_ended


async def test_it_cannot_be_started_twice() -> None:
    """Two of it would do everything twice."""
    part = Patient()
    part.may_end.set()
    async with part:
        with pytest.raises(RuntimeError, match="started already"):
            part.start()


async def test_stopping_it_twice_does_not_cut_off_its_end() -> None:
    """What it does at its end is done, however often it is asked to end."""
    part = Patient()
    part.start()
    await part.working.wait()
    part.stop()
    await part.ending.wait()
    part.stop()
    part.may_end.set()
    await part.wait()
    assert part.has_ended


async def test_one_that_was_not_started_can_be_stopped() -> None:
    """Whoever stops all of a list need not know how far its start came."""
    part = Patient()
    part.stop()
    await part.wait()
    assert not part.has_ended


async def test_a_crash_reaches_whoever_waits() -> None:
    """Nobody has to look for it."""
    part = Broken()
    part.start()
    with pytest.raises(RuntimeError, match="out of order"):
        await part.wait()
    assert not part.health.is_ok
