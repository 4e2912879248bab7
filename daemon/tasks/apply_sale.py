"""Puts a store's campaigns on sale when their start has come."""

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sales.apply import Apply
from daemon.tasks import params
from daemon.tasks.identity import SALE_STREAMS, check_identities
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.shop_terms import sales_in_another_currency


@task(JobType.APPLY_SALE, params.none)
async def apply_sale(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a variant: updated when it is on sale, skipped, or failed where Shopify refused it."""
    meter = counted_calls(context)
    await check_identities(context, store, meter, SALE_STREAMS)
    refused = await sales_in_another_currency(context, store, meter)
    await Apply(context, store.name, store.shopify, meter, refused).run()
