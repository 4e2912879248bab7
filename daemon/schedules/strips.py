"""How the runs of the last hours went, slot by slot: one statement on `dongbo.background_jobs`, whatever its size."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from daemon.api.strips import SLOT_SECONDS, Strip
from daemon.database.pool import Connection
from daemon.jobs.types import JobType

MOST_STRIPS = 500
LEVELS: Final = ".oraf"  # by rank: nothing, well, running, rows failed or a person is asked, failed

# A run counts in each slot from its start to its end, of several in a slot the worst. What was cancelled, or has not
# begun, says nothing. Of the jobs that have not ended few began long ago, and they have an index.
STRIPS = f"""
WITH run AS (
    SELECT store, schedule, type, started_at, completed_at AS ended_at,
        CASE WHEN status = 'FAILED' THEN 4 WHEN failed > 0 THEN 3 ELSE 1 END AS rank
    FROM dongbo.background_jobs
    WHERE completed_at >= $1 AND status IN ('COMPLETED', 'FAILED') AND started_at IS NOT NULL AND type <> 'NOOP'
    UNION ALL
    SELECT store, schedule, type, started_at, $2::timestamptz, 2 FROM dongbo.background_jobs
    WHERE status = 'RUNNING' AND started_at IS NOT NULL AND type <> 'NOOP'
    UNION ALL
    SELECT store, schedule, type, started_at, updated_at, 3 FROM dongbo.background_jobs
    WHERE status = 'AWAITING_APPROVAL' AND started_at IS NOT NULL AND updated_at >= $1
),
cell AS (
    SELECT store, schedule, type, slot, max(rank) AS rank
    FROM run, generate_series(
        greatest(0, floor(extract(epoch FROM started_at - $1::timestamptz) / {SLOT_SECONDS})::integer),
        least($3::integer - 1, floor(extract(epoch FROM ended_at - $1) / {SLOT_SECONDS})::integer)
    ) AS slot
    GROUP BY store, schedule, type, slot
)
SELECT store, schedule, type, array_agg(slot) AS slots, array_agg(rank) AS ranks FROM cell
GROUP BY store, schedule, type ORDER BY store, schedule NULLS LAST, type LIMIT {MOST_STRIPS}
"""


async def list_strips(connection: Connection, since: datetime, now: datetime, slots: int) -> Sequence[Strip]:
    """How it went from `since` until now, in so many slots; only of what ran then."""
    rows = await connection.fetch(STRIPS, since, now, slots)
    return [
        Strip(row["store"], row["schedule"], JobType(row["type"]), _cells(row["slots"], row["ranks"], slots))
        for row in rows
    ]


def _cells(filled: Sequence[int], ranks: Sequence[int], slots: int) -> str:
    cells = [LEVELS[0]] * slots
    for slot, rank in zip(filled, ranks, strict=True):
        cells[slot] = LEVELS[rank]
    return "".join(cells)
