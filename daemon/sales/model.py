"""What a campaign is, which states it and its variants go through, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from daemon.config import SaleSettings
from daemon.ids import CampaignId, SaleName, StoreName
from daemon.sources.shopify.models import PricePair


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
    NEEDS_ATTENTION = "NEEDS_ATTENTION"  # it is over, but a person must decide about some variants

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

TRANSITIONS: Final[Mapping[CampaignState, frozenset[CampaignState]]] = {
    CampaignState.DRAFT: frozenset({CampaignState.SCHEDULED, CampaignState.CANCELLED, CampaignState.FAILED}),
    CampaignState.SCHEDULED: frozenset(
        {CampaignState.DRAFT, CampaignState.APPLYING, CampaignState.CANCELLED, CampaignState.FAILED}
    ),
    CampaignState.APPLYING: frozenset({CampaignState.ACTIVE, CampaignState.REVERTING, CampaignState.FAILED}),
    CampaignState.ACTIVE: frozenset({CampaignState.REVERTING}),
    CampaignState.REVERTING: frozenset(
        {CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.NEEDS_ATTENTION}
    ),
    CampaignState.NEEDS_ATTENTION: frozenset({CampaignState.REVERTING}),
    CampaignState.COMPLETED: frozenset(),
    CampaignState.CANCELLED: frozenset(),
    CampaignState.FAILED: frozenset(),
}

# A sale price has come back after the end: it is taken back again, or a person decides.
REOPENINGS: Final[Mapping[CampaignState, frozenset[CampaignState]]] = dict.fromkeys(
    (CampaignState.COMPLETED, CampaignState.CANCELLED),
    frozenset({CampaignState.REVERTING, CampaignState.NEEDS_ATTENTION}),
)


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


# The shop's price of such a variant is, or may be, the campaign's.
HELD: Final = (ItemState.APPLYING, ItemState.APPLIED, ItemState.REVERTING, ItemState.DRIFTED, ItemState.STUCK)
HELD_SQL: Final = "('APPLYING', 'APPLIED', 'REVERTING', 'DRIFTED', 'STUCK')"


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


# One point for each variant that is read and ten for each call, by Shopify's standard limits of 100 points a second; at
# most as many calls as variants.
MOST_SECONDS_PER_VARIANT: Final = 0.11
MOST_SECONDS: Final = 15.0  # besides: the job's own way, and a bucket that others have emptied


@dataclass(frozen=True, slots=True)
class Campaign:
    """A row of `dongbo.sale_campaigns`. Times are aware UTC. `notice` is all that is to be shown with it."""

    id: CampaignId
    store: StoreName
    name: SaleName
    origin: str
    state: CampaignState
    definition: SaleSettings
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

    @property
    def starts_by_itself(self) -> bool:
        """Whether it has not begun and is to begin without a person: a draft of the file is planned again and again."""
        return self.state is CampaignState.SCHEDULED or (self.state is CampaignState.DRAFT and self.origin == "file")

    def overdue_start(self, now: datetime) -> float:
        """Seconds by which it is late to begin; while it is put on sale, by which that takes longer than it should."""
        if self.state is CampaignState.APPLYING:
            return self._beyond(self.started_at, now)
        if self.starts_at is None or not self.starts_by_itself:
            return 0.0
        return max((now - self.starts_at).total_seconds(), 0.0)

    def overdue_end(self, now: datetime) -> float:
        """Seconds by which it is late to end; while it is taken back, by which that takes longer than it should."""
        if self.state is CampaignState.REVERTING:
            # A person's decision about drifted prices takes it back again, maybe days after its end.
            return self._beyond(self.ended_at and max(self.ended_at, self.changed_at), now)
        if self.ends_at is None or not self.state.is_running:
            return 0.0
        return max((now - self.ends_at).total_seconds(), 0.0)

    def _beyond(self, began_at: datetime | None, now: datetime) -> float:
        """Seconds beyond what the limits of Shopify need at most for all variants."""
        if began_at is None:
            return 0.0
        return max((now - began_at).total_seconds() - MOST_SECONDS - self.variants * MOST_SECONDS_PER_VARIANT, 0.0)


@dataclass(frozen=True, slots=True)
class Item:
    """A row of `dongbo.sale_items`: a variant of a campaign."""

    variant_id: int
    product_id: int
    sku: str | None
    title: str | None
    state: ItemState
    before: PricePair
    base: PricePair
    sale: PricePair | None
    found: PricePair | None
    decision: Decision | None
    note: str | None
    applied_at: datetime | None
    closed_at: datetime | None
    verified_at: datetime | None
