"""Reads and notes ahead what the campaigns of a store that start soon will cost, and who joins those that run."""

from daemon.api.sales import CampaignState
from daemon.jobs.context import JobContext
from daemon.jobs.types import JobType
from daemon.sales import campaigns
from daemon.sales.preparation import Preparation
from daemon.sales.timing import is_to_prepare
from daemon.tasks import params
from daemon.tasks.identity import SALE_STREAMS, check_identities
from daemon.tasks.phases import told
from daemon.tasks.pull import counted_calls
from daemon.tasks.registry import JobPolicy, Store, task


@task(JobType.PREPARE_SALE, params.none)
async def prepare_sale(context: JobContext, store: Store, _policy: JobPolicy) -> None:
    """A row of the counters is a variant of a campaign whose journal was written, or written anew."""
    meter = counted_calls(context)
    await check_identities(context, store, meter, SALE_STREAMS)
    states = (CampaignState.SCHEDULED, CampaignState.ACTIVE)
    async with context.database.acquire_for_work() as connection:
        now = await campaigns.database_time(connection)
        waiting = await campaigns.list_in_states(connection, store.name, states)
    due = [campaign for campaign in waiting if is_to_prepare(campaign, now)]
    await context.describe(total=None, campaigns=[campaign.name for campaign in due])
    async with told(context) as tell:
        preparation = Preparation(
            context.database,
            store.name,
            store.shopify,
            meter,
            context.unless_stopped,
            page=lambda: context.page(checkpoint=None),
            counts=True,
            tell=tell,
        )
        for campaign in due:
            await preparation.prepare(campaign)
    await context.describe(total=context.processed)
