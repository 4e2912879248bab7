"""Log lines about what an attacker can cause at will: the first at once, later ones summed up once a minute."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from daemon.serving.addresses import Address

log = structlog.get_logger()

INTERVAL: Final = 60.0  # seconds between two lines of one kind
MOST_NAMED: Final = 5  # addresses in a line
MOST_COUNTED: Final = 100  # addresses that are counted separately; what comes from further ones counts as "others"
OTHERS: Final = Address("others")


class Tally:
    """Counts what happens by address.

    Args:
        event: the name of the log event.
        clock: seconds of a clock that never jumps.
        context: what else belongs in the line.
    """

    def __init__(self, event: str, clock: Callable[[], float] = time.monotonic, **context: str) -> None:
        self._event = event
        self._clock = clock
        self._context = context
        self._counts: Counter[Address] = Counter()
        self._told_at: float | None = None

    def note(self, address: Address) -> None:
        """Count one, and log it if nothing has been logged recently."""
        is_known = address in self._counts or len(self._counts) < MOST_COUNTED
        self._counts[address if is_known else OTHERS] += 1
        self.tell()

    def tell(self) -> None:
        """Log what has been counted since the last line, if that was long enough ago."""
        now = self._clock()
        if not self._counts or (self._told_at is not None and now - self._told_at < INTERVAL):
            return
        log.warning(
            self._event,
            count=self._counts.total(),
            addresses=dict(self._counts.most_common(MOST_NAMED)),
            **self._context,
        )
        self._counts.clear()
        self._told_at = now
