"""Sweeps: what is due is looked for again and again, whatever a timer may have missed and whatever goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from daemon.database.pool import is_connection_error
from daemon.i18n import gettext as _

log = structlog.get_logger()

INTERVAL = 15.0  # seconds between two sweeps
RETRY = 2.0  # seconds from a failed sweep to the next: how soon after an outage what was missed is made up
UNHEALTHY_AFTER = 60.0  # seconds without a successful sweep


class Sweeps:
    """Calls a sweep over and over: at its interval, soon after a failure, and at once when woken.

    Args:
        sweep: looks for what is due; returns how many seconds later to look again at the latest.
        failed, recovered: the log events for a sweep that failed in a new way, and for the first that succeeded again.
    """

    def __init__(self, sweep: Callable[[], Awaitable[float]], *, failed: str, recovered: str | None = None) -> None:
        self._sweep = sweep
        self._failed = failed
        self._recovered = recovered
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
        except Exception as error:  # whatever it is, the next sweep must come
            reason = describe(error)
            if reason != self._error:  # reported once, not every two seconds of an outage
                log.warning(self._failed, error=reason, exc_info=not is_connection_error(error))
            self._error = reason
            return RETRY
        if self._error is not None and self._recovered is not None:
            log.info(self._recovered)
        self.begin()
        return pause


def describe(error: Exception) -> str:
    """Why something on the database failed, in words for people."""
    if isinstance(error, TimeoutError) and not str(error):
        return _("no answer from the database in time")
    return str(error) or type(error).__name__
