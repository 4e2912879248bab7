"""The state of the sandbox's Nhanh shop, and every way in which it can change while somebody pulls from it."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from daemon.sandbox.catalogue import Catalogue
from daemon.sandbox.nhanh import records
from daemon.sandbox.nhanh.records import PARENT, NhanhCustomerRecord, NhanhProductRecord
from daemon.sandbox.nhanh.table import Table


class ChangeKind(StrEnum):
    """Kinds of change. The product and inventory kinds are Nhanh's webhook events; customers have none."""

    PRODUCT_ADD = "productAdd"
    PRODUCT_UPDATE = "productUpdate"
    PRODUCT_DELETE = "productDelete"
    INVENTORY_CHANGE = "inventoryChange"
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
        self.listeners: list[Callable[[BusinessChange], None]] = []
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

    def _announce(self, kind: ChangeKind, row_id: int) -> None:
        change = BusinessChange(kind, row_id)
        for listener in self.listeners:
            listener(change)

    def _now(self) -> int:
        return int(self.clock())
