"""What a Shopify shop holds, and the ways in which it changes."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from daemon.sandbox.shopify.records import (
    Collection,
    CustomerRecord,
    LevelRecord,
    LocationRecord,
    MetafieldDefinitionRecord,
    MetafieldRecord,
    OrderRecord,
    Product,
    Variant,
)

Clock = Callable[[], datetime]

KEEP: Decimal = Decimal("NaN")
"""Leave the compare-at price as it is."""


@dataclass(frozen=True, slots=True)
class ShopChange:
    """Something that happened in the shop, under the topic of Shopify's webhook for it. `location_id` is that of an
    inventory level, whose `id` is that of its item."""

    topic: str
    id: int
    location_id: int | None = None


class ShopState:
    """A shop's content, with one method for each kind of change.

    Args:
        now: the time that changes are stamped with.

    `revision` grows with every change. `observers` are called with each `ShopChange` after it took effect. What else
    may be changed at any time:

    - `adds_unconnected`: setting a quantity where an item is not active adds to what is there, as has been reported.
    - `immutable`: inventory items whose stock can't be set, though nothing tells so before it is tried.
    - `names_immutable`: whether the refusal to set the stock of one, or of a bundle's parent, says which row that is.
    - `price_step`: the multiples of which prices are kept; what is sent is rounded down to them.
    """

    def __init__(self, now: Clock) -> None:
        self.products: dict[int, Product] = {}
        self.variants: dict[int, Variant] = {}
        self.inventory_items: dict[int, Variant] = {}
        self.collections: dict[int, Collection] = {}
        self.customers: dict[int, CustomerRecord] = {}
        self.locations: dict[int, LocationRecord] = {}
        self.orders: dict[int, OrderRecord] = {}  # those that wait to be sent
        self.definitions: dict[tuple[str, str], MetafieldDefinitionRecord] = {}  # of customers' metafields
        self.revision = 0
        self.observers: list[Callable[[ShopChange], None]] = []
        self.adds_unconnected = False
        self.immutable: set[int] = set()
        self.names_immutable = True
        self.price_step = Decimal("0.01")
        self._now = now
        self._order_ids = itertools.count(5_610_000_000_000, 32_768)
        self._metafield_ids = itertools.count(35_910_000_000_000, 32_768)

    def add_location(self, location: LocationRecord) -> None:
        """Open a location."""
        self.locations[location.id] = location
        self._changed("locations/create", location.id)

    def add_product(self, product: Product) -> None:
        """Put in a product with its variants."""
        self.products[product.id] = product
        self._index(product.variants)
        self._changed("products/create", product.id)

    def add_variant(self, variant: Variant) -> None:
        """Add a variant after the others of its product."""
        product = self.products[variant.product_id]
        variant.position = len(product.variants) + 1
        product.variants = [*product.variants, variant]
        self._index([variant])
        self._update_product(product)

    def duplicate_product(self, product_id: int) -> Product:
        """Copy a product with its variants, as a draft with "Copy of" in front of its title."""
        original = self.products[product_id]
        variant_id, item_id = _new_id(self.variants), _new_id(self.inventory_items)
        product = replace(
            original,
            id=_new_id(self.products),
            handle=f"copy-of-{original.handle}-{self.revision}",
            title=f"Copy of {original.title}",
            status="DRAFT",
            tags=list(original.tags),
            created_at=self._now(),
            updated_at=self._now(),
            published_at=None,
        )
        product.variants = [
            replace(
                variant,
                id=variant_id + number,
                product_id=product.id,
                inventory_item_id=item_id + number,
                levels=[LevelRecord(level.location_id, 0, self._now()) for level in variant.levels],
                inactive_levels=[],
                created_at=self._now(),
                updated_at=self._now(),
            )
            for number, variant in enumerate(original.variants)
        ]
        self.add_product(product)
        return product

    def add_collection(self, handle: str, title: str, product_ids: Iterable[int] = ()) -> Collection:
        """Show products of the shop together; the handle must be free."""
        if any(other.handle == handle for other in self.collections.values()):
            raise ValueError(f"There is already a collection {handle!r}.")
        collection = Collection(
            _new_id(self.collections), handle, title, self._products_in_order(product_ids), self._now()
        )
        self.put_collection(collection)
        return collection

    def put_collection(self, collection: Collection) -> None:
        """Put in a collection."""
        self.collections[collection.id] = collection
        self._changed("collections/create", collection.id)

    def change_collection(self, collection_id: int, product_ids: Iterable[int]) -> None:
        """Replace a collection's products."""
        collection = self.collections[collection_id]
        collection.product_ids = self._products_in_order(product_ids)
        collection.updated_at = self._now()
        self._changed("collections/update", collection_id)

    def add_to_collection(self, collection_id: int, *product_ids: int) -> None:
        """Put products after those that are already in a collection."""
        self.change_collection(collection_id, [*self.collections[collection_id].product_ids, *product_ids])

    def remove_from_collection(self, collection_id: int, *product_ids: int) -> None:
        """Take products out of a collection."""
        kept = [other for other in self.collections[collection_id].product_ids if other not in product_ids]
        self.change_collection(collection_id, kept)

    def delete_collection(self, collection_id: int) -> None:
        """Delete a collection; its products stay."""
        del self.collections[collection_id]
        self._changed("collections/delete", collection_id)

    def add_customer(self, customer: CustomerRecord) -> None:
        """Put in a customer."""
        self.customers[customer.id] = customer
        self._changed("customers/create", customer.id)

    def register_customer(
        self, first_name: str, last_name: str, *, email: str | None, phone: str | None
    ) -> CustomerRecord:
        """A new customer who gives their name, email address and phone number (E.164)."""
        customer = CustomerRecord(
            id=_new_id(self.customers),
            first_name=first_name,
            last_name=last_name,
            email=email,
            phone=phone,
            note=None,
            tags=[],
            state="ENABLED",
            amount_spent=Decimal(0),
            number_of_orders=0,
            created_at=self._now(),
            updated_at=self._now(),
        )
        self.add_customer(customer)
        return customer

    def change_price(self, variant_id: int, price: Decimal, compare_at_price: Decimal | None = KEEP) -> None:
        """Set a variant's price, and its compare-at price unless that is left out."""
        variant = self.variants[variant_id]
        variant.price = price
        if compare_at_price is not KEEP:
            variant.compare_at_price = compare_at_price
        self._update_variant(variant)

    def change_sku(self, variant_id: int, sku: str | None) -> None:
        """Give a variant another SKU."""
        variant = self.variants[variant_id]
        variant.sku = sku
        self._update_variant(variant)

    def change_barcode(self, variant_id: int, barcode: str | None) -> None:
        """Give a variant another barcode."""
        variant = self.variants[variant_id]
        variant.barcode = barcode
        self._update_variant(variant)

    def change_stock(self, variant_id: int, available: int, location_id: int | None = None) -> None:
        """Set what is available of a variant at one location, by default at the first that stocks it.

        What is on hand there moves by as much.
        """
        variant, level = self._level(variant_id, location_id)
        level.available = available
        self._update_level(variant, level)

    def change_on_hand(self, variant_id: int, on_hand: int, location_id: int | None = None) -> None:
        """Set what is on hand of a variant at one location, by default at the first that stocks it.

        What is available there moves by as much: what is committed or damaged stays so.
        """
        variant, level = self._level(variant_id, location_id)
        level.available += on_hand - level.on_hand
        self._update_level(variant, level)

    def damage(self, variant_id: int, quantity: int, location_id: int | None = None) -> None:
        """Set some of what is available of a variant aside as damaged; it stays on hand."""
        variant, level = self._level(variant_id, location_id)
        level.available -= quantity
        level.damaged += quantity
        self._update_level(variant, level)

    def place_order(self, variant_id: int, quantity: int = 1, location_id: int | None = None) -> OrderRecord:
        """A customer buys some of a variant: it is no longer available, and stays on hand until the order is sent."""
        variant, level = self._level(variant_id, location_id)
        order = OrderRecord(next(self._order_ids), variant_id, level.location_id, quantity)
        self.orders[order.id] = order
        level.available -= quantity
        level.committed += quantity
        self._update_level(variant, level)
        return order

    def fulfil_order(self, order_id: int) -> None:
        """Send what was ordered: it is no longer on hand, and what is available stays as it is."""
        order = self.orders.pop(order_id)
        variant, level = self._level(order.variant_id, order.location_id)
        level.committed -= order.quantity
        self._update_level(variant, level)

    def cancel_order(self, order_id: int) -> None:
        """Cancel an order and restock it: it is available again."""
        order = self.orders.pop(order_id)
        variant, level = self._level(order.variant_id, order.location_id)
        level.committed -= order.quantity
        level.available += order.quantity
        self._update_level(variant, level)

    def set_unconnected(self, variant_id: int, location_id: int, available: int) -> LevelRecord:
        """Set what a variant has at a location that does not stock it; it stays so."""
        variant = self.variants[variant_id]
        level = variant.inactive_level_at(location_id)
        if level is None:
            level = LevelRecord(location_id, 0, self._now())
            for twin in self._of_item(variant):
                twin.inactive_levels = [*twin.inactive_levels, level]
        level.available = available
        self._update_level(variant, level)
        return level

    def start_stocking(self, variant_id: int, location_id: int, available: int | None = None) -> LevelRecord:
        """Stock a variant at a location where it is not; the quantity is by default what was there before, else 0."""
        variant = self.variants[variant_id]
        before = [level for level in variant.inactive_levels if level.location_id == location_id]
        level = before[0] if before else LevelRecord(location_id, 0, self._now())
        for twin in self._of_item(variant):
            twin.inactive_levels = [other for other in twin.inactive_levels if other is not level]
            twin.levels = [*(other for other in twin.levels if other is not level), level]
        if available is not None:
            level.available = available
        level.updated_at = self._now()
        self._changed("inventory_levels/connect", variant.inventory_item_id, location_id)
        self._update_level(variant, level)
        return level

    def stop_stocking(self, variant_id: int, location_id: int) -> None:
        """Stop stocking a variant at a location; its quantity no longer counts."""
        variant, level = self._level(variant_id, location_id)
        for twin in self._of_item(variant):
            twin.levels = [other for other in twin.levels if other is not level]
            twin.inactive_levels = [*(other for other in twin.inactive_levels if other is not level), level]
        level.updated_at = self._now()
        self._changed("inventory_levels/disconnect", variant.inventory_item_id, location_id)
        self._update_variant(variant)

    def share_item(self, variant_id: int, with_variant_id: int) -> None:
        """Make a variant share another one's stock: both have the same inventory item from now on."""
        variant, owner = self.variants[variant_id], self.variants[with_variant_id]
        del self.inventory_items[variant.inventory_item_id]
        variant.inventory_item_id = owner.inventory_item_id
        variant.levels, variant.inactive_levels = owner.levels, owner.inactive_levels
        self._update_variant(variant)

    def part_item(self, variant_id: int, item_id: int, levels: list[LevelRecord]) -> None:
        """Give a variant that shared its stock an inventory item of its own."""
        variant = self.variants[variant_id]
        variant.inventory_item_id, variant.levels, variant.inactive_levels = item_id, levels, []
        self.inventory_items[item_id] = variant
        self._update_variant(variant)

    def make_bundle(self, variant_id: int) -> None:
        """Make a variant consist of others: its stock is theirs from now on, and can't be set."""
        self.variants[variant_id].requires_components = True
        self._update_variant(self.variants[variant_id])

    def close_location(self, location_id: int) -> None:
        """Deactivate a location; nothing is stocked there any longer."""
        location = self.locations[location_id]
        location.is_active, location.updated_at = False, self._now()
        self._unstock(location_id)
        self._changed("locations/deactivate", location_id)

    def open_location(self, location_id: int) -> None:
        """Activate a location that was closed; what is stocked there is said by `start_stocking`."""
        location = self.locations[location_id]
        location.is_active, location.updated_at = True, self._now()
        self._changed("locations/activate", location_id)

    def delete_location(self, location_id: int) -> None:
        """Delete a location, with all that it knows of quantities."""
        self._unstock(location_id)
        for variant in self.variants.values():
            variant.inactive_levels = [level for level in variant.inactive_levels if level.location_id != location_id]
        del self.locations[location_id]
        self._changed("locations/delete", location_id)

    def _unstock(self, location_id: int) -> None:
        for variant in self.variants.values():
            if variant.level_at(location_id) is not None:
                self.stop_stocking(variant.id, location_id)

    def change_title(self, product_id: int, title: str) -> None:
        """Rename a product."""
        self.products[product_id].title = title
        self.touch_product(product_id)

    def change_status(self, product_id: int, status: str) -> None:
        """Make a product ACTIVE, DRAFT, ARCHIVED or UNLISTED."""
        self.products[product_id].status = status
        self.touch_product(product_id)

    def change_tags(self, product_id: int, tags: Iterable[str]) -> None:
        """Replace a product's tags."""
        self.products[product_id].tags = list(tags)
        self.touch_product(product_id)

    def change_customer(self, customer_id: int, *, note: str | None = None, tags: Iterable[str] | None = None) -> None:
        """Replace a customer's note or tags, whichever is given."""
        customer = self.customers[customer_id]
        if note is not None:
            customer.note = note
        if tags is not None:
            customer.tags = list(tags)
        self.touch_customer(customer_id)

    def change_metafield(
        self, customer_id: int, namespace: str, key: str, value: str, type_: str = "single_line_text_field"
    ) -> MetafieldRecord:
        """Set a customer's metafield, whether it exists or not; the value is not checked against the type."""
        customer = self.customers[customer_id]
        metafield = customer.metafields.get((namespace, key))
        if metafield is None:
            now = self._now()
            metafield = MetafieldRecord(next(self._metafield_ids), customer_id, namespace, key, type_, value, now, now)
            customer.metafields[namespace, key] = metafield
        metafield.type, metafield.value, metafield.updated_at = type_, value, self._now()
        self.touch_customer(customer_id)
        return metafield

    def define_metafield(self, name: str, type_: str, *, choices: Iterable[str] = (), **rules: str) -> None:
        """Define the type of the customer metafield "namespace.key", and which values it takes, if not any.

        `rules` as of MetafieldDefinition.
        """
        namespace, _, key = name.partition(".")
        number = _new_id(definition.id for definition in self.definitions.values())
        self.definitions[namespace, key] = MetafieldDefinitionRecord(
            number, namespace, key, type_, tuple(choices), rules
        )

    def delete_metafield(self, customer_id: int, namespace: str, key: str) -> None:
        """Remove a customer's metafield."""
        del self.customers[customer_id].metafields[namespace, key]
        self.touch_customer(customer_id)

    def touch_product(self, product_id: int) -> None:
        """Save a product with nothing changed but the time."""
        self._update_product(self.products[product_id])

    def touch_customer(self, customer_id: int) -> None:
        """Save a customer with nothing changed but the time."""
        self.customers[customer_id].updated_at = self._now()
        self._changed("customers/update", customer_id)

    def delete_product(self, product_id: int) -> None:
        """Delete a product and its variants; it leaves its collections."""
        for variant in self.products.pop(product_id).variants:
            self._forget(variant)
        for collection in self.collections.values():
            if product_id in collection.product_ids:
                collection.product_ids = [other for other in collection.product_ids if other != product_id]
        self._changed("products/delete", product_id)

    def delete_variant(self, variant_id: int) -> None:
        """Delete a variant; the ones after it move up."""
        variant = self.variants[variant_id]
        self._forget(variant)
        product = self.products[variant.product_id]
        product.variants = [other for other in product.variants if other is not variant]
        for position, other in enumerate(product.variants, start=1):
            other.position = position
        self._update_product(product)

    def delete_customer(self, customer_id: int) -> None:
        """Delete a customer."""
        del self.customers[customer_id]
        self._changed("customers/delete", customer_id)

    def _products_in_order(self, product_ids: Iterable[int]) -> list[int]:
        """Each product once; raises KeyError for one that does not exist."""
        return [self.products[number].id for number in dict.fromkeys(product_ids)]

    def _index(self, variants: Iterable[Variant]) -> None:
        for variant in variants:
            self.variants[variant.id] = variant
            self.inventory_items[variant.inventory_item_id] = variant

    def _forget(self, variant: Variant) -> None:
        del self.variants[variant.id]
        if self.inventory_items.get(variant.inventory_item_id) is variant:
            del self.inventory_items[variant.inventory_item_id]

    def _level(self, variant_id: int, location_id: int | None) -> tuple[Variant, LevelRecord]:
        """A variant and its level at a location that stocks it, by default the first; raises KeyError for others."""
        variant = self.variants[variant_id]
        level = variant.levels[0] if location_id is None else variant.level_at(location_id)
        if level is None:
            raise KeyError(location_id)
        return variant, level

    def _of_item(self, variant: Variant) -> list[Variant]:
        """All variants that are sold out of the same stock."""
        twins = [other for other in self.products[variant.product_id].variants if other is not variant]
        return [variant, *(twin for twin in twins if twin.inventory_item_id == variant.inventory_item_id)]

    def _update_level(self, variant: Variant, level: LevelRecord) -> None:
        """Shopify's schema, Product.updatedAt: inventory adjustments count as updates of the product."""
        level.updated_at = self._now()
        self._changed("inventory_levels/update", variant.inventory_item_id, level.location_id)
        self._update_variant(variant)

    def _update_variant(self, variant: Variant) -> None:
        variant.updated_at = self._now()
        self._update_product(self.products[variant.product_id])

    def _update_product(self, product: Product) -> None:
        product.updated_at = self._now()
        self._changed("products/update", product.id)

    def _changed(self, topic: str, record_id: int, location_id: int | None = None) -> None:
        self.revision += 1
        for observer in self.observers:
            observer(ShopChange(topic, record_id, location_id))


def _new_id(records: Iterable[int]) -> int:
    return max(records, default=0) + 32_768
