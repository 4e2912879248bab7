"""What the endpoint answers about sale campaigns, as plain records. Money is decimal text without needless zeros."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Self
from uuid import UUID

from daemon.sales.campaigns import SaleEvent
from daemon.sales.export import amount_text, amount_text_or_none, csv_of, json_with_rows, portions
from daemon.sales.journal import RecordedWrite
from daemon.sales.model import Campaign, CampaignState, Item, ItemState, WriteAction, WriteResult
from daemon.sales.planning import PlannedItem, Unmatched
from daemon.sales.report import Lateness, SaleItem, Times
from daemon.sales.service import Preview


@dataclass(frozen=True, slots=True)
class Overdue:
    """For how long a start or end has been due and has not happened; 0 where all is well."""

    start_seconds: float
    end_seconds: float

    @classmethod
    def of(cls, campaign: Campaign, now: datetime) -> Self:
        """How overdue a campaign is."""
        return cls(round(campaign.overdue_start(now), 3), round(campaign.overdue_end(now), 3))


@dataclass(frozen=True, slots=True)
class Sale:
    """A campaign. Times are UTC; `counts` says how many variants are in each state."""

    id: UUID
    store: str
    name: str
    origin: str
    state: CampaignState
    definition: Mapping[str, Any]
    starts_at: datetime | None
    ends_at: datetime | None
    is_cancelled: bool
    notice: str | None
    variants: int
    prepared_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    closed_at: datetime | None
    created_at: datetime
    changed_at: datetime
    overdue: Overdue
    counts: Mapping[str, int]

    @classmethod
    def of(cls, campaign: Campaign, counts: Mapping[ItemState, int], now: datetime) -> "Sale":
        """The campaign as its row has it."""
        return Sale(
            id=campaign.id,
            store=campaign.store,
            name=campaign.name,
            origin=campaign.origin,
            state=campaign.state,
            definition=campaign.definition.to_json(),
            starts_at=campaign.starts_at,
            ends_at=campaign.ends_at,
            is_cancelled=campaign.is_cancelled,
            notice=campaign.notice,
            variants=campaign.variants,
            prepared_at=campaign.prepared_at,
            started_at=campaign.started_at,
            ended_at=campaign.ended_at,
            closed_at=campaign.closed_at,
            created_at=campaign.created_at,
            changed_at=campaign.changed_at,
            overdue=Overdue.of(campaign, now),
            counts={state.value: count for state, count in counts.items()},
        )


@dataclass(frozen=True, slots=True)
class SaleDetail(Sale):
    """A campaign with what happened to it. `drifting`: variants on sale with another price than they should have, as
    far as the mirror knows."""

    drifting: int
    times: Times
    late: Lateness
    events: Sequence[SaleEvent]

    @classmethod
    def with_history(cls, sale: Sale, drifting: int, times: Times, late: Lateness, events: Sequence[SaleEvent]) -> Self:
        """The campaign and its history."""
        return cls(**_members(sale), drifting=drifting, times=times, late=late, events=events)


@dataclass(frozen=True, slots=True)
class SaleList:
    """Campaigns, newest first."""

    sales: Sequence[Sale]


@dataclass(frozen=True, slots=True)
class OpenSale:
    """A campaign that has not ended, in short."""

    name: str
    store: str
    state: CampaignState
    starts_at: datetime | None
    ends_at: datetime | None
    overdue_start_seconds: float
    overdue_end_seconds: float
    notice: str | None

    @classmethod
    def of(cls, campaign: Campaign, now: datetime) -> Self:
        """The campaign in short."""
        overdue = Overdue.of(campaign, now)
        return cls(
            name=campaign.name,
            store=campaign.store,
            state=campaign.state,
            starts_at=campaign.starts_at,
            ends_at=campaign.ends_at,
            overdue_start_seconds=overdue.start_seconds,
            overdue_end_seconds=overdue.end_seconds,
            notice=campaign.notice,
        )


@dataclass(frozen=True, slots=True)
class SaleItemList:
    """Variants of a campaign, by product and id."""

    items: Sequence[SaleItem]
    next: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class SaleWrite:
    """Prices that a campaign wrote, or was to write. `settled_at` is null while it is not known what became of it."""

    action: WriteAction
    old_price: str
    old_compare_at_price: str | None
    new_price: str
    new_compare_at_price: str | None
    result: WriteResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None
    job_id: UUID

    @classmethod
    def of(cls, write: RecordedWrite) -> Self:
        """The write as the journal has it."""
        return cls(
            action=write.action,
            old_price=amount_text(write.old.price),
            old_compare_at_price=amount_text_or_none(write.old.compare_at),
            new_price=amount_text(write.new.price),
            new_compare_at_price=amount_text_or_none(write.new.compare_at),
            result=write.result,
            detail=write.detail,
            intended_at=write.intended_at,
            settled_at=write.settled_at,
            job_id=write.job_id,
        )


@dataclass(frozen=True, slots=True)
class SaleItemDetail(SaleItem):
    """A variant of a campaign with all that was written of it, oldest first."""

    writes: Sequence[SaleWrite]

    @classmethod
    def with_writes(cls, item: Item, writes: Sequence[RecordedWrite]) -> Self:
        """The variant and its writes."""
        return cls(**_members(SaleItem.of(item)), writes=[SaleWrite.of(write) for write in writes])


@dataclass(frozen=True, slots=True)
class PreviewTotals:
    """`old_total` and `new_total` sum up the prices of what would be on sale, without the sale and during it;
    `average_discount_percent` is what lies between them, null where nothing would be on sale."""

    variants: int
    on_sale: int
    skipped: int
    conflicts: int
    old_total: str
    new_total: str
    average_discount_percent: float | None


@dataclass(frozen=True, slots=True)
class PreviewItem:
    """A variant of a preview. `price` is that without any sale, also where another campaign has it on sale now
    (`is_held`); `skipped` says why it would not be on sale, `conflict` which campaign holds it at that time."""

    variant_id: int
    product_id: int
    sku: str | None
    title: str | None
    price: str
    compare_at_price: str | None
    new_price: str | None
    new_compare_at_price: str | None
    skipped: str | None
    conflict: str | None
    is_held: bool

    @classmethod
    def of(cls, planned: PlannedItem) -> Self:
        """The variant as it is planned."""
        base, sale = planned.base, planned.sale
        return cls(
            variant_id=planned.variant_id,
            product_id=planned.product_id,
            sku=planned.sku,
            title=planned.title,
            price=amount_text(base.price),
            compare_at_price=amount_text_or_none(base.compare_at),
            new_price=amount_text(sale.price) if sale else None,
            new_compare_at_price=amount_text_or_none(sale.compare_at) if sale else None,
            skipped=planned.reason,
            conflict=planned.rival,
            is_held=planned.is_held,
        )


@dataclass(frozen=True, slots=True)
class SalePreview:
    """What a campaign would do: `skipped` counts variants by reason, `conflicts` by the campaigns that hold them;
    `unmatched` is what the definition names and the shop does not have, by `targets` or `excludes` and kind."""

    definition: Mapping[str, Any]
    totals: PreviewTotals
    skipped: Mapping[str, int]
    conflicts: Mapping[str, int]
    unmatched: Unmatched
    items: Sequence[PreviewItem]


PREVIEW_COLUMNS: Final = tuple(field.name for field in fields(PreviewItem))
_preview_cells = attrgetter(*PREVIEW_COLUMNS)


async def preview_json(preview: Preview) -> bytes:
    """A `SalePreview` as JSON."""
    skipped: Counter[str] = Counter()
    conflicts: Counter[str] = Counter()
    sums = _Sums()
    async for portion in portions(preview.items):
        skipped.update(item.reason for item in portion if item.reason is not None)
        conflicts.update(item.rival for item in portion if item.rival is not None)
        sums.add(portion)
    head = {
        "definition": preview.definition.to_json(),
        "totals": PreviewTotals(
            variants=len(preview.items),
            on_sale=sums.on_sale,
            skipped=skipped.total(),
            conflicts=conflicts.total(),
            old_total=amount_text(sums.old),
            new_total=amount_text(sums.new),
            average_discount_percent=sums.discount_percent,
        ),
        "skipped": dict(skipped.most_common()),
        "conflicts": dict(conflicts.most_common()),
        "unmatched": preview.unmatched,
    }
    return await json_with_rows(head, "items", preview.items, PreviewItem.of)


async def preview_csv(preview: Preview) -> bytes:
    """The variants of a preview as CSV."""
    return await csv_of(PREVIEW_COLUMNS, preview.items, lambda planned: _preview_cells(PreviewItem.of(planned)))


@dataclass(slots=True)
class _Sums:
    """What would be on sale, and what it costs without the sale and during it."""

    on_sale: int = 0
    old: Decimal = Decimal(0)
    new: Decimal = Decimal(0)

    def add(self, planned: Sequence[PlannedItem]) -> None:
        for item in planned:
            if item.sale is not None and item.rival is None:
                self.on_sale += 1
                self.old += item.base.price
                self.new += item.sale.price

    @property
    def discount_percent(self) -> float | None:
        return round(float((self.old - self.new) / self.old * 100), 2) if self.old else None


def _members(record: Sale | SaleItem) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
