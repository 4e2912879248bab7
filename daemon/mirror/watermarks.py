"""All SQL on `dongbo.watermarks`: until when a stream of a store is known to be complete."""

from dataclasses import dataclass
from datetime import datetime

from daemon.database.pool import Connection
from daemon.ids import StoreName

GET = """
SELECT complete_to, rows_at_last_full_pull, full_pull_at FROM dongbo.watermarks WHERE store = $1 AND stream = $2
"""

ADVANCE = """
INSERT INTO dongbo.watermarks AS known (store, stream, complete_to, rows_at_last_full_pull, full_pull_at)
VALUES ($1, $2, $3, $4::bigint, CASE WHEN $4::bigint IS NOT NULL THEN now() END)
ON CONFLICT (store, stream) DO UPDATE SET
    complete_to = CASE WHEN known.complete_to > now() THEN excluded.complete_to  -- it was set by a clock that was ahead
                       ELSE greatest(known.complete_to, excluded.complete_to) END,
    rows_at_last_full_pull = coalesce(excluded.rows_at_last_full_pull, known.rows_at_last_full_pull),
    full_pull_at = coalesce(excluded.full_pull_at, known.full_pull_at),
    updated_at = now()
"""


@dataclass(frozen=True, slots=True)
class Watermark:
    """What is known of a stream."""

    complete_to: datetime
    rows_at_last_full_pull: int | None
    full_pull_at: datetime | None  # when the last full pull had ended


async def get(connection: Connection, store: StoreName, stream: str) -> Watermark | None:
    """The stream's watermark; None before its first complete pull."""
    row = await connection.fetchrow(GET, store, stream)
    return Watermark(**row) if row else None


async def advance(
    connection: Connection, store: StoreName, stream: str, complete_to: datetime, full_pull_rows: int | None
) -> None:
    """Move the watermark forward, and back only out of the future; `full_pull_rows` is given by a full pull."""
    await connection.execute(ADVANCE, store, stream, complete_to, full_pull_rows)
