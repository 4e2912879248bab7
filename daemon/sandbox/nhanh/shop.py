"""The state of the sandbox's Nhanh shop, and every way in which it can change while somebody pulls from it."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from daemon.sandbox.catalogue import Catalogue
from daemon.sandbox.nhanh import records
from daemon.sandbox.nhanh.records import PARENT, NhanhCustomerRecord, NhanhOrderRecord, NhanhProductRecord
from daemon.sandbox.nhanh.table import Table

NEW_ORDER = 54
CANCELLED_ORDER = 63
_ORDER_IDS_FROM = 620_000_001


class ChangeKind(StrEnum):
    """Kinds of change. Those of products, stock and orders are Nhanh's webhook events; customers have none."""

    PRODUCT_ADD = "productAdd"
    PRODUCT_UPDATE = "productUpdate"
    PRODUCT_DELETE = "productDelete"
    INVENTORY_CHANGE = "inventoryChange"
    ORDER_ADD = "orderAdd"
    ORDER_UPDATE = "orderUpdate"
    ORDER_DELETE = "orderDelete"
    CUSTOMER_ADD = "customerAdd"
    CUSTOMER_UPDATE = "customerUpdate"
    CUSTOMER_DELETE = "customerDelete"


@dataclass(frozen=True, slots=True)
class BusinessChange:
    """Something that just changed in the shop."""

    kind: ChangeKind
    row_id: int


class NhanhShop:
    """Products and customers that tests, people and `churn` may change. Every change passes `listeners`.

    Args:
        catalogue: what the shop starts with; it is not changed.
        seed: of the random changes.
        clock: Unix seconds.
    """

    def __init__(self, catalogue: Catalogue, *, seed: int, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.depots = catalogue.depots
        products = {product.id: product for product in records.products(catalogue)}
        self.products: Table[NhanhProductRecord] = Table(products, products.__getitem__)
        customer_ids = (records.customer_id(number) for number in range(1, len(catalogue.people) + 1))
        self.customers: Table[NhanhCustomerRecord] = Table(
            customer_ids, lambda row_id: records.customer(catalogue.people[records.person_number(row_id) - 1])
        )
        self.orders: dict[int, NhanhOrderRecord] = {}
        self.listeners: list[Callable[[BusinessChange], None]] = []
        self._combos: dict[int, set[int]] = {}  # product -> combos that hold it, or once did
        self._random = random.Random(f"{seed}/churn")

    def add_product(self, product: NhanhProductRecord) -> None:
        """Put a new product on the shelves."""
        self.products[product.id] = product
        self._announce(ChangeKind.PRODUCT_ADD, product.id)

    def change_product(self, product_id: int, **fields: Any) -> None:
        """Change fields of a product other than its stock; its `updated_at` moves."""
        self.products[product_id] = replace(self.products[product_id], updated_at=self._now(), **fields)
        self._announce(ChangeKind.PRODUCT_UPDATE, product_id)

    def change_price(self, product_id: int, price: Decimal) -> None:
        """Change the retail price."""
        self.change_product(product_id, price=price)

    def take_vat_out_of_prices(self) -> None:
        """Make all prices exclude VAT: the same figures, on top of which a customer pays it."""
        for product_id in list(self.products):
            self.change_product(product_id, price_vat_mode=2)

    def change_stock(self, product_id: int, depot_id: int, available: int | Decimal) -> None:
        """Set what a depot has available. The product's `updated_at` does not move."""
        product = self.products[product_id]
        stock = product.stock | {depot_id: available}
        self.products[product_id] = replace(product, stock=stock, stock_updated_at=self._now())
        self._announce(ChangeKind.INVENTORY_CHANGE, product_id)

    def delete_product(self, product_id: int) -> None:
        """Remove a product for good."""
        del self.products[product_id]
        self._announce(ChangeKind.PRODUCT_DELETE, product_id)

    def combos_of(self, product_id: int) -> list[int]:
        """The combos that a product is part of."""
        combos = (self.products.get(combo_id) for combo_id in sorted(self._combos.get(product_id, ())))
        return [combo.id for combo in combos if combo is not None and product_id in dict(combo.combo)]

    def place_order(self, customer_id: int, quantities: Mapping[int, int], depot_id: int) -> NhanhOrderRecord:
        """Sell to a customer out of a depot: its stock goes down and the customer's total up, all at once."""
        now = self._now()
        order_id = max(self.orders, default=_ORDER_IDS_FROM - 1) + 1
        order = NhanhOrderRecord(order_id, customer_id, depot_id, NEW_ORDER, dict(quantities), now, now)
        self.orders[order.id] = order
        self._trade(order, 1)
        self._announce(ChangeKind.ORDER_ADD, order.id)
        return order

    def cancel_order(self, order_id: int) -> None:
        """Take an order back: its goods are in the depot again, and the customer has spent that much less."""
        order = replace(self.orders[order_id], status=CANCELLED_ORDER, updated_at=self._now())
        self.orders[order_id] = order
        self._trade(order, -1)
        self._announce(ChangeKind.ORDER_UPDATE, order_id)

    def delete_order(self, order_id: int) -> None:
        """Remove an order for good, with no effect on stock or totals."""
        del self.orders[order_id]
        self._announce(ChangeKind.ORDER_DELETE, order_id)

    def add_customer(self, customer: NhanhCustomerRecord) -> None:
        """Add a new customer."""
        self.customers[customer.id] = customer
        self._announce(ChangeKind.CUSTOMER_ADD, customer.id)

    def change_customer(self, customer_id: int, **fields: Any) -> None:
        """Change fields of a customer; its `updated_at` moves."""
        self.customers[customer_id] = replace(self.customers[customer_id], updated_at=self._now(), **fields)
        self._announce(ChangeKind.CUSTOMER_UPDATE, customer_id)

    def touch_customer(self, customer_id: int) -> None:
        """Move a customer's `updated_at` and nothing else."""
        self.change_customer(customer_id)

    def delete_customer(self, customer_id: int) -> None:
        """Remove a customer for good."""
        del self.customers[customer_id]
        self._announce(ChangeKind.CUSTOMER_DELETE, customer_id)

    async def churn(self, per_second: float) -> None:
        """Change something at random, `per_second` times a second on average, until cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(per_second))
            self.change_something()

    def change_something(self) -> None:
        """One random change, in the proportions of a working day: mostly sales, few deletions."""
        changes = (self._sell, self._reprice, self._reward, self._welcome, self._lose)
        self._random.choices(changes, weights=(50, 20, 20, 6, 4))[0]()

    def _sell(self) -> None:
        product = self._random_product()
        if product is not None and product.parent_id != PARENT and product.stock:
            depot_id = self._random.choice(sorted(product.stock))
            self.change_stock(product.id, depot_id, product.stock[depot_id] - self._random.randint(1, 2))

    def _reprice(self) -> None:
        product = self._random_product()
        if product is not None:
            self.change_price(product.id, product.price + self._random.choice((-10_000, 10_000, 20_000)))

    def _reward(self) -> None:
        customer = self._random_customer()
        if customer is not None:
            spent = Decimal(self._random.randint(50, 2000) * 1000)
            points, amount = customer.points + int(spent) // 100_000, customer.total_amount + spent
            self.change_customer(customer.id, points=points, total_amount=amount)

    def _welcome(self) -> None:
        model = self._random_customer()
        if model is not None:
            newest = self.customers.id_at(len(self.customers) - 1)
            self.add_customer(replace(model, id=newest + 3, points=0, updated_at=self._now()))

    def _lose(self) -> None:
        customer = self._random_customer()
        if customer is not None:
            self.delete_customer(customer.id)

    def _random_product(self) -> NhanhProductRecord | None:
        count = len(self.products)
        return self.products[self.products.id_at(self._random.randrange(count))] if count else None

    def _random_customer(self) -> NhanhCustomerRecord | None:
        count = len(self.customers)
        return self.customers[self.customers.id_at(self._random.randrange(count))] if count else None

    def _trade(self, order: NhanhOrderRecord, sign: int) -> None:
        """Move the goods of an order out of its depot, or (−1) back into it."""
        spent = Decimal(0)
        for product_id, quantity in order.quantities.items():
            product = self.products[product_id]
            self.change_stock(product_id, order.depot_id, product.stock.get(order.depot_id, 0) - sign * quantity)
            spent += quantity * product.price
        customer = self.customers[order.customer_id]
        self.change_customer(customer.id, total_amount=customer.total_amount + sign * spent)

    def _announce(self, kind: ChangeKind, row_id: int) -> None:
        if kind in (ChangeKind.PRODUCT_ADD, ChangeKind.PRODUCT_UPDATE):
            for item_id, _ in self.products[row_id].combo:
                self._combos.setdefault(item_id, set()).add(row_id)
        change = BusinessChange(kind, row_id)
        for listener in self.listeners:
            listener(change)

    def _now(self) -> int:
        return int(self.clock())
