"""Reports prices that are not as a campaign left them, as soon as a pull or a look at Shopify shows it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from asyncpg import UniqueViolationError

from daemon.api.sales import RUNNING, CampaignState, ItemState
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.sales import campaigns, items, journal
from daemon.sales.items import Move
from daemon.sales.model import Campaign
from daemon.sources.shopify.models import PricePair

log = structlog.get_logger()

MOST = 10_000  # variants that are looked at one by one

CLOSED = (CampaignState.COMPLETED, CampaignState.CANCELLED)
# Both are stored as notes and counted by their text, so the text must stay as it is.
BY_OTHERS_OR_LATE = "the price is another one: somebody else changed it, or a call of dongbo's own came late"
RETURNED = "the sale price came back after it was restored"
NAMESAKE = (
    "{count:,} of the prices that it had restored have its sale price again. Another sale of this name is open, so "
    "they can't be restored from here: correct them in Shopify."
)


async def report(connection: Connection, store: StoreName) -> None:
    """Show with each running campaign which prices are not the sale's, by the mirror and the journal.

    One that somebody is moving right now is passed over: whoever looks next reports it.
    """
    for running in await campaigns.list_in_states(connection, store, sorted(RUNNING)):
        campaign = await campaigns.lock_if_free(connection, running.id)
        if campaign is None or campaign.state not in RUNNING:
            continue
        notice, figures = await _notice(connection, campaign)
        if await campaigns.set_price_notice(connection, campaign.id, notice) and notice is not None:
            log.warning("sale_prices_differ", sale=campaign.name, store=store, notice=notice, **figures)


async def report_returned(connection: Connection, store: StoreName, variant_ids: Sequence[int]) -> None:
    """Let a person decide about variants for which a pull shows the sale price of a campaign that is over.

    A call of dongbo's own may have come late, or somebody may have set it by hand: only a person knows.
    """
    returned = await items.list_returned(connection, store, variant_ids, MOST)
    for campaign_id, prices in returned.items():
        campaign = await campaigns.lock_if_free(connection, campaign_id)
        if campaign is None or campaign.state not in (*CLOSED, CampaignState.NEEDS_ATTENTION):
            continue
        await _ask(connection, campaign, prices)


async def _ask(connection: Connection, campaign: Campaign, prices: dict[int, PricePair]) -> None:
    moves = [Move(number, ItemState.DRIFTED, RETURNED, seen) for number, seen in prices.items()]
    try:
        async with connection.transaction():
            if campaign.state in CLOSED:
                await campaigns.move(
                    connection, campaign.id, CLOSED, CampaignState.NEEDS_ATTENTION, datetime.now(UTC), detail=RETURNED
                )
            await items.move(connection, campaign.id, moves)
            counts = await items.count_by_state(connection, campaign.id)
            notice = await waiting_notice(connection, campaign, counts[ItemState.DRIFTED])
            await campaigns.set_notice(connection, campaign.id, notice)
    except UniqueViolationError:  # of the name
        notice = NAMESAKE.format(count=len(prices))
        if not await campaigns.set_notice(connection, campaign.id, notice):
            return
    log.warning("sale_prices_came_back", sale=campaign.name, store=campaign.store, variants=len(prices), notice=notice)


async def waiting_notice(connection: Connection, campaign: Campaign, drifted: int) -> str:
    """What a person has to decide about the drifted variants of a campaign that is over."""
    decide = f"decide with `dongbo sale resume {campaign.name} --keep all` or `--restore all`, or one by one"
    returned = await items.count_by_note(connection, campaign.id, ItemState.DRIFTED, RETURNED)
    doubtful = await items.count_by_note(connection, campaign.id, ItemState.DRIFTED, BY_OTHERS_OR_LATE)
    foreign = drifted - returned - doubtful
    said = []
    if foreign:
        said.append(f"{_prices(foreign)} changed by somebody else during the sale and left so")
    if doubtful:
        said.append(
            f"{_prices(doubtful)} changed during the sale, by somebody else or by a call of dongbo's own that came "
            "late, and left so"
        )
    if returned:
        said.append(f"{_prices(returned)} restored and {'have' if returned > 1 else 'has'} the sale price again")
    return f"{'; '.join(said)}: {decide}."


def _prices(count: int) -> str:
    return f"{count:,} {'prices were' if count > 1 else 'price was'}"


async def _notice(connection: Connection, campaign: Campaign) -> tuple[str | None, dict[str, int]]:
    drifting = await items.list_drifting(connection, campaign.id, MOST)
    counts = await items.count_by_state(connection, campaign.id)
    ours = await journal.may_be_ours(connection, campaign.store, drifting)
    marked = counts.get(ItemState.DRIFTED, 0)
    doubtful = len(ours) + await items.count_by_note(connection, campaign.id, ItemState.DRIFTED, BY_OTHERS_OR_LATE)
    foreign = len(drifting) + marked - doubtful
    refused = counts.get(ItemState.REFUSED, 0)
    said = []
    if foreign:
        said.append(
            f"{_prices(foreign)} changed by somebody else since {'they were' if foreign > 1 else 'it was'} put on "
            "sale, and left so: at the end of the sale you decide."
        )
    if doubtful:
        said.append(
            f"{doubtful:,} {'prices are' if doubtful > 1 else 'price is'} not the sale's: somebody else changed "
            f"{'them' if doubtful > 1 else 'it'}, or a call of dongbo's own came late."
        )
    if refused:
        said.append(
            f"Shopify refused {refused:,} sale price{'s' if refused > 1 else ''}: `dongbo sale show {campaign.name} "
            "--items` says why."
        )
    figures = {"by_others": foreign, "doubtful": doubtful, "refused": refused}
    return " ".join(said) or None, figures
