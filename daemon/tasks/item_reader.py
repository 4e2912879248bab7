"""Reads one item at both sides because a person asks, and stores it in the mirror as the pulls do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.api.items import ItemReading
from daemon.database.pool import Database
from daemon.errors import InvalidJobRequest, SourceError
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.mirror import deletions
from daemon.mirror import nhanh as nhanh_mirror
from daemon.mirror import shopify as shopify_mirror
from daemon.sources.clock import SourceClock
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.lists import INVENTORY, PRODUCTS
from daemon.sync.items import readings
from daemon.sync.items.readings import LastReadings
from daemon.tasks.pull_shopify_products import store_products
from daemon.tasks.registry import Store
from daemon.tasks.stream import UNSTORABLE, SnapshotClock

TIME_LIMIT = 20.0  # seconds for both sides, including the wait for their rate limits
AT_ONCE = 2  # items at each side: whoever asks for more waits, so that the jobs keep the most of the limits
NHANH, SHOPIFY = "Nhanh.vn", "Shopify"
RETRIES = 2  # of calls, after failures

# The stock of a combo is that of its components.
NHANH_IDS = """
SELECT nhanh_id FROM dongbo.product_mappings AS mapping
WHERE store = $1 AND variant_id = $2 AND retired_at IS NULL AND nhanh_id IS NOT NULL
UNION
SELECT part.item_id FROM dongbo.product_mappings AS mapping JOIN dongbo.nhanh_combo_items AS part
    ON part.store = $1 AND part.combo_id = mapping.nhanh_id
WHERE mapping.store = $1 AND mapping.variant_id = $2 AND mapping.retired_at IS NULL
"""

PRODUCT_OF = "SELECT product_id FROM dongbo.shopify_variants WHERE store = $1 AND id = $2"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A side's questions: when they began, and who counts them."""

    clock: SnapshotClock
    meter: CallMeter


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
            rows = await connection.fetch(NHANH_IDS, store_name, variant_id)
        if product_id is None:
            return []
        nhanh_ids = [row["nhanh_id"] for row in rows]
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
        """Read both sides at once. Raises what the database raises, as it is: that is no affair of one side."""
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
        """Read the variant's product whole, as a pull does; what is wrong with the answer."""
        asked = await self._begin(store, store.shopify.clock)
        page = await store.shopify.products_by_ids([product_id], meter=asked.meter)
        if page.bad:
            return page.bad[0].reason
        if not page.rows:
            return _("Shopify has no such product any more: the next full pull will note that.")
        async with self._database.acquire() as connection, connection.transaction():
            await store_products(connection, store.name, page.rows, asked.clock.asked(page))
            await deletions.take_back(connection, store.name, shopify_mirror.PRODUCTS, [product_id])
        return None

    async def _read_nhanh(self, store: Store, nhanh_ids: Sequence[int]) -> str | None:
        """Read the product and what it is made of, with their stock; what is wrong with the answer."""
        if not nhanh_ids:
            return None
        asked = await self._begin(store, store.nhanh.clock)
        page = await store.nhanh.rows_by_ids(PRODUCTS, nhanh_ids, meter=asked.meter)
        if page.bad:
            return page.bad[0].reason
        if not page.rows:
            return _("Nhanh.vn has no such product any more: the next full pull will note that.")
        present = [row.value.id for row in page.rows]
        silent = [row.value.id for row in page.rows if row.value.inventory is None or not row.value.inventory.is_told]
        stock = await store.nhanh.rows_by_ids(INVENTORY, silent, meter=asked.meter) if silent else None
        async with self._database.acquire() as connection, connection.transaction():
            await nhanh_mirror.upsert_products(connection, store.name, page.rows, asked.clock.asked(page))
            if stock is not None and not stock.bad:
                await nhanh_mirror.record_stock(connection, store.name, stock.rows, silent)
            await deletions.take_back(connection, store.name, nhanh_mirror.PRODUCTS, present)
        return stock.bad[0].reason if stock is not None and stock.bad else None

    async def _begin(self, store: Store, clock: SourceClock) -> _Asked:
        async with self._database.acquire() as connection:
            questions = await SnapshotClock.begin(connection, store.name, clock)
        return _Asked(questions, CallMeter(retry_budget=RETRIES))
