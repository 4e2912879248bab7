"""When and how a page was asked for: what a page says must not replace what is known to be newer, or more complete."""

from dataclasses import dataclass
from datetime import datetime

from daemon.database.pool import Connection


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
    visible_since: datetime | None = None
    source_time: datetime | None = None


async def asked_now(connection: Connection) -> SnapshotTime:
    """The circumstances of what is about to be asked for by its ids."""
    return SnapshotTime(await connection.fetchval("SELECT clock_timestamp()"))
