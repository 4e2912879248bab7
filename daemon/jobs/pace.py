"""All SQL on `dongbo.job_pace`: how far a job was at some moments, so that a person sees when it was slow, and why.

A point is added in the very statement that stores a page (`daemon/jobs/store.py`), from time to time only. Of too many
points every other one goes: they stay spread over the whole time, and are never more than MOST_POINTS.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.jobs.model import PacePoint

MOST_POINTS = 200
SHORTEST_INTERVAL = 2.0  # seconds between two points
INTERVAL_SHARE = 0.01  # of the time that a job has taken so far: what is long needs fewer points

GET = "SELECT points FROM dongbo.job_pace WHERE job_id = $1"


def sampled_by(update: str, result: str, *, is_sample: str, waited: str) -> str:
    """A statement that updates a job's row, `page`, and where `is_sample` adds a point; its result is from the row."""
    return f"""
WITH page AS ({update} RETURNING *),
sampled AS (
    INSERT INTO dongbo.job_pace AS pace (job_id, points)
    SELECT id, jsonb_build_array(
        jsonb_build_array(round(extract(epoch FROM clock_timestamp())::numeric, 1), processed, {waited})
    )
    FROM page WHERE {is_sample}
    ON CONFLICT (job_id) DO UPDATE SET points = CASE
        WHEN jsonb_array_length(pace.points) < {MOST_POINTS} THEN pace.points
        ELSE (
            SELECT jsonb_agg(point ORDER BY place)
            FROM jsonb_array_elements(pace.points) WITH ORDINALITY AS known (point, place) WHERE place % 2 = 1
        )
    END || excluded.points
)
SELECT {result} FROM page
"""


def interval(active_seconds: float) -> float:
    """Seconds until the next point of a job that has taken so long."""
    return max(SHORTEST_INTERVAL, active_seconds * INTERVAL_SHARE)


async def list_points(connection: Connection, job_id: JobId, began: datetime | None) -> Sequence[PacePoint]:
    """The points of a job that began at a time, oldest first."""
    stored: str | None = await connection.fetchval(GET, job_id)
    if stored is None or began is None:
        return []
    points, before = [], (began.timestamp(), 0, 0.0)
    for at, rows, waited in sorted(orjson.loads(stored)):
        seconds = at - before[0]
        rate = round((rows - before[1]) / seconds, 1) if seconds > 0 else 0.0
        points.append(PacePoint(datetime.fromtimestamp(at, UTC), rows, rate, round(max(waited - before[2], 0.0), 1)))
        before = (at, rows, waited)
    return points
