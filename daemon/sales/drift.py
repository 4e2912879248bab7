"""Reports prices that are not as a campaign left them, as soon as a pull or a look at Shopify shows it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from asyncpg import UniqueViolationError

from daemon.api.sales import RUNNING, CampaignState, ItemState
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext, number_text
from daemon.ids import StoreName
from daemon.sales import campaigns, items, journal
from daemon.sales.items import Move
from daemon.sales.model import Campaign
from daemon.sources.shopify.models import PricePair

log = structlog.get_logger()

MOST = 10_000  # variants that are looked at one by one

CLOSED = (CampaignState.COMPLETED, CampaignState.CANCELLED)
# Both are stored as notes and counted by their text, so the text must stay as it is.
BY_OTHERS_OR_LATE = mark("the price is another one: somebody else changed it, or a call of dongbo's own came late")
RETURNED = mark("the sale price came back after it was restored")
NAMESAKE = mark(
    "{n} of the prices that it had restored have its sale price again. Another sale of this name "
    "is open, so they can't be restored from here: correct them in Shopify."
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
                    connection,
                    campaign.id,
                    CLOSED,
                    CampaignState.NEEDS_ATTENTION,
                    datetime.now(UTC),
                    detail=RETURNED,
                )
            await items.move(connection, campaign.id, moves)
            counts = await items.count_by_state(connection, campaign.id)
            notice = await waiting_notice(connection, campaign, counts[ItemState.DRIFTED])
            await campaigns.set_notice(connection, campaign.id, notice)
    except UniqueViolationError:  # of the name
        notice = _(NAMESAKE).format(n=number_text(len(prices)))
        if not await campaigns.set_notice(connection, campaign.id, notice):
            return
    log.warning("sale_prices_came_back", sale=campaign.name, store=campaign.store, variants=len(prices), notice=notice)


async def waiting_notice(connection: Connection, campaign: Campaign, drifted: int) -> str:
    """What a person has to decide about the drifted variants of a campaign that is over."""
    decide = _("decide with `dongbo sale resume {name} --keep all` or `--restore all`, or one by one").format(
        name=campaign.name
    )
    returned = await items.count_by_note(connection, campaign.id, ItemState.DRIFTED, RETURNED)
    doubtful = await items.count_by_note(connection, campaign.id, ItemState.DRIFTED, BY_OTHERS_OR_LATE)
    foreign = drifted - returned - doubtful
    said = []
    if foreign:
        changed = ngettext(
            "{n} price was changed by somebody else during the sale and left so",
            "{n} prices were changed by somebody else during the sale and left so",
            foreign,
        )
        said.append(changed.format(n=number_text(foreign)))
    if doubtful:
        changed = ngettext(
            "{n} price was changed during the sale, by somebody else or by a call of dongbo's own that came late, "
            "and left so",
            "{n} prices were changed during the sale, by somebody else or by a call of dongbo's own that came late, "
            "and left so",
            doubtful,
        )
        said.append(changed.format(n=number_text(doubtful)))
    if returned:
        changed = ngettext(
            "{n} price was restored and has the sale price again",
            "{n} prices were restored and have the sale price again",
            returned,
        )
        said.append(changed.format(n=number_text(returned)))
    return f"{'; '.join(said)}: {decide}."


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
        changed = ngettext(
            "{n} price was changed by somebody else since it was put on sale, and left so: at the end of the sale "
            "you decide.",
            "{n} prices were changed by somebody else since they were put on sale, and left so: at the end of the "
            "sale you decide.",
            foreign,
        )
        said.append(changed.format(n=number_text(foreign)))
    if doubtful:
        changed = ngettext(
            "{n} price is not the sale's: somebody else changed it, or a call of dongbo's own came late.",
            "{n} prices are not the sale's: somebody else changed them, or a call of dongbo's own came late.",
            doubtful,
        )
        said.append(changed.format(n=number_text(doubtful)))
    if refused:
        changed = ngettext(
            "Shopify refused {n} sale price: `dongbo sale show {name} --items` says why.",
            "Shopify refused {n} sale prices: `dongbo sale show {name} --items` says why.",
            refused,
        )
        said.append(changed.format(n=number_text(refused), name=campaign.name))
    figures = {"by_others": foreign, "doubtful": doubtful, "refused": refused}
    return " ".join(said) or None, figures
