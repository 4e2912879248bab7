"""Reads one item at both sides because a person asks, and stores it in the mirror as the pulls do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from daemon.api.items import ItemReading
from daemon.database.pool import Database
from daemon.errors import InvalidJobRequest, SourceError
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.sources.meter import CallMeter
from daemon.sync.items import finding, readings
from daemon.sync.items.readings import LastReadings
from daemon.tasks.item_reading import read_nhanh_products, read_shopify_products
from daemon.tasks.registry import Store
from daemon.tasks.stream import UNSTORABLE

P = TypeVar("P")

TIME_LIMIT = 20.0  # seconds for both sides, including the wait for their rate limits
AT_ONCE = 2  # items at each side: whoever asks for more waits, so that the jobs keep the most of the limits
NHANH, SHOPIFY = "Nhanh.vn", "Shopify"
RETRIES = 2  # of calls, after failures

PRODUCT_OF = "SELECT product_id FROM dongbo.shopify_variants WHERE store = $1 AND id = $2"


class ItemReader:
    """Reads items, some at once, through the clients of the stores: within their rate limits.

    Args:
        store_of: the configured store of a name, looked up each time, since a reload may change it.
    """

    def __init__(self, database: Database, store_of: Callable[[StoreName], Store]) -> None:
        self._database = database
        self._store_of = store_of
        self._places = {source: asyncio.Semaphore(AT_ONCE) for source in (NHANH, SHOPIFY)}

    async def read(self, store_name: StoreName, variant_id: int) -> list[ItemReading]:
        """Read a mirrored variant at both sides; what can't be read is said, and hinders nothing else.

        A variant that is mapped to nothing is read at Shopify alone; one that is not mirrored, nowhere.
        """
        store = self._store_of(store_name)
        async with self._database.acquire() as connection:
            product_id: int | None = await connection.fetchval(PRODUCT_OF, store_name, variant_id)
            counterparts = await finding.nhanh_products_of(connection, store_name, [variant_id])
        if product_id is None:
            return []
        nhanh_ids = sorted(counterparts.get(variant_id, ()))
        nhanh, shopify = await self._both(store, variant_id, product_id, nhanh_ids)
        known = LastReadings(
            nhanh=nhanh.at if nhanh.problem is None and nhanh_ids else None,
            shopify=shopify.at if shopify.problem is None else None,
        )
        async with self._database.acquire() as connection:
            await readings.note(connection, store_name, variant_id, known)
        return [nhanh, shopify] if nhanh_ids else [shopify]

    async def _both(
        self, store: Store, variant_id: int, product_id: int, nhanh_ids: Sequence[int]
    ) -> tuple[ItemReading, ItemReading]:
        """Read both sides at once, but of what is on hand Shopify first, as whoever pushes it relies on.

        Raises what the database raises, as it is: that is no affair of one side.
        """
        if store.synced_quantity == "on_hand":
            read_first = await self._try(SHOPIFY, lambda: self._read_shopify(store, product_id))
            return await self._try(NHANH, lambda: self._read_nhanh(store, nhanh_ids)), read_first
        try:
            async with asyncio.TaskGroup() as both:
                of_shopify = both.create_task(
                    self._try(SHOPIFY, lambda: self._read_shopify(store, product_id)),
                    name=f"read-shopify-{variant_id}",
                )
                of_nhanh = both.create_task(
                    self._try(NHANH, lambda: self._read_nhanh(store, nhanh_ids)), name=f"read-nhanh-{variant_id}"
                )
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return of_nhanh.result(), of_shopify.result()

    async def _try(self, source: str, read: Callable[[], Awaitable[str | None]]) -> ItemReading:
        at = datetime.now(UTC)
        try:
            async with asyncio.timeout(TIME_LIMIT), self._places[source]:
                at = datetime.now(UTC)
                problem = await read()
        except TimeoutError:
            problem = _("There was no answer within {n} seconds: try again later.").format(n=round(TIME_LIMIT))
        except (SourceError, InvalidJobRequest) as error:
            problem = str(error)
        except UNSTORABLE as error:
            problem = _("The database refused what was read: {reason}").format(reason=error)
        return ItemReading(source, at, problem)

    async def _read_shopify(self, store: Store, product_id: int) -> str | None:
        """Read the variant's product whole; what is wrong with the answer."""
        read = await read_shopify_products(_Waiting(self._database), store, _meter(), [product_id])
        if read.gone:
            return _("Shopify has no such product any more.")
        return next(iter(read.failed.values()), None)

    async def _read_nhanh(self, store: Store, nhanh_ids: Sequence[int]) -> str | None:
        """Read the product and what it is made of, with their stock; what is wrong with the answer."""
        if not nhanh_ids:
            return None
        read = await read_nhanh_products(_Waiting(self._database), store, _meter(), nhanh_ids)
        if read.gone == frozenset(nhanh_ids):
            return _("Nhanh.vn has no such product any more.")
        return next(iter(read.failed.values()), None)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A person who waits for the answer, and whose request is cancelled where nobody does any more."""

    database: Database

    async def unless_stopped(self, call: Awaitable[P]) -> P:
        return await call


def _meter() -> CallMeter:
    return CallMeter(retry_budget=RETRIES)
