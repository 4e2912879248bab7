"""Pushing the prices of one product: intents first, then one call, then what Shopify says that they are now.

Shopify takes each variant by itself, and knows no compare-and-set of prices: each is read again right before its call
is sent, and before each repetition. One that has changed is left alone, and decided anew by the next sync. What
somebody changes in the time of one call is overwritten.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import uuid4

from daemon.api.pushes import PushKind, PushResult
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.model import Counters
from daemon.mirror import shopify as mirror
from daemon.money import amount_text, amount_text_or_none
from daemon.sales import items
from daemon.sales.reading import FreshPrices, read_prices
from daemon.sources.shopify.models import PricePair
from daemon.sources.shopify.price_writer import write_prices
from daemon.sources.shopify.writes import (
    MAX_PRICE_CHANGES,
    PRICE_GONE_CODES,
    UNCHANGED,
    PriceChange,
    PriceOutcome,
    WriteError,
)
from daemon.sync import pushes
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.reconciliation import PRICE_KINDS
from daemon.sync.products.rows import Batch, PriceRow, dead_letter
from daemon.sync.products.run import SyncRun
from daemon.sync.products.safety_limits import PlanOverturned
from daemon.sync.pushes import IntendedPush, Value
from daemon.sync.recording import BUSY

BATCH = MAX_PRICE_CHANGES

MOVED = mark("somebody else changed the price before the call was sent: the next sync decides again")
UNREAD = mark("Its present price could not be read, so no new one was set: {reason} The next sync tries again.")
NOT_CONFIRMED = mark("Shopify's answer does not mention the variant.")
GONE = mark("The variant no longer exists in Shopify: pull Shopify's products, then sync again.")


class PricePush:
    """Pushes batches of prices for a run."""

    def __init__(self, run: SyncRun, plan: ProductPlan) -> None:
        self._run = run
        self._plan = plan
        self._recording = run.recording(PRICE_KINDS, items.lock_prices)

    async def push(self, batch: Batch[PriceRow]) -> None:
        """Push a batch, all of one product, and close it.

        Raises:
            PlanOverturned: nothing was sent, because too much of it is risky.
            StorePaused: nothing was sent.
            SourceRefused, RateLimited, SourceUnavailable: the call failed; its pushes stay open.
            RunStopped: after the batch.
        """
        known = {row.key.variant_id: row for row in batch.rows}
        fresh = await self._read(list(known))
        rows, ids, busy = await self._note([row for row in batch.rows if row.key.variant_id not in fresh.unread], fresh)
        known |= {row.key.variant_id: row for row in rows}
        outcome = await self._send(rows, fresh.read_at)
        intents = [intent for row in rows for intent in _intents(row)]
        failed = {number: _why(error) for number, error in outcome.refused.items()}
        failed |= dict.fromkeys(outcome.unconfirmed, _(NOT_CONFIRMED))
        failed |= {
            number: _(UNREAD).format(reason=reason) for number, reason in {**fresh.unread, **outcome.unread}.items()
        }
        failed |= dict.fromkeys(busy, _(BUSY))
        async with self._run.closing(batch) as page:
            settled = [_settled(intent, outcome) for intent in intents]
            await pushes.settle(page.connection, dict(zip(ids, settled, strict=True)))
            await pushes.note_made(page.connection, _made(ids, intents, outcome.applied))
            if outcome.applied:
                await mirror.set_prices(page.connection, self._run.store, outcome.applied)
            moved = {number: present for number, present in outcome.moved.items() if present is not None}
            if moved:
                await mirror.set_prices(page.connection, self._run.store, moved)
            updated = sum(row.key.variant_id in outcome.applied for row in rows)
            page.count(Counters(updated=updated, skipped=len(batch.rows) - updated - len(failed)))
            page.reject([dead_letter(known[number], reason) for number, reason in failed.items()])

    async def _read(self, variant_ids: Sequence[int]) -> FreshPrices:
        """What Shopify has now."""
        run = self._run
        return await read_prices(run.context.database, run.shopify, variant_ids, run.meter, run.context.unless_stopped)

    async def _note(
        self, planned: Sequence[PriceRow], fresh: FreshPrices
    ) -> tuple[list[PriceRow], list[int], frozenset[int]]:
        """The rows that still differ, by what Shopify and Nhanh.vn say now, their pushes, and the variants that another
        job is pushing."""
        run = self._run

        async def note(
            connection: Connection, busy: frozenset[Value]
        ) -> tuple[list[PriceRow], list[int], frozenset[int]]:
            await mirror.set_prices(connection, run.store, fresh.found, fresh.asked_at)
            free = [row for row in planned if row.value not in busy]
            rows = [row for row in await self._plan.prices_again(connection, free) if row.differs]
            await run.know_unasked(connection, rows)
            run.limits.admit_prices(rows)
            intents = [intent for row in rows for intent in _intents(row)]
            ids = await pushes.record(connection, run.store, run.context.job.id, uuid4(), intents, run.because)
            return rows, ids, frozenset(row.key.variant_id for row in planned if row.value in busy)

        if not planned:
            return [], [], frozenset()
        try:
            return await self._recording.note([row.value for row in planned], note)
        except PlanOverturned:  # by what Shopify has: the next plan is to know it
            async with run.step() as page:
                await mirror.set_prices(page.connection, run.store, fresh.found, fresh.asked_at)
            raise

    async def _send(self, rows: Sequence[PriceRow], read_at: float) -> PriceOutcome:
        if not rows:
            return PriceOutcome()
        run, changes = self._run, {rows[0].key.product_id: [_change(row) for row in rows]}
        # Awaited as it is: a call that is under way is not abandoned because the run is to stop.
        outcome, error = await write_prices(run.shopify, changes, meter=run.meter, read_at=read_at)
        if error is not None:
            raise error
        return outcome


def is_other_product(row: PriceRow, following: PriceRow) -> bool:
    """Whether two rows can't be pushed in one call."""
    return row.key.product_id != following.key.product_id


def _intents(row: PriceRow) -> list[IntendedPush]:
    intents = []
    if row.changes_price:
        old, new = amount_text(row.price), amount_text(row.desired_price)
        intents.append(IntendedPush(PushKind.PRICE, row.key.variant_id, old, new, row.price_reason, rule=row.rule))
    if row.changes_compare_at_price:
        values = (amount_text_or_none(row.compare_at_price), amount_text_or_none(row.desired_compare_at_price))
        intents.append(
            IntendedPush(PushKind.COMPARE_AT_PRICE, row.key.variant_id, *values, row.compare_at_reason, rule=row.rule)
        )
    return intents


def _change(row: PriceRow) -> PriceChange:
    return PriceChange(
        row.key.variant_id,
        price=row.desired_price if row.changes_price else UNCHANGED,
        compare_at_price=row.desired_compare_at_price if row.changes_compare_at_price else UNCHANGED,
        expected=PricePair(row.price, row.compare_at_price),
    )


def _settled(intent: IntendedPush, outcome: PriceOutcome) -> tuple[PushResult, str | None]:
    if intent.owner_id in outcome.moved:
        # An attempt without an answer may have been carried out before, and may still be.
        return (PushResult.UNKNOWN if intent.owner_id in outcome.in_doubt else PushResult.STALE), _(MOVED)
    if intent.owner_id in outcome.unread:
        doubtful, reason = intent.owner_id in outcome.in_doubt, outcome.unread[intent.owner_id]
        return (PushResult.UNKNOWN if doubtful else PushResult.STALE), _(UNREAD).format(reason=reason)
    if intent.owner_id in outcome.refused:
        return PushResult.REFUSED, outcome.refused[intent.owner_id].message
    if intent.owner_id in outcome.unconfirmed:
        return PushResult.UNKNOWN, _(NOT_CONFIRMED)
    present = _present(intent, outcome.applied[intent.owner_id])
    if present == _wanted(intent):
        return PushResult.APPLIED, None
    return PushResult.APPLIED, _("Shopify made it {amount}").format(amount=amount_text_or_none(present))


def _made(
    ids: Sequence[int], intents: Sequence[IntendedPush], applied: Mapping[int, PricePair]
) -> dict[int, str | None]:
    """What Shopify has made another value of: a push that comes to the same twice is not repeated."""
    return {
        push_id: amount_text_or_none(_present(intent, applied[intent.owner_id]))
        for push_id, intent in zip(ids, intents, strict=True)
        if intent.owner_id in applied and _present(intent, applied[intent.owner_id]) != _wanted(intent)
    }


def _present(intent: IntendedPush, now: PricePair) -> Decimal | None:
    return now.price if intent.kind is PushKind.PRICE else now.compare_at


def _wanted(intent: IntendedPush) -> Decimal | None:
    return None if intent.new_value is None else Decimal(intent.new_value)


def _why(error: WriteError) -> str:
    if error.code in PRICE_GONE_CODES:
        return _(GONE)
    return _("Shopify refused to set its price: {message}").format(message=error.message)
