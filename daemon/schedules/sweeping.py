"""Sweeps: what is due is looked for again and again, whatever a timer may have missed and whatever goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from daemon.database.connection_errors import may_pass, reason
from daemon.i18n import gettext as _
from daemon.logging.faults import Fault

INTERVAL = 15.0  # seconds between two sweeps
RETRY = 2.0  # seconds from a failed sweep to the next: how soon after an outage what was missed is made up
UNHEALTHY_AFTER = 60.0  # seconds without a successful sweep


class Sweeps:
    """Calls a sweep over and over: at its interval, soon after a failure, and at once when woken.

    Args:
        sweep: looks for what is due; returns how many seconds later to look again at the latest.
        failing: tells the log of sweeps that fail.
    """

    def __init__(self, sweep: Callable[[], Awaitable[float]], failing: Fault) -> None:
        self._sweep = sweep
        self._failing = failing
        self._wakeup = asyncio.Event()
        self._error: str | None = None
        self._swept_at = 0.0  # seconds on the loop's clock

    def begin(self) -> None:
        """The time without a successful sweep begins now."""
        self._error = None
        self._swept_at = asyncio.get_running_loop().time()

    def wake(self) -> None:
        """Sweep at once, or again at once if a sweep is under way."""
        self._wakeup.set()

    @property
    def trouble(self) -> str | None:
        """Since when there has been no successful sweep, and why; None if all is well."""
        age = asyncio.get_running_loop().time() - self._swept_at
        if age <= UNHEALTHY_AFTER:
            return None
        return _("for {n} s: {error}").format(n=round(age), error=self._error or _("no answer"))

    async def run_for_ever(self) -> None:
        """Sweep until cancelled."""
        while True:
            self._wakeup.clear()
            pause = await self.attempt()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wakeup.wait()

    async def attempt(self) -> float:
        """Sweep once, whatever comes of it; returns how many seconds to wait for the next at the longest."""
        try:
            pause = await self._sweep()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next sweep must come
            self._error = describe(error)
            self._failing.happened(self._error, exc_info=not may_pass(error))
            return RETRY
        self._failing.passed()
        self.begin()
        return pause


def describe(error: Exception) -> str:
    """Why something on the database failed, in words for people."""
    if isinstance(error, TimeoutError) and not str(error):
        return _("no answer from the database in time")
    return reason(error)
