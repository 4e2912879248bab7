"""Sale campaigns: what they do, have done and would do. Money is decimal text without needless zeros."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias
from uuid import UUID

from annotated_types import Len

from daemon.api.fields import LENIENT, STORE_PATTERN, Id, Limit
from daemon.ids import CampaignId

MOST_VARIANTS: Final = 50_000  # of a decision
ITEM_CURSOR_PATTERN: Final = r"^[0-9]{1,19}\.[0-9]{1,19}$"

Format: TypeAlias = Literal["json", "csv"]


class CampaignState(StrEnum):
    """Where a campaign stands."""

    DRAFT = "DRAFT"  # not planned yet: a person has to start it, or what its notice says has to change
    SCHEDULED = "SCHEDULED"
    APPLYING = "APPLYING"
    ACTIVE = "ACTIVE"
    REVERTING = "REVERTING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"  # it never put anything on sale
    NEEDS_ATTENTION = "NEEDS_ATTENTION"  # it is over, and a person must decide about some variants

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it, unless one of its calls comes late."""
        return self in ENDED

    @property
    def is_running(self) -> bool:
        """Whether prices of the shop are or will at once be its own."""
        return self in RUNNING


ENDED: Final = frozenset({CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.FAILED})
RUNNING: Final = frozenset({CampaignState.APPLYING, CampaignState.ACTIVE, CampaignState.REVERTING})


class ItemState(StrEnum):
    """Where a variant of a campaign stands."""

    PLANNED = "PLANNED"
    APPLYING = "APPLYING"  # the sale price may be on its way
    APPLIED = "APPLIED"
    REVERTING = "REVERTING"  # the price to go back to may be on its way
    REVERTED = "REVERTED"
    DRIFTED = "DRIFTED"  # somebody else has set another price: a person decides
    KEPT = "KEPT"  # and has decided to leave it so
    GONE = "GONE"  # the variant no longer exists in Shopify
    SKIPPED = "SKIPPED"  # never put on sale; the note says why
    REFUSED = "REFUSED"  # Shopify did not take the sale price
    STUCK = "STUCK"  # Shopify did not take the price to go back to


class WriteAction(StrEnum):
    """What a write is for."""

    APPLY = "apply"
    REVERT = "revert"


class WriteResult(StrEnum):
    """What became of a write. All but the first are final."""

    INTENDED = "intended"  # the call may be under way, or its answer was lost
    APPLIED = "applied"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # interrupted, and Shopify did not have the new price when it was asked


class Decision(StrEnum):
    """What a person decides about a variant whose price somebody else has changed."""

    KEEP = "keep"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Overdue:
    """For how long a start or end has been due and has not happened; 0 where all is well."""

    start_seconds: float
    end_seconds: float


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


@dataclass(frozen=True, slots=True)
class SaleEvent:
    """Something that happened to a campaign; the time is aware UTC."""

    state: CampaignState
    detail: str | None
    at: datetime


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


@dataclass(frozen=True, slots=True)
class SaleDetail(Sale):
    """A campaign with what happened to it. `drifting`: variants on sale with another price than they should have, as
    far as the mirror knows."""

    drifting: int
    times: Times
    late: Lateness
    events: Sequence[SaleEvent]


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


@dataclass(frozen=True, slots=True)
class SaleItemDetail(SaleItem):
    """A variant of a campaign with all that was written of it, oldest first."""

    writes: Sequence[SaleWrite]


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


@dataclass(frozen=True, slots=True)
class SalePreview:
    """What a campaign would do: `skipped` counts variants by reason, `conflicts` by the campaigns that hold them;
    `unmatched` is what the definition names and the shop does not have, by `targets` or `excludes` and kind."""

    definition: Mapping[str, Any]
    totals: PreviewTotals
    skipped: Mapping[str, int]
    conflicts: Mapping[str, int]
    unmatched: Mapping[str, Mapping[str, Sequence[str | int]]]
    items: Sequence[PreviewItem]


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


@dataclass(frozen=True, slots=True)
class ResumeBody:
    """How to go on with a campaign that waits for a person."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    decision: Decision | None = field(
        default=None,
        metadata={"description": "About prices that somebody else has set; null: try again what Shopify refused."},
    )
    variants: Annotated[list[Id], Len(1, MOST_VARIANTS)] | None = field(
        default=None,
        metadata={"description": "The variants that it is about; null: all that wait for a decision."},
    )


@dataclass(frozen=True, slots=True)
class SalesQuery:
    """Which campaigns to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str | None = field(default=None, metadata={"pattern": STORE_PATTERN})
    state: CampaignState | None = None
    open: bool = field(default=False, metadata={"description": "Only those that have not ended."})
    limit: Limit = 50


@dataclass(frozen=True, slots=True)
class SaleQuery:
    """Which campaign is meant."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str | None = field(
        default=None,
        metadata={"pattern": STORE_PATTERN, "description": "Where campaigns of two stores share a name."},
    )


@dataclass(frozen=True, slots=True)
class FormatQuery:
    """How to answer."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    format: Format = "json"


@dataclass(frozen=True, slots=True)
class SaleFormatQuery(SaleQuery):
    """Which campaign is meant, and how to answer."""

    format: Format = "json"


@dataclass(frozen=True, slots=True)
class SaleItemsQuery(SaleQuery):
    """Which variants of a campaign to list."""

    state: ItemState | None = None
    after: str | None = field(
        default=None, metadata={"pattern": ITEM_CURSOR_PATTERN, "description": "next of the page before."}
    )
    limit: Limit = 100
