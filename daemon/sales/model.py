"""What a campaign is, which states it and its variants go through, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from daemon.api.sales import CampaignState, Decision, ItemState
from daemon.config import SaleSettings
from daemon.ids import CampaignId, SaleName, StoreName
from daemon.sources.shopify.models import PricePair

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


# The shop's price of such a variant is, or may be, the campaign's.
HELD: Final = (ItemState.APPLYING, ItemState.APPLIED, ItemState.REVERTING, ItemState.DRIFTED, ItemState.STUCK)
HELD_SQL: Final = "('APPLYING', 'APPLIED', 'REVERTING', 'DRIFTED', 'STUCK')"


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
