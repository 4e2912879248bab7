"""The clock of a source, as the `Date` of its answers shows it: changes there are asked for in its own time.

RFC 9110, 6.6.1: `Date` is when the answer was made, in whole seconds. So the source's time is at least that once the
answer is here, and was at most a second more when the call was sent. Time in between is measured by `boot_time`, which
nobody can set; our own settable clock is only compared with it, and decides nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.clock import boot_time
from daemon.ids import StoreName

WHOLE_SECONDS = 1.0  # what `Date` cuts off


@dataclass(frozen=True, slots=True)
class ClockReport:
    """How the clock of a source differs from that of the daemon's machine.

    Args:
        store: the store's name.
        source: `nhanh` or `shopify`.
        offset_seconds: how much the source's clock is ahead of the machine's, at least; negative where it is behind.
        measured_at: when the source answered last, by the machine's clock.
    """

    store: StoreName
    source: str
    offset_seconds: float
    measured_at: datetime


class SourceClock:
    """What is known of one source's clock. The last answer counts: a clock that was set right is believed at once.

    `monotonic` and `wall` are the machine's clocks, in seconds; the first keeps running while the machine is suspended.
    """

    def __init__(self, monotonic: Callable[[], float] = boot_time, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._date: float | None = None  # Unix seconds by the source's clock
        self._received = 0.0  # by `boot_time`
        self._taken = 0.0  # seconds from the call to its answer
        self.measured_at: datetime | None = None  # by the machine's clock

    def start(self) -> float:
        """The moment at which a call is sent, for `observe`."""
        return self._monotonic()

    def observe(self, date: float | None, sent: float) -> None:
        """Take in the `Date` of an answer to a call that was sent at this moment; None: it had none."""
        if date is None:
            return
        self._date, self._received = date, self._monotonic()
        self._taken = self._received - sent
        self.measured_at = datetime.fromtimestamp(self._wall(), UTC)

    def at(self, moment: float) -> datetime | None:
        """The source's time, at least, at a moment of `boot_time`; None before the first answer."""
        if self._date is None:
            return None
        return datetime.fromtimestamp(self._date + moment - self._received, UTC)

    def age(self) -> float:
        """Seconds since the last answer that gave the time; infinite before the first."""
        return float("inf") if self._date is None else self._monotonic() - self._received

    def now(self) -> datetime | None:
        """The source's time, at least; None before the first answer."""
        return self.at(self._monotonic())

    @property
    def offset(self) -> float | None:
        """Seconds by which it is ahead of the machine's clock, at least, negative where it is behind; None: not known.

        0 where the two may agree. It is of this moment: that the machine's clock was set since the last answer counts.
        """
        if self._date is None:
            return None
        least = self._date + self.age() - self._wall()
        return _beyond(least, least + WHOLE_SECONDS + self._taken)


def _beyond(least: float, most: float) -> float:
    """The value between these that is closest to 0."""
    return max(least, 0.0) if most >= 0 else most
