"""The answer to "why does Shopify say that?" as a tree of plain values: JSON for programs, words for people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from annotated_types import Len

from daemon.api.fields import LENIENT, STORABLE, STORE_PATTERN, Id
from daemon.api.mappings import MappingState
from daemon.api.pushes import PushKind, PushResult
from daemon.ids import StoreName


@dataclass(frozen=True, slots=True)
class ExplainedFreshness:
    """Until when a pull's data is complete; None before its first complete pull."""

    stream: str
    complete_to: datetime | None


@dataclass(frozen=True, slots=True)
class ExplainedMapping:
    """Which product of Nhanh.vn a variant is, or why none; `text` says it for people."""

    state: MappingState
    source: str | None  # sku, barcode, or manual: by a person
    nhanh_id: int | None
    since: datetime | None
    note: str | None
    candidates: Sequence[int]
    text: str


@dataclass(frozen=True, slots=True)
class ExplainedProduct:
    """The product at Nhanh.vn. Amounts are decimal numbers as text."""

    id: int
    code: str | None
    barcode: str | None
    name: str | None
    retail_price: str | None
    wholesale_price: str | None
    old_price: str | None
    changed_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExplainedDepot:
    """The stock of a depot that counts for a location, in the configured figure."""

    id: int
    name: str | None
    is_visible: bool  # to the access token
    quantity: str
    changed_at: datetime | None  # None: never had any of it


@dataclass(frozen=True, slots=True)
class ExplainedPush:
    """A push of the value; `name` is "on_hand" of stock where that was set instead of what is available."""

    id: int
    kind: PushKind
    name: str | None
    job_id: UUID
    old_value: str | None
    new_value: str | None
    reason: str
    result: PushResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None
    rule: str | None = None  # the names of the configured rules that decided the value


@dataclass(frozen=True, slots=True)
class ExplainedValue:
    """A value at Shopify: stock at a location, the price, the compare-at price. Numbers are decimal, as text.

    Args:
        quantity: of stock, which one of Shopify's it is: "available" or "on_hand".
        equal: whether Shopify has what it should have; None where nothing says what that is.
        sale: the sale that has the price, where one has.
        rule: the names of the configured rules that decide it now.
    """

    kind: PushKind
    quantity: str | None
    location_id: int | None
    location_name: str | None
    depots: Sequence[ExplainedDepot]  # of stock
    sum: str | None  # of the depots
    desired: str | None
    shopify: str | None
    shopify_changed_at: datetime | None  # of prices: when anything of the variant has changed
    equal: bool | None
    sale: str | None
    obstacle: str | None
    approval_job_id: UUID | None
    pushes: Sequence[ExplainedPush]
    verdict: str
    rule: str | None = None
    is_left_to_rule: bool = False  # a rule leaves it alone, which is the obstacle


@dataclass(frozen=True, slots=True)
class ExplainedVariant:
    """A variant of Shopify, with all that is synced to it."""

    variant_id: int
    product_id: int
    inventory_item_id: int | None
    title: str
    sku: str | None
    barcode: str | None
    tracked: bool | None  # None: not known yet
    deleted_at: datetime | None
    mapping: ExplainedMapping
    product: ExplainedProduct | None
    values: Sequence[ExplainedValue]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why does Shopify say that?"."""

    store: StoreName
    asked: str
    freshness: Sequence[ExplainedFreshness]
    variants: Sequence[ExplainedVariant]
    verdict: str  # on the whole: what was found


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """What to explain."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
    sku: Annotated[str | None, Len(1, 1000), STORABLE] = field(
        default=None,
        metadata={
            "description": "An SKU, a barcode, an id (of a variant, product or inventory item of Shopify, also as"
            " gid://…, or of a product of Nhanh.vn), an address of a product or variant in Shopify's admin or shop, or"
            " a code at Nhanh.vn; `sku:` or `id:` before it says which.",
            "examples": ["AO-01", "gid://shopify/Product/632910392"],
        },
    )
    variant_id: Id | None = field(default=None, metadata={"description": "Instead: this variant alone."})
