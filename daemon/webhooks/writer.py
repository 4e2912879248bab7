"""Stores deliveries: those that come while a statement runs are stored together by the next one.

Whoever hands over a delivery waits until it has been committed, so that only what is safe is answered as accepted.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from time import monotonic

import asyncpg
import structlog

from daemon.database.connection_errors import is_of_database, reason
from daemon.database.pool import Connection, Database
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.inbox import events
from daemon.inbox.events import Arrival, TopicId
from daemon.inbox.topics import EventState
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault
from daemon.webhooks.counts import DeliveryCounts

log = structlog.get_logger()

MOST_QUEUED = 5_000  # deliveries that wait to be stored
MOST_AT_ONCE = 500  # deliveries that one statement stores
STORE_TIMEOUT = 3.0  # seconds: Shopify waits 5 in all
NOTIFY_INTERVAL = 0.1  # seconds between two notifications: each takes a lock of the whole database

NOTIFY = f"SELECT pg_notify('{events.CHANNEL}', store) FROM unnest($1::text[]) AS store"


class NotStored(Exception):
    """A delivery could not be stored, for a reason that may pass: it should be sent again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Delivery:
    """Rows that are stored together, or not at all."""

    arrivals: Sequence[Arrival]
    stored: asyncio.Future[None]


class InboxWriter(Part):
    """Stores deliveries in the order in which they come, and then announces the stores that have work to do."""

    name = "webhook-inbox"

    def __init__(self, database: Database, counts: DeliveryCounts) -> None:
        self._database = database
        self._counts = counts
        self._queue: deque[_Delivery] = deque()
        self._wakeup = asyncio.Event()
        self._is_ending = False
        self._unannounced: set[StoreName] = set()
        self._announced_at = 0.0
        self._failing = Fault(
            log, "webhooks_not_stored", over="webhooks_stored", next_step="both sides are told to send them again"
        )

    @property
    def health(self) -> Health:
        """Whether deliveries are stored; if not, their senders are told to come again."""
        if not self.is_running:
            return Health(False, _("does not run: restart the daemon"))
        if (why := self._failing.error) is not None:
            return Health(False, _("can't store webhooks: {why}").format(why=why))
        return Health(True, _("stores webhooks"))

    @property
    def has_begun(self) -> bool:
        """Whether it has ever run: until the database is there it does not."""
        return self._task is not None

    def stop(self) -> None:
        """Ask it to end, once what it was handed has been stored."""
        self._is_ending = True
        self._wakeup.set()

    async def store(self, arrivals: Sequence[Arrival]) -> None:
        """Return once these rows of one delivery have been committed.

        Raises NotStored where they can't be, or not soon enough: they may be stored later all the same.
        """
        if not self.is_running or self._is_ending:
            raise NotStored("the inbox is closed")
        if len(self._queue) >= MOST_QUEUED:
            raise NotStored("too many deliveries wait to be stored")
        delivery = _Delivery(arrivals, asyncio.get_running_loop().create_future())
        self._queue.append(delivery)
        self._wakeup.set()
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                await delivery.stored
        except TimeoutError:
            raise NotStored("the database has not answered in time") from None

    async def _run(self) -> None:
        try:
            while not (self._is_ending and not self._queue):
                await self._until_due()
                while self._queue:
                    await self._store([self._queue.popleft() for _ in range(min(len(self._queue), MOST_AT_ONCE))])
                    await self._announce()
                await self._announce()
        finally:
            _fail(self._queue, "the inbox is closed")
            self._queue.clear()

    async def _until_due(self) -> None:
        """Until there is something to store or to announce, or it is to end."""
        self._wakeup.clear()
        if self._queue or self._is_ending:
            return
        delay = max(self._announced_at + NOTIFY_INTERVAL - monotonic(), 0.0) if self._unannounced else None
        try:
            async with asyncio.timeout(delay):
                await self._wakeup.wait()
        except TimeoutError:
            pass

    async def _store(self, deliveries: Sequence[_Delivery]) -> None:
        wanted = [delivery for delivery in deliveries if not delivery.stored.done()]  # else nobody waits any more
        if not wanted:
            return
        try:
            async with asyncio.timeout(STORE_TIMEOUT), self._database.acquire() as connection:
                await self._insert(connection, wanted)
        except asyncio.CancelledError:
            _fail(wanted, "the inbox is closed")
            raise
        except asyncpg.DataError as error:
            await self._store_apart(wanted, error)
        except Exception as error:
            _fail(wanted, "the database does not store it")
            if not is_of_database(error):
                raise
            self._failing.happened(reason(error), deliveries=len(wanted))
        else:
            self._failing.passed()
            for delivery in wanted:
                if not delivery.stored.done():
                    delivery.stored.set_result(None)

    async def _store_apart(self, deliveries: Sequence[_Delivery], error: asyncpg.DataError) -> None:
        """One of these holds what the database does not take: the others must not suffer from it."""
        if len(deliveries) > 1:
            for delivery in deliveries:
                await self._store([delivery])
        else:
            _fail(deliveries, "the database does not take it")
            log.error("webhook_unstorable", error=type(error).__name__, next_step="report it: it should have been read")

    async def _insert(self, connection: Connection, deliveries: Sequence[_Delivery]) -> None:
        arrivals = list(chain.from_iterable(delivery.arrivals for delivery in deliveries))
        counts = await events.insert(connection, arrivals)
        for arrival in arrivals:
            if arrival.is_first:
                self._counts.received[TopicId(arrival.store, arrival.source, arrival.topic)] += 1
            if arrival.state is EventState.WAITING:
                self._unannounced.add(arrival.store)
        self._counts.repeated.update(counts.repeats)

    async def _announce(self) -> None:
        """Notify whoever makes jobs of events; where that fails they find them by themselves, some seconds later."""
        now = monotonic()
        if not self._unannounced or now - self._announced_at < NOTIFY_INTERVAL:
            return
        stores, self._unannounced, self._announced_at = sorted(self._unannounced), set(), now
        try:
            async with asyncio.timeout(STORE_TIMEOUT), self._database.acquire() as connection:
                await connection.execute(NOTIFY, stores)
        except Exception as error:
            if not is_of_database(error):
                raise
            self._failing.happened(reason(error))


def _fail(deliveries: Iterable[_Delivery], why: str) -> None:
    for delivery in deliveries:
        if not delivery.stored.done():
            delivery.stored.set_exception(NotStored(why))
