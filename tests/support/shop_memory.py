"""Both shops of a sandbox with a memory: what Nhanh.vn ever had, and what others than the daemon did at Shopify."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from daemon.config import ProductSyncSettings
from daemon.sandbox.nhanh.records import PARENT, NhanhProductRecord
from daemon.sandbox.nhanh.shop import BusinessChange, ChangeKind
from daemon.sandbox.server import Sandbox
from daemon.sandbox.shopify.records import OrderRecord, Variant
from daemon.sandbox.shopify.writes import AppliedWrite, Subject
from tests.support.rule_model import Facts, RuleModel

QUANTITIES = (-2, 0, 0, 1, 3, 7, 7, 12, 40)  # few values, so that different hands often choose the same one
PRICES = (0, 90_000, 120_000, 120_000, 250_000)
FREE_ID = 32_768  # added to the greatest id, as Shopify numbers


def product_sync(sandbox: Sandbox, **settings: object) -> ProductSyncSettings:
    """Two of three depots for the first location, one for the second, and no depot for the third; prices, too."""
    first, second, *_ = sorted(sandbox.shopify.locations)
    depots = [depot.id for depot in sandbox.nhanh.depots]
    defaults = {
        "locations": {str(first): tuple(depots[:2]), str(second): (depots[2],)},
        "price": "retail",
        "compare_at_price": "old",
        "max_zeroed": 10_000,
        "max_large_price_changes": 10_000,
    }
    return ProductSyncSettings.model_validate(defaults | settings)


class Journal(list[AppliedWrite]):
    """The sandbox's journal, which tells of each entry while the call that made it is still being carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Callable[[AppliedWrite], None]] = []

    def append(self, write: AppliedWrite) -> None:
        """Enter a write."""
        super().append(write)
        for listener in list(self.listeners):
            listener(write)


class ShopMemory:
    """Changes both shops as people do, and remembers what a push may bring and what was not the daemon's doing.

    `changes` are ways to change something at random, each given the chance to choose by.
    """

    def __init__(self, sandbox: Sandbox, settings: ProductSyncSettings) -> None:
        self.sandbox = sandbox
        self.nhanh = sandbox.nhanh
        self.shopify = sandbox.shopify
        self.settings = settings
        self.depots_of = settings.depots_of
        self._begin_with_like_prices()
        self.journal = Journal()
        sandbox.shopify.writes = self.journal
        self.stock_ever: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # by (product, location)
        self.stock_story: defaultdict[tuple[int, int], list[int]] = defaultdict(list)  # likewise, in order
        self.prices_ever: defaultdict[int, set[tuple[Decimal, Decimal | None]]] = defaultdict(set)  # by product
        self.foreign: defaultdict[Subject, int] = defaultdict(int)  # changes by others than the daemon
        self.codes = {product.code for product in self.sold()}
        for product in self.sold():
            self._remember(product)
        sandbox.nhanh.listeners.append(self._look)
        self.changes: dict[str, Callable[[random.Random], None]] = {
            "restock": self.restock,
            "restock_many": self.restock_many,
            "reprice": self.reprice,
            "discount": self.discount,
            "recode": self.recode,
            "delete_product": self.delete_product,
            "create_product": self.create_product,
            "sell": self.sell,
            "mark": self.mark,
            "stock": self.stock,
            "unstock": self.unstock,
            "relabel": self.relabel,
            "track": self.track,
            "delete_variant": self.delete_variant,
            "delete_goods": self.delete_goods,
            "create_variant": self.create_variant,
        }
        if settings.quantity == "on_hand":
            self.changes |= {"order": self.order, "fulfil": self.fulfil, "cancel": self.cancel}

    def desired(self, product_id: int, location_id: int) -> int:
        """What Shopify should have of a product at a location, under the rules, which know what Nhanh.vn says of it."""
        product = self.nhanh.products[product_id]
        total = Decimal(sum(product.stock.get(depot, 0) for depot in self.depots_of[location_id]))
        facts = Facts(category=product.category_id, brand=product.brand_id)
        return RuleModel(self.settings, facts).desired(location_id, total)

    def desired_prices(self, product_id: int) -> tuple[Decimal, Decimal | None]:
        """The price and the compare-at price that Shopify should have."""
        product = self.nhanh.products[product_id]
        higher = product.old_price is not None and product.old_price > product.price
        return product.price, product.old_price if higher else None

    # At Nhanh.vn

    def restock(self, chance: random.Random) -> None:
        """Another quantity in one depot."""
        product = self._product(chance)
        depot = chance.choice([depot.id for depot in self.nhanh.depots])
        self.nhanh.change_stock(product.id, depot, chance.choice(QUANTITIES))

    def restock_many(self, chance: random.Random) -> None:
        """A delivery."""
        for _ in range(12):
            self.restock(chance)

    def reprice(self, chance: random.Random) -> None:
        """Another price, or none."""
        self.nhanh.change_price(self._product(chance).id, Decimal(chance.choice(PRICES)))

    def discount(self, chance: random.Random) -> None:
        """Another old price, or none."""
        old = chance.choice((None, *map(Decimal, PRICES[1:])))
        self.nhanh.change_product(self._product(chance).id, old_price=old)

    def recode(self, chance: random.Random) -> None:
        """A code that is new, or one that another product may have."""
        code = chance.choice([f"NEW-{chance.randrange(20)}", *sorted(self.codes)[:8]])
        self.nhanh.change_product(self._product(chance).id, code=code)

    def delete_product(self, chance: random.Random) -> None:
        """A product is given up."""
        self.nhanh.delete_product(self._product(chance).id)

    def create_product(self, chance: random.Random) -> None:
        """A product of a code that there was once."""
        model = self._product(chance)
        newest = self.nhanh.products.id_at(len(self.nhanh.products) - 1)
        now = int(self.nhanh.clock())
        code = chance.choice(sorted(self.codes))
        product = replace(model, id=newest + 10, code=code, barcode="", updated_at=now, stock_updated_at=now)
        self.nhanh.add_product(product)

    # At Shopify, behind the daemon's back

    def sell(self, chance: random.Random) -> None:
        """Another quantity at a location, configured or not."""
        variant = self._variant(chance)
        if variant.levels:
            level = chance.choice(variant.levels)
            self.set_level(variant, level.location_id, chance.choice(QUANTITIES))

    def set_level(self, variant: Variant, location_id: int, quantity: int) -> None:
        """Somebody changes the stock by hand."""
        self.foreign["stock", variant.inventory_item_id, location_id] += 1
        shopify = self.shopify
        change = shopify.change_on_hand if self.settings.quantity == "on_hand" else shopify.change_stock
        change(variant.id, quantity, location_id)

    def order(self, chance: random.Random) -> None:
        """A customer buys some, which stay on hand."""
        variant = self._variant(chance)
        if variant.levels:
            self.shopify.place_order(variant.id, chance.choice((1, 2)), chance.choice(variant.levels).location_id)

    def fulfil(self, chance: random.Random) -> None:
        """An order is sent, and its pieces are no longer on hand."""
        for order in self._open_order(chance):
            item_id = self.shopify.variants[order.variant_id].inventory_item_id
            self.foreign["stock", item_id, order.location_id] += 1
            self.shopify.fulfil_order(order.id)

    def cancel(self, chance: random.Random) -> None:
        """An order is cancelled, and its pieces are available again."""
        for order in self._open_order(chance):
            self.shopify.cancel_order(order.id)

    def _open_order(self, chance: random.Random) -> list[OrderRecord]:
        """One order that can still be sent, if there is any."""
        variants = self.shopify.variants
        orders = [
            order
            for order in self.shopify.orders.values()
            if order.variant_id in variants and variants[order.variant_id].level_at(order.location_id) is not None
        ]
        return chance.sample(orders, 1) if orders else []

    def mark(self, chance: random.Random) -> None:
        """Other prices."""
        price, compare_at = (Decimal(chance.choice(PRICES)) for _ in range(2))
        self.set_prices(self._variant(chance), price, compare_at or None)

    def set_prices(self, variant: Variant, price: Decimal, compare_at_price: Decimal | None) -> None:
        """Somebody changes the prices by hand."""
        for kind in ("price", "compare_at_price"):
            self.foreign[kind, variant.id] += 1
        self.shopify.change_price(variant.id, price, compare_at_price)

    def stock(self, chance: random.Random) -> None:
        """A variant is put into a location."""
        variant, location = self._variant(chance), chance.choice(sorted(self.shopify.locations))
        if variant.level_at(location) is None:
            self._foreign_level(variant, location)
            self.shopify.start_stocking(variant.id, location, chance.choice((None, 0, 7)))

    def unstock(self, chance: random.Random) -> None:
        """A variant is taken out of a location."""
        variant = self._variant(chance)
        if variant.levels:
            self.stop_stocking(variant, chance.choice(variant.levels).location_id)

    def stop_stocking(self, variant: Variant, location_id: int) -> None:
        """Somebody takes a variant out of a location."""
        self._foreign_level(variant, location_id)
        self.shopify.stop_stocking(variant.id, location_id)

    def relabel(self, chance: random.Random) -> None:
        """Another SKU, perhaps one that another variant has, perhaps none."""
        sku = chance.choice([None, f"NEW-{chance.randrange(20)}", *sorted(self.codes)[:8]])
        self.shopify.change_sku(self._variant(chance).id, sku)

    def track(self, chance: random.Random) -> None:
        """Shopify begins or ceases to count a variant."""
        variant = self._variant(chance)
        variant.tracked = not variant.tracked
        self.shopify.touch_product(variant.product_id)

    def delete_variant(self, chance: random.Random) -> None:
        """A variant is given up."""
        self.shopify.delete_variant(self._variant(chance).id)

    def delete_goods(self, chance: random.Random) -> None:
        """A product of Shopify is given up with all its variants."""
        self.shopify.delete_product(self._variant(chance).product_id)

    def create_variant(self, chance: random.Random) -> None:
        """A variant with an SKU that there was once."""
        model = self._variant(chance)
        variant = replace(
            model,
            id=max(self.shopify.variants) + FREE_ID,
            inventory_item_id=max(self.shopify.inventory_items) + FREE_ID,
            sku=chance.choice(sorted(self.codes)),
            barcode=None,
            levels=[replace(level) for level in model.levels],
            inactive_levels=[],
        )
        self.shopify.add_variant(variant)

    def _begin_with_like_prices(self) -> None:
        """No price is to become five times as much or as little, which a person would be asked about."""
        for product in self.sold():
            self.nhanh.change_product(product.id, price=Decimal(PRICES[2]), old_price=None)
        for number in self.shopify.variants:
            self.shopify.change_price(number, Decimal(PRICES[2]), None)

    def _foreign_level(self, variant: Variant, location_id: int) -> None:
        for kind in ("stock", "activate"):
            self.foreign[kind, variant.inventory_item_id, location_id] += 1

    def _product(self, chance: random.Random) -> NhanhProductRecord:
        return chance.choice(self.sold())

    def _variant(self, chance: random.Random) -> Variant:
        return chance.choice([self.shopify.variants[number] for number in sorted(self.shopify.variants)])

    def sold(self) -> list[NhanhProductRecord]:
        products = [self.nhanh.products[number] for number in self.nhanh.products]
        return [product for product in products if product.parent_id != PARENT]

    def _look(self, change: BusinessChange) -> None:
        match change.kind:
            case ChangeKind.PRODUCT_ADD | ChangeKind.PRODUCT_UPDATE | ChangeKind.INVENTORY_CHANGE:
                self._remember(self.nhanh.products[change.row_id])
            case ChangeKind.PRODUCT_DELETE:  # asked for by its id, it has no stock record: that is none
                for location in self.depots_of:
                    self._remember_stock(change.row_id, location, 0)

    def _remember(self, product: NhanhProductRecord) -> None:
        for location in self.depots_of:
            self._remember_stock(product.id, location, self.desired(product.id, location))
        self.prices_ever[product.id].add(self.desired_prices(product.id))

    def _remember_stock(self, product_id: int, location_id: int, quantity: int) -> None:
        self.stock_ever[product_id, location_id].add(quantity)
        self.stock_story[product_id, location_id].append(quantity)
