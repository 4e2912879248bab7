"""A daemon within the test's own process that can be cut off at any moment, as by `kill -9`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from daemon.bootstrap import Daemon
from daemon.database.pool import open_database
from daemon.sandbox.server import Sandbox
from tests.support.shop_memory import product_sync
from tests.support.workshop import running_parts

T = TypeVar("T")

STOP_ATTEMPTS = 20  # a second apart


class MachineDied(Exception):
    """The daemon was cut off while something was asked of it."""


class Machine:
    """A daemon's parts that can be cut off at any moment, as by `kill -9`, and started again."""

    def __init__(self, database_url: str, sandbox: Sandbox, settings: dict[str, object]) -> None:
        self._database_url = database_url
        self._sandbox = sandbox
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._cut_off: Callable[[], None] = lambda: None
        self.parts: Daemon
        self.died = asyncio.Event()
        self.deaths = 0

    async def start(self) -> None:
        """Start it, wherever its predecessor has left off."""
        self.died.clear()
        started: asyncio.Future[Daemon] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(started), name="machine")
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            self._task.result()
        self.parts = await started

    def die(self) -> None:
        """No word to the database from this moment on."""
        if not self.died.is_set():
            self.deaths += 1
            self.died.set()
            self._cut_off()

    async def stop(self) -> None:
        """Wait until it is gone."""
        self.die()
        if self._task is not None:
            # More than once: cancelled in its loop, PgQueuer still waits for its runs, and these for calls under way.
            for _ in range(STOP_ATTEMPTS):
                done, _pending = await asyncio.wait({self._task}, timeout=1.0)
                if done:
                    break
                self._task.cancel()
            else:
                raise TimeoutError("the machine does not stop")
            self._task = None

    async def alive(self) -> Daemon:
        """Its parts, started anew if they have died."""
        if self.died.is_set() or self._task is None:
            await self.stop()
            await self.start()
        return self.parts

    async def unless_dead(self, work: Awaitable[T]) -> T:
        """The result of something that needs a living daemon; raises MachineDied."""
        task, death = asyncio.ensure_future(work), asyncio.create_task(self.died.wait())
        try:
            await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
            if not self.died.is_set():
                return await task
        finally:
            for one in (task, death):
                one.cancel()
            await asyncio.gather(task, death, return_exceptions=True)
        raise MachineDied

    async def _run(self, started: "asyncio.Future[Daemon]") -> None:
        async with (
            open_database(self._database_url, application_name="machine") as database,
            running_parts(
                database, self._sandbox, product_sync=lambda sandbox: product_sync(sandbox, **self._settings)
            ) as parts,
            self._more_running(parts),
        ):
            task = asyncio.current_task()
            assert task is not None

            def cut_off() -> None:
                database.pool.terminate()
                # Else they would go on in the hope that the database comes back; there is none to write to any more.
                parts.queue.stop()
                task.cancel()

            self._cut_off = cut_off
            started.set_result(parts)
            await asyncio.Event().wait()

    @asynccontextmanager
    async def _more_running(self, parts: Daemon) -> AsyncIterator[None]:
        """What runs of it besides, while it lives: nothing."""
        del parts
        yield
