"""A job's place in the queue: given and taken away in the caller's transaction, looked at, pruned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from daemon.database.pool import Connection
from daemon.ids import JobId, Lane
from daemon.jobs.queue.driver import queries_on

HEARTBEAT_TIMEOUT = timedelta(seconds=15)  # a dead worker's job is taken over after this and a poll: under 30 s

IS_ATTENDED = """
SELECT EXISTS (
    SELECT FROM dongbo.pgqueuer
    WHERE payload = $1 AND status = 'picked' AND heartbeat > clock_timestamp() - $2::interval
)
"""

FORGET_PLACE = "DELETE FROM dongbo.pgqueuer WHERE payload = $1 AND status = 'queued'"

LOG_KEPT = timedelta(days=1)  # for who looks into a fault of the queue; how runs went is in dongbo.job_attempts
PRUNE_LOG = "DELETE FROM dongbo.pgqueuer_log WHERE created < clock_timestamp() - $1::interval"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job waits: of those of a lane that wait, higher ones leave the queue first, and none before its delay."""

    job_id: JobId
    lane: Lane
    priority: int = 0
    delay: timedelta = timedelta(0)


async def enqueue(connection: Connection, places: Sequence[Place]) -> None:
    """Give jobs their places in the queue."""
    if places:
        await queries_on(connection).enqueue(
            [place.lane for place in places],
            [payload(place.job_id) for place in places],
            [place.priority for place in places],
            execute_after=[place.delay for place in places],
        )


async def forget(connection: Connection, job_id: JobId) -> None:
    """Take a job that was cancelled before it ran out of the queue."""
    await connection.execute(FORGET_PLACE, payload(job_id))


async def is_attended(connection: Connection, job_id: JobId) -> bool:
    """Whether a living worker has the job."""
    attended: bool = await connection.fetchval(IS_ATTENDED, payload(job_id), 2 * HEARTBEAT_TIMEOUT)
    return attended


async def prune_log(connection: Connection) -> None:
    """Delete old entries from PgQueuer's log, which PgQueuer never does."""
    await connection.execute(PRUNE_LOG, LOG_KEPT)


def payload(job_id: JobId) -> bytes:
    """What names a job in PgQueuer's table."""
    return str(job_id).encode()
