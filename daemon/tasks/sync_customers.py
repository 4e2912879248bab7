"""Total spent and tier of the mapped customers to Shopify's metafields and tags: only what differs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from daemon.i18n import gettext as _
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JobType
from daemon.sync.customers.plan import CustomerPlan
from daemon.sync.customers.push import CustomerPush, batches
from daemon.sync.customers.reconciliation import reconcile_interrupted
from daemon.sync.customers.rules import CustomerRules
from daemon.sync.customers.run import Customer, CustomerRun
from daemon.sync.customers.survey import CustomerSurvey
from daemon.tasks import params
from daemon.tasks.applied import note_applied
from daemon.tasks.drawn_on import note_drawn_on
from daemon.tasks.identity import CUSTOMER_STREAMS, check_identities
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.shop_terms import check_currency, read_shop

SCANNED_AT_ONCE = 500  # mappings: some milliseconds of deciding


@task(JobType.SYNC_CUSTOMERS, params.dry_run)
async def sync_customers(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a mapped customer.

    In another currency than Nhanh.vn's no total is pushed, and no tier that follows from it (CurrencyMismatch).

    A customer who no longer reaches a tier loses its tag; the tier's metafield stays, for Shopify takes no blank ones.
    """
    rules, meter = CustomerRules(store.customer_sync), counted_calls(context)
    await check_identities(context, store, meter, CUSTOMER_STREAMS)
    shop = await read_shop(context, store, meter)
    check_currency(store, shop.currency, _("totals"))
    run = CustomerRun(context, store.name, store.shopify, rules, meter)
    await note_drawn_on(context, store, CUSTOMER_STREAMS, has_begun=context.job.checkpoint is not None)
    sync = _Sync(run, CustomerPlan(context.database, store.name))
    await (sync.describe_only() if context.params.get("dry_run") else sync.push())


class _Sync:
    def __init__(self, run: CustomerRun, plan: CustomerPlan) -> None:
        self._run = run
        self._plan = plan

    async def push(self) -> None:
        run, plan, context = self._run, self._plan, self._run.context
        await reconcile_interrupted(run)
        run.pushed_before = await plan.pushed_after(context.job.id, run.after)
        await context.describe(total=context.processed + await plan.count(run.after))
        push = CustomerPush(run)
        async with aclosing(self._scan()) as scanned:
            async for customers in scanned:
                await run.learn(customers)
                await run.know_formats(customers)
                for batch in batches(customers):
                    await push.push(batch)
        await note_applied(context)

    async def describe_only(self) -> None:
        run, context = self._run, self._run.context
        if context.job.checkpoint is not None:  # interrupted after its only page
            return
        await context.describe(total=await self._plan.count(0))
        survey, last = CustomerSurvey(run.rules), 0
        async with aclosing(self._scan()) as scanned:
            async for customers in scanned:
                await run.know_formats(customers)
                for customer in customers:
                    survey.add(customer)
                last = customers[-1].id
        async with context.page(checkpoint={"after": last}) as page:
            page.count(Counters(skipped=survey.customers))
            page.metadata.update(survey.figures())

    async def _scan(self) -> AsyncGenerator[list[Customer], None]:
        """The mapped customers after the checkpoint, some at a time."""
        after = self._run.after
        while rows := await self._run.context.unless_stopped(self._plan.scan(after, SCANNED_AT_ONCE)):
            yield [self._run.consider(row) for row in rows]
            after = rows[-1].shopify_id
