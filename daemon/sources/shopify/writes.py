"""What is written to Shopify, and what Shopify says to it."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Final, Literal

from daemon.sources.shopify.models import PricePair

MAX_STOCK_CHANGES = 250  # Shopify documentation, "API limits": at most 250 entries in an array of arguments
MAX_PRICE_CHANGES = 250
MAX_METAFIELD_CHANGES = 25  # Shopify's schema, metafieldsSet

# The value has changed since it was read: read it again and decide again.
STALE_CODES = frozenset({"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"})
METAFIELD_STALE_CODES = frozenset({"STALE_OBJECT", "INVALID_COMPARE_DIGEST"})

# What is wrong with the call as such: any rows would fail. Everything else is about a row, even where Shopify does not
# say which, and then keeps all the others of its call from being set.
CALL_CODES = frozenset({"INVALID_NAME", "INVALID_REASON", "INVALID_REFERENCE_DOCUMENT", "COMPARE_QUANTITY_REQUIRED"})

# The item no longer exists.
ITEM_GONE_CODES = frozenset({"INVALID_INVENTORY_ITEM"})
PRICE_GONE_CODES = frozenset({"PRODUCT_DOES_NOT_EXIST", "PRODUCT_VARIANT_DOES_NOT_EXIST"})

UNCONFIRMED = "UNCONFIRMED"  # our own code: the answer mentions the change neither as made nor as refused


class Sentinel(Enum):
    """Values that stand for the absence of a value where None has a meaning."""

    UNCHANGED = "unchanged"  # leave the field as it is
    ANY = "any"  # write whatever is there now


UNCHANGED: Final = Sentinel.UNCHANGED
ANY: Final = Sentinel.ANY


@dataclass(frozen=True, slots=True)
class StockChange:
    """Set a quantity of an item at a location."""

    item_id: int
    location_id: int
    expected: int | None  # what must be there now; None overwrites anything
    quantity: int


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Set the prices of a variant, in the shop's currency; None as compare-at price removes it.

    `expected` is what the variant cost when it was read: if the price has changed since, nothing is sent for it.
    """

    variant_id: int
    price: Decimal | Literal[Sentinel.UNCHANGED] = UNCHANGED
    compare_at_price: Decimal | Literal[Sentinel.UNCHANGED] | None = UNCHANGED
    expected: PricePair | Literal[Sentinel.ANY] = ANY


@dataclass(frozen=True, slots=True)
class MetafieldChange:
    """Set a metafield of a customer."""

    customer_id: int
    name: str  # namespace.key
    type: str  # such as number_integer
    value: str
    expected_digest: str | Literal[Sentinel.ANY] | None  # of the present value; None: it must not be set yet


@dataclass(frozen=True, slots=True)
class WriteError:
    """Why Shopify did not write."""

    index: int | None  # of the change given; None: it concerns the call as a whole
    code: str  # as in Shopify's schema; empty where that has none: activation and tags
    message: str


@dataclass(frozen=True, slots=True)
class PriceOutcome:
    """The outcome of price changes, by variant: each is in one of the first five, unless its call failed.

    `moved` are those for which Shopify had another price right before they would have been sent, or sent again;
    `unread` those whose price it could not give then, with its reason: they were not sent, or not again.
    """

    applied: dict[int, PricePair] = field(default_factory=dict)  # as Shopify says it is now
    refused: dict[int, WriteError] = field(default_factory=dict)
    unconfirmed: set[int] = field(default_factory=set)  # the answer mentions them neither as made nor as refused
    moved: dict[int, PricePair | None] = field(default_factory=dict)  # what Shopify has; None: no such variant
    unread: dict[int, str] = field(default_factory=dict)
    in_doubt: set[int] = field(default_factory=set)  # a call that got no answer: it may be carried out late

    @property
    def not_sent(self) -> frozenset[int]:
        """Those that were not sent, or not again, because of what was read right before."""
        return frozenset(self.moved.keys() | self.unread.keys())

    def add(self, other: "PriceOutcome") -> None:
        """Take in the outcome of other changes."""
        self.applied.update(other.applied)
        self.refused.update(other.refused)
        self.unconfirmed.update(other.unconfirmed)
        self.moved.update(other.moved)
        self.unread.update(other.unread)
        self.in_doubt.update(other.in_doubt)


@dataclass(frozen=True, slots=True)
class MetafieldOutcome:
    """The outcome of metafield changes: all have their new digests, or there are errors and none was applied."""

    digests: dict[tuple[int, str], str] = field(default_factory=dict)  # by customer and name of the metafield
    errors: list[WriteError] = field(default_factory=list)
