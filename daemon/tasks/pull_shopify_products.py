"""Products of Shopify, with all their variants, into `shopify_products` and `shopify_variants`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

from daemon.jobs.context import JobContext
from daemon.jobs.model import JobType
from daemon.mirror import shopify as mirror
from daemon.sources.meter import CallMeter
from daemon.sources.page import Page
from daemon.sources.shopify.filters import normalise_product_filters, normalise_query, search_query
from daemon.sources.shopify.models import ShopifyProduct
from daemon.tasks import params
from daemon.tasks.filters import SEARCH_LAG, exact_total
from daemon.tasks.pull import Stream, run_pull
from daemon.tasks.registry import JobPolicy, Source, Store, task

Pages = AsyncGenerator[Page[ShopifyProduct], None]


@task(
    JobType.PULL_SHOPIFY_PRODUCTS,
    sources=(Source.SHOPIFY,),
    lane="shopify-products",
    params=params.queried(normalise_query, normalise_product_filters),
)
async def pull_shopify_products(job: JobContext, store: Store, policy: JobPolicy) -> None:
    """`filters.status` names some of active, draft, archived; `query` is any search query of Shopify's."""
    shopify = store.shopify

    def query(since: datetime | None) -> str | None:
        return search_query(job.params.get("query"), filters=job.params.get("filters"), updated_from=since)

    async def count(since: datetime | None, meter: CallMeter) -> int | None:
        return exact_total(await shopify.products_count(query(since), meter=meter))

    async def known(ids: Sequence[int]) -> Mapping[int, datetime | None]:
        async with job.database.acquire_for_work() as connection:
            return await mirror.list_whole(connection, mirror.PRODUCTS, store.name, ids)

    def fetch(after: object | None, since: datetime | None, meter: CallMeter) -> Pages:
        if since is None:
            return shopify.products(query(since), after=after, meter=meter)
        return shopify.product_changes(query(since), after=after, known=known, meter=meter)

    stream = Stream(
        name=mirror.PRODUCTS.name,
        table=mirror.PRODUCTS,
        details=(("shopify_variants", "product_id"),),
        fetch=fetch,
        fetch_by_ids=lambda ids, meter: shopify.products_by_ids(ids, meter=meter),
        count=count,
        store=mirror.upsert_products,
        horizon=lambda meter: shopify.product_horizon(meter=meter),
        clock=shopify.clock,
        overlap=SEARCH_LAG,
    )
    await run_pull(job, policy, stream)
