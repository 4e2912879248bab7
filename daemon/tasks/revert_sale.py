"""Takes a store's campaigns back when their end has come."""

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sales.revert import Revert
from daemon.tasks import params
from daemon.tasks.identity import SALE_STREAMS, check_identities
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.REVERT_SALE, params.none)
async def revert_sale(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a variant: updated when it is restored, skipped where it needed or got no write, failed
    where Shopify refused the price."""
    meter = counted_calls(context)
    await check_identities(context, store, meter, SALE_STREAMS)
    await Revert(context, store.name, store.shopify, meter).run()
