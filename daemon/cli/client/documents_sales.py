"""The daemon's JSON answers about sale campaigns, as far as the command line reads them.

Money is decimal text, times are ISO 8601.
"""

from typing import Any, TypedDict


class OverdueDocument(TypedDict):
    """For how long a start or an end has been due; 0 where it is not."""

    start_seconds: float
    end_seconds: float


class CampaignDocument(TypedDict):
    """A campaign, and how many of its variants are in which state."""

    id: str
    store: str
    name: str
    origin: str
    state: str
    definition: dict[str, Any]
    starts_at: str | None
    ends_at: str | None
    is_cancelled: bool
    notice: str | None
    variants: int
    prepared_at: str | None
    started_at: str | None
    ended_at: str | None
    closed_at: str | None
    created_at: str
    changed_at: str
    overdue: OverdueDocument
    counts: dict[str, int]


class TimesDocument(TypedDict):
    """When the first and the last variant was put on sale, restored, and seen so at Shopify."""

    first_applied: str | None
    last_applied: str | None
    first_reverted: str | None
    last_reverted: str | None
    last_verified: str | None


class LatenessDocument(TypedDict):
    """Actual minus planned times, in seconds."""

    first_on_sale_seconds: float | None
    last_on_sale_seconds: float | None
    first_restored_seconds: float | None
    last_restored_seconds: float | None


class EventDocument(TypedDict):
    """What happened to a campaign."""

    state: str
    detail: str | None
    at: str


class CampaignDetailDocument(CampaignDocument):
    """A campaign with its history."""

    drifting: int
    times: TimesDocument
    late: LatenessDocument
    events: list[EventDocument]


class ItemDocument(TypedDict):
    """A variant of a campaign."""

    variant_id: int
    product_id: int
    sku: str | None
    title: str | None
    state: str
    before_price: str
    before_compare_at_price: str | None
    base_price: str
    base_compare_at_price: str | None
    sale_price: str | None
    sale_compare_at_price: str | None
    found_price: str | None
    found_compare_at_price: str | None
    decision: str | None
    note: str | None
    applied_at: str | None
    closed_at: str | None
    verified_at: str | None


class WriteDocument(TypedDict):
    """A write of a variant's prices: its intent, and what became of it."""

    action: str
    old_price: str
    old_compare_at_price: str | None
    new_price: str
    new_compare_at_price: str | None
    result: str
    detail: str | None
    intended_at: str
    settled_at: str | None
    job_id: str


class ItemDetailDocument(ItemDocument):
    """A variant with all writes of its prices."""

    writes: list[WriteDocument]


class PreviewTotalsDocument(TypedDict):
    """What a preview comes to."""

    variants: int
    on_sale: int
    skipped: int
    conflicts: int
    old_total: str
    new_total: str
    average_discount_percent: float | None


class PreviewItemDocument(TypedDict):
    """A variant of a preview."""

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


class PreviewDocument(TypedDict):
    """What a campaign would do."""

    definition: dict[str, Any]
    totals: PreviewTotalsDocument
    skipped: dict[str, int]
    conflicts: dict[str, int]
    unmatched: dict[str, dict[str, list[str | int]]]
    items: list[PreviewItemDocument]


class EdgeDocument(TypedDict):
    """The start or the end of a campaign: as planned, and as it was."""

    planned: str | None
    begun: str | None
    first: str | None
    last: str | None
    first_late_seconds: float | None
    last_late_seconds: float | None


class ReportDocument(TypedDict):
    """What a campaign has done."""

    id: str
    store: str
    name: str
    origin: str
    state: str
    notice: str | None
    is_cancelled: bool
    definition: dict[str, Any]
    made_at: str
    closed_at: str | None
    start: EdgeDocument
    end: EdgeDocument
    last_verified: str | None
    counts: dict[str, int]
    events: list[EventDocument]
    items: list[ItemDocument]
