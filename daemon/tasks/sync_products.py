"""Stock and prices of the mapped products to Shopify: only what differs, each value by compare-and-set."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from itertools import chain
from typing import Any

import structlog

from daemon.errors import SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs import approvals as questions
from daemon.jobs.context import ApprovalNeeded, JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JobType
from daemon.mirror import shops
from daemon.money import CurrencyMismatch
from daemon.sales import items
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.errors import IdempotencyLost
from daemon.sync import pushes
from daemon.sync.products import approvals, price_push, stock_push, synced_settings
from daemon.sync.products.obstacles import COMMON
from daemon.sync.products.plan import ProductPlan
from daemon.sync.products.price_push import PricePush
from daemon.sync.products.reconciliation import Reconciliation
from daemon.sync.products.rows import START, Batch, R, Window, in_batches, is_large_change
from daemon.sync.products.rules import DEFAULT_SHOP
from daemon.sync.products.run import Phase, PlanPosition, SyncRun
from daemon.sync.products.safety_limits import PlanOverturned, PlanSurvey, SafetyLimits
from daemon.sync.products.stock_push import StockPush
from daemon.sync.products.synced_settings import SyncedSettings, settings_of
from daemon.tasks import params
from daemon.tasks.applied import note_applied
from daemon.tasks.depots import PlacesMissing, closed_locations, hidden_depots
from daemon.tasks.drawn_on import note_drawn_on
from daemon.tasks.identity import PRODUCT_STREAMS, check_identities
from daemon.tasks.product_facts import ProductFacts
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.shop_terms import check_currency, read_shop

log = structlog.get_logger()

MAX_PLANS = 5  # of one run: each time, what a used-up key left open is settled, and the rest is planned anew
SURVEYED_AT_ONCE = 250  # rows between two turns of the loop
DONE = PlanPosition(Phase.DONE)

KEYS_LOST = mark(
    "Shopify no longer accepted the idempotency keys of this run's calls, and it has planned {n} "
    "times. What they did has been read; the sync continues later."
)
OVERTURNED = mark(
    "While this run pushed, stock or prices changed so that more of it became risky than is pushed "
    "unasked, and that {n} times. What was pushed has been recorded; the sync continues later."
)


@task(JobType.SYNC_PRODUCTS, params.dry_run)
async def sync_products(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a mapped variant at a location, or the price of a mapped variant."""
    await _Sync(context, store, counted_calls(context)).run()


class _Sync:
    def __init__(self, context: JobContext, store: Store, meter: CallMeter) -> None:
        self._context = context
        self._store = store
        self._meter = meter
        self._settings = store.product_sync
        self._plan: ProductPlan
        self._run = SyncRun(context, store.name, store.shopify, meter)
        self._shop = DEFAULT_SHOP
        self._notices: list[str] = []  # what is wrong and keeps only a part of the sync from being done
        self._mismatch: CurrencyMismatch | None = None

    async def run(self) -> None:
        """Push what can be pushed; what is wrong with the rest is raised or reported at the end."""
        is_dry = bool(self._context.params.get("dry_run"))
        await check_identities(self._context, self._store, self._meter, PRODUCT_STREAMS)
        has_begun = self._run.position != PlanPosition()
        await note_drawn_on(self._context, self._store, self._streams, has_begun=has_begun)
        if not is_dry:
            await self._settle()
        await self._check_places()
        await self._check_currency()
        self._plan = ProductPlan(self._context.database, self._store.name, self._settings, self._shop)
        await ProductFacts(self._context, self._store, self._run, self._meter).learn(self._plan)
        self._run.limits = await self._safety_limits()
        if is_dry:
            await self._describe_only()
        else:
            await self._rebase_sales()
            await self._plan_and_push()
            await note_applied(self._context)
        if self._mismatch is not None:
            raise self._mismatch
        if not is_dry:
            async with self._run.step() as page:
                await synced_settings.record(page.connection, self._store.name, self._context.job.type, self._synced_by)

    async def _rebase_sales(self) -> None:
        """Let variants that are on sale go back to what Nhanh.vn says by now, instead of pushing it.

        A large change is left alone: when the sale is over, the sync pushes it, or asks a person first. So is one that
        is due to VAT before a person has agreed to that.
        """
        differing = await self._plan.prices_on_sale(is_vat_agreed=self._shop.vat_agreed)
        if not differing:
            return
        share = self._settings.large_price_change
        bases = {number: new for number, (old, new) in differing.items() if not is_large_change(old, new, share)}
        async with self._run.step() as page:
            rebased = await items.rebase(page.connection, self._store.name, bases)
            page.metadata |= {"rebased_on_sale": rebased, "left_on_sale": len(differing) - len(bases)}

    async def _plan_and_push(self) -> None:
        reason = ""
        for _plan in range(MAX_PLANS):
            survey = await self._survey()
            if survey.is_empty:
                await self._run.close_unchanged(self._plan, survey.rows)
                return
            try:
                await self._push()
            except PlanOverturned:
                reason = _(OVERTURNED).format(n=MAX_PLANS)
                continue
            except IdempotencyLost as error:
                log.warning("key_lost", error=str(error), next_step="reading Shopify again and planning anew")
                await self._settle()
                reason = _(KEYS_LOST).format(n=MAX_PLANS)
                continue
            return
        raise SourceUnavailable(reason)

    async def _settle(self) -> None:
        reconciliation = Reconciliation(self._context, self._store.name, self._store.shopify, self._meter)
        await reconciliation.run(self._run.position.to_json())

    async def _check_places(self) -> None:
        """Leave out locations that can receive no stock, or whose stock can't be known, and say so.

        Raises PlacesMissing where nothing is left to sync.
        """
        locations = self._settings.locations
        closed = await closed_locations(self._context, self._store, list(self._settings.depots_of), self._meter)
        open_ones = {name: depots for name, depots in locations.items() if int(name) not in closed}
        hidden = await hidden_depots(self._context, self._store, set(chain(*open_ones.values())), self._meter)
        kept = {name: depots for name, depots in open_ones.items() if hidden.keys().isdisjoint(depots)}
        table = f"[stores.{self._store.name}.product_sync.locations]"
        if closed:
            self._notices.append(
                _(
                    "Some of {table} can receive no stock: {closed}. Everything else is synced. Open them again at "
                    "Shopify, or take them out of the configuration."
                ).format(table=table, closed=_listed(closed))
            )
        if hidden:
            left_out = ", ".join(name for name in open_ones if name not in kept)
            self._notices.append(
                _(
                    "Depots of {table} can't be read at Nhanh.vn, which would look like no stock: {hidden}. What they "
                    "feed is left out: {left_out}. Everything else is synced. Let the access token see all depots "
                    "(dongbo connect nhanh), or take these out of the configuration."
                ).format(table=table, hidden=_listed(hidden), left_out=left_out)
            )
        self._settings = self._settings.model_copy(update={"locations": kept})
        found = {"closed_locations": list(closed), "hidden_depots": list(hidden)}
        await self._context.describe(total=self._context.total, notices=self._notices, **found)
        for notice in self._notices:
            log.warning("places_left_out", store=self._store.name, **found, reason=notice)
        if not kept and not self._has_prices:
            raise PlacesMissing(
                _(
                    "No stock can be pushed to any of {table}: {closed}. Nothing was pushed. Open the locations at "
                    "Shopify, let the access token of Nhanh.vn see their depots, or correct the configuration."
                ).format(table=table, closed=_listed(closed, hidden))
            )
        await self._run.rely_on(set(chain(*kept.values())))

    @property
    def _streams(self) -> list[str]:
        """What the pushed values are made from."""
        drawn_on = {"shopify_products": True, "nhanh_inventory": self._settings.locations}
        drawn_on["nhanh_products"] = self._has_prices
        return [stream for stream, is_used in drawn_on.items() if is_used]

    @property
    def _has_prices(self) -> bool:
        return self._settings.price is not None or self._settings.compare_at_price is not None

    async def _check_currency(self) -> None:
        """Read what the shop's prices mean. In another currency no price is pushed; the stock is, before that is
        raised."""
        settings = self._settings
        if not self._has_prices:
            return
        try:
            self._shop = await read_shop(self._context, self._store, self._meter)
            check_currency(self._store, self._shop.currency, _("prices"))
        except CurrencyMismatch as mismatch:
            if not settings.locations:
                raise
            self._mismatch = mismatch
            self._settings = settings.model_copy(update={"price": None, "compare_at_price": None})

    async def _safety_limits(self) -> SafetyLimits:
        context, settings = self._context, self._settings
        async with context.database.acquire_for_work() as connection:
            approved = await approvals.list_approved(connection, context.job.id) if context.is_approved else frozenset()
            unasked = await approvals.list_unasked(connection, self._store.name, settings.large_price_change)
            if context.is_approved and context.job.metadata.get("price_changes_by_vat"):
                await shops.agree_to_vat(connection, self._store.name)
                self._shop = replace(self._shop, vat_agreed=True)
        return SafetyLimits(settings, approved, unasked, is_vat_agreed=self._shop.vat_agreed)

    async def _survey(self) -> PlanSurvey:
        """Look at all that is left of the plan, say how much it is, and stop where a person has to be asked first."""
        survey = await self._look()
        await self._context.describe(
            total=self._context.processed + survey.rows, **await self._left_alone(), **survey.figures()
        )
        if survey.needs_approval:
            survey = await self._ask()
        return survey

    async def _ask(self) -> PlanSurvey:
        """Read the plan again, noting each of its changes, and ask about these.

        Returns the survey where, meanwhile, there is nothing left to ask. Raises ApprovalNeeded.
        """
        job = self._context.job
        await self._drop_drafts()
        survey = await self._look(keeps_changes=True)
        if not survey.needs_approval:
            await self._drop_drafts()
            return survey
        async with self._context.database.acquire_for_work() as connection:
            pushed = await pushes.count_applied(connection, job.id)
            changes = await synced_settings.changes(connection, job.store, job.type, self._synced_by)
        question = replace(survey.question(pushed), changed_settings=changes.changed, settings_since=changes.since)
        raise ApprovalNeeded(question.text(), question.to_json(), **survey.figures(), **survey.sample)

    async def _drop_drafts(self) -> None:
        async with self._run.step() as page:
            await questions.drop_drafts(page.connection, self._context.job.id)

    @property
    def _synced_by(self) -> SyncedSettings:
        store = self._store
        return settings_of(store.product_sync, store.nhanh.account, store.shopify.account, store.nhanh_currency)

    async def _left_alone(self) -> dict[str, Any]:
        found = await self._plan.left_alone()
        return {
            "left_alone": {reason: left.variants for reason, left in found.items()},
            "left_alone_examples": {reason: left.examples for reason, left in found.items() if reason not in COMMON},
        }

    async def _look(self, *, keeps_changes: bool = False) -> PlanSurvey:
        """Survey what is left of the plan; `keeps_changes`: note each of its changes as a draft, too."""
        survey, position = PlanSurvey(self._run.limits, keeps_changes), self._run.position
        if position.phase is Phase.STOCK:
            await self._survey_windows(survey, self._plan.stock_windows(position.after), survey.add_stock)
        if position.phase is not Phase.DONE:
            after = position.after if position.phase is Phase.PRICES else START
            await self._survey_windows(survey, self._plan.price_windows(after), survey.add_price)
        return survey

    async def _survey_windows(
        self, survey: PlanSurvey, windows: AsyncGenerator[Window[R], None], add: Callable[[R], None]
    ) -> None:
        async with aclosing(windows):
            async for window in windows:
                survey.rows += window.population
                for place, row in enumerate(window.rows):
                    add(row)
                    if place % SURVEYED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                if changes := survey.take_changes():
                    async with self._run.step() as page:
                        await approvals.draft(page.connection, self._store.name, self._context.job.id, changes)

    async def _describe_only(self) -> None:
        if self._run.position == DONE:  # interrupted after its only page
            return
        survey = await self._look()
        await self._context.describe(
            total=self._context.processed + survey.rows,
            **await self._left_alone(),
            would_ask=survey.question().text() if survey.needs_approval else None,
            **survey.figures(),
            **survey.sample,
        )
        self._run.position = DONE
        async with self._context.page(checkpoint=DONE.to_json()) as page:
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
        if self._context.processed != self._context.total:  # the mirror has changed meanwhile
            await self._context.describe(total=self._context.processed)

    async def _push_each(
        self, batches: AsyncGenerator[Batch[R], None], push: Callable[[Batch[R]], Awaitable[None]]
    ) -> None:
        async with aclosing(batches):
            async for batch in batches:
                if batch.is_empty:
                    self._run.pass_over(batch)
                else:
                    await push(batch)


def _listed(*reasons: Mapping[int, str]) -> str:
    return "; ".join(dict.fromkeys(chain(*(each.values() for each in reasons))))
