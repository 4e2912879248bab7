"""What the sandbox's Nhanh knows: products and customers as typed rows, made from the catalogue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from daemon.sandbox.catalogue import Catalogue, Good, Person

STANDALONE = -1  # `parentId` of a product without children (Nhanh documentation, product/detail)
PARENT = -2  # `parentId` of a product that only groups its children

_PRODUCT_IDS_FROM = 38_000_000
_CUSTOMER_IDS_FROM = 51_000_000
_STOPPED = 3


@dataclass(frozen=True, slots=True)
class NhanhProductRecord:
    """A product: sold by itself, a child, or the parent of children. Times are Unix seconds, prices are đồng."""

    id: int
    parent_id: int
    code: str
    barcode: str
    name: str
    status: int  # 1 new, 2 selling, 3 stopped, 4 out of stock
    category_id: int
    brand_id: int
    price: Decimal
    old_price: Decimal | None
    stock: dict[int, int | Decimal]  # depot id -> available; never changed in place
    attributes: tuple[tuple[str, str], ...]  # ("Màu sắc", "Đỏ"), …
    created_at: int
    updated_at: int  # does not move with the stock
    stock_updated_at: int
    type: int = 1  # 2 voucher, 3 by weight, 5 pack, 6 service, 9 combo
    price_vat_mode: int = 1  # 1 with VAT, 2 without it; Nhanh's own default is 2
    vat: int | None = 8  # percent; -1 not taxable, -2 not declared, -100 is 0 %; told by product/detail only
    combo: tuple[tuple[int, int], ...] = ()  # (product, how many) of what a combo is made of
    tells_combo: bool = True  # whether product/list says so, too, and not only product/combo


@dataclass(frozen=True, slots=True)
class NhanhCustomerRecord:
    """A customer. `updated_at` is Unix seconds, dates are ISO text."""

    id: int
    type: int  # 1 retail, 2 wholesale, 3 agent
    name: str
    mobile: str  # as somebody typed it
    gender: int  # 1 male, 2 female
    address: str
    email: str
    birthday: str
    points: int
    city_id: int
    started_date: str
    last_bought_date: str
    group: str
    total_amount: Decimal
    updated_at: int


@dataclass(frozen=True, slots=True)
class NhanhOrderRecord:
    """An order. Times are Unix seconds."""

    id: int
    customer_id: int
    depot_id: int
    status: int  # 54 new, 60 delivered, 63 cancelled by the customer (Nhanh documentation, order statuses)
    quantities: dict[int, int]  # product id -> how many; never changed in place
    created_at: int
    updated_at: int


def product_id(good_number: int) -> int:
    """Nhanh's id of a good of the catalogue."""
    return _PRODUCT_IDS_FROM + 10 * good_number


def customer_id(person_number: int) -> int:
    """Nhanh's id of a person of the catalogue."""
    return _CUSTOMER_IDS_FROM + 3 * person_number


def person_number(row_id: int) -> int:
    """The reverse of `customer_id`."""
    return (row_id - _CUSTOMER_IDS_FROM) // 3


def products(catalogue: Catalogue) -> Iterator[NhanhProductRecord]:
    """All products by ascending id. A product of several goods is a parent, followed by its children."""
    categories = _numbered(sorted({good.category for good in catalogue.goods}), first=301)
    brands = _numbered(sorted({good.vendor for good in catalogue.goods}), first=701)
    for _, group in groupby(catalogue.goods, key=lambda good: good.product_number):
        goods = list(group)
        family = [_product(good, STANDALONE, categories, brands) for good in goods]
        if len(goods) > 1:
            parent = _parent(goods[0], family[0])
            yield parent
            family = [_product(good, parent.id, categories, brands) for good in goods]
        yield from family


def _product(good: Good, parent_id: int, categories: dict[str, int], brands: dict[str, int]) -> NhanhProductRecord:
    updated_at = int(good.updated_at.timestamp())
    return NhanhProductRecord(
        id=product_id(good.number),
        parent_id=parent_id,
        code=good.code,
        barcode=good.barcode,
        name=good.name,
        status=_status(good),
        category_id=categories[good.category],
        brand_id=brands[good.vendor],
        price=good.price,
        old_price=good.compare_at_price,
        stock=dict(good.stock),
        attributes=tuple(zip(good.option_names, good.option_values, strict=False)),
        created_at=int(good.created_at.timestamp()),
        updated_at=updated_at,
        stock_updated_at=updated_at,
    )


def _parent(good: Good, child: NhanhProductRecord) -> NhanhProductRecord:
    """The row that groups the children: it has a price but no stock of its own."""
    return NhanhProductRecord(
        id=child.id - 5,
        parent_id=PARENT,
        code=f"SP{good.product_number:06d}",
        barcode="",
        name=good.product_name,
        status=2,
        category_id=child.category_id,
        brand_id=child.brand_id,
        price=child.price,
        old_price=None,
        stock={},
        attributes=(),
        created_at=child.created_at,
        updated_at=child.created_at,
        stock_updated_at=0,
    )


def _status(good: Good) -> int:
    if good.number % 17 == 0:
        return _STOPPED
    if good.number % 23 == 0:
        return 1
    return 2 if any(available > 0 for available in good.stock.values()) else 4


def customer(person: Person) -> NhanhCustomerRecord:
    """A person of the catalogue as Nhanh has them."""
    last_bought = person.last_bought.isoformat() if person.last_bought else ""
    return NhanhCustomerRecord(
        id=customer_id(person.number),
        type=person.type,
        name=person.name,
        mobile=person.phone_spelling,
        gender=2 if "Thị" in person.name else 1,
        address=person.address,
        email=person.email or "",
        birthday=person.birthday.isoformat() if person.birthday else "",
        points=person.points,
        city_id=250 + len(person.city),
        started_date=last_bought,
        last_bought_date=last_bought,
        group=person.tags[0] if person.tags else "",
        total_amount=person.total_spent,
        updated_at=int(person.updated_at.timestamp()),
    )


def _numbered(names: Sequence[str], first: int) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, first)}
