"""A run of the product sync in progress: how far it is, and how its counters stay exact whatever happens to it.

The rows of the plan stand in one order. A checkpoint says up to which of them everything has been counted, and a batch
is counted when it is closed: its own rows by their outcome, those between it and the batch before as skipped. A
row that this job has pushed already in a batch whose outcome was lost looks unchanged now; it counts as updated.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from daemon.api.pushes import PushKind
from daemon.database.pool import Connection
from daemon.errors import DepotsChanged
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.context import JobContext, PageTransaction
from daemon.jobs.model import Counters
from daemon.mirror import places
from daemon.mirror.places import DepotVisibility
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sync.products import approvals
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.reconciliation import PRICE_KINDS, STOCK_KINDS, Reconciliation
from daemon.sync.products.rows import END, START, Batch, Key, PriceRow, R, StockRow
from daemon.sync.products.safety_limits import SafetyLimits
from daemon.sync.pushes import NOTHING_ELSE
from daemon.sync.recording import Lock, Recording


class Phase(StrEnum):
    """What is pushed, one after the other."""

    STOCK = "stock"
    PRICES = "prices"
    DONE = "done"

    @property
    def following(self) -> "Phase":
        """What comes next."""
        return Phase.PRICES if self is Phase.STOCK else Phase.DONE


@dataclass(frozen=True, slots=True)
class PlanPosition:
    """Up to where the plan has been dealt with."""

    phase: Phase = Phase.STOCK
    after: Key = START

    @classmethod
    def from_json(cls, checkpoint: Any) -> "PlanPosition":
        """Out of a job's checkpoint; the start for a job without one."""
        if checkpoint is None:
            return cls()
        return cls(Phase(checkpoint["phase"]), Key(*checkpoint["after"]))

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint."""
        return {"phase": str(self.phase), "after": list(self.after)}

    def past(self, through: Key) -> "PlanPosition":
        """The position after a batch."""
        return PlanPosition(self.phase.following, START) if through == END else PlanPosition(self.phase, through)


KINDS = {Phase.STOCK: STOCK_KINDS, Phase.PRICES: PRICE_KINDS, Phase.DONE: ()}


class SyncRun:
    """What pushing stock and prices have in common: the job, the clients, the position, the rows pushed before."""

    def __init__(
        self,
        context: JobContext,
        store: StoreName,
        shopify: ShopifyClient,
        meter: CallMeter,
        because: Mapping[int, str] = NOTHING_ELSE,
    ) -> None:
        """`because`: {variant: what made the run look at it now}, see `pushes.record`."""
        self.context = context
        self.store = store
        self.shopify = shopify
        self.meter = meter
        self.because = because
        self.position = PlanPosition.from_json(context.job.checkpoint)
        self.limits: SafetyLimits
        self._depots: Collection[int] = ()
        self._visibility: DepotVisibility
        self.moved = 0  # rows of stock that are left to the next sync, because they changed at Shopify meanwhile
        self.pushed_before: frozenset[Key] = frozenset()  # after the position, by this job

    @property
    def reference(self) -> str:
        """Names the job in Shopify's own history of the stock."""
        return f"dongbo://jobs/{self.context.job.id}"

    def recording(self, kinds: Collection[PushKind], lock: Lock) -> Recording:
        """How the run notes pushes of these kinds."""
        return Recording(self.context, self.store, kinds, lock, self.step, self.settle)

    async def settle(self) -> None:
        """Find out what came of pushes that were interrupted, by reading Shopify."""
        await Reconciliation(self.context, self.store, self.shopify, self.meter).run(self.position.to_json())

    async def remember(self, plan: ProductPlan) -> None:
        """Look up what this job has already pushed after the position in its phase."""
        kinds = KINDS[self.position.phase]
        self.pushed_before = await plan.pushed_after(self.context.job.id, kinds, self.position.after)

    async def close_unchanged(self, plan: ProductPlan, rows: int) -> None:
        """End a run that has nothing left to push: `rows` after the position are as they should be."""
        updated = 0
        while self.position.phase is not Phase.DONE:
            await self.remember(plan)
            updated += len(self.pushed_before)
            self.position = self.position.past(END)
        if rows:
            async with self.context.page(checkpoint=self.position.to_json()) as page:
                page.count(Counters(updated=min(updated, rows), skipped=max(rows - updated, 0)))

    async def rely_on(self, depots: Collection[int]) -> None:
        """Let the run rely on what the access token can see of these depots now."""
        self._depots = depots
        async with self.context.database.acquire_for_work() as connection:
            self._visibility = await places.depot_visibility(connection, self.store, depots)

    async def check_visibility(self, connection: Connection) -> None:
        """Raise DepotsChanged where that has changed: a depot that is hidden looks as if it held nothing.

        A pull notes which depots are hidden before it stores any stock, so what was planned before this check was
        planned from all of them.
        """
        now = await places.depot_visibility(connection, self.store, self._depots)
        if now == self._visibility and now.are_visible:
            return
        raise DepotsChanged(
            _(
                "While this sync ran, the access token of Nhanh.vn lost or regained sight of a depot of "
                "[stores.{store}.product_sync.locations], which looks like less stock than there is. The rest was "
                "not pushed. Give the token access to all depots, pull their stock with `dongbo pull nhanh-inventory "
                "--full --store {store}`, and sync again."
            ).format(store=self.store)
        )

    async def know_unasked(self, connection: Connection, rows: Collection[StockRow] | Collection[PriceRow]) -> None:
        """Before any of the rows is admitted, let the limits know what other runs have pushed unasked meanwhile."""
        if any(map(self.limits.counts, rows)):
            share = self.limits.settings.large_price_change
            self.limits.learn(await approvals.list_unasked(connection, self.store, share))

    @asynccontextmanager
    async def step(self) -> AsyncIterator[PageTransaction]:
        """A transaction of the run in which nothing is counted."""
        async with self.context.page(checkpoint=self.position.to_json(), pages=0) as page:
            yield page

    @asynccontextmanager
    async def closing(self, batch: Batch[R]) -> AsyncIterator[PageTransaction]:
        """The transaction that ends a batch: counts the rows that needed nothing and moves the position past it."""
        position = self.position.past(batch.through)
        async with self.context.page(checkpoint=position.to_json()) as page:
            page.count(self._unchanged(batch))
            yield page
        self.position = position

    def pass_over(self, batch: Batch[R]) -> None:
        """Continue after an empty batch."""
        self.position = self.position.past(batch.through)

    def _unchanged(self, batch: Batch[R]) -> Counters:
        keys = {row.key for row in batch.rows}
        pushed = sum(self.position.after < key <= batch.through for key in self.pushed_before - keys)
        updated = min(pushed, batch.unchanged)
        return Counters(updated=updated, skipped=batch.unchanged - updated)
