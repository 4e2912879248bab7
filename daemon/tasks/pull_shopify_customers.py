"""Customers of Shopify into `shopify_customers`."""

from datetime import datetime

from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.mirror import shopify as mirror
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.filters import search_query
from daemon.tasks import params
from daemon.tasks.changes import all_or_changed
from daemon.tasks.filters import SEARCH_LAG, exact_total
from daemon.tasks.pull import run_pull
from daemon.tasks.registry import JobPolicy, Store, task
from daemon.tasks.stream import Stream


@task(JobType.PULL_SHOPIFY_CUSTOMERS, params.queried({"full": True, "query": "tag:vip"}))
async def pull_shopify_customers(context: JobContext, store: Store, policy: JobPolicy) -> None:
    """`query` is any search query of Shopify's."""
    shopify = store.shopify

    def query(since: datetime | None) -> str | None:
        return search_query(context.params.get("query"), updated_from=since)

    async def count(since: datetime | None, meter: CallMeter) -> int | None:
        return exact_total(await shopify.customers_count(query(since), meter=meter))

    stream = Stream(
        name=mirror.CUSTOMERS.name,
        table=mirror.CUSTOMERS,
        details=(),
        fetch=all_or_changed(context, mirror.CUSTOMERS, query, shopify.customers, shopify.customer_changes),
        fetch_by_ids=lambda ids, meter: shopify.customers_by_ids(ids, meter=meter),
        count=count,
        store=mirror.upsert_customers,
        horizon=lambda meter: shopify.customer_horizon(meter=meter),
        clock=shopify.clock,
        overlap=SEARCH_LAG,
        whole=shopify.customers_in_bulk(query(None)),
    )
    await run_pull(context, policy, stream)
