"""Takes a store's campaigns back when their end has come."""

from daemon.jobs.context import JobContext
from daemon.jobs.model import JobType
from daemon.sales.revert import Revert
from daemon.tasks import params
from daemon.tasks.identity import SALE_STREAMS, check_identities
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.REVERT_SALE, params.none)
async def revert_sale(job: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a variant: updated when it is restored, skipped where it needed or got no write, failed
    where Shopify refused the price."""
    meter = counted_calls(job, is_urgent=True)
    await check_identities(job, store, meter, SALE_STREAMS)
    await Revert(job, store.name, store.shopify, meter).run()
