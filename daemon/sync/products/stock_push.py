"""Pushing a batch of stock: intents first, then one call by compare-and-set, then its outcome.

A call sets all of its rows or none. Where Shopify refuses it, the rows that were stale are read again and decided
again, those that it refuses for another reason fail, and the others are sent once more, with a new key. An item
that is not stocked at a location is activated there first, which may bring back a quantity that it had before: a call
may well set it without that, and then it is neither sold nor seen there. What was activated is read again at the end.

What is available changes with every order, and is set whatever it has become. What is on hand changes only where goods
come or go: with an order that was sent, perhaps, of which Nhanh.vn's figure may not know yet. To set it then would sell
the same piece again, so a row that has changed is left to the next sync, which reads both sides anew.

What a call is to set is decided when its intents are noted (`daemon/sync/recording.py`): others may have pushed, or
pulled, since the batch was planned.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID, uuid4

import structlog

from daemon.api.pushes import PushKind, PushResult
from daemon.database.pool import Connection
from daemon.errors import DepotsChanged, SourceRefused, StorePaused
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters
from daemon.mirror import levels
from daemon.mirror.levels import KnownLevel, PushedLevel
from daemon.mirror.snapshot_time import SnapshotTime, asked_now
from daemon.sources.shopify.models import ItemStock, Quantities, QuantityName, Reading
from daemon.sources.shopify.writes import CALL_CODES, MAX_STOCK_CHANGES, StockChange, WriteError
from daemon.sync import pushes
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.reconciliation import STOCK_KINDS, STOCKED
from daemon.sync.products.rows import Batch, Key, StockRow, dead_letter
from daemon.sync.products.run import SyncRun
from daemon.sync.products.safety_limits import PlanOverturned
from daemon.sync.products.stock_decision import SENT_AGAIN, StockDecision, decide, moved
from daemon.sync.pushes import IntendedPush, Value
from daemon.sync.recording import BUSY, lock_stock

log = structlog.get_logger()

BATCH = MAX_STOCK_CHANGES
MAX_ATTEMPTS = 5  # a value that has changed each time is left to the next sync
ATTEMPTS_TOGETHER = 2  # what has changed so often is sent by itself, for it keeps its whole call from being set
MOST_UNNAMED = 20  # rows of a run that Shopify refuses without naming them; then the app is wrong and not the rows
ACTIVATIONS_AT_ONCE = 25  # between two chances to stop: each is a call of its own

RESTLESS = mark("It changed at Shopify before each of {attempts} attempts to set it: the next sync tries again.")

NOT_KEPT = mark(
    "Shopify accepted its stock but did not keep it at the location: look at the variant in Shopify, "
    "under Inventory. The next pull and sync try again."
)

NOT_SEEN = mark(
    "Shopify accepted its stock but can't say whether it kept it: {reason} The next pull and sync check again."
)


@dataclass
class BatchProgress:
    """What is known of a batch until it is closed."""

    outcomes: dict[int, tuple[PushResult, str | None]] = field(default_factory=dict)  # by push
    levels: list[PushedLevel] = field(default_factory=list)  # as they are at Shopify now
    updated: int = 0
    skipped: int = 0
    refused: list[DeadLetter] = field(default_factory=list)
    activated: set[Key] = field(default_factory=set)
    given_up: set[Key] = field(default_factory=set)

    def done(self, row: StockRow, *, pushed: bool) -> None:
        """A row is right now, by us or by somebody else."""
        if pushed or row.key in self.activated:
            self.updated += 1
        else:
            self.skipped += 1

    def refuse(self, row: StockRow, reason: str) -> None:
        """A row is given up."""
        self.given_up.add(row.key)
        self.refused.append(dead_letter(row, reason))


class StockPush:
    """Pushes batches of stock for a run."""

    def __init__(self, run: SyncRun, plan: ProductPlan) -> None:
        self._run = run
        self._plan = plan
        self._recording = run.recording(STOCK_KINDS, lock_stock)
        self._unnamed = 0  # rows that were refused without being named

    async def push(self, batch: Batch[StockRow]) -> None:
        """Push a batch and close it.

        Raises:
            IdempotencyLost: a call's key is used up; its pushes must be settled.
            PlanOverturned: too much of what is left is risky; what was sent before is noted.
            DepotsChanged: stock can no longer be relied on; what was sent before is noted.
            StorePaused: nothing more may be sent; what was sent before is noted.
            SourceRefused, RateLimited, SourceUnavailable: the call failed; its pushes stay open.
            RunStopped: after the batch.
        """
        progress = BatchProgress()
        try:
            await self._push_rows(batch.rows, progress)
            await self._read_back(batch.rows, progress)
        except (PlanOverturned, DepotsChanged, StorePaused):
            await self._keep(progress)
            raise
        async with self._run.closing(batch) as page:
            await levels.set_pushed(page.connection, self._run.store, progress.levels, self._plan.quantity)
            await pushes.settle(page.connection, progress.outcomes)
            page.count(Counters(updated=progress.updated, skipped=progress.skipped))
            page.reject(progress.refused)

    async def _keep(self, progress: BatchProgress) -> None:
        """Note what is known of a batch by now. It is counted when the position moves past it."""
        async with self._run.step() as page:
            await levels.set_pushed(page.connection, self._run.store, progress.levels, self._plan.quantity)
            await pushes.settle(page.connection, progress.outcomes)
        progress.levels, progress.outcomes = [], {}

    async def _push_rows(self, rows: Sequence[StockRow], progress: BatchProgress) -> None:
        together, restless = list(rows), []
        moves: Counter[Key] = Counter()
        while together:
            sound, moved_rows = await self._push_once(together, progress)
            moves.update(row.key for row in moved_rows)
            restless += [row for row in moved_rows if moves[row.key] >= ATTEMPTS_TOGETHER]
            together = [*sound, *(row for row in moved_rows if moves[row.key] < ATTEMPTS_TOGETHER)]
        for row in restless:
            await self._push_alone(row, progress)

    async def _push_alone(self, row: StockRow, progress: BatchProgress) -> None:
        left = [row]
        for _attempt in range(MAX_ATTEMPTS - ATTEMPTS_TOGETHER):
            _done, left = await self._push_once(left, progress)
            if not left:
                return
        progress.refuse(row, _(RESTLESS).format(attempts=MAX_ATTEMPTS))

    async def _push_once(self, rows: list[StockRow], progress: BatchProgress) -> tuple[list[StockRow], list[StockRow]]:
        """Push these rows; those that are to be sent again: as they are, and changed meanwhile."""
        decision = await self._set(await self._activate(rows, progress), progress)
        return decision.sound, decision.moved

    async def _set(self, planned: list[StockRow], progress: BatchProgress) -> StockDecision:
        """Set these rows in one call."""
        run, key = self._run, uuid4()

        async def record(connection: Connection, rows: Sequence[StockRow]) -> list[int]:
            intents = [_intent(row, self._plan.quantity) for row in rows if _is_to_set(row)]
            return await pushes.record(connection, run.store, run.context.job.id, key, intents, run.because)

        found, ids = await self._note(planned, progress, record)
        unstocked = [row for row in found if _is_to_activate(row)]  # somebody has stopped stocking it meanwhile
        rows = [row for row in found if _is_to_set(row)]
        if not rows:
            return StockDecision(moved=unstocked)
        retries = run.meter.retries
        # Awaited as it is: a call that is under way is not abandoned because the run is to stop.
        errors = await run.shopify.set_stock(
            [_change(row) for row in rows], key=key, reference=run.reference, meter=run.meter, name=self._plan.quantity
        )
        if not errors:
            known_at = (await self._asked_now()).at  # the batch may be closed much later
            progress.outcomes |= dict.fromkeys(ids, (PushResult.APPLIED, None))
            for row in rows:
                progress.levels.append(PushedLevel(row.item_id, row.key.location_id, row.desired, known_at))
                progress.done(row, pushed=True)
            return StockDecision(moved=unstocked)
        was_repeated = run.meter.retries > retries
        decision = await self._decide_again(rows, ids, errors, progress, was_repeated=was_repeated)
        return decision + StockDecision(moved=unstocked)

    async def _note(
        self,
        planned: Sequence[StockRow],
        progress: BatchProgress,
        record: Callable[[Connection, Sequence[StockRow]], Awaitable[list[int]]],
    ) -> tuple[list[StockRow], list[int]]:
        """The rows that are still to be pushed, as they are to be by now, and the pushes that `record` has noted of
        them; all others are counted."""
        run = self._run

        async def note(
            connection: Connection, busy: frozenset[Value]
        ) -> tuple[frozenset[Value], list[StockRow], list[int]]:
            await run.check_visibility(connection)
            rows = await self._plan.stock_again(connection, [row for row in planned if row.value not in busy])
            rows = self._without_newer(planned, rows)
            await run.know_unasked(connection, rows)
            run.limits.admit_stock(rows)
            return busy, rows, await record(connection, rows)

        if not planned:
            return [], []
        busy, rows, ids = await self._recording.note(
            [row.value for row in planned], note, before_waiting=partial(self._keep, progress)
        )
        still_planned = {row.key for row in rows}
        for row in planned:
            if row.value in busy:
                progress.refuse(row, _(BUSY))
            elif row.key not in still_planned:
                progress.done(row, pushed=False)
        return _without_equal(rows, progress), ids

    async def _decide_again(
        self,
        rows: list[StockRow],
        ids: list[int],
        errors: Sequence[WriteError],
        progress: BatchProgress,
        *,
        was_repeated: bool,
    ) -> StockDecision:
        run = self._run
        unnamed = next((error for error in errors if error.index is None), None)
        if unnamed is not None:
            return await self._split(rows, ids, unnamed, progress)
        stale, asked = moved(rows, errors), await self._asked_now()
        read = run.shopify.stock_levels([row.item_id for row in stale], meter=run.meter)
        stock = await run.context.unless_stopped(read)
        decision = decide(rows, errors, stock, was_repeated=was_repeated, quantity=self._plan.quantity)
        left = self._left_alone(decision)
        # What is left alone stays stale, or a plan made after this would push it by the same figure of Nhanh.vn.
        seen = _seen([row for row in stale if row.key not in left], stock)
        async with run.step() as page:
            await pushes.settle(page.connection, dict(zip(ids, decision.outcomes, strict=True)))
            if seen:
                await levels.replace_levels(page.connection, run.store, seen, asked)
        for row in decision.set_by_us:
            progress.done(row, pushed=True)
        for row in decision.untracked:
            progress.done(row, pushed=False)
        for row, reason in decision.refused:
            progress.refuse(row, reason)
        for row in decision.moved:
            if row.key in left:
                progress.done(row, pushed=False)
        decision.moved = [row for row in decision.moved if row.key not in left]
        log.info("stock_decided_again", rows=len(rows), stale=len(stale), sound=len(decision.sound))
        return decision

    def _without_newer(self, planned: Sequence[StockRow], rows: Sequence[StockRow]) -> list[StockRow]:
        """The rows without those that the plan knows to be other on hand than when the batch was planned: somebody has
        read Shopify since then, and perhaps not Nhanh.vn."""
        if self._plan.quantity == "available":
            return list(rows)
        present = {row.key: row.present for row in planned}
        kept = [row for row in rows if row.present in (present[row.key], row.desired)]
        self._run.moved += len(rows) - len(kept)
        return kept

    def _left_alone(self, decision: StockDecision) -> frozenset[Key]:
        """The rows that are not sent again although nothing is wrong with them."""
        if self._plan.quantity == "available":
            return frozenset()
        self._run.moved += len(decision.moved)
        return frozenset(row.key for row in decision.moved)

    async def _split(
        self, rows: list[StockRow], ids: list[int], error: WriteError, progress: BatchProgress
    ) -> StockDecision:
        """Find the row that Shopify refuses without naming it, by sending each half of the rows again."""
        run, is_found = self._run, len(rows) == 1
        detail = error.message if is_found else f"{_(SENT_AGAIN)}: {error.message}"
        async with run.step() as page:
            await pushes.settle(page.connection, dict.fromkeys(ids, (PushResult.REFUSED, detail)))
        self._unnamed += is_found
        if error.code in CALL_CODES or self._unnamed > MOST_UNNAMED:
            raise SourceRefused(_("Shopify accepts no stock from this app: {message}").format(message=error.message))
        if is_found:
            progress.refuse(rows[0], _("Shopify refused to set its stock: {message}").format(message=error.message))
            return StockDecision()
        middle = len(rows) // 2
        return await self._set(rows[:middle], progress) + await self._set(rows[middle:], progress)

    async def _read_back(self, rows: Sequence[StockRow], progress: BatchProgress) -> None:
        """See whether what was activated is stocked now, and with how much."""
        activated = [row for row in rows if row.key in progress.activated - progress.given_up]
        if not activated:
            return
        run, asked = self._run, await self._asked_now()
        # Awaited as it is: what was written is to be counted.
        stock = await run.shopify.stock_levels([row.item_id for row in activated], meter=run.meter)
        seen = _seen(activated, stock)
        progress.levels = [level for level in progress.levels if level.item_id not in seen]
        async with run.step() as page:
            await levels.replace_levels(page.connection, run.store, seen, asked)
        for row in activated:
            if row.item_id in stock.unread:
                progress.updated -= 1
                progress.refuse(row, _(NOT_SEEN).format(reason=stock.unread[row.item_id]))
            elif row.item_id not in seen or row.key.location_id not in stock.found[row.item_id].levels:
                progress.updated -= 1
                progress.refuse(row, _(NOT_KEPT))

    async def _activate(self, rows: list[StockRow], progress: BatchProgress) -> list[StockRow]:
        """Stock what is to be there and is not; all rows with what is there then, without those that were refused."""
        missing = [row for row in rows if _is_to_activate(row)]
        ready = [row for row in rows if not _is_to_activate(row)]
        for start in range(0, len(missing), ACTIVATIONS_AT_ONCE):
            await self._run.context.unless_stopped(asyncio.sleep(0))
            ready += await self._activate_some(missing[start : start + ACTIVATIONS_AT_ONCE], progress)
        return sorted(ready, key=lambda row: row.key)

    async def _activate_some(self, planned: list[StockRow], progress: BatchProgress) -> list[StockRow]:
        run, keys = self._run, dict[Key, UUID]()

        async def record(connection: Connection, rows: Sequence[StockRow]) -> list[int]:
            ids: list[int] = []
            for row in filter(_is_to_activate, rows):
                keys[row.key] = uuid4()
                ids += await pushes.record(
                    connection, run.store, run.context.job.id, keys[row.key], [_activation(row)], run.because
                )
            return ids

        found, ids = await self._note(planned, progress, record)
        rows = [row for row in found if _is_to_activate(row)]
        active: list[StockRow] = []
        known: list[KnownLevel] = []
        outcomes: dict[int, tuple[PushResult, str | None]] = {}
        answers = await self._call_activations(keys, rows)
        for row, push_id in zip(rows, ids, strict=True):
            match answers[row.key]:
                case WriteError(message=message):
                    outcomes[push_id] = (PushResult.REFUSED, message)
                    progress.refuse(
                        row, _("Shopify refused to stock it at the location: {message}").format(message=message)
                    )
                case quantities:
                    outcomes[push_id] = (PushResult.APPLIED, _found_there(quantities, self._plan.quantity))
                    progress.activated.add(row.key)
                    active.append(replace(row, present=quantities.named(self._plan.quantity)))
                    known.append(KnownLevel(row.key.variant_id, row.item_id, row.key.location_id, quantities))
        async with run.step() as page:
            await pushes.settle(page.connection, outcomes)
            await levels.set_levels(page.connection, run.store, known)
        return active + [row for row in found if not _is_to_activate(row)]

    async def _asked_now(self) -> SnapshotTime:
        async with self._run.context.database.acquire_for_work() as connection:
            return await asked_now(connection)

    async def _call_activations(
        self, keys: Mapping[Key, UUID], rows: Sequence[StockRow]
    ) -> dict[Key, Quantities | WriteError]:
        """What is there of each now, or why it can't be stocked: a call for each item."""
        run, answers = self._run, dict[Key, Quantities | WriteError]()
        by_item: dict[int, list[StockRow]] = {}
        for row in rows:
            by_item.setdefault(row.item_id, []).append(row)
        for item_id, of_item in by_item.items():
            if len(of_item) == 1:
                key = of_item[0].key
                answers[key] = await run.shopify.activate_item(item_id, key.location_id, key=keys[key], meter=run.meter)
                continue
            location_ids = [row.key.location_id for row in of_item]
            found = await run.shopify.activate_item_at(item_id, location_ids, meter=run.meter)
            answers |= {row.key: found[row.key.location_id] for row in of_item}
        return answers


def _seen(rows: Sequence[StockRow], stock: Reading[ItemStock]) -> dict[int, tuple[int, dict[int, Quantities]]]:
    """{item: (variant, levels)} of what was read of rows."""
    return {
        row.item_id: (row.key.variant_id, item.levels)
        for row in rows
        if (item := stock.found.get(row.item_id)) is not None
    }


def _is_to_activate(row: StockRow) -> bool:
    return row.present is None and row.desired > 0


def _is_to_set(row: StockRow) -> bool:
    return row.present is not None and row.present != row.desired


def _without_equal(rows: Sequence[StockRow], progress: BatchProgress) -> list[StockRow]:
    different = []
    for row in rows:
        if (row.present or 0) == row.desired:
            progress.done(row, pushed=False)
        else:
            different.append(row)
    return different


def _found_there(quantities: Quantities, name: QuantityName) -> str:
    """What an activation has brought back."""
    if name == "available":
        return _("{available} available there").format(available=quantities.available)
    return _("{on_hand} on hand there").format(on_hand=quantities.on_hand)


def _change(row: StockRow) -> StockChange:
    # A row that is not stocked was activated before, so there is always a value to expect.
    return StockChange(row.item_id, row.key.location_id, expected=row.present or 0, quantity=row.desired)


def _intent(row: StockRow, quantity: QuantityName) -> IntendedPush:
    push = _push(row, PushKind.STOCK, str(row.present), str(row.desired))
    return push if quantity == "available" else replace(push, name=quantity)


def _activation(row: StockRow) -> IntendedPush:
    return _push(row, PushKind.ACTIVATION, None, STOCKED)


def _push(row: StockRow, kind: PushKind, old: str | None, new: str) -> IntendedPush:
    return IntendedPush(
        kind=kind,
        owner_id=row.key.variant_id,
        old_value=old,
        new_value=new,
        reason=row.reason,
        item_id=row.item_id,
        location_id=row.key.location_id,
        rule=row.rule,
    )
