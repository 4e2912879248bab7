"""Tells the others on one database that this daemon lives."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog

from daemon.clock import seconds_ahead
from daemon.database.connection_errors import is_of_database, reason
from daemon.database.pool import Connection, Database
from daemon.fleet import members
from daemon.fleet.members import Presence
from daemon.ids import WorkerName
from daemon.jobs.queue.recovery import claim_worker_name
from daemon.jobs.queue.worker import JobQueue
from daemon.lifecycle import Part
from daemon.logging.faults import Fault
from daemon.roles import DaemonRole, in_order

log = structlog.get_logger()

INTERVAL: Final = 5.0  # seconds between two signs of life
TIMEOUT: Final = 4.0  # seconds for one
LAST_WORD: Final = 1.0  # seconds for saying that it stops; without it the others find out by its silence


class Membership(Part):
    """Says every few seconds that this daemon lives, and at the end that it stops.

    Its name is the one by which it takes jobs. One that takes none holds a name of its own in the same way, over a
    connection that takes the place of the queue's in the budget.

    Args:
        host: this machine's name.
        queue: that takes jobs where that is one of the roles.
        clock: this machine's, aware UTC.
    """

    name = "fleet-membership"

    def __init__(
        self,
        database: Database,
        roles: frozenset[DaemonRole],
        host: str,
        queue: JobQueue,
        version: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._roles = roles
        self._host = host
        self._queue = queue if DaemonRole.WORKER in roles else None
        self._version = version
        self._clock = clock
        self._instance = uuid4()
        self._began = time.monotonic()
        self._fault = Fault(log, "fleet_not_told", over="fleet_told", next_step="tried again by itself")
        self.address = ""  # of the endpoint, as soon as that is open
        self.member: WorkerName | None = None  # by which the others know it
        self.clock_offset: float | None = None  # as in `Presence`

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await (self._tell_by_queue(self._queue) if self._queue is not None else self._tell_by_own_name())
                except Exception as error:
                    if not is_of_database(error):
                        raise
                    self._fault.happened(reason(error))
                await asyncio.sleep(INTERVAL)
        finally:
            await self._leave()

    async def _tell_by_queue(self, queue: JobQueue) -> None:
        """Once, by the name that the queue holds, or has held."""
        held = queue.worker
        name = held or self.member
        if name is None:
            return  # it has not begun to take jobs yet
        async with asyncio.timeout(TIMEOUT), self._database.acquire() as connection:
            await self._tell(connection, name, is_held=held is not None)

    async def _tell_by_own_name(self) -> None:
        """Again and again, over the connection that holds the name."""
        base = "-".join((self._host, *in_order(self._roles)))
        async with self._database.dedicated() as connection:
            name = await claim_worker_name(connection, base)
            while True:
                async with asyncio.timeout(TIMEOUT):
                    await self._tell(connection, name, is_held=True)
                await asyncio.sleep(INTERVAL)

    async def _tell(self, connection: Connection, name: WorkerName, *, is_held: bool) -> None:
        if self.member is not None and self.member != name:  # the server keeps the old one from it
            await members.leave(connection, self.member, self._instance)
        self.member = name
        presence = Presence(
            name,
            self._instance,
            self._host,
            os.getpid(),
            self._version,
            self._roles,
            self.address,
            self.clock_offset,
            timedelta(seconds=time.monotonic() - self._began),
        )
        before = self._clock()
        theirs = await (members.see if is_held else members.see_without_jobs)(connection, presence)
        if theirs is not None:
            self.clock_offset = 0.0 - seconds_ahead(theirs, before, self._clock())
        self._fault.passed()

    async def _leave(self) -> None:
        if self.member is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await self._say_that_it_stops(self.member)

    async def _say_that_it_stops(self, name: WorkerName) -> None:
        try:
            async with self._database.acquire() as connection:
                await members.leave(connection, name, self._instance)
        except Exception as error:
            if not is_of_database(error):
                raise
            log.debug("fleet_not_left", reason=reason(error))
