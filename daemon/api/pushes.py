"""What a job has pushed to Shopify."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class PushKind(StrEnum):
    """What is pushed."""

    STOCK = "stock"
    ACTIVATION = "activation"  # an item becomes stocked at a location
    PRICE = "price"
    COMPARE_AT_PRICE = "compare_at_price"
    METAFIELD = "metafield"
    TAGS = "tags"


class PushResult(StrEnum):
    """What became of a push. All but the first are final."""

    INTENDED = "intended"  # the call may be under way, or its answer was lost
    APPLIED = "applied"
    STALE = "stale"  # Shopify had another value than expected, and changed nothing
    REFUSED = "refused"  # Shopify refused it, and changed nothing
    UNKNOWN = "unknown"  # interrupted, and Shopify does not have the new value: it may have had it, or get it yet


@dataclass(frozen=True, slots=True)
class Push:
    """A value that was pushed to Shopify, or was to be."""

    id: int
    job_id: UUID
    kind: PushKind
    owner_id: int  # the variant; of metafield and tags the customer
    item_id: int | None
    location_id: int | None
    name: str | None
    old_value: str | None
    new_value: str | None
    reason: str
    result: PushResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class PushList:
    """What a job has pushed, oldest first."""

    pushes: Sequence[Push]
    next_cursor: str | None  # None on the last page
