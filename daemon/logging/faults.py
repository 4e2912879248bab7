"""Faults that happen again and again: the log says when one begins, once a minute while it lasts, and when it ends."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from structlog.typing import FilteringBoundLogger

INTERVAL = 60.0  # seconds between two lines of a fault that lasts
AT_ONCE = 3  # lines within INTERVAL about a fault that begins anew or in other words: more of them are only counted


class Fault:
    """One way in which something keeps failing, such as the connection of a part that tries again by itself.

    Whoever tries says `happened` at each failure and `passed` at each success; what of it is logged, this decides.

    Args:
        log: of the module that tries.
        event: logged while it lasts, with the error, and, from the second line on, how often it happened and since how
            many seconds.
        over: logged once it is over; None: no line says so.
        next_step: what becomes of it, for people.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        event: str,
        *,
        over: str | None = None,
        next_step: str | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._log = log
        self._event = event
        self._over = over
        self._fixed = {} if next_step is None else {"next_step": next_step}
        self._clock = clock
        self._error: str | None = None
        self._began: float | None = None
        self._times = 0
        self._told: set[str] = set()  # errors of this fault that the log knows of
        self._lines: deque[float] = deque(maxlen=AT_ONCE)  # when they were written, also those of earlier faults

    @property
    def error(self) -> str | None:
        """Why it failed last; None: it has not happened, or has passed."""
        return self._error

    def happened(self, error: str, *, exc_info: bool | BaseException = False, **keys: Any) -> None:
        """It has failed, for the first time or once more.

        Args:
            error: why, in words; another reason than before is worth a line of its own.
            exc_info: an error whose stack trace belongs to the line.
            keys: more for the line.
        """
        now, self._error = self._clock(), error
        if self._began is None:
            self._began = now
        self._times += 1
        if self._is_silent(error, now):
            return
        if self._times > 1:
            keys |= {"times": self._times, "for_seconds": round(now - self._began)}
        self._told.add(error)
        self._lines.append(now)
        self._log.warning(self._event, error=error, **keys, **self._fixed, exc_info=exc_info)

    def passed(self, **keys: Any) -> None:
        """It has not failed this time: if it had before, it is over."""
        if self._began is None:
            return
        if self._told and self._over is not None:
            self._log.info(self._over, times=self._times, for_seconds=round(self._clock() - self._began), **keys)
        self._error, self._began, self._times = None, None, 0
        self._told.clear()

    def _is_silent(self, error: str, now: float) -> bool:
        if error in self._told:
            return now - self._lines[-1] < INTERVAL
        return len(self._lines) == AT_ONCE and now - self._lines[0] < INTERVAL
