"""Reads and notes ahead what the campaigns of a store that start soon will cost, and who joins those that run."""

from datetime import UTC, datetime

from daemon.api.sales import CampaignState
from daemon.jobs.context import JobContext
from daemon.jobs.model import Counters
from daemon.jobs.types import JobType
from daemon.sales import campaigns
from daemon.sales.preparation import Preparation
from daemon.sales.timing import is_to_prepare
from daemon.tasks import params
from daemon.tasks.identity import SALE_STREAMS, check_identities
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.PREPARE_SALE, params.none)
async def prepare_sale(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a variant of a campaign whose journal was written, or written anew."""
    meter = counted_calls(context)
    await check_identities(context, store, meter, SALE_STREAMS)
    preparation = Preparation(context.database, store.name, store.shopify, meter, context.unless_stopped)
    states = (CampaignState.SCHEDULED, CampaignState.ACTIVE)
    async with context.database.acquire_for_work() as connection:
        waiting = await campaigns.list_in_states(connection, store.name, states)
    due = [campaign for campaign in waiting if is_to_prepare(campaign, datetime.now(UTC))]
    await context.describe(total=None, campaigns=[campaign.name for campaign in due])
    for campaign in due:
        replanned = await preparation.prepare(campaign)
        async with context.page(checkpoint=None) as page:
            page.count(Counters(created=replanned.created, updated=replanned.updated))
    await context.describe(total=context.processed)
