"""The rows of Shopify as far as the daemon uses them; the rest stays in a row's own JSON."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from daemon.i18n import gettext as _
from daemon.sources.decode import Moment, Note, Reference, Text, UnfitRowError, check_amount

T = TypeVar("T")

QuantityName = Literal["available", "on_hand"]  # Shopify's schema, InventorySetQuantitiesInput: those that can be set

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]

_GID = re.compile(r"gid://shopify/\w+/([0-9]{1,19})(?:\?.*)?")
_METAFIELD = re.compile(r"([A-Za-z0-9_-]{3,255})\.([A-Za-z0-9_-]{2,64})")  # Shopify's schema, MetafieldsSetInput


class Gid(int):
    """The number at the end of a global id such as `gid://shopify/Product/1`."""


def dec_hook(kind: type, value: Any) -> Any:
    """Decode what msgspec does not know: global ids."""
    if kind is not Gid:
        raise NotImplementedError(kind)
    if (number := gid_number(value)) is None:
        raise UnfitRowError(_("The field id is not a Shopify id: {value!r}.").format(value=str(value)[:100]))
    return Gid(number)


def gid_number(value: object) -> int | None:
    """The number in a global id; None if it is not one."""
    match = _GID.fullmatch(value) if isinstance(value, str) else None
    number = int(match[1]) if match else 0
    return number if 0 < number < 2**63 else None


def gid(kind: str, number: int) -> str:
    """The global id of a record, such as `gid://shopify/Product/1`."""
    return f"gid://shopify/{kind}/{number:d}"


class Image(msgspec.Struct, rename="camel"):
    """A picture."""

    url: Text
    alt_text: Text | None = None


class _Preview(msgspec.Struct):
    image: Image | None = None


class _Media(msgspec.Struct):
    preview: _Preview | None = None


class ShopifyOption(msgspec.Struct):
    """What the variants of a product differ in, such as their size."""

    name: Text
    values: list[Text]
    position: Int32


class SelectedOption(msgspec.Struct):
    """A variant's value of one option."""

    name: Text
    value: Text


class Weight(msgspec.Struct):
    """A weight as it was entered."""

    unit: Text
    value: Decimal


class _Measurement(msgspec.Struct):
    weight: Weight | None = None


class InventoryItem(msgspec.Struct, rename="camel"):
    """What of a variant is kept in stock."""

    id: Gid
    tracked: bool | None = None
    requires_shipping: bool | None = None
    measurement: _Measurement | None = None


class Quantities(NamedTuple):
    """What a location has of an item, by Shopify's names.

    Shopify documentation, "Inventory states": what is on hand is the sum of what is available, committed to open
    orders, reserved, damaged, safety stock and under quality control. To set one of the two moves the other by as much.
    """

    available: int  # what can be bought; negative where more was sold than there was
    on_hand: int  # what lies there

    def named(self, name: QuantityName) -> int:
        """One of the two."""
        return self.available if name == "available" else self.on_hand


class ShopifyVariant(msgspec.Struct, rename="camel", kw_only=True):
    """A variant of a product."""

    id: Gid
    title: Text | None = None
    sku: Text | None = None
    barcode: Text | None = None
    price: Decimal
    compare_at_price: Decimal | None = None
    position: Int32 | None = None
    taxable: bool | None = None
    inventory_policy: Text | None = None  # DENY, CONTINUE
    inventory_quantity: Reference | None = None  # over all locations; negative where more was sold than there was
    selected_options: list[SelectedOption] = []
    inventory_item: InventoryItem | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    levels: dict[int, Quantities] = msgspec.field(default_factory=dict, name="_levels")  # by location that stocks it
    document: bytes = msgspec.field(default=b"", name="_document")  # the variant's own JSON, without its stock levels

    def __post_init__(self) -> None:
        self.price = check_amount("price", self.price) or Decimal(0)
        self.compare_at_price = check_amount("compareAtPrice", self.compare_at_price)
        self.sku = self.sku or None
        self.barcode = self.barcode or None

    @property
    def inventory_item_id(self) -> int | None:
        """The id of the inventory item, by which stock is set."""
        return self.inventory_item.id if self.inventory_item else None

    @property
    def tracked(self) -> bool | None:
        """Whether Shopify tracks its stock."""
        return self.inventory_item.tracked if self.inventory_item else None

    @property
    def weight(self) -> Weight | None:
        """The weight as it was entered."""
        measurement = self.inventory_item.measurement if self.inventory_item else None
        return measurement.weight if measurement else None


class ShopifyProduct(msgspec.Struct, rename="camel", kw_only=True):
    """A product with all its variants."""

    id: Gid
    handle: Text | None = None
    title: Text | None = None
    status: Text | None = None  # ACTIVE, ARCHIVED, DRAFT, UNLISTED
    vendor: Text | None = None
    product_type: Text | None = None
    tags: list[Text] = []
    is_gift_card: bool | None = None
    total_inventory: Reference | None = None
    options: list[ShopifyOption] = []
    featured_media: _Media | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    version: datetime | None = msgspec.field(default=None, name="_version")  # the time of change, where that says all
    published_at: Moment | None = None
    variants: list[ShopifyVariant] = msgspec.field(default_factory=list, name="_variants")


class MoneyV2(msgspec.Struct, rename="camel"):
    """An amount in a currency."""

    amount: Decimal
    currency_code: Text

    def __post_init__(self) -> None:
        self.amount = check_amount("amount", self.amount, negative=True) or Decimal(0)


class Address(msgspec.Struct, rename={"country_code": "countryCodeV2", "province_code": "provinceCode"}, kw_only=True):
    """A customer's address; None where nothing was entered."""

    first_name: Text | None = msgspec.field(default=None, name="firstName")
    last_name: Text | None = msgspec.field(default=None, name="lastName")
    company: Text | None = None
    address1: Text | None = None
    address2: Text | None = None
    city: Text | None = None
    province: Text | None = None
    province_code: Text | None = None
    zip: Text | None = None
    country: Text | None = None
    country_code: Text | None = None
    phone: Text | None = None


class _Email(msgspec.Struct, rename="camel"):
    email_address: Text | None = None


class _Phone(msgspec.Struct, rename="camel"):
    phone_number: Text | None = None


class Metafield(msgspec.Struct, frozen=True, kw_only=True):
    """A custom value that the shop keeps for a customer."""

    value: Note  # a text, whatever the type
    digest: Text = msgspec.field(name="compareDigest")  # stands for the value when it is compared and set
    type: Text  # such as number_integer


class MetafieldDefinition(msgspec.Struct, frozen=True):
    """A shop's definition of a metafield."""

    type: str  # such as number_integer
    choices: tuple[str, ...] | None = None  # which values it takes; None: any that fit
    minimum: Decimal | None = None  # of a number; of a text, the fewest characters
    maximum: Decimal | None = None
    pattern: str | None = None  # a regular expression that values match


@dataclass(frozen=True, slots=True)
class CustomerMetafields:
    """Which metafields of a customer hold what is pushed there; each is "namespace.key"."""

    total_spent: str = "custom.total_spent"
    tier: str = "custom.tier"


def metafield_name(name: str) -> tuple[str, str]:
    """Namespace and key of a metafield written as "namespace.key".

    Raises:
        ValueError: Shopify does not accept such a name.
    """
    match = _METAFIELD.fullmatch(name)
    if match is None:
        raise ValueError(f"The metafield {name!r} must be written as namespace.key, such as custom.tier.")
    return match[1], match[2]


class ShopifyCustomer(msgspec.Struct, rename="camel", kw_only=True):
    """A customer."""

    id: Gid
    first_name: Text | None = None
    last_name: Text | None = None
    display_name: Text | None = None
    note: Note | None = None
    tags: list[Text] = []
    state: Text | None = None  # DECLINED, DISABLED, ENABLED, INVITED
    number_of_orders: Reference | None = None
    amount_spent: MoneyV2 | None = None
    default_email_address: _Email | None = None
    default_phone_number: _Phone | None = None
    default_address: Address | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    version: datetime | None = msgspec.field(default=None, name="_version")  # the time of change, where that says all
    metafields: dict[str, Metafield | None] = msgspec.field(default_factory=dict, name="_metafields")  # None: not set
    denied: frozenset[str] = msgspec.field(default=frozenset(), name="_denied")  # paths that the app may not read

    @property
    def email(self) -> str | None:
        """The default email address."""
        return (self.default_email_address.email_address if self.default_email_address else None) or None

    @property
    def phone(self) -> str | None:
        """The default phone number, every digit kept."""
        return (self.default_phone_number.phone_number if self.default_phone_number else None) or None

    @property
    def address_phone(self) -> str | None:
        """The phone number of the default address, every digit kept."""
        return (self.default_address.phone if self.default_address else None) or None


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A place where stock is kept; a deactivated one can no longer hold stock."""

    id: int
    name: str
    is_active: bool
    is_fulfillment_service: bool = False  # another app keeps the stock there


class ItemStock(msgspec.Struct, frozen=True):
    """The present stock of an inventory item."""

    tracked: bool  # whether Shopify counts its stock
    levels: dict[int, Quantities]  # by location that stocks it


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The present state of things that were asked for by their ids. What is in neither part is gone.

    Args:
        found: by id.
        unread: by id, why Shopify could not give it, or not whole: nothing may be concluded from its absence.
    """

    found: dict[int, T] = field(default_factory=dict)
    unread: dict[int, str] = field(default_factory=dict)


class PricePair(NamedTuple):
    """A price and a compare-at price, in the shop's currency."""

    price: Decimal
    compare_at: Decimal | None


class Count(msgspec.Struct, frozen=True):
    """How many rows there are; at least that many, where not `exact`."""

    count: int
    exact: bool


class ShopInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop says about itself."""

    name: str
    domain: str  # my-shop.myshopify.com
    currency: str  # ISO 4217
    taxes_included: bool  # whether prices hold the tax
    timezone: str  # IANA
    plan: str
    is_plus: bool
    is_development: bool
