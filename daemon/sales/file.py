"""Brings campaigns in line with the configuration file, when the daemon starts and at each reload.

A campaign that has not started becomes what the file says now. One that is running keeps what it started with, for its
prices are already in the shop: only its end may move. Whatever is not taken over is shown with it and logged.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from asyncpg import ExclusionViolationError, PostgresError

from daemon.api.sales import CampaignState
from daemon.config import SaleSettings
from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import CampaignId, StoreName
from daemon.sales import campaigns, items
from daemon.sales.model import Campaign
from daemon.sales.planning import period
from daemon.sales.service import Sales

log = structlog.get_logger()

ON_SALE = (CampaignState.APPLYING, CampaignState.ACTIVE)
WAITING = (CampaignState.DRAFT, CampaignState.SCHEDULED)
PAST = mark("Its end had passed when it was first seen in the configuration file: it was never started.")
REMOVED = mark("removed from the configuration file before it started")
RUNS_ON = mark(
    "It was removed from the configuration file while running: it continues until {end}. To end it now: {command}."
)
CHANGED = mark(
    "The configuration file has changed ({keys}): this sale continues as it started. To run it as the "
    "file says, end it ({command}), give it another name or a start in the future, and reload."
)
NO_LONGER = mark(
    "The configuration file moves its end to {end}, but other campaigns hold its variants then: {end_now} stays."
)
OVER = mark(
    "The configuration file has changed a sale that has run or is being taken back: to run it again, "
    "give it a start in the future, or another name, and reload once it is over."
)
NAMESAKE = mark(
    "The configuration file also has a sale of this name: it waits until this one is over and the file is reloaded."
)


async def reconcile(
    database: Database, sales: Sales, stores: Sequence[StoreName], wanted: Sequence[SaleSettings]
) -> None:
    """Bring the campaigns of these stores in line with the file; safe to repeat, and on several daemons at once.

    `wanted`: the campaigns of the file, with times in UTC.
    """
    for definition in wanted:
        try:
            await _reconcile_one(database, sales, definition)
        except (
            DongboError,
            PostgresError,
        ) as error:  # one of them must not keep the others, or the daemon, from working
            if is_connection_error(error):
                raise
            log.error("sale_not_taken_over", sale=definition.name, store=definition.store, error=str(error))
    named = {(definition.store, definition.name) for definition in wanted}
    async with database.acquire() as connection:
        present = await campaigns.list_open(connection, stores)
    for campaign in present:
        if campaign.origin == "file" and (campaign.store, campaign.name) not in named:
            await _remove(database, sales, campaign)


async def _reconcile_one(database: Database, sales: Sales, definition: SaleSettings) -> None:
    async with database.acquire() as connection:
        latest = await campaigns.latest(connection, definition.store, definition.name)
        in_file = await campaigns.latest_in_file(connection, definition.store, definition.name)
    if latest is not None and not latest.state.has_ended:
        await _update(database, sales, latest, in_file.definition if in_file else None, definition)
    elif in_file is None:
        await _create(database, sales, definition)
    elif in_file.definition != definition:
        # What has ended does not start again by itself: only where the file gives it a start after its end.
        if definition.starts is not None and in_file.closed_at is not None and definition.starts > in_file.closed_at:
            await _create(database, sales, definition)
        else:
            await _tell_over(database, in_file.campaign_id, definition)


async def _create(database: Database, sales: Sales, definition: SaleSettings) -> None:
    has_passed = definition.ends is not None and definition.ends <= sales.clock()
    is_past = has_passed and await sales.knows_time(definition.store)
    async with database.acquire() as connection, connection.transaction():
        campaign = await campaigns.insert(connection, definition, "file")
        if campaign is None:  # another daemon was faster
            return
        if is_past:
            await sales.close_in(connection, campaign, CampaignState.CANCELLED, PAST)
            log.warning("sale_past", sale=campaign.name, store=campaign.store, reason=PAST)
            return
    log.info("sale_created", sale=campaign.name, store=campaign.store, origin="file")


async def _update(
    database: Database, sales: Sales, campaign: Campaign, known: SaleSettings | None, definition: SaleSettings
) -> None:
    if campaign.origin != "file" or known is None:
        if campaign.state in ON_SALE or campaign.state in WAITING:
            await _notice(database, campaign, NAMESAKE)
        return
    if known == definition:
        if campaign.state in ON_SALE and campaign.notice is not None:  # removed or changed before, and now as it was
            await _notice(database, campaign, None)
        return
    if campaign.state in WAITING:
        await _replace(database, sales, campaign, definition)
    elif campaign.state not in ON_SALE:
        await _tell_over(database, campaign.id, definition)
    else:
        await _update_running(database, sales, campaign, known, definition)


async def _update_running(
    database: Database, sales: Sales, campaign: Campaign, known: SaleSettings, definition: SaleSettings
) -> None:
    """Take over the end; what else is different is shown."""
    others = [key for key in _differing(known, definition) if key != "ends"]
    if known.ends != definition.ends and not await _move_end(
        database, sales, campaign, known.model_copy(update={"ends": definition.ends})
    ):
        return  # the notice is about that
    if others:
        await _notice(database, campaign, _(CHANGED).format(keys=", ".join(others), command=_revert(campaign)))


async def _replace(database: Database, sales: Sales, campaign: Campaign, definition: SaleSettings) -> None:
    async with database.acquire() as connection, connection.transaction():
        present = await campaigns.lock(connection, campaign.id)
        if present is None or present.state not in WAITING:
            return  # it has just started: the next reload says so
        await campaigns.set_definition(connection, campaign.id, definition)
        await campaigns.set_in_file(connection, campaign.id, definition)
        await items.close_planned(connection, campaign.id, mark("planned again"))
        detail = mark("the configuration file has changed: planned again")
        if present.state is CampaignState.SCHEDULED:
            await campaigns.move(
                connection, campaign.id, [present.state], CampaignState.DRAFT, sales.clock(), detail=detail
            )
        else:
            await campaigns.set_notice(connection, campaign.id, None)
            await campaigns.note(connection, campaign.id, detail)
    log.info("sale_replaced", sale=campaign.name, store=campaign.store)


async def _move_end(database: Database, sales: Sales, campaign: Campaign, definition: SaleSettings) -> bool:
    end = sales.shown(definition.ends)
    try:
        async with database.acquire() as connection, connection.transaction():
            await _move_end_in(connection, sales, campaign, definition)
    except ExclusionViolationError:
        await _notice(database, campaign, _(NO_LONGER).format(end=end, end_now=sales.shown(campaign.ends_at)))
        return False
    log.warning("sale_end_moved", sale=campaign.name, store=campaign.store, ends_at=end)
    return True


async def _move_end_in(connection: Connection, sales: Sales, campaign: Campaign, definition: SaleSettings) -> None:
    present = await campaigns.lock(connection, campaign.id)
    if present is None or present.state not in ON_SALE:
        return
    ends_at = definition.ends
    if ends_at is not None and present.starts_at is not None:  # an end that has passed ends it now
        ends_at = max(ends_at, present.starts_at + timedelta(microseconds=1))
    await campaigns.set_times(connection, campaign.id, present.starts_at, ends_at)
    await campaigns.set_in_file(connection, campaign.id, definition)
    now = await campaigns.database_time(connection)
    if ends_at is None or ends_at > now:
        await items.set_held(connection, campaign.id, period(present.starts_at, ends_at, now))
    detail = _("its end was moved in the configuration file: {ends}").format(ends=sales.shown(definition.ends))
    await campaigns.note(connection, campaign.id, detail)
    await campaigns.set_notice(connection, campaign.id, None)


async def _remove(database: Database, sales: Sales, campaign: Campaign) -> None:
    if campaign.state in ON_SALE:
        await _notice(
            database, campaign, _(RUNS_ON).format(end=sales.shown(campaign.ends_at), command=_revert(campaign))
        )
        return
    if campaign.state not in WAITING:
        return
    async with database.acquire() as connection, connection.transaction():
        closed = await sales.close_in(connection, campaign, CampaignState.CANCELLED, REMOVED)
        if closed.state is CampaignState.CANCELLED:
            await campaigns.forget_in_file(connection, campaign.id)  # put back, it is as new
    log.warning("sale_removed", sale=campaign.name, store=campaign.store, reason=REMOVED)


async def _tell_over(database: Database, campaign_id: CampaignId, definition: SaleSettings) -> None:
    """Say so in its history, once, and in the log: its notice is about how it ended."""
    async with database.acquire() as connection:
        await campaigns.note_once(connection, campaign_id, OVER)
    log.warning("sale_not_repeated", sale=definition.name, store=definition.store, reason=OVER)


async def _notice(database: Database, campaign: Campaign, notice: str | None) -> None:
    async with database.acquire() as connection:
        is_new = await campaigns.set_notice(connection, campaign.id, notice)
    if is_new and notice is not None:
        log.warning("sale_differs_from_file", sale=campaign.name, store=campaign.store, notice=notice)


def _differing(known: SaleSettings, definition: SaleSettings) -> list[str]:
    return [name for name in SaleSettings.model_fields if getattr(known, name) != getattr(definition, name)]


def _revert(campaign: Campaign) -> str:
    return f"dongbo sale revert {campaign.name}"
