"""Total spent and tier of the mapped customers to Shopify's metafields and tags: only what differs."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any

from daemon.errors import InvalidJobRequest, StorePaused
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs import pauses
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.sources.meter import CallMeter
from daemon.sync.customers.plan import CustomerPlan
from daemon.sync.customers.push import CustomerPush, batches
from daemon.sync.customers.reconciliation import reconcile_interrupted
from daemon.sync.customers.rules import CustomerRules
from daemon.sync.customers.run import Customer, CustomerRun
from daemon.sync.customers.survey import CustomerSurvey
from daemon.sync.matching.phones import phone_numbers
from daemon.sync.pushes import NOTHING_ELSE
from daemon.tasks import params
from daemon.tasks.applied import note_applied
from daemon.tasks.drawn_on import note_drawn_on
from daemon.tasks.identity import CUSTOMER_STREAMS, check_identities
from daemon.tasks.named_customers import NamedCustomers
from daemon.tasks.pull import counted_calls
from daemon.tasks.recent_answers import LASTS
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.shop_terms import check_currency, read_shop

SCANNED_AT_ONCE = 500  # mappings: some milliseconds of deciding


PHONE = params.texts(
    mark("Just the customers with these phone numbers, in whatever way they are written."),
    most=params.MOST_ITEMS,
    longest=40,
)


def _read_phones(name: str, given: object) -> list[str]:
    """Phone numbers as all are compared, in E.164, so that two spellings of a request are the same request."""
    found: set[str] = set()
    for text in PHONE.read(name, given):
        numbers = phone_numbers(text)
        if not numbers:
            raise InvalidJobRequest(
                _("params.{name}: “{text}” is not a phone number: write it as 0912 345 678 or +84 912 345 678.").format(
                    name=name, text=text
                )
            )
        found |= set(numbers)
    return sorted(found)


NAMED = {
    "customers": params.Part(_read_phones, PHONE.schema),
    "ids": params.numbers(mark("Just the customers of Shopify with these ids."), most=params.MOST_ITEMS),
}


@task(JobType.SYNC_CUSTOMERS, params.items_or_all(NAMED, {"customers": ["0912 345 678"]}))
async def sync_customers(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a mapped customer, or what was named and is nobody's.

    In another currency than Nhanh.vn's no total is pushed, and no tier that follows from it (CurrencyMismatch).

    A customer who no longer reaches a tier loses its tag; the tier's metafield stays, for Shopify takes no blank ones.
    """
    meter = counted_calls(context)
    if not JOB_TYPES[JobType.SYNC_CUSTOMERS].is_of_items(context.params):
        await push_customers(context, store, meter)
        return
    named = NamedCustomers(context, store, meter)
    while (checkpoint := await named.next_portion()) is not None:
        await push_customers(context, store, meter, checkpoint["customers"], checkpoint=checkpoint)


async def push_customers(
    context: JobContext,
    store: Store,
    meter: CallMeter,
    shopify_ids: Collection[int] | None = None,
    because: Mapping[int, str] = NOTHING_ELSE,
    checkpoint: Mapping[str, Any] | None = None,
) -> None:
    """Push what differs of mapped customers, as the mirror has them, and count each of them.

    A run that goes on with an interrupted one takes the same customers, and leaves alone those that are counted.

    Args:
        context, store, meter: the job, whose customers they are, and what counts its calls.
        shopify_ids: of these customers of Shopify; None: of all. Who is mapped to nobody counts nothing.
        because: see `CustomerRun`.
        checkpoint: see `CustomerRun`.

    Raises:
        OtherShop, CurrencyMismatch: nothing is pushed.
        SourceRefused, RateLimited, SourceUnavailable: a call has failed; its pushes stay open.
        RunStopped.
    """
    await check_identities(context, store, meter, CUSTOMER_STREAMS)
    longest_age = 0.0 if shopify_ids is None else LASTS
    shop = await read_shop(context, store, meter, longest_age=longest_age)
    check_currency(store, shop.currency, _("totals"))
    rules = CustomerRules(store.customer_sync)
    run = CustomerRun(context, store.name, store.shopify, rules, meter, because, checkpoint)
    if shopify_ids is None:
        await note_drawn_on(context, store, CUSTOMER_STREAMS, has_begun=context.job.checkpoint is not None)
    sync = _Sync(run, CustomerPlan(context.database, store.name, shopify_ids))
    await (sync.describe_only() if context.params.get("dry_run") else sync.push())


class _Sync:
    def __init__(self, run: CustomerRun, plan: CustomerPlan) -> None:
        self._run = run
        self._plan = plan

    async def push(self) -> None:
        """Push; while the store is paused, only say what would be pushed."""
        context = self._run.context
        await reconcile_interrupted(self._run)
        try:
            async with self._run.step() as page:
                await pauses.check(page.connection, self._run.store)
            await self._push_all()
        except StorePaused as paused:
            context.has_only_planned = True
            await context.describe(total=context.total, notices=[str(paused)], paused=True)
            await reconcile_interrupted(self._run)  # what was noted and not sent any more
            await self._survey()
        await note_applied(context)

    async def _push_all(self) -> None:
        run, plan, context = self._run, self._plan, self._run.context
        run.pushed_before = await plan.pushed_after(context.job.id, run.after)
        await context.describe(total=context.processed + await plan.count(run.after))
        push = CustomerPush(run)
        async with aclosing(self._scan()) as scanned:
            async for customers in scanned:
                await run.learn(customers)
                await run.know_formats(customers)
                for batch in batches(customers):
                    await push.push(batch)

    async def describe_only(self) -> None:
        if not self._run.after:  # else it was interrupted after its only page
            await self._survey()

    async def _survey(self) -> None:
        """Say what would be pushed to the customers after the checkpoint, and count them."""
        run, context = self._run, self._run.context
        await context.describe(total=context.processed + await self._plan.count(run.after))
        pushed = await self._plan.pushed_after(context.job.id, run.after)
        survey, last = CustomerSurvey(run.rules), run.after
        async with aclosing(self._scan()) as scanned:
            async for customers in scanned:
                await run.know_formats(customers)
                for customer in customers:
                    survey.add(customer)
                last = customers[-1].id
        updated = min(len(pushed), survey.customers)
        async with context.page(checkpoint=run.checkpoint(last)) as page:
            page.count(Counters(updated=updated, skipped=survey.customers - updated))
            page.metadata.update(survey.figures())

    async def _scan(self) -> AsyncGenerator[list[Customer], None]:
        """The mapped customers after the checkpoint, some at a time."""
        after = self._run.after
        while rows := await self._run.context.unless_stopped(self._plan.scan(after, SCANNED_AT_ONCE)):
            yield [self._run.consider(row) for row in rows]
            after = rows[-1].shopify_id
