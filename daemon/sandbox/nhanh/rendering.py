"""Rows as Nhanh's API spells them: every documented field, with numbers and empty values in all their forms."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from daemon.sandbox.catalogue import Draws
from daemon.sandbox.nhanh.records import PARENT, NhanhCustomerRecord, NhanhOrderRecord, NhanhProductRecord

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How rows are written down.

    Args:
        seed: each row has its own quirks, the same at every call.
        quirks: False writes numbers as numbers and nothing in place of null.
        depot_ids: the depots that the token may see; empty for all.
    """

    seed: int
    quirks: bool
    depot_ids: frozenset[int] = frozenset()

    def product(self, product: NhanhProductRecord) -> Json:
        """A row of product/list."""
        pen = _Pen(self, product.id)
        row: Json = {
            "id": pen.whole(product.id),
            "parentId": pen.whole(product.parent_id),
            "code": product.code,
            "name": product.name,
            "status": pen.whole(product.status),
            "type": pen.whole(product.type),
            "priceVatMode": product.price_vat_mode,
            "importPriceVatMode": 2,
            "categoryId": pen.whole(product.category_id),
            "prices": _prices(pen, product)
            | {"retailVat": pen.number(Decimal(0)), "importVat": 0}
            | {"old": pen.number(product.old_price or Decimal(0))},
            "createdAt": pen.whole(product.created_at),
            "updatedAt": pen.whole(product.updated_at),
        }
        pen.optional(row, "barcode", product.barcode)
        pen.optional(row, "otherName", "")
        pen.optional(row, "internalCategoryId", None)
        pen.optional(row, "brandId", product.brand_id)
        pen.optional(row, "countryName", "Việt Nam" if product.id % 3 else "")
        pen.optional(row, "images", _images(product))
        pen.optional(row, "warranty", {"month": 12, "phone": "", "address": ""} if product.id % 7 == 0 else None)
        pen.optional(row, "shipping", {"width": 20, "height": 5.5, "length": "30", "weight": pen.number(Decimal(300))})
        pen.optional(row, "units", {"name": "Cái", "list": []} if product.id % 2 else None)
        pen.optional(row, "combos", _combos(product) if product.tells_combo else [])
        pen.optional(row, "inventory", None if product.parent_id == PARENT else self._inventory(pen, product))
        pen.optional(row, "attributes", _attributes(product))
        pen.optional(row, "tagIds", [])
        return row

    def inventory(self, product: NhanhProductRecord, only_depots: Collection[int] = ()) -> Json:
        """A row of product/inventory.

        Args:
            product: what the row is about.
            only_depots: the depots that the caller asked for; empty for all that the token may see.
        """
        pen = _Pen(self, product.id)
        row: Json = {
            "productId": pen.whole(product.id),
            "name": product.name,
            "prices": _prices(pen, product),
            "inventory": self._inventory(pen, product, only_depots),
        }
        pen.optional(row, "barcode", product.barcode)
        return row

    def detail(self, product: NhanhProductRecord, children: Collection[NhanhProductRecord]) -> Json:
        """The data of product/detail: category, brand and type are objects, and `inventory.warranty` is a number."""
        row = self.product(product)
        for name in ("categoryId", "internalCategoryId", "brandId"):
            row.pop(name, None)
        inventory = self._inventory(_Pen(self, product.id), product)
        for stock in (inventory, *inventory["depots"]):
            stock.update(warranty=0, warrantyHolding=0, holdingNew=0, shippingExport=0)
        return row | {
            "category": {"id": product.category_id, "code": "", "name": f"Danh mục {product.category_id}"},
            "internalCategory": None,
            "brand": {"id": product.brand_id, "name": f"Thương hiệu {product.brand_id}"},
            "type": {"id": product.type, "name": f"Loại {product.type}"},
            "vat": product.vat,
            "inventory": inventory,
            "description": "",
            "content": "",
            "suppliers": None,
            "videos": [],
            "branchPrices": [],
            "childs": [self.product(child) for child in children],
        }

    def told_product(self, product: NhanhProductRecord) -> Json:
        """The data of the webhooks productAdd and productUpdate: product/detail's, without the modes of VAT."""
        row = self.detail(product, [])
        return {name: value for name, value in row.items() if name not in ("priceVatMode", "importPriceVatMode")}

    def told_stock(self, product: NhanhProductRecord) -> Json:
        """A row of the webhook inventoryChange: the figures stand beside `id`, which is the product's."""
        pen = _Pen(self, product.id)
        row: Json = {"id": pen.whole(product.id), "typeId": product.type, "code": product.code}
        return row | self._inventory(pen, product)

    def order(
        self,
        order: NhanhOrderRecord,
        customer: NhanhCustomerRecord | None,
        products: Collection[NhanhProductRecord | None],
    ) -> Json:
        """The data of the webhooks orderAdd and orderUpdate, which is a row of order/list; the customer is in its
        `shippingAddress`.

        Args:
            order: what the row is about.
            customer: who ordered; None where the customer no longer exists.
            products: what was ordered, as far as it exists.
        """
        pen = _Pen(self, order.id)
        row: Json = {
            "info": {
                "id": pen.whole(order.id),
                "depotId": pen.whole(order.depot_id),
                "type": 1,
                "status": pen.whole(order.status),
                "createdAt": pen.whole(order.created_at),
                "updatedAt": pen.whole(order.updated_at),
                "description": "",
                "trackingUrl": "",
            },
            "channel": {"appOrderId": "", "saleChannel": 1, "trafficSource": None},
            "shippingAddress": {
                "id": str(order.customer_id),  # documented as a text
                "name": customer.name if customer else "",
                "mobile": customer.mobile if customer else "",
                "email": customer.email if customer else "",
                "address": customer.address if customer else "",
                "locationVersion": "v1",
            },
            "products": [
                self._ordered(pen, product, order.quantities[product.id]) for product in products if product is not None
            ],
        }
        pen.optional(row, "carrier", None)
        pen.optional(row, "payment", None)
        return row

    def combo(self, product: NhanhProductRecord) -> Json:
        """A row of product/combo."""
        items = [{"id": item_id, "qty": quantity} for item_id, quantity in product.combo]
        return {"productParentId": product.id, "comboItems": items}

    def customer(self, customer: NhanhCustomerRecord) -> Json:
        """A row of customer/list."""
        pen = _Pen(self, customer.id)
        row: Json = {
            "id": pen.whole(customer.id),
            "type": pen.whole(customer.type),
            "name": customer.name,
            "mobile": customer.mobile,
            "code": f"KH{customer.id}",
            "points": pen.whole(customer.points),
            "totalAmount": pen.number(customer.total_amount),
            "updatedAt": pen.whole(customer.updated_at),
        }
        pen.optional(row, "gender", customer.gender)
        pen.optional(row, "address", customer.address)
        pen.optional(row, "email", customer.email)
        pen.optional(row, "birthday", customer.birthday)
        pen.optional(row, "saleName", "")
        pen.optional(row, "startedDate", customer.started_date)
        pen.optional(row, "taxCode", "")
        pen.optional(row, "locations", {"cityId": pen.whole(customer.city_id), "districtId": 0, "wardId": 0})
        pen.optional(row, "location", {"cityId": customer.city_id, "wardId": 0} if customer.id % 2 else None)
        pen.optional(row, "business", {"name": customer.name, "address": ""} if customer.type > 1 else None)
        pen.optional(row, "level", None)
        pen.optional(row, "group", {"id": 1 + len(customer.group), "name": customer.group} if customer.group else None)
        return row

    def _ordered(self, pen: "_Pen", product: NhanhProductRecord, quantity: int) -> Json:
        return {
            "id": pen.whole(product.id),
            "typeId": product.type,
            "code": product.code,
            "name": product.name,
            "quantity": pen.number(Decimal(quantity)),
            "price": pen.number(product.price),
            "discount": 0,
            "combos": _combos(product),
            "gifts": [],
        }

    def _inventory(self, pen: "_Pen", product: NhanhProductRecord, only_depots: Collection[int] = ()) -> Json:
        visible = [
            (depot_id, _quantities(product, depot_id, available))
            for depot_id, available in product.stock.items()
            if (not self.depot_ids or depot_id in self.depot_ids) and (not only_depots or depot_id in only_depots)
        ]
        names = ("remain", "shipping", "damaged", "holding", "transfering", "available")
        sums = {name: sum(quantities[name] for _, quantities in visible) for name in names}
        return _stock(pen, sums) | {"depots": [{"id": pen.whole(id_)} | _stock(pen, stock) for id_, stock in visible]}


class _Pen:
    """Writes the values of one row, each in one of the forms that Nhanh uses."""

    __slots__ = ("_draws", "_quirks")

    def __init__(self, spelling: Spelling, row_id: int) -> None:
        self._quirks = spelling.quirks
        self._draws = Draws(spelling.seed, "spelling", row_id)

    def whole(self, value: int) -> int | str:
        """An id, time or enumeration: mostly a number, now and then as text."""
        return str(value) if self._quirks and self._draws.below(16) == 0 else value

    def number(self, value: Decimal) -> int | float | str:
        """An amount: an integer where it is one, or a float, or text."""
        plain = int(value) if value == value.to_integral_value() else float(value)
        if not self._quirks:
            return plain
        form = self._draws.below(8)
        return str(value) if form == 0 else float(value) if form == 1 else plain

    def optional(self, row: Json, name: str, value: object) -> None:
        """Put a field that may be empty: then it is null, absent, "" or []."""
        if value not in (None, "", [], {}):
            row[name] = value
            return
        form = self._draws.below(4) if self._quirks else 0
        if form < 3:
            row[name] = (None, "", [])[form]


def _prices(pen: _Pen, product: NhanhProductRecord) -> Json:
    cost = product.price * 6 // 10
    return {
        "retail": pen.number(product.price),
        "wholesale": pen.number(product.price * 8 // 10),
        "import": pen.number(cost),
        "avgCost": pen.number(cost),
    }


def _combos(product: NhanhProductRecord) -> list[Json]:
    return [{"id": item_id, "quantity": quantity} for item_id, quantity in product.combo]


def _images(product: NhanhProductRecord) -> Json | None:
    if product.id % 5 == 0 and product.id % 3 == 0:
        return None
    return {"avatar": f"https://example.com/images/{product.id}.jpg", "others": []}


def _attributes(product: NhanhProductRecord) -> list[Json]:
    return [
        {"id": 9000 + position, "name": name, "nameOther": "", "value": value, "code": "", "codeOther": None}
        for position, (name, value) in enumerate(product.attributes)
    ]


def _quantities(product: NhanhProductRecord, depot_id: int, available: int | Decimal) -> dict[str, int | Decimal]:
    """Some of what lies in a depot is on its way, broken or reserved: only the rest is available."""
    holding = (product.id // 10 + depot_id) % 3 if available > 0 else 0
    damaged = 1 if (product.id // 10) % 11 == 0 else 0
    return {
        "remain": available + holding + damaged,
        "shipping": 0,
        "damaged": damaged,
        "holding": holding,
        "transfering": 0,
        "available": available,
    }


def _stock(pen: _Pen, quantities: Mapping[str, int | Decimal]) -> Json:
    written: Json = {name: pen.number(Decimal(quantity)) for name, quantity in quantities.items()}
    return written | {"warranty": {"remain": 0, "holding": 0}}
