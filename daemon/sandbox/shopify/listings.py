"""The lists of a shop, searched and sorted, kept until the shop changes."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from daemon.sandbox.shopify.filters import customer_filters, location_filters, product_filters, variant_filters
from daemon.sandbox.shopify.paging import Listing, Position
from daemon.sandbox.shopify.records import CustomerRecord, LocationRecord, Product, Variant
from daemon.sandbox.shopify.search import Search, SearchFilters, compile_query
from daemon.sandbox.shopify.state import ShopState

KEPT_LISTINGS = 16


class _Row(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=_Row)
SortValue = Callable[[Any], int | str]


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """A list's rows that match a query, in order."""

    listing: Listing[R]
    search: Search[R] | None


@dataclass(frozen=True, slots=True)
class _List(Generic[R]):
    rows: Callable[[], Iterable[R]]
    filters: SearchFilters[R]
    sort_values: Mapping[str, SortValue]


class Listings:
    """Searches and sorts the shop's lists.

    Args:
        state: the shop.
        zone: its time zone, in which days begin and end.
        quirks: behave as the real API has been seen to, rather than as documented.
    """

    def __init__(self, state: ShopState, zone: ZoneInfo, *, quirks: bool) -> None:
        self._state = state
        self._kept: OrderedDict[tuple[object, ...], Found[Any]] = OrderedDict()
        self._revision = state.revision
        self._products: _List[Product] = _List(state.products.values, product_filters(zone), _PRODUCT_ORDERS)
        self._variants: _List[Variant] = _List(
            state.variants.values,
            variant_filters(zone, state),
            {**_VARIANT_ORDERS, "FULL_TITLE": lambda v: f"{state.products[v.product_id].title} {v.title}".casefold()},
        )
        self._customers: _List[CustomerRecord] = _List(
            state.customers.values, customer_filters(zone, whole_days=quirks), _CUSTOMER_ORDERS
        )
        self._locations: _List[LocationRecord] = _List(state.locations.values, location_filters(), _LOCATION_ORDERS)

    def products(self, query: str | None, sort_key: str = "ID", *, reverse: bool = False) -> Found[Product]:
        """The products that match `query`."""
        return self._found("products", self._products, query, sort_key, reverse)

    def variants(self, query: str | None, sort_key: str = "ID", *, reverse: bool = False) -> Found[Variant]:
        """The variants of all products that match `query`."""
        return self._found("variants", self._variants, query, sort_key, reverse)

    def customers(self, query: str | None, sort_key: str = "ID", *, reverse: bool = False) -> Found[CustomerRecord]:
        """The customers that match `query`."""
        return self._found("customers", self._customers, query, sort_key, reverse)

    def locations(self, query: str | None, sort_key: str = "NAME", *, reverse: bool = False) -> Found[LocationRecord]:
        """The locations that match `query`."""
        return self._found("locations", self._locations, query, sort_key, reverse)

    def _found(self, name: str, source: _List[R], query: str | None, sort_key: str, reverse: bool) -> Found[R]:
        if self._revision != self._state.revision:
            self._kept.clear()
            self._revision = self._state.revision
        key = (name, query, sort_key, reverse)
        if key not in self._kept:
            self._kept[key] = _search(source, query, sort_key, reverse)
            if len(self._kept) > KEPT_LISTINGS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def sorted_listing(rows: Iterable[R], sort_value: SortValue, *, reverse: bool = False) -> Listing[R]:
    """`rows` in the order of `sort_value`, then of their ids."""
    placed = sorted((((sort_value(row), row.id), row) for row in rows), key=itemgetter(0), reverse=reverse)
    positions: list[Position] = [position for position, _ in placed]
    return Listing([row for _, row in placed], positions, reverse)


def variant_sort_value(sort_key: str) -> SortValue:
    """What a product's variants are sorted by."""
    return _VARIANT_ORDERS.get(sort_key, _by_id)


def collection_sort_value(sort_key: str, product_ids: Sequence[int]) -> SortValue:
    """What a collection's products are sorted by: most keys stand for the order in which they were put there."""
    if sort_key == "ID":
        return _by_id
    if sort_key in _COLLECTION_ORDERS:
        return _COLLECTION_ORDERS[sort_key]
    places = {product_id: place for place, product_id in enumerate(product_ids)}
    return lambda product: places[product.id]


def _search(source: _List[R], query: str | None, sort_key: str, reverse: bool) -> Found[R]:
    search = compile_query(query, source.filters) if query else None
    rows: Iterable[R] = source.rows()
    if search is not None and search.matches is not None:
        rows = filter(search.matches, rows)
    return Found(sorted_listing(rows, source.sort_values.get(sort_key, _by_id), reverse=reverse), search)


def _by_id(row: _Row) -> int:
    return row.id


def sortable(moment: datetime | None) -> int:
    """Microseconds since 1970; a time that is missing comes first."""
    return round(moment.timestamp() * 1_000_000) if moment else 0


_PRODUCT_ORDERS: Mapping[str, SortValue] = {
    "CREATED_AT": lambda p: sortable(p.created_at),
    "INVENTORY_TOTAL": lambda p: p.total_inventory,
    "PRODUCT_TYPE": lambda p: p.product_type.casefold(),
    "PUBLISHED_AT": lambda p: sortable(p.published_at),
    "TITLE": lambda p: p.title.casefold(),
    "UPDATED_AT": lambda p: sortable(p.updated_at),
    "VENDOR": lambda p: p.vendor.casefold(),
}
_COLLECTION_ORDERS: Mapping[str, SortValue] = {
    "CREATED": lambda p: sortable(p.created_at),
    "PRICE": lambda p: min((round(v.price * 100) for v in p.variants), default=0),
    "TITLE": lambda p: p.title.casefold(),
}
_VARIANT_ORDERS: Mapping[str, SortValue] = {
    "INVENTORY_POLICY": lambda v: v.inventory_policy,
    "INVENTORY_QUANTITY": lambda v: v.inventory_quantity,
    "NAME": lambda v: v.title.casefold(),
    "POSITION": lambda v: v.position,
    "SKU": lambda v: (v.sku or "").casefold(),
    "TITLE": lambda v: v.title.casefold(),
}
_CUSTOMER_ORDERS: Mapping[str, SortValue] = {
    "CREATED_AT": lambda c: sortable(c.created_at),
    "LOCATION": lambda c: (c.addresses[0].city or "").casefold() if c.addresses else "",
    "NAME": lambda c: f"{c.last_name or ''}, {c.first_name or ''}".casefold(),
    "UPDATED_AT": lambda c: sortable(c.updated_at),
}
_LOCATION_ORDERS: Mapping[str, SortValue] = {"NAME": lambda place: place.name.casefold()}
