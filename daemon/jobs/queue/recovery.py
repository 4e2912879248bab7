"""What a worker finds its way back by: its name, the jobs it left running, and the places of jobs that lost theirs."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from daemon.database.pool import Connection
from daemon.ids import JobId, Lane, WorkerName
from daemon.jobs import store
from daemon.jobs.queue.places import Place, enqueue, payload

NAME_PAUSES = (0, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds before each attempt to get the first name
LOCK_SPACE = 0x646F6E67  # "dong": the first key of our advisory locks

TRY_LOCK = "SELECT pg_try_advisory_lock($1, hashtext($2))"

RELEASE_PLACES = """
UPDATE dongbo.pgqueuer SET status = 'queued', queue_manager_id = NULL, slot = NULL, execute_after = now()
WHERE status = 'picked' AND (queue_manager_id = $1 OR payload = ANY ($2))
"""

# Only the given jobs, and those that have not changed for a while: a job that is just being submitted or put back finds
# its own place.
LIST_WITHOUT_PLACE = """
SELECT id, lane, greatest(not_before - clock_timestamp(), interval '0') AS delay
FROM dongbo.background_jobs AS job
WHERE status IN ('PENDING', 'RUNNING')
  AND (updated_at < clock_timestamp() - interval '10 seconds' OR id = ANY ($1))
  AND NOT EXISTS (SELECT FROM dongbo.pgqueuer WHERE payload = convert_to(job.id::text, 'UTF8'))
ORDER BY id  -- in the order they were asked for
FOR UPDATE SKIP LOCKED
"""


async def claim_worker_name(connection: Connection, base: str) -> WorkerName:
    """Take the first of `base`, `base-2`, `base-3` … that no living process holds, for as long as `connection` lives.

    After `kill -9` the server needs a moment to notice that the old process is gone, so the first name is tried for a
    while: a daemon that is restarted gets its own name back, and its jobs with it.
    """
    for pause in NAME_PAUSES:
        await asyncio.sleep(pause)
        if await connection.fetchval(TRY_LOCK, LOCK_SPACE, base):
            return WorkerName(base)
    number = 2
    while not await connection.fetchval(TRY_LOCK, LOCK_SPACE, f"{base}-{number}"):
        number += 1
    return WorkerName(f"{base}-{number}")


async def release_orphans(
    connection: Connection, worker: WorkerName, manager_id: UUID, *, at_no_cost: bool
) -> list[JobId]:
    """Put back the jobs that a worker of this name left running, in the caller's transaction; the ids of those jobs.

    The caller holds the name's lock, so nobody else runs under it. `at_no_cost`: their attempts do not count.
    """
    orphans = await store.release_orphans(connection, worker, at_no_cost=at_no_cost)
    await connection.execute(RELEASE_PLACES, manager_id, [payload(job_id) for job_id in orphans])
    await restore_places(connection, orphans)
    return orphans


async def restore_places(connection: Connection, at_once: Sequence[JobId] = ()) -> list[JobId]:
    """Give every live job that has lost its place a new one, in the caller's transaction; the ids of those jobs.

    `at_once`: jobs of which it is certain that nobody is about to give them a place.
    """
    rows = await connection.fetch(LIST_WITHOUT_PLACE, at_once)
    lost = [Place(JobId(row["id"]), Lane(row["lane"]), delay=row["delay"] or timedelta(0)) for row in rows]
    await enqueue(connection, lost)
    return [place.job_id for place in lost]
