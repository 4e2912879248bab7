"""Stock and prices of the mapped products to Shopify: only what differs, each value by compare-and-set."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from itertools import chain
from typing import Any

import structlog

from daemon.errors import SourceUnavailable, StorePaused
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext, number_text
from daemon.jobs import approvals as questions
from daemon.jobs import pauses
from daemon.jobs.context import ApprovalNeeded, JobContext
from daemon.jobs.phases import JobPhase, Tell, tell_nobody
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.mirror import places, shops
from daemon.mirror.keys import LONGEST_KEY
from daemon.money import CurrencyMismatch
from daemon.sales import items
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.errors import IdempotencyLost
from daemon.sync import pushes
from daemon.sync.products import approvals, price_push, stock_push, synced_settings
from daemon.sync.products.obstacles import COMMON
from daemon.sync.products.plan import PlannedVariants, ProductPlan
from daemon.sync.products.price_push import PricePush
from daemon.sync.products.rows import START, Batch, PriceRow, R, StockRow, Window, in_batches, is_large_change
from daemon.sync.products.rules import DEFAULT_SHOP
from daemon.sync.products.ruling import Ruling
from daemon.sync.products.run import Phase, PlanPosition, SyncRun
from daemon.sync.products.safety_limits import PlanOverturned, PlanSurvey, RiskyRows, SafetyLimits
from daemon.sync.products.stock_push import StockPush
from daemon.sync.products.synced_settings import SyncedSettings, settings_of
from daemon.sync.pushes import NOTHING_ELSE
from daemon.tasks import params
from daemon.tasks.applied import note_applied
from daemon.tasks.depots import PlacesMissing, closed_locations, hidden_depots
from daemon.tasks.drawn_on import note_drawn_on
from daemon.tasks.identity import PRODUCT_STREAMS, check_identities
from daemon.tasks.named_variants import NamedVariants
from daemon.tasks.phases import told
from daemon.tasks.product_facts import ProductFacts
from daemon.tasks.pull import counted_calls
from daemon.tasks.recent_answers import LASTS
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


PARAMS = params.items_or_all(
    {
        "skus": params.texts(
            mark("Only the variants with these SKUs, at Shopify or Nhanh.vn, however they are written."),
            most=params.MOST_ITEMS,
            longest=LONGEST_KEY,
        ),
        "variants": params.numbers(mark("Only these variants of Shopify, by their ids."), most=params.MOST_ITEMS),
    },
    example={"skus": ["AO-01"]},
)


@task(JobType.SYNC_PRODUCTS, PARAMS)
async def sync_products(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a mapped variant at a location, or the price of a mapped variant.

    Of a sync of a few items also what was named and stands for nothing.
    """
    meter = counted_calls(context)
    if not JOB_TYPES[context.job.type].is_of_items(context.params):
        await _Sync(context, store, meter).run()
        return
    await check_identities(context, store, meter, PRODUCT_STREAMS)
    named = await NamedVariants.select(context, store, meter)
    if context.job.checkpoint is None:
        await named.count_the_rest(checkpoint=PlanPosition().to_json())
    if named.variants:
        await push_variants(context, store, meter, named.variants)
    if not context.has_only_planned:
        await named.close(checkpoint=DONE.to_json())


async def push_variants(
    context: JobContext,
    store: Store,
    meter: CallMeter,
    variant_ids: Collection[int],
    because: Mapping[int, str] = NOTHING_ELSE,
    *,
    prices_only: Collection[int] = (),
) -> frozenset[int]:
    """Push what of these variants differs, by what the mirror says now; nobody is asked.

    Changes about which a person would be asked are left to the next sync of everything, and so said in a notice; so are
    prices where the shop has another currency. Returns the variants of which anything was left.

    Args:
        context: the job; its checkpoint is that of a sync.
        store: whose variants they are.
        meter: counts the calls.
        variant_ids: the variants, mapped or not.
        because: {variant: what made the run look at it now}, see `pushes.record`.
        prices_only: of the variants, those whose stock is left alone.

    Raises:
        RunStopped, and what a sync of everything raises.
    """
    of_prices = frozenset(variant_ids)
    variants = PlannedVariants(of_prices, of_stock=of_prices.difference(prices_only))
    sync = _Sync(context, store, meter, variants, because)
    await sync.run()
    return sync.left


class _Sync:
    def __init__(
        self,
        context: JobContext,
        store: Store,
        meter: CallMeter,
        variants: PlannedVariants | None = None,
        because: Mapping[int, str] = NOTHING_ELSE,
    ) -> None:
        """`variants`: None for all."""
        self._context = context
        self._store = store
        self._meter = meter
        self._variants = variants
        self._longest_age = 0.0 if variants is None else LASTS  # of what the sources have said before
        self._settings = store.product_sync
        self._plan: ProductPlan
        self._run = SyncRun(context, store.name, store.shopify, meter, because)
        self._shop = DEFAULT_SHOP
        self._notices: list[str] = []  # what is wrong and keeps only a part of the sync from being done
        self._mismatch: CurrencyMismatch | None = None
        self.left: frozenset[int] = frozenset()  # variants of which something was left alone, of a run of a few

    async def run(self) -> None:
        """Push what can be pushed; what is wrong with the rest is raised or reported at the end."""
        is_dry = bool(self._context.params.get("dry_run"))
        await check_identities(self._context, self._store, self._meter, PRODUCT_STREAMS)
        has_begun = self._run.position != PlanPosition()
        if self._variants is None:
            await note_drawn_on(self._context, self._store, self._streams, has_begun=has_begun)
        if not is_dry:
            await self._run.settle()
        await self._check_places()
        await self._check_currency()
        self._plan = ProductPlan(self._context.database, self._store.name, self._settings, self._shop, self._variants)
        await ProductFacts(self._context, self._store, self._run, self._meter).learn(self._plan)
        self._run.limits = await self._safety_limits()
        if is_dry:
            await self._describe_only()
        else:
            await self._push_unless_paused()
            await self._tell_moved()
            await note_applied(self._context)
        if self._variants is not None:
            await self._say_what_is_left(self._variants)
        elif self._mismatch is not None:
            raise self._mismatch
        if not is_dry and self._variants is None and not self._context.has_only_planned:
            async with self._run.step() as page:
                await synced_settings.record(page.connection, self._store.name, self._context.job.type, self._synced_by)

    async def _push_unless_paused(self) -> None:
        """Push; while the store is paused, only say what would be pushed."""
        try:
            async with self._run.step() as page:
                await pauses.check(page.connection, self._store.name)
            await self._rebase_sales()
            await self._plan_and_push()
        except StorePaused as paused:
            self._context.has_only_planned = True
            self._notices.append(str(paused))
            await self._context.describe(total=self._context.total, notices=self._notices, paused=True)
            await self._run.settle()  # what was noted and not sent any more
            await self._describe_only()

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
                await self._push(_no_row if self._variants is None else RiskyRows(survey).include)
            except PlanOverturned:
                reason = _(OVERTURNED).format(n=MAX_PLANS)
                continue
            except IdempotencyLost as error:
                log.warning("key_lost", error=str(error), next_step="reading Shopify again and planning anew")
                await self._run.settle()
                reason = _(KEYS_LOST).format(n=MAX_PLANS)
                continue
            return
        raise SourceUnavailable(reason)

    async def _tell_moved(self) -> None:
        """Say how many rows changed at Shopify under this run's hands, and were left."""
        n = self._run.moved
        if n:
            notice = ngettext(
                "What Shopify has on hand of {n} row changed before it was set: it is left to the next sync, which "
                "goes by what both sides say then.",
                "What Shopify has on hand of {n} rows changed before it was set: they are left to the next sync, which "
                "goes by what both sides say then.",
                n,
            )
            self._notices.append(notice.format(n=number_text(n)))
            await self._context.describe(total=self._context.total, notices=self._notices)

    async def _check_places(self) -> None:
        """Leave out locations that can receive no stock, or whose stock can't be known, and say so.

        Raises PlacesMissing where nothing is left to sync.
        """
        locations = self._settings.locations
        closed = await self._closed(list(self._settings.depots_of))
        open_ones = {name: depots for name, depots in locations.items() if int(name) not in closed}
        hidden = await self._hidden(frozenset(chain(*open_ones.values())))
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
        for notice in self._notices if self._variants is None else ():
            log.warning("places_left_out", store=self._store.name, **found, reason=notice)
        if not kept and not self._has_prices:
            raise PlacesMissing(
                _(
                    "No stock can be pushed to any of {table}: {closed}. Nothing was pushed. Open the locations at "
                    "Shopify, let the access token of Nhanh.vn see their depots, or correct the configuration."
                ).format(table=table, closed=_listed(closed, hidden))
            )
        await self._run.rely_on(set(chain(*kept.values())))

    async def _closed(self, location_ids: Sequence[int]) -> Mapping[int, str]:
        return await self._store.recent.ask(
            ("closed_locations", *location_ids),
            lambda: closed_locations(self._context, self._store, location_ids, self._meter),
            longest_age=self._longest_age,
        )

    async def _hidden(self, depot_ids: Collection[int]) -> Mapping[int, str]:
        async with self._context.database.acquire_for_work() as connection:
            visibility = await places.depot_visibility(connection, self._store.name, depot_ids)
        return await self._store.recent.ask(
            ("hidden_depots", *sorted(depot_ids)),
            lambda: hidden_depots(self._context, self._store, depot_ids, self._meter),
            longest_age=self._longest_age if visibility.are_visible else 0.0,
        )

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
        raised, unless rules go by prices, which then can't be known."""
        settings = self._settings
        if not self._has_prices:
            return
        try:
            self._shop = await read_shop(self._context, self._store, self._meter, longest_age=self._longest_age)
            check_currency(self._store, self._shop.currency, _("prices"))
        except CurrencyMismatch as mismatch:
            if not settings.locations or Ruling(settings.rules).goes_by_price:
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
        if survey.needs_approval and self._variants is None:
            survey = await self._ask()
        return survey

    async def _say_what_is_left(self, planned: PlannedVariants) -> None:
        """Say how many changes a person has to be asked about first, by what the whole plan says now, and what keeps
        prices from being pushed: stock is not to wait for that to be mended."""
        variants = set[int]() if self._mismatch is None else set(planned.of_prices)
        left = (await self._look(PlanPosition(), variants=variants)).left_out
        self.left = frozenset(variants)
        notices = [str(self._mismatch)] if self._mismatch is not None else []
        if left:
            notice = ngettext(
                "{n} change is left to the next full sync, which asks a person first.",
                "{n} changes are left to the next full sync, which asks a person first.",
                left,
            )
            notices.append(notice.format(n=number_text(left)))
        if notices:
            self._notices += notices
            await self._context.describe(total=self._context.total, notices=self._notices, left_to_full_sync=left)

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

    async def _look(
        self, position: PlanPosition | None = None, *, keeps_changes: bool = False, variants: set[int] | None = None
    ) -> PlanSurvey:
        """Survey what is left of the plan, or all after another position.

        `keeps_changes`: note each of its changes as a draft, too. `variants`: those that differ are added to it.
        """
        survey, position = PlanSurvey(self._run.limits, keeps_changes, variants), position or self._run.position
        plan, wants_all = self._plan, keeps_changes or variants is not None
        # What concerns a few items is done within a moment.
        async with told(self._context) if self._variants is None else nullcontext(tell_nobody) as tell:
            if position.phase is Phase.STOCK:
                windows = (plan.stock_windows if wants_all else plan.stock_survey)(position.after)
                await self._survey_windows(survey, windows, survey.add_stock, survey.add_other_stock, tell)
            if position.phase is not Phase.DONE:
                after = position.after if position.phase is Phase.PRICES else START
                prices = (plan.price_windows if wants_all else plan.price_survey)(after)
                await self._survey_windows(survey, prices, survey.add_price, survey.add_other_prices, tell)
        return survey

    async def _survey_windows(
        self,
        survey: PlanSurvey,
        windows: AsyncGenerator[Window[R], None],
        add: Callable[[R], None],
        add_others: Callable[[Window[R]], None],
        tell: Tell,
    ) -> None:
        async with aclosing(windows):
            async for window in windows:
                survey.rows += window.population
                add_others(window)
                for place, row in enumerate(window.rows):
                    add(row)
                    if place % SURVEYED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                if changes := survey.take_changes():
                    async with self._run.step() as page:
                        await approvals.draft(page.connection, self._store.name, self._context.job.id, changes)
                tell(JobPhase.PLANNING, survey.rows)

    async def _describe_only(self) -> None:
        if self._run.position == DONE:  # interrupted after its only page
            return
        survey = await self._look()
        await self._context.describe(
            total=self._context.processed + survey.rows,
            **await self._left_alone(),
            would_ask=survey.question().text() if survey.needs_approval and self._variants is None else None,
            **survey.figures(),
            **survey.sample,
        )
        await self._run.close_unchanged(self._plan, survey.rows)

    async def _push(self, is_left: Callable[[StockRow | PriceRow], bool]) -> None:
        """Push what remains of the plan, but for the rows that are to be left alone."""
        run, plan = self._run, self._plan
        if run.position.phase is Phase.STOCK:
            await run.remember(plan)
            stock = in_batches(plan.stock_windows(run.position.after), stock_push.BATCH)
            await self._push_each(stock, StockPush(run, plan).push, is_left)
        if run.position.phase is Phase.PRICES:
            await run.remember(plan)
            prices = in_batches(plan.price_windows(run.position.after), price_push.BATCH, price_push.is_other_product)
            await self._push_each(prices, PricePush(run, plan).push, is_left)
        if self._context.processed != self._context.total:  # the mirror has changed meanwhile
            await self._context.describe(total=self._context.processed)

    async def _push_each(
        self,
        batches: AsyncGenerator[Batch[R], None],
        push: Callable[[Batch[R]], Awaitable[None]],
        is_left: Callable[[R], bool],
    ) -> None:
        async with aclosing(batches):
            async for found in batches:
                batch = found.leaving(is_left)
                if batch.is_empty:
                    self._run.pass_over(batch)
                else:
                    await push(batch)


def _no_row(_row: StockRow | PriceRow) -> bool:
    return False


def _listed(*reasons: Mapping[int, str]) -> str:
    return "; ".join(dict.fromkeys(chain(*(each.values() for each in reasons))))
