"""What became of a schedule's fires, and the end of those that have begun."""

import asyncio
from collections.abc import Sequence
from typing import Any

from daemon.database.pool import Connection
from daemon.ids import ScheduleName, StoreName
from daemon.schedules.scheduler import Scheduler

LAST_FIRES = """
SELECT * FROM dongbo.schedule_fires WHERE store = $1 AND schedule = $2 ORDER BY fire_time DESC LIMIT $3
"""


async def last_fires(
    connection: Connection, store: StoreName, schedule: ScheduleName, limit: int = 20
) -> Sequence[Any]:
    """The newest fires of a schedule as rows, latest fire time first."""
    rows: Sequence[Any] = await connection.fetch(LAST_FIRES, store, schedule, limit)
    return rows


async def wait_idle(scheduler: Scheduler) -> None:
    """Wait until the fires that have begun have ended, also those that the timer has just woken the scheduler for."""
    await asyncio.sleep(0)
    while tasks := [entry.task for entry in scheduler._entries.values() if entry.task and not entry.task.done()]:
        await asyncio.wait(tasks)
