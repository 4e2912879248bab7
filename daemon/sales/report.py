"""What a campaign did, as proof: when it was to start and end, when it did, and how each variant ended up."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import IO, Any, Final, Self

from daemon.database.pool import Connection
from daemon.errors import SaleNotFound
from daemon.ids import CampaignId
from daemon.sales import campaigns, export, items
from daemon.sales.campaigns import SaleEvent
from daemon.sales.export import amount_text, amount_text_or_none
from daemon.sales.model import HELD, Campaign, CampaignState, Decision, Item, ItemState
from daemon.sales.planning import PlannedItem

ROWS_AT_ONCE = 500  # of the journal, by a query


@dataclass(frozen=True, slots=True)
class Times:
    """When the first and last variant were put on sale, restored, and seen at Shopify as restored; aware UTC."""

    first_applied: datetime | None
    last_applied: datetime | None
    first_reverted: datetime | None
    last_reverted: datetime | None
    last_verified: datetime | None


@dataclass(frozen=True, slots=True)
class Lateness:
    """Actual minus planned times, in seconds; null where either is not known, negative where a person was earlier."""

    first_on_sale_seconds: float | None
    last_on_sale_seconds: float | None
    first_restored_seconds: float | None
    last_restored_seconds: float | None

    @classmethod
    def of(cls, campaign: Campaign, times: Times) -> Self:
        """How late a campaign was."""
        return cls(
            _seconds_between(campaign.starts_at, times.first_applied),
            _seconds_between(campaign.starts_at, times.last_applied),
            _seconds_between(campaign.ends_at, times.first_reverted),
            _seconds_between(campaign.ends_at, times.last_reverted),
        )


@dataclass(frozen=True, slots=True)
class SaleItem:
    """A variant of a campaign; money is decimal text. `before` is what the sale found, `base` what it goes back to,
    `found` what somebody else has set meanwhile."""

    variant_id: int
    product_id: int
    sku: str | None
    title: str | None
    state: ItemState
    before_price: str
    before_compare_at_price: str | None
    base_price: str
    base_compare_at_price: str | None
    sale_price: str | None
    sale_compare_at_price: str | None
    found_price: str | None
    found_compare_at_price: str | None
    decision: Decision | None
    note: str | None
    applied_at: datetime | None
    closed_at: datetime | None
    verified_at: datetime | None

    @classmethod
    def of(cls, item: Item) -> Self:
        """The variant as the journal has it."""
        sale, found = item.sale, item.found
        return cls(
            variant_id=item.variant_id,
            product_id=item.product_id,
            sku=item.sku,
            title=item.title,
            state=item.state,
            before_price=amount_text(item.before.price),
            before_compare_at_price=amount_text_or_none(item.before.compare_at),
            base_price=amount_text(item.base.price),
            base_compare_at_price=amount_text_or_none(item.base.compare_at),
            sale_price=amount_text(sale.price) if sale else None,
            sale_compare_at_price=amount_text_or_none(sale.compare_at) if sale else None,
            found_price=amount_text(found.price) if found else None,
            found_compare_at_price=amount_text_or_none(found.compare_at) if found else None,
            decision=item.decision,
            note=item.note,
            applied_at=item.applied_at,
            closed_at=item.closed_at,
            verified_at=item.verified_at,
        )


@dataclass(frozen=True, slots=True)
class Edge:
    """The start or the end of a campaign: as planned, and as it was. Begun is when the first call was asked for."""

    planned: datetime | None
    begun: datetime | None
    first: datetime | None
    last: datetime | None
    first_late_seconds: float | None
    last_late_seconds: float | None


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """What became of the variants. From `planned` to `stuck` they are the parts of `variants`."""

    variants: int
    put_on_sale: int  # at any time
    planned: int  # not put on sale yet
    on_sale: int  # at present, or on the way there or back
    restored: int
    kept: int
    drifted: int
    gone: int
    skipped: int
    refused: int
    stuck: int
    verified: int  # of those restored: Shopify was asked again, and had the price to go back to
    changed_by_others: int  # somebody else had set another price, whatever was decided about it


@dataclass(frozen=True, slots=True)
class SaleReport:
    """A campaign's report. Times are aware UTC."""

    id: CampaignId
    store: str
    name: str
    origin: str
    state: CampaignState
    notice: str | None
    is_cancelled: bool
    definition: Mapping[str, Any]
    made_at: datetime
    closed_at: datetime | None
    start: Edge
    end: Edge
    last_verified: datetime | None
    counts: ReportCounts
    events: Sequence[SaleEvent]
    items: Sequence[SaleItem]


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
            raise SaleNotFound("The sale has just been deleted.")
        times = await read_times(connection, campaign_id)
        tally = ItemTally()
        async for page in _read_pages(connection, campaign_id):
            tally.add(page)
        events = await campaigns.list_events(connection, campaign_id)
        report = _report(campaign, times, tally.counts(), events)
        await (write_csv if as_csv else write_json)(report, _read_pages(connection, campaign_id), file)


def _report(campaign: Campaign, times: Times, counts: ReportCounts, events: Sequence[SaleEvent]) -> SaleReport:
    late = Lateness.of(campaign, times)
    return SaleReport(
        id=campaign.id,
        store=campaign.store,
        name=campaign.name,
        origin=campaign.origin,
        state=campaign.state,
        notice=campaign.notice,
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
        yield [SaleItem.of(item) for item in page]


async def _read_journal(connection: Connection, campaign_id: CampaignId) -> AsyncIterator[Sequence[Item]]:
    after = (0, 0)
    while page := await items.list_items(connection, campaign_id, after=after, limit=ROWS_AT_ONCE):
        yield page
        after = (page[-1].product_id, page[-1].variant_id)


def _seconds_between(planned: datetime | None, actual: datetime | None) -> float | None:
    if planned is None or actual is None:
        return None
    return round((actual - planned).total_seconds(), 3)
