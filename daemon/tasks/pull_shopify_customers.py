"""Customers of Shopify into `shopify_customers`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

from daemon.jobs.context import JobContext
from daemon.jobs.model import JobType
from daemon.mirror import shopify as mirror
from daemon.sources.meter import CallMeter
from daemon.sources.page import Page
from daemon.sources.shopify.filters import normalise_query, search_query
from daemon.sources.shopify.models import ShopifyCustomer
from daemon.tasks import params
from daemon.tasks.filters import SEARCH_LAG, exact_total
from daemon.tasks.pull import Stream, run_pull
from daemon.tasks.registry import JobPolicy, Source, Store, task

Pages = AsyncGenerator[Page[ShopifyCustomer], None]


@task(
    JobType.PULL_SHOPIFY_CUSTOMERS,
    sources=(Source.SHOPIFY,),
    lane="shopify-customers",
    params=params.queried(normalise_query),
)
async def pull_shopify_customers(job: JobContext, store: Store, policy: JobPolicy) -> None:
    """`query` is any search query of Shopify's."""
    shopify = store.shopify

    def query(since: datetime | None) -> str | None:
        return search_query(job.params.get("query"), updated_from=since)

    async def count(since: datetime | None, meter: CallMeter) -> int | None:
        return exact_total(await shopify.customers_count(query(since), meter=meter))

    async def known(ids: Sequence[int]) -> Mapping[int, datetime | None]:
        async with job.database.acquire_for_work() as connection:
            return await mirror.list_whole(connection, mirror.CUSTOMERS, store.name, ids)

    def fetch(after: object | None, since: datetime | None, meter: CallMeter) -> Pages:
        if since is None:
            return shopify.customers(query(since), after=after, meter=meter)
        return shopify.customer_changes(query(since), after=after, known=known, meter=meter)

    stream = Stream(
        name=mirror.CUSTOMERS.name,
        table=mirror.CUSTOMERS,
        details=(),
        fetch=fetch,
        fetch_by_ids=lambda ids, meter: shopify.customers_by_ids(ids, meter=meter),
        count=count,
        store=mirror.upsert_customers,
        horizon=lambda meter: shopify.customer_horizon(meter=meter),
        clock=shopify.clock,
        overlap=SEARCH_LAG,
    )
    await run_pull(job, policy, stream)
