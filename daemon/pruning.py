"""Deletes what has been kept for long enough."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from asyncpg import InterfaceError, PostgresError

from daemon.bootstrap import Daemon
from daemon.errors import DatabaseError
from daemon.jobs import actions, approvals, facets
from daemon.lifecycle import Part
from daemon.mirror import windows
from daemon.sales import campaigns
from daemon.schedules import fires
from daemon.sync import pushes

log = structlog.get_logger()

INTERVAL = 3600.0  # seconds
ACTIONS_KEPT = timedelta(days=400)  # as long as the sales that some of them are about
SALES_KEPT = timedelta(days=400)  # so that last year's sale can still be looked up when this year's is planned


class Pruner(Part):
    """Prunes jobs, fires, pushes, changes of ended questions, campaigns, windows: at the start, then every hour."""

    name = "pruning"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def _run(self) -> None:
        while True:
            try:
                await self._prune(timedelta(days=self._daemon.settings.jobs.retention_days))
            except (DatabaseError, PostgresError, InterfaceError, OSError) as error:
                log.warning("pruning_failed", error=str(error), next_step="tried again later")
            await asyncio.sleep(INTERVAL)

    async def _prune(self, retention: timedelta) -> None:
        await self._daemon.jobs.prune(retention)
        async with self._daemon.database.acquire() as connection:
            await fires.prune_fires(connection, datetime.now(UTC) - retention)
            await pushes.prune(connection, retention)
            await approvals.prune_changes(connection, retention)
            await campaigns.prune(connection, SALES_KEPT)
            await windows.prune(connection)
            await actions.prune(connection, ACTIONS_KEPT)
            await facets.sum_up(connection)
