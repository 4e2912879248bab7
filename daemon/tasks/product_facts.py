"""What a product sync learns before it plans: stock that neither side has told, what combos are made of, and VAT."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from asyncpg import Record

from daemon.errors import CredentialRefused, SourceRefused
from daemon.jobs.context import JobContext
from daemon.mirror import combos, levels, vat
from daemon.mirror import nhanh as mirror
from daemon.mirror.combos import Components
from daemon.mirror.snapshot_time import asked_now
from daemon.mirror.vat import ReportedVat
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.lists import INVENTORY, PRODUCTS
from daemon.sources.nhanh.models import NhanhDetail, read_components
from daemon.sync.matching import mapped_variants
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.run import SyncRun
from daemon.tasks.registry import Store

log = structlog.get_logger()

ASKED_AT_ONCE = 1_000  # products of unknown stock
# product/detail tells of one product a call, and 150 calls go in 30 s: three minutes of them, the rest with later runs.
MOST_DETAILS = 750
DETAILS_AT_ONCE = 10
MOST_ITEMS = 1_000  # of Shopify, for at most 9 points each: a minute or two of what its limits restore
SAME_TIME = timedelta(seconds=2)  # two changes within Nhanh.vn's whole seconds look like one; its Date has no others
REFUSALS = 3  # one after the other, after which the others are not asked for


class ProductFacts:
    """Learns for a run, each time from the mirror as it is."""

    def __init__(self, context: JobContext, store: Store, run: SyncRun, meter: CallMeter) -> None:
        self._context = context
        self._store = store
        self._run = run
        self._meter = meter

    async def learn(self, plan: ProductPlan) -> None:
        """Learn what the plan lacks. Raises RunStopped, SourceRefused, RateLimited, SourceUnavailable."""
        await self._learn_combos(await plan.combos())
        # Nhanh.vn's stock is compared with what was on hand before it: what was sent in between is not set back.
        counterparts = await self._learn_on_hand(await plan.items_of_unread_on_hand(MOST_ITEMS))
        await self._learn_stock(sorted(counterparts.union(await plan.products_of_unknown_stock())))
        await self._learn_vat(await plan.products_of_unknown_vat(MOST_DETAILS))

    async def _learn_combos(self, rows: Sequence[Record]) -> None:
        """Of most combos product/list says what they are made of; of the others product/combo is asked."""
        reported = {row["id"]: read_components((row["combos"] or "null").encode()) for row in rows}
        silent = [number for number, components in reported.items() if not components]
        if silent:
            try:
                found = await self._context.unless_stopped(self._store.nhanh.combos(silent, meter=self._meter))
                reported.update(found)
            except CredentialRefused:
                raise
            except SourceRefused as error:
                log.warning("combos_unknown", reason=str(error), next_step="their stock is left alone")
        changed = {row["id"]: reported[row["id"]] for row in rows if reported[row["id"]] != _known(row)}
        if changed:
            async with self._run.step() as page:
                await combos.replace_items(page.connection, self._store.name, changed)

    async def _learn_stock(self, unknown: Sequence[int]) -> None:
        """Ask Nhanh for the stock of products that it has reported none of: missing from the answer means zero, because
        exactly these were asked for."""
        for start in range(0, len(unknown), ASKED_AT_ONCE):
            asked = unknown[start : start + ASKED_AT_ONCE]
            async with self._context.database.acquire_for_work() as connection:
                time = await asked_now(connection)
            answer = await self._context.unless_stopped(
                self._store.nhanh.rows_by_ids(INVENTORY, asked, meter=self._meter)
            )
            unreadable = {bad.source_id for bad in answer.bad}
            reported = {row.value.product_id for row in answer.rows}
            # A row of which it is not even clear whose it is may be that of any product that seems to be missing.
            missing = [] if None in unreadable else [number for number in asked if str(number) not in unreadable]
            missing = await self._still_there([number for number in missing if number not in reported])
            async with self._run.step() as page:
                known = [number for number in asked if number in reported or number in missing]
                await mirror.record_stock(page.connection, self._store.name, answer.rows, known, time)

    async def _still_there(self, numbers: list[int]) -> list[int]:
        """Those products that Nhanh still has: one that is deleted has no stock record either, and is not ours to
        sell out. The next full pull finds it gone, and matching retires its mapping."""
        if not numbers:
            return []
        found = await self._context.unless_stopped(self._store.nhanh.rows_by_ids(PRODUCTS, numbers, meter=self._meter))
        return [row.value.id for row in found.rows]

    async def _learn_on_hand(self, items: Mapping[int, int]) -> set[int]:
        """Read what is on hand at Shopify of items, {item: variant}, that a former version has not asked for; the
        products of Nhanh.vn that make their stock."""
        numbers = list(items)
        for start in range(0, len(numbers), levels.ITEMS_AT_ONCE):
            asked_for = numbers[start : start + levels.ITEMS_AT_ONCE]
            async with self._context.database.acquire_for_work() as connection:
                asked = await asked_now(connection)
            stock = await self._context.unless_stopped(self._store.shopify.stock_levels(asked_for, meter=self._meter))
            seen = {item_id: (items[item_id], item.levels) for item_id, item in stock.found.items()}
            async with self._run.step() as page:
                await levels.replace_levels(page.connection, self._store.name, seen, asked)
        async with self._context.database.acquire_for_work() as connection:
            found = await mapped_variants.counterparts(connection, self._store.name, items.values())
        return {number for number, _variant in found}

    async def _learn_vat(self, unknown: Mapping[int, datetime | None]) -> None:
        """Ask for the VAT of products whose prices need it, some at a time."""
        numbers, refusals = list(unknown), 0
        for start in range(0, len(numbers), DETAILS_AT_ONCE):
            asked = numbers[start : start + DETAILS_AT_ONCE]
            clock = self._store.nhanh.clock
            begun = clock.start()
            answers = await self._context.unless_stopped(asyncio.gather(*map(self._detail, asked)))
            time = clock.at(begun)
            reported = {
                number: ReportedVat(answer.vat_rate, unknown[number], _is_final(unknown[number], time))
                for number, answer in zip(asked, answers, strict=True)
                if answer is not None
            }
            async with self._run.step() as page:
                await vat.store_rates(page.connection, self._store.name, reported)
            refusals = 0 if reported else refusals + 1
            if refusals == REFUSALS:
                log.warning("vat_unknown", next_step="grant the access token of Nhanh.vn the permission product/detail")
                return

    async def _detail(self, product_id: int) -> NhanhDetail | None:
        """What product/detail tells; None where it refuses to."""
        try:
            return await self._store.nhanh.product_detail(product_id, meter=self._meter)
        except CredentialRefused:
            raise
        except SourceRefused as error:
            log.warning("vat_not_told", product=product_id, reason=str(error))
            return None


def _is_final(updated_at: datetime | None, time: datetime | None) -> bool:
    """Whether what is asked for at a time of the source holds all changes that bear a time of change."""
    return updated_at is None or time is None or time - updated_at >= SAME_TIME


def _known(row: Record) -> Components:
    return dict(zip(row["item_ids"], row["quantities"], strict=True))
