"""Items: variants of Shopify and products of Nhanh.vn, as people search them and look at one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

from annotated_types import MaxLen

from daemon.api.explanation import ExplainedFreshness, ExplainedProduct
from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN, STORABLE, STORE_PATTERN, STRICT, Limit, StoreText
from daemon.api.mappings import ProductChoice
from daemon.api.pushes import PushKind, PushResult
from daemon.ids import StoreName
from daemon.tone import Tone


class ItemMappingState(StrEnum):
    """How a variant stands to the products of Nhanh.vn: as MappingState, or what only Nhanh.vn has."""

    MAPPED = "mapped"
    EXCLUDED = "excluded"
    AMBIGUOUS = "ambiguous"
    UNMATCHED = "unmatched"
    RETIRED = "retired"
    NHANH_ONLY = "nhanh_only"  # no variant is mapped to the product


@dataclass(frozen=True, slots=True)
class ItemHit:
    """An item of a list. Numbers are decimal, as text.

    Args:
        variant_id: None of what only Nhanh.vn has.
        nhanh_id: of the product that the variant is mapped to.
        shopify_stock: at the configured locations, together.
        nhanh_stock: in the depots of these locations.
        tone, text: the verdict.
        candidates: products of Nhanh.vn that it may be; of unmapped and ambiguous variants.
    """

    store: StoreName
    variant_id: int | None
    nhanh_id: int | None
    title: str | None
    sku: str | None
    barcode: str | None
    state: ItemMappingState
    shopify_stock: str | None
    nhanh_stock: str | None
    price: str | None
    tone: Tone
    text: str
    candidates: Sequence[ProductChoice]


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items that were found, the best first; without a search in the order of the variants' ids."""

    items: Sequence[ItemHit]
    text: str | None  # what to say of the search, such as that it found too much
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class ItemVerdict:
    """What is to be said of an item first."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class ItemVariant:
    """The variant of Shopify."""

    variant_id: int
    product_id: int
    inventory_item_id: int | None
    title: str
    sku: str | None
    barcode: str | None
    tracked: bool | None  # None: not known yet
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """The stock at one location. Numbers are decimal, as text.

    Args:
        quantity: which one of Shopify's it is: "available" or "on_hand".
        nhanh: what the depots of the location hold.
        shopify: None: it is not stocked there.
        should_be: what a sync would set; None where nothing is to be set.
        equal: None where there is nothing to compare.
        seen_at_nhanh, seen_at_shopify: as of when that is what the sources say; None: not known.
        is_configured: whether the configuration names the location: the stock of others is left alone.
        text: why Shopify says that, and what comes next.
    """

    location_id: int
    location_name: str | None
    quantity: str
    nhanh: str | None
    shopify: str | None
    should_be: str | None
    equal: bool | None
    seen_at_nhanh: datetime | None
    seen_at_shopify: datetime | None
    is_configured: bool
    text: str


@dataclass(frozen=True, slots=True)
class ItemPrice:
    """The price or the compare-at price; members as of `ItemPlace`. `sale`: the sale that has set it."""

    kind: PushKind
    nhanh: str | None
    shopify: str | None
    should_be: str | None
    equal: bool | None
    seen_at_nhanh: datetime | None
    seen_at_shopify: datetime | None
    sale: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ItemMapping:
    """Which product of Nhanh.vn the variant is, or why none; with candidates where a person may choose."""

    state: ItemMappingState
    source: str | None  # sku, barcode, or manual: by a person
    nhanh_id: int | None
    code: str | None
    name: str | None
    since: datetime | None
    note: str | None
    candidates: Sequence[ProductChoice]
    text: str


@dataclass(frozen=True, slots=True)
class ItemReading:
    """An attempt to read the item at one side just now.

    Args:
        source: "Nhanh.vn" or "Shopify".
        problem: why it could not be read; None where it was.
    """

    source: str
    at: datetime
    problem: str | None


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person decided about an item or a customer; `note`: why."""

    at: datetime
    text: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """A variant of Shopify with all that is known of it on both sides."""

    store: StoreName
    variant: ItemVariant
    product: ExplainedProduct | None
    verdict: ItemVerdict
    places: Sequence[ItemPlace]
    prices: Sequence[ItemPrice]
    mapping: ItemMapping
    next: Sequence[str]  # what would happen next, in sentences
    actions: Sequence[Deed]  # the last decisions of people, newest first
    freshness: Sequence[ExplainedFreshness]
    readings: Sequence[ItemReading]  # empty unless it was read for this very answer


@dataclass(frozen=True, slots=True)
class ItemPush:
    """A value of the item that was pushed to Shopify, or was to be."""

    id: int
    kind: PushKind
    job_id: UUID
    location_id: int | None
    location_name: str | None
    old_value: str | None
    new_value: str | None
    reason: str
    result: PushResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None
    rule: str | None = None  # the names of the configured rules that decided the value


@dataclass(frozen=True, slots=True)
class ItemPushList:
    """Pushes of an item, newest first."""

    pushes: Sequence[ItemPush]
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class ItemsQuery:
    """Which items to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
    q: Annotated[str | None, MaxLen(300), STORABLE] = field(
        default=None,
        metadata={
            "description": "Words, each a part of an SKU, a barcode or a name of either side, whatever its case and "
            "accents; or an id (also as gid://…), or an address of a product or variant in Shopify's admin or shop.",
            "examples": ["ao thun do", "AO-01"],
        },
    )
    state: ItemMappingState | None = None
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class ItemPushesQuery:
    """Which pushes of an item to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )


@dataclass(frozen=True, slots=True)
class CheckBody:
    """Of which store the item is that is to be read."""

    __pydantic_config__: ClassVar[Any] = STRICT

    store: StoreText = field(metadata={"description": "A store of the configuration."})
