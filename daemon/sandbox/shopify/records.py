"""What a Shopify shop is made of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType


@dataclass(slots=True)
class LevelRecord:
    """The stock of one item at one location, by Shopify's states."""

    location_id: int
    available: int  # what can be bought; negative where more was sold than there was
    updated_at: datetime
    committed: int = 0  # what was bought and has not been sent yet
    damaged: int = 0

    @property
    def on_hand(self) -> int:
        """What lies there: the sum of all states but `incoming`; the shop uses no others."""
        return self.available + self.committed + self.damaged


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order of one variant that waits to be sent from one location."""

    id: int
    variant_id: int
    location_id: int
    quantity: int


@dataclass(slots=True)
class Variant:
    """A product variant and its inventory item."""

    id: int
    product_id: int
    inventory_item_id: int
    title: str
    sku: str | None
    barcode: str | None
    price: Decimal
    compare_at_price: Decimal | None
    position: int
    option_values: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    levels: list[LevelRecord] = field(default_factory=list)  # where the item is stocked, zero included
    inactive_levels: list[LevelRecord] = field(default_factory=list)  # where it was stocked before
    tracked: bool = True
    requires_shipping: bool = True
    taxable: bool = True
    inventory_policy: str = "DENY"
    grams: Decimal = Decimal(0)
    weight_unit: str = "KILOGRAMS"
    unit_cost: Decimal | None = None
    requires_components: bool = False  # a bundle's parent: its stock is that of its components

    @property
    def inventory_quantity(self) -> int:
        """What is available at all locations together."""
        return sum(level.available for level in self.levels)

    def level_at(self, location_id: int) -> LevelRecord | None:
        """The stock at a location; None where the item is not stocked."""
        return next((level for level in self.levels if level.location_id == location_id), None)

    def inactive_level_at(self, location_id: int) -> LevelRecord | None:
        """What it had at a location before it was no longer stocked there."""
        return next((level for level in self.inactive_levels if level.location_id == location_id), None)


@dataclass(slots=True)
class Product:
    """A product with its variants in their order."""

    id: int
    handle: str
    title: str
    description_html: str
    vendor: str
    product_type: str
    tags: list[str]
    status: str
    option_names: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    variants: list[Variant] = field(default_factory=list)
    image_url: str | None = None
    image_alt: str | None = None
    is_gift_card: bool = False
    requires_selling_plan: bool = False  # sold by subscription only
    combined_listing_role: str | None = None  # PARENT or CHILD
    seo_title: str | None = None
    seo_description: str | None = None

    @property
    def total_inventory(self) -> int:
        """What is available of all tracked variants together."""
        return sum(variant.inventory_quantity for variant in self.variants if variant.tracked)


@dataclass(slots=True)
class Collection:
    """Products that are shown together, in their order."""

    id: int
    handle: str
    title: str
    product_ids: list[int]
    updated_at: datetime


@dataclass(slots=True)
class MetafieldRecord:
    """A custom field of a customer; the value is a text whatever its type."""

    id: int
    owner_id: int
    namespace: str
    key: str
    type: str
    value: str
    created_at: datetime
    updated_at: datetime

    @property
    def compare_digest(self) -> str:
        """Stands for the stored value in compare-and-set: the same value has the same digest."""
        return hashlib.sha256(f"{self.type}\n{self.value}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MetafieldDefinitionRecord:
    """The shop's definition of a customer metafield: its type, and which values it takes (empty: any).

    `rules` are its other validations, {name: value}: `min` and `max` (of numbers; of texts, characters) and `regex`.
    """

    id: int
    namespace: str
    key: str
    type: str
    choices: tuple[str, ...] = ()
    rules: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(slots=True)
class AddressRecord:
    """A customer's postal address."""

    id: int
    first_name: str | None
    last_name: str | None
    address1: str | None
    city: str | None
    phone: str | None
    company: str | None = None
    address2: str | None = None
    province: str | None = None
    province_code: str | None = None
    zip: str | None = None
    country: str = "Vietnam"
    country_code: str = "VN"


@dataclass(slots=True)
class CustomerRecord:
    """A customer; the first address is the default one. `phone` is E.164."""

    id: int
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    note: str | None
    tags: list[str]
    state: str
    amount_spent: Decimal
    number_of_orders: int
    created_at: datetime
    updated_at: datetime
    addresses: list[AddressRecord] = field(default_factory=list)
    metafields: dict[tuple[str, str], MetafieldRecord] = field(default_factory=dict)  # by namespace and key

    @property
    def display_name(self) -> str:
        """The name, else the email address, else the phone number, as Shopify shows it."""
        name = " ".join(part for part in (self.first_name, self.last_name) if part)
        return name or self.email or self.phone or ""


@dataclass(slots=True)
class LocationRecord:
    """A place that holds stock; `depot_id` is the Nhanh depot that it stands for."""

    id: int
    name: str
    depot_id: int
    city: str
    created_at: datetime
    updated_at: datetime
    is_active: bool = True
    is_fulfillment_service: bool = False


@dataclass(slots=True)
class ShopProfile:
    """What `shop` tells of the shop itself."""

    name: str
    domain: str
    currency: str
    zone: str
    opened_at: datetime
    taxes_included: bool = True  # whether prices hold the tax
