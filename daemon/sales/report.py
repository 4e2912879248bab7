"""What a campaign did, as proof: when it was to start and end, when it did, and how each variant ended up."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import IO, Final

from daemon.api.sales import Edge, ItemState, ReportCounts, SaleEvent, SaleItem, SaleReport, Times
from daemon.database.pool import Connection
from daemon.errors import SaleNotFound
from daemon.i18n import gettext as _
from daemon.i18n import stored
from daemon.ids import CampaignId
from daemon.sales import campaigns, export, items
from daemon.sales.model import HELD, Campaign, Item
from daemon.sales.planning import PlannedItem
from daemon.sales.records import item_of, lateness_of

ROWS_AT_ONCE = 500  # of the journal, by a query


HEAD: Final = tuple(field.name for field in fields(SaleReport) if field.name != "items")
ITEM_COLUMNS: Final = tuple(field.name for field in fields(SaleItem))
COLUMNS: Final = (*ITEM_COLUMNS, "planned_start", "planned_end")
_cells = attrgetter(*ITEM_COLUMNS)


async def write(connection: Connection, campaign_id: CampaignId, file: IO[bytes], *, as_csv: bool) -> None:
    """Write the report of a campaign as of one moment, whatever jobs do meanwhile.

    Page by page: only one is in memory, however many variants the campaign has. Raises SaleNotFound where the
    campaign has just been deleted.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        campaign = await campaigns.get(connection, campaign_id)
        if campaign is None:
            raise SaleNotFound(_("The sale has just been deleted."))
        times = await read_times(connection, campaign_id)
        tally = ItemTally()
        async for page in _read_pages(connection, campaign_id):
            tally.add(page)
        events = await campaigns.list_events(connection, campaign_id)
        report = _report(campaign, times, tally.counts(), events)
        await (write_csv if as_csv else write_json)(report, _read_pages(connection, campaign_id), file)


def _report(campaign: Campaign, times: Times, counts: ReportCounts, events: Sequence[SaleEvent]) -> SaleReport:
    late = lateness_of(campaign, times)
    return SaleReport(
        id=campaign.id,
        store=campaign.store,
        name=campaign.name,
        origin=campaign.origin,
        state=campaign.state,
        notice=stored(campaign.notice),
        is_cancelled=campaign.is_cancelled,
        definition=campaign.definition.to_json(),
        made_at=datetime.now(UTC),
        closed_at=campaign.closed_at,
        start=Edge(
            campaign.starts_at,
            campaign.started_at,
            times.first_applied,
            times.last_applied,
            late.first_on_sale_seconds,
            late.last_on_sale_seconds,
        ),
        end=Edge(
            campaign.ends_at,
            campaign.ended_at,
            times.first_reverted,
            times.last_reverted,
            late.first_restored_seconds,
            late.last_restored_seconds,
        ),
        last_verified=times.last_verified,
        counts=counts,
        events=events,
        items=(),  # they are written page by page
    )


async def read_times(connection: Connection, campaign_id: CampaignId) -> Times:
    """When the first and last variants of a campaign were put on sale and restored."""
    return Times(**await items.times(connection, campaign_id))


class ItemTally:
    """Counts how the variants of a journal ended up."""

    def __init__(self) -> None:
        self._in_state = dict.fromkeys(ItemState, 0)
        self._put_on_sale = self._verified = self._changed = 0

    def add(self, items: Sequence[SaleItem]) -> None:
        """Take in some variants."""
        for item in items:
            self._in_state[item.state] += 1
            self._put_on_sale += item.applied_at is not None
            self._verified += item.state is ItemState.REVERTED and item.verified_at is not None
            self._changed += item.found_price is not None

    def counts(self) -> ReportCounts:
        """The counts so far."""
        in_state = self._in_state
        waiting = (ItemState.DRIFTED, ItemState.STUCK)
        return ReportCounts(
            variants=sum(in_state.values()),
            put_on_sale=self._put_on_sale,
            planned=in_state[ItemState.PLANNED],
            on_sale=sum(in_state[state] for state in HELD if state not in waiting),
            restored=in_state[ItemState.REVERTED],
            kept=in_state[ItemState.KEPT],
            drifted=in_state[ItemState.DRIFTED],
            gone=in_state[ItemState.GONE],
            skipped=in_state[ItemState.SKIPPED],
            refused=in_state[ItemState.REFUSED],
            stuck=in_state[ItemState.STUCK],
            verified=self._verified,
            changed_by_others=self._changed,
        )


async def write_json(report: SaleReport, pages: AsyncIterable[Sequence[SaleItem]], file: IO[bytes]) -> None:
    """The whole report as JSON, its variants from `pages`."""
    head = {name: getattr(report, name) for name in HEAD}
    await export.write_json(file, head, "items", pages, lambda item: item)


async def write_csv(report: SaleReport, pages: AsyncIterable[Sequence[SaleItem]], file: IO[bytes]) -> None:
    """The report's variants as CSV, each with the planned times beside the actual ones."""
    planned = (report.start.planned, report.end.planned)
    await export.write_csv(file, COLUMNS, pages, lambda item: (*_cells(item), *planned))


async def read_plan(connection: Connection, campaign_id: CampaignId) -> list[PlannedItem]:
    """What a campaign that has started was to do to each variant, from its journal."""
    return [
        PlannedItem(
            variant_id=item.variant_id,
            product_id=item.product_id,
            sku=item.sku,
            title=item.title or "",
            present=item.before,
            base=item.before,
            sale=item.sale,
            reason=None if item.sale else item.note,
            rival=None,
            is_held=False,
        )
        async for page in _read_journal(connection, campaign_id)
        for item in page
    ]


async def _read_pages(connection: Connection, campaign_id: CampaignId) -> AsyncIterator[Sequence[SaleItem]]:
    async for page in _read_journal(connection, campaign_id):
        yield [item_of(item) for item in page]


async def _read_journal(connection: Connection, campaign_id: CampaignId) -> AsyncIterator[Sequence[Item]]:
    after = (0, 0)
    while page := await items.list_items(connection, campaign_id, after=after, limit=ROWS_AT_ONCE):
        yield page
        after = (page[-1].product_id, page[-1].variant_id)
