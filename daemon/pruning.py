"""Deletes what has been kept for long enough."""

import asyncio
from datetime import timedelta

import structlog

from daemon.alerts import store as alerts
from daemon.bootstrap import Daemon
from daemon.database.connection_errors import noted
from daemon.database.pool import Connection
from daemon.fleet import members
from daemon.inbox import events
from daemon.jobs import actions, approvals, facets
from daemon.lifecycle import Part
from daemon.logging.faults import Fault
from daemon.mirror import buckets, bulk_reads, windows
from daemon.sales import campaigns
from daemon.schedules import fires
from daemon.sync import pushes

log = structlog.get_logger()

INTERVAL = 3600.0  # seconds
ACTIONS_KEPT = timedelta(days=400)  # as long as the sales that some of them are about
ALERTS_KEPT = timedelta(days=90)
DAEMONS_KEPT = timedelta(days=1)  # that have stopped
WEBHOOKS_KEPT = timedelta(days=7)  # Shopify repeats a delivery for four hours
MOST_EVENTS = 10_000  # that one statement deletes
SALES_KEPT = timedelta(days=400)  # so that last year's sale can still be looked up when this year's is planned


class Pruner(Part):
    """Prunes jobs and what belongs to them, fires, campaigns, alerts, webhooks, and what bulk
    operations have left behind: at the start, then every hour."""

    name = "pruning"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._fault = Fault(log, "pruning_failed", over="pruning_recovered", next_step="tried again within the hour")

    async def _run(self) -> None:
        while True:
            with noted(self._fault):
                await self._prune(timedelta(days=self._daemon.settings.jobs.retention_days))
            await asyncio.sleep(INTERVAL)

    async def _prune(self, retention: timedelta) -> None:
        await self._daemon.jobs.prune(retention)
        async with self._daemon.database.acquire() as connection:
            await fires.prune_fires(connection, retention)
            await pushes.prune(connection, retention)
            await approvals.prune_changes(connection, retention)
            await campaigns.prune(connection, SALES_KEPT)
            await windows.prune(connection)
            await bulk_reads.prune(connection, timedelta(seconds=self._daemon.registry.policy.checkpoint_max_age))
            await buckets.prune(connection)
            await actions.prune(connection, ACTIONS_KEPT)
            await alerts.prune(connection, ALERTS_KEPT)
            await members.prune(connection, DAEMONS_KEPT)
            await facets.sum_up(connection)
            await _prune_events(connection)


async def _prune_events(connection: Connection) -> None:
    """A busy shop has more events of webhooks in an hour than one statement should delete."""
    deleted = MOST_EVENTS
    while deleted == MOST_EVENTS:
        deleted = await events.prune(connection, WEBHOOKS_KEPT, MOST_EVENTS)
