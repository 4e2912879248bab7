"""What a job has pushed to Shopify."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

from annotated_types import Len

from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN, STORABLE, Limit
from daemon.jobs.model import GROUPED_BY


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
    sku: str | None = None  # of the variant, where the mirror knows it
    title: str | None = None  # of the variant, or the name of the customer
    location_name: str | None = None
    rule: str | None = None  # the names of the configured rules that decided the value


@dataclass(frozen=True, slots=True)
class PushGroup:
    """Pushes of one kind of which the same came; the reason of a push is its own."""

    kind: PushKind
    result: PushResult
    detail: str | None  # of those that Shopify did not take: what it said
    pushes: int


@dataclass(frozen=True, slots=True)
class PushGroupList:
    """What a job has pushed, in groups: the most frequent first, of the first tens of thousands."""

    groups: Sequence[PushGroup]


@dataclass(frozen=True, slots=True)
class PushFilterQuery:
    """Which pushes of a job are wanted."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    kind: PushKind | None = None
    result: PushResult | None = None
    detail: Annotated[str, Len(1, GROUPED_BY), STORABLE] | None = field(
        default=None,
        metadata={"description": f"Exactly this one; of a long one its first {GROUPED_BY} characters."},
    )


@dataclass(frozen=True, slots=True)
class PushesQuery(PushFilterQuery):
    """Which pushes of a job to list."""

    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class PushList:
    """What a job has pushed, oldest first."""

    pushes: Sequence[Push]
    next_cursor: str | None  # None on the last page
