"""Stock of Nhanh.vn by the time of its change into `nhanh_inventory`."""

from datetime import timedelta

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.mirror import nhanh as mirror
from daemon.sources.nhanh.lists import INVENTORY
from daemon.tasks import depots, params
from daemon.tasks.filters import changed_since, uncounted
from daemon.tasks.pull import counted_calls, run_pull
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.stream import Stream

# Nhanh's documentation contradicts itself on which changes move the time: ask for the last hour again.
OVERLAP = timedelta(hours=1)


@task(
    JobType.PULL_NHANH_INVENTORY,
    params.filtered(INVENTORY.filters, {"filters": {"ids": [1001, 1002]}}),
    first_row=lambda nhanh, meter: nhanh.rows(INVENTORY, {}, after=None, meter=meter, page_size=1),
)
async def pull_nhanh_inventory(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """A product that is missing has no stock record, which says nothing of it: only a product pull finds deletions."""
    nhanh, filters = store.nhanh, context.params.get("filters", {})
    meter = counted_calls(context)
    await depots.try_to_refresh_depots(context, store, meter)
    stream = Stream(
        name=depots.INVENTORY_STREAM,
        table=None,
        details=(),
        fetch=lambda after, since, meter: nhanh.rows(
            INVENTORY, changed_since(filters, since), after=after, meter=meter
        ),
        fetch_by_ids=lambda ids, meter: nhanh.rows_by_ids(INVENTORY, ids, meter=meter),
        count=uncounted,
        store=mirror.upsert_inventory,
        horizon=lambda meter: nhanh.horizon(meter=meter),
        clock=nhanh.clock,
        overlap=OVERLAP,
        doubt=timedelta(0),  # its rows tell no time
        must_be_full=not filters and await depots.stock_is_partial(context, store),
        lose=lambda connection, name, missing, asked: mirror.record_stock(connection, name, [], missing, asked),
    )
    await run_pull(context, policy, stream, meter)
    await depots.try_to_refresh_depots(context, store, meter)  # a depot that was lost meanwhile is noticed
