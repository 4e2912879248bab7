"""What all long-lived parts of the daemon have in common: three verbs, and a health that `/readyz` asks."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import NamedTuple, Self

from daemon.i18n import gettext as _


class Health(NamedTuple):
    """Whether a part does its work now, and what to tell a person about it: a clause without a full stop."""

    is_ok: bool
    detail: str


class Part(ABC):
    """A long-lived part of the daemon: one task, from `start` until `stop` has taken effect.

    Whoever starts a part also waits for it, so that a part that crashes is noticed at once. Losing the database is not
    a crash: every part carries on by itself once the database is back. `async with` does all three.
    """

    name: str  # of its task
    _task: asyncio.Task[None] | None = None
    _is_asked_to_end = False  # what the task's own `cancelling` does not say: a deadline in it may cancel it, too

    def start(self) -> None:
        """Begin; returns at once. Raises RuntimeError if it is running already."""
        if self.is_running:
            raise RuntimeError(f"the part {self.name} has been started already")
        self._is_asked_to_end = False
        self._task = asyncio.create_task(self._run(), name=self.name)

    def stop(self) -> None:
        """Ask it to end; returns at once. Safe at any time, before the start and twice: what it does at its end is not
        interrupted by a second request."""
        if self._task is not None and not self._is_asked_to_end:
            self._is_asked_to_end = True
            self._task.cancel()

    async def wait(self) -> None:
        """Wait until it has ended; cancelling this cuts it off. Raises what it crashed with."""
        if self._task is None:
            return
        try:
            await self._task
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if waiter is not None and waiter.cancelling():
                raise

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._task is not None and not self._task.done()

    @property
    def health(self) -> Health:
        """Whether it does its work now. For most parts it is enough to run."""
        return Health(self.is_running, _("runs") if self.is_running else _("does not run: restart the daemon"))

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        await self.wait()

    @abstractmethod
    async def _run(self) -> None:
        """Work until cancelled, or until whatever the part's own `stop` asks for."""
