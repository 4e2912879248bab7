"""An event loop whose clock jumps ahead instead of waiting, for what depends on nothing but time."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class InstantSelector(selectors.DefaultSelector):
    """Returns at once instead of waiting, and moves the virtual time by as much."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._instant = InstantSelector()
        super().__init__(self._instant)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._instant.now


def run_in_virtual_time(main: Callable[[], Awaitable[T]]) -> T:
    """What `main` returns, run on a loop whose clock begins at 0 and jumps to the next timer."""

    async def entry() -> T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(entry())
