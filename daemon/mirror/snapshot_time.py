"""When and how a page was asked for: what a page says must not replace what is known to be newer, or more complete."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SnapshotTime:
    """The circumstances of a page.

    Args:
        at: not later than the source was asked, by the database's clock: what was pushed since then is newer than it.
        source_time: not later than the source was asked, by the source's clock; None where that is not known.
        visible_since: `daemon.mirror.places.DepotVisibility.since` when the run began to ask. If it differs now,
            depots have become visible meanwhile, and the page may not hold all of the stock.
    """

    at: datetime
    visible_since: datetime | None
    source_time: datetime | None = None
