"""Products of Shopify, with all their variants, into `shopify_products` and `shopify_variants`."""

from collections.abc import Sequence
from datetime import datetime

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JobType
from daemon.mirror import shopify as mirror
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.sales import drift
from daemon.sources.meter import CallMeter
from daemon.sources.page import SourceRow
from daemon.sources.shopify.filters import PRODUCT_FILTERS, search_query
from daemon.sources.shopify.models import ShopifyProduct
from daemon.tasks import params
from daemon.tasks.changes import all_or_changed
from daemon.tasks.filters import SEARCH_LAG, exact_total
from daemon.tasks.pull import counted_calls, run_pull
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.shop_terms import note_all_prices_read, note_shop
from daemon.tasks.stream import Stream


@task(
    JobType.PULL_SHOPIFY_PRODUCTS,
    params.queried({"query": "vendor:acme", "filters": {"status": ["active"]}}, PRODUCT_FILTERS),
)
async def pull_shopify_products(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """`filters.status` names some of active, draft, archived; `query` is any search query of Shopify's."""
    shopify = store.shopify

    def query(since: datetime | None) -> str | None:
        return search_query(context.params.get("query"), filters=context.params.get("filters"), updated_from=since)

    async def count(since: datetime | None, meter: CallMeter) -> int | None:
        return exact_total(await shopify.products_count(query(since), meter=meter))

    stream = Stream(
        name=mirror.PRODUCTS.name,
        table=mirror.PRODUCTS,
        details=(("shopify_variants", "product_id"),),
        fetch=all_or_changed(context, mirror.PRODUCTS, query, shopify.products, shopify.product_changes),
        fetch_by_ids=lambda ids, meter: shopify.products_by_ids(ids, meter=meter),
        count=count,
        store=store_products,
        horizon=lambda meter: shopify.product_horizon(meter=meter),
        clock=shopify.clock,
        overlap=SEARCH_LAG,
        whole=shopify.products_in_bulk(query(None)),
    )
    meter = counted_calls(context)
    said = await note_shop(context, store, meter)
    if await run_pull(context, policy, stream, meter):
        await note_all_prices_read(context, store, said)


async def store_products(
    connection: Connection, store: StoreName, rows: Sequence[SourceRow[ShopifyProduct]], asked: SnapshotTime
) -> Counters:
    """Store a page of products; what it shows of the prices of sales is reported at once."""
    counters = await mirror.upsert_products(connection, store, rows, asked)
    if counters.created or counters.updated:
        await drift.report(connection, store)
        numbers = [variant.id for row in rows for variant in row.value.variants]
        await drift.report_returned(connection, store, numbers)
    return counters
