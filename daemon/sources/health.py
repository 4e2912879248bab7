"""Whether a source answers at all, as the calls of a client have found."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from daemon.ids import StoreName
from daemon.logging.faults import Fault

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Whether a store's source can be reached.

    Args:
        store: the store's name.
        source: `nhanh` or `shopify`.
        is_reachable: as of its last call; None: it has made none since the daemon started or reloaded.
        since: when the first of the calls began to fail that have had no answer since; None while it is reachable.
        reason: what is wrong, for a person.
    """

    store: StoreName
    source: str
    is_reachable: bool | None
    since: datetime | None
    reason: str | None


class SourceHealth:
    """What the calls of a client have found. A source that refuses a call, or asks to wait, has answered.

    `failures` is what the log says of calls that are repeated: however many wait for a source, it is one fault.
    """

    def __init__(self) -> None:
        self.failures = Fault(log, "call_retried", over="source_recovered")
        self.is_reachable: bool | None = None  # None: no call has been made yet
        self.reason: str | None = None
        self._missed_since: datetime | None = None

    def answers(self) -> None:
        """It has answered a call, if only to refuse it."""
        self.is_reachable, self.reason, self._missed_since = True, None, None

    def misses(self, reason: str) -> None:
        """An attempt of a call went without an answer that makes sense; another one may follow."""
        self._missed_since = self._missed_since or datetime.now(UTC)
        self.reason = reason

    def is_lost(self, reason: str) -> None:
        """A call has been given up."""
        self.misses(reason)
        self.is_reachable = False

    @property
    def lost_since(self) -> datetime | None:
        """Since when it can't be reached: since the first attempt that was followed by no answer."""
        return self._missed_since if self.is_reachable is False else None
