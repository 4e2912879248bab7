"""Stock and prices of the mapped products to Shopify: only what differs, each value by compare-and-set."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import structlog

from daemon.errors import SourceUnavailable
from daemon.jobs.context import ApprovalNeeded, JobContext
from daemon.jobs.model import Counters, JobType
from daemon.mirror import nhanh as mirror
from daemon.sales import items
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.errors import IdempotencyLost
from daemon.sync import pushes
from daemon.sync.products import approvals, price_push, stock_push
from daemon.sync.products.caution import Caution, PlanOverturned, Survey
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.price_push import PricePush
from daemon.sync.products.rows import START, Batch, R, in_batches, is_large_change
from daemon.sync.products.run import Phase, Position, SyncRun
from daemon.sync.products.settlement import Settlement
from daemon.sync.products.stock_push import StockPush
from daemon.tasks import params
from daemon.tasks.depots import check_depots, check_locations
from daemon.tasks.identity import PRODUCT_STREAMS, check_identities
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Source, Store, task

log = structlog.get_logger()

MAX_PLANS = 5  # of one run: each time, what a used-up key left open is settled, and the rest is planned anew
ASKED_AT_ONCE = 1_000  # products of unknown stock
SURVEYED_AT_ONCE = 250  # rows between two turns of the loop
DONE = Position(Phase.DONE)

KEYS_LOST = (
    f"Shopify took the idempotency keys of calls of this run no more, and it has planned {MAX_PLANS} times. What they "
    "did has been read; the sync goes on later."
)
OVERTURNED = (
    f"While this run pushed, stock or prices changed so that more of it became risky than is pushed unasked, and that "
    f"{MAX_PLANS} times. What was pushed has been noted; the sync goes on later."
)


@task(
    JobType.SYNC_PRODUCTS,
    sources=(Source.NHANH, Source.SHOPIFY),
    lane="sync-products",
    params=params.dry_run,
    requires=lambda store: store.product_sync,
)
async def sync_products(job: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a mapped variant at a location, or the price of a mapped variant."""
    await _Sync(job, store, counted_calls(job)).run()


class _Sync:
    def __init__(self, job: JobContext, store: Store, meter: CallMeter) -> None:
        self._job = job
        self._store = store
        self._meter = meter
        self._settings = store.product_sync
        self._plan = ProductPlan(job.database, store.name, self._settings)
        self._run = SyncRun(job, store.name, store.shopify, meter)

    async def run(self) -> None:
        is_dry = bool(self._job.params.get("dry_run"))
        await check_identities(self._job, self._store, self._meter, PRODUCT_STREAMS)
        if not is_dry:
            await self._settle()
        await self._check_places()
        await self._learn_unknown_stock()
        self._run.caution = await self._caution()
        if is_dry:
            await self._describe_only()
            return
        await self._rebase_sales()
        await self._plan_and_push()

    async def _rebase_sales(self) -> None:
        """Let variants that are on sale go back to what Nhanh.vn says by now, instead of pushing it.

        A large change is left alone: when the sale is over, the sync pushes it, or asks a person first.
        """
        differing = await self._plan.prices_on_sale()
        if not differing:
            return
        share = self._settings.large_price_change
        bases = {number: new for number, (old, new) in differing.items() if not is_large_change(old, new, share)}
        async with self._run.step() as page:
            rebased = await items.rebase(page.connection, self._store.name, bases)
            page.metadata |= {"rebased_on_sale": rebased, "left_on_sale": len(differing) - len(bases)}

    async def _plan_and_push(self) -> None:
        reason = ""
        for _ in range(MAX_PLANS):
            survey = await self._survey()
            if survey.is_empty:
                await self._run.close_unchanged(self._plan, survey.rows)
                return
            try:
                await self._push()
            except PlanOverturned:
                reason = OVERTURNED
                continue
            except IdempotencyLost as error:
                log.warning("key_lost", error=str(error), next_step="reading Shopify again and planning anew")
                await self._settle()
                reason = KEYS_LOST
                continue
            return
        raise SourceUnavailable(reason)

    async def _settle(self) -> None:
        settlement = Settlement(self._job, self._store.name, self._store.shopify, self._meter)
        await settlement.run(self._run.position.to_json())

    async def _check_places(self) -> None:
        """Raise PlacesMissing where a depot or location can't be relied on."""
        depots = [depot for depots in self._settings.depots_of.values() for depot in depots]
        await check_depots(self._job, self._store, depots, self._meter)
        await self._run.rely_on(depots)
        await check_locations(self._job, self._store, list(self._settings.depots_of), self._meter)

    async def _learn_unknown_stock(self) -> None:
        """Ask Nhanh for the stock of mapped products of which it has told none: missing from the answer means zero,
        because exactly these were asked for."""
        unknown = await self._plan.products_of_unknown_stock()
        for start in range(0, len(unknown), ASKED_AT_ONCE):
            asked = unknown[start : start + ASKED_AT_ONCE]
            answer = await self._job.unless_stopped(self._store.nhanh.inventory_by_ids(asked, meter=self._meter))
            unreadable = {bad.source_id for bad in answer.bad}
            told = {row.value.product_id for row in answer.rows}
            # A row that can't even be told whose it is may be that of any product that seems to be missing.
            missing = [] if None in unreadable else [number for number in asked if str(number) not in unreadable]
            missing = await self._still_there([number for number in missing if number not in told])
            async with self._run.step() as page:
                known = [number for number in asked if number in told or number in missing]
                await mirror.record_stock(page.connection, self._store.name, answer.rows, known)

    async def _still_there(self, numbers: list[int]) -> list[int]:
        """Those products that Nhanh still has: one that is deleted has no stock record either, and is not ours to
        sell out. The next full pull finds it gone, and matching retires its mapping."""
        if not numbers:
            return []
        found = await self._job.unless_stopped(self._store.nhanh.products_by_ids(numbers, meter=self._meter))
        return [row.value.id for row in found.rows]

    async def _caution(self) -> Caution:
        job, settings = self._job, self._settings
        async with job.database.acquire_for_work() as connection:
            approved = await approvals.list_changes(connection, job.job.id) if job.is_approved else frozenset()
            unasked = await approvals.list_unasked(connection, self._store.name, settings.large_price_change)
        return Caution(settings, approved, unasked)

    async def _survey(self) -> Survey:
        """Look at all that is left of the plan, say how much it is, and stop where a person has to be asked first."""
        survey = await self._look()
        await self._job.describe(
            total=self._job.processed + survey.rows, left_alone=await self._plan.left_alone(), **survey.figures()
        )
        if not survey.needs_approval:
            return survey
        async with self._run.step() as page:
            await approvals.replace(page.connection, self._job.job.id, survey.items)
            page.metadata["approved_at"] = None  # what was approved before is no answer to this question
            pushed = await pushes.count_applied(page.connection, self._job.job.id)
        raise ApprovalNeeded(survey.question(pushed), **survey.figures(), sample=survey.sample)

    async def _look(self) -> Survey:
        survey, position = Survey(self._run.caution), self._run.position
        if position.phase is Phase.STOCK:
            async with aclosing(self._plan.stock_windows(position.after)) as stock:
                async for window in stock:
                    survey.rows += window.population
                    for place, row in enumerate(window.rows):
                        survey.add_stock(row)
                        if place % SURVEYED_AT_ONCE == 0:
                            await asyncio.sleep(0)
        if position.phase is not Phase.DONE:
            after = position.after if position.phase is Phase.PRICES else START
            async with aclosing(self._plan.price_windows(after)) as prices:
                async for priced in prices:
                    survey.rows += priced.population
                    for place, price in enumerate(priced.rows):
                        survey.add_price(price)
                        if place % SURVEYED_AT_ONCE == 0:
                            await asyncio.sleep(0)
        return survey

    async def _describe_only(self) -> None:
        if self._run.position == DONE:  # interrupted behind its only page
            return
        survey = await self._look()
        await self._job.describe(
            total=self._job.processed + survey.rows,
            left_alone=await self._plan.left_alone(),
            sample=survey.sample,
            would_ask=survey.question() if survey.needs_approval else None,
            **survey.figures(),
        )
        self._run.position = DONE
        async with self._job.page(checkpoint=DONE.to_json()) as page:
            page.count(Counters(skipped=survey.rows))

    async def _push(self) -> None:
        run, plan = self._run, self._plan
        if run.position.phase is Phase.STOCK:
            await run.remember(plan)
            stock = in_batches(plan.stock_windows(run.position.after), stock_push.BATCH)
            await self._push_each(stock, StockPush(run).push)
        if run.position.phase is Phase.PRICES:
            await run.remember(plan)
            prices = in_batches(plan.price_windows(run.position.after), price_push.BATCH, price_push.is_other_product)
            await self._push_each(prices, PricePush(run, plan).push)
        if self._job.processed != self._job.total:  # the mirror has changed meanwhile
            await self._job.describe(total=self._job.processed)

    async def _push_each(
        self, batches: AsyncGenerator[Batch[R], None], push: Callable[[Batch[R]], Awaitable[None]]
    ) -> None:
        async with aclosing(batches):
            async for batch in batches:
                if batch.is_empty:
                    self._run.pass_over(batch)
                else:
                    await push(batch)
