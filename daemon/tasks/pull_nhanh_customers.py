"""Customers of Nhanh.vn into `nhanh_customers`."""

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.mirror import nhanh as mirror
from daemon.sources.nhanh.lists import CUSTOMERS
from daemon.tasks import params
from daemon.tasks.filters import DOUBT, OVERLAP, changed_since, uncounted
from daemon.tasks.pull import run_pull
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.stream import SMALL_PAGES_AHEAD, Stream


@task(
    JobType.PULL_NHANH_CUSTOMERS,
    params.filtered(CUSTOMERS.filters, {"filters": {"type": 2, "last_bought_from": "2026-10-01"}}),
    first_row=lambda nhanh, meter: nhanh.rows(CUSTOMERS, {}, after=None, meter=meter, page_size=1),
)
async def pull_nhanh_customers(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """Filters: `type`, `last_bought_from`, `last_bought_to` and the others of `customer/list`."""
    nhanh, filters = store.nhanh, context.params.get("filters", {})
    stream = Stream(
        name=mirror.CUSTOMERS.name,
        table=mirror.CUSTOMERS,
        details=(),
        fetch=lambda after, since, meter: nhanh.rows(
            CUSTOMERS, changed_since(filters, since), after=after, meter=meter, unread=True
        ),
        fetch_by_ids=lambda ids, meter: nhanh.rows_by_ids(CUSTOMERS, ids, meter=meter),
        count=uncounted,
        store=mirror.upsert_customers,
        pages_ahead=SMALL_PAGES_AHEAD,
        sift=mirror.CUSTOMERS.sift,
        horizon=lambda meter: nhanh.horizon(meter=meter),
        clock=nhanh.clock,
        overlap=OVERLAP,
        doubt=DOUBT,
    )
    await run_pull(context, policy, stream)
