"""All SQL on `dongbo.watermarks`: until when a stream of a store is known to be complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.database.pool import Connection
from daemon.ids import StoreName

GET = """
SELECT complete_to, source_complete_to, identity, rows_at_last_full_pull, full_pull_at
FROM dongbo.watermarks WHERE store = $1 AND stream = $2
"""

IDENTITIES = """
SELECT stream, identity FROM dongbo.watermarks WHERE store = $1 AND stream = ANY ($2) AND identity IS NOT NULL
"""

COMPLETE_TO = """
SELECT min(complete_to) FROM dongbo.watermarks WHERE store = $1 AND stream = ANY ($2) HAVING count(*) = cardinality($2)
"""

ADVANCE = """
INSERT INTO dongbo.watermarks AS known
    (store, stream, complete_to, source_complete_to, identity, rows_at_last_full_pull, full_pull_at)
VALUES ($1, $2, $3, $4, $5, $6::bigint, CASE WHEN $6::bigint IS NOT NULL THEN now() END)
ON CONFLICT (store, stream) DO UPDATE SET
    complete_to = CASE WHEN known.complete_to > now() THEN excluded.complete_to  -- it was set by a clock that was ahead
                       ELSE greatest(known.complete_to, excluded.complete_to) END,
    source_complete_to = CASE WHEN $6::bigint IS NOT NULL
                              THEN coalesce(excluded.source_complete_to, known.source_complete_to)
                              ELSE greatest(known.source_complete_to, excluded.source_complete_to) END,
    identity = coalesce(excluded.identity, known.identity),
    rows_at_last_full_pull = coalesce(excluded.rows_at_last_full_pull, known.rows_at_last_full_pull),
    full_pull_at = coalesce(excluded.full_pull_at, known.full_pull_at),
    updated_at = now()
"""


@dataclass(frozen=True, slots=True)
class Watermark:
    """What is known about a stream."""

    complete_to: datetime  # by the daemon's clock: for people, and for daemons that know no other
    source_complete_to: datetime | None  # by the source's clock, which pulls use; None: not known yet
    identity: str | None  # of the shop or business that the rows belong to; None: not known yet
    rows_at_last_full_pull: int | None
    full_pull_at: datetime | None  # when the last full pull had ended


async def get(connection: Connection, store: StoreName, stream: str) -> Watermark | None:
    """The stream's watermark; None before its first complete pull."""
    row = await connection.fetchrow(GET, store, stream)
    return Watermark(**row) if row else None


async def identities(connection: Connection, store: StoreName, streams: Sequence[str]) -> dict[str, str]:
    """Which shop or business the mirrored rows of these streams belong to, as far as that is known."""
    return {row["stream"]: row["identity"] for row in await connection.fetch(IDENTITIES, store, streams)}


async def complete_to(connection: Connection, store: StoreName, streams: Sequence[str]) -> datetime | None:
    """Until when all of these streams are complete; None where one of them has never been."""
    found: datetime | None = await connection.fetchval(COMPLETE_TO, store, streams)
    return found


async def advance(
    connection: Connection,
    store: StoreName,
    stream: str,
    complete_to: datetime,
    full_pull_rows: int | None,
    *,
    source_complete_to: datetime | None = None,
    identity: str | None = None,
) -> None:
    """Move the watermark forward; backward only out of the future, or where a full pull says so.

    `full_pull_rows` is given by a full pull; the others are as in `Watermark`.
    """
    await connection.execute(ADVANCE, store, stream, complete_to, source_complete_to, identity, full_pull_rows)
