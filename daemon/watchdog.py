"""Tells systemd that the daemon is alive."""

import asyncio

import structlog

from daemon.database.pool import Database, is_connection_error
from daemon.lifecycle import Part
from daemon.notify import Notifier
from daemon.schedules.scheduler import Scheduler

log = structlog.get_logger()

PING_TIMEOUT = 5.0  # seconds


class Watchdog(Part):
    """Tells systemd that all is well, after a check that fails when the pool hangs or the scheduler is gone.

    A database that answers with an error is no reason for a restart: the parts wait for it by themselves.
    """

    name = "watchdog"

    def __init__(self, service: Notifier, database: Database, scheduler: Scheduler) -> None:
        self._service = service
        self._database = database
        self._scheduler = scheduler

    async def _run(self) -> None:
        interval = self._service.watchdog_interval()
        if interval is None:
            return
        while True:
            await self._feed()
            await asyncio.sleep(interval / 2)

    async def _feed(self) -> None:
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._database.ping()
        except TimeoutError:
            log.error("watchdog_check_failed", reason="the connection pool does not answer")
        except Exception as error:
            if not is_connection_error(error):
                raise
            log.warning("watchdog_database_away", error=str(error))
            self._service.watchdog()
        else:
            if self._scheduler.is_running:
                self._service.watchdog()
