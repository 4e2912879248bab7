"""Products of Nhanh.vn, with their stock per depot, into `nhanh_products` and `nhanh_inventory`."""

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.mirror import nhanh as mirror
from daemon.sources.nhanh.lists import PRODUCTS
from daemon.tasks import params
from daemon.tasks.depots import try_to_refresh_depots
from daemon.tasks.filters import DOUBT, OVERLAP, changed_since, uncounted
from daemon.tasks.pull import counted_calls, run_pull
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.stream import Stream


@task(
    JobType.PULL_NHANH_PRODUCTS,
    params.filtered(PRODUCTS.filters, {"filters": {"updated_from": "2026-10-01T00:00:00+07:00"}}),
    first_row=lambda nhanh, meter: nhanh.rows(PRODUCTS, {}, after=None, meter=meter, page_size=1),
)
async def pull_nhanh_products(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """A product's time of change does not move with its stock: only a full pull is sure to see every stock."""
    nhanh, filters = store.nhanh, context.params.get("filters", {})
    meter = counted_calls(context)
    await try_to_refresh_depots(context, store, meter)
    stream = Stream(
        name=mirror.PRODUCTS.name,
        table=mirror.PRODUCTS,
        details=(("nhanh_inventory", "product_id"),),
        fetch=lambda after, since, meter: nhanh.rows(PRODUCTS, changed_since(filters, since), after=after, meter=meter),
        fetch_by_ids=lambda ids, meter: nhanh.rows_by_ids(PRODUCTS, ids, meter=meter),
        count=uncounted,
        store=mirror.upsert_products,
        horizon=lambda meter: nhanh.horizon(meter=meter),
        clock=nhanh.clock,
        overlap=OVERLAP,
        doubt=DOUBT,
    )
    await run_pull(context, policy, stream, meter)
