"""The search filters of each list, as the descriptions of `query` in Shopify's schema name them."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TypeVar
from zoneinfo import ZoneInfo

from daemon.sandbox.shopify.bulk import BulkOperation
from daemon.sandbox.shopify.records import CustomerRecord, LocationRecord, Product, Variant
from daemon.sandbox.shopify.search import Comparator, InvalidValueError, Predicate, SearchFilters
from daemon.sandbox.shopify.state import ShopState

T = TypeVar("T")
MakePredicate = Callable[[Comparator, str], Predicate[T]]

BULK_STATUSES = frozenset({"CANCELED", "CANCELING", "COMPLETED", "CREATED", "FAILED", "RUNNING"})
PRODUCT_STATUSES = frozenset({"ACTIVE", "ARCHIVED", "DRAFT", "UNLISTED"})


def product_filters(zone: ZoneInfo) -> SearchFilters[Product]:
    """The filters of `products`."""
    return SearchFilters(
        named={
            "barcode": _text(lambda p: (v.barcode for v in p.variants)),
            "created_at": _moment(lambda p: p.created_at, zone),
            "gift_card": _flag(lambda p: p.is_gift_card),
            "handle": _text(lambda p: [p.handle]),
            "id": _number(lambda p: p.id),
            "inventory_total": _number(lambda p: p.total_inventory),
            "price": _any_number(lambda p: (v.price for v in p.variants)),
            "product_type": _text(lambda p: [p.product_type]),
            "published_at": _moment(lambda p: p.published_at, zone),
            "sku": _text(lambda p: (v.sku for v in p.variants)),
            "status": _choice(lambda p: p.status, PRODUCT_STATUSES),
            "tag": _text(lambda p: p.tags),
            "tag_not": _not(_text(lambda p: p.tags)),
            "title": _words(lambda p: [p.title]),
            "updated_at": _moment(lambda p: p.updated_at, zone),
            "vendor": _text(lambda p: [p.vendor]),
        },
        anywhere=lambda word: _words(_product_texts)(Comparator.EQUAL, word),
    )


def customer_filters(zone: ZoneInfo, *, whole_days: bool) -> SearchFilters[CustomerRecord]:
    """The filters of `customers`.

    Args:
        zone: the shop's.
        whole_days: let `updated_at` match whole days and `>` act as `>=`, as has been seen with the real API.
    """
    return SearchFilters(
        named={
            "country": _text(lambda c: (a.country for a in c.addresses)),
            "customer_date": _moment(lambda c: c.created_at, zone),
            "email": _text(lambda c: [c.email]),
            "first_name": _text(lambda c: [c.first_name]),
            "id": _number(lambda c: c.id),
            "last_name": _text(lambda c: [c.last_name]),
            "orders_count": _number(lambda c: c.number_of_orders),
            "phone": _phone(lambda c: [c.phone, *(a.phone for a in c.addresses)]),
            "state": _choice(lambda c: c.state, frozenset({"DECLINED", "DISABLED", "ENABLED", "INVITED"})),
            "tag": _text(lambda c: c.tags),
            "tag_not": _not(_text(lambda c: c.tags)),
            "total_spent": _number(lambda c: c.amount_spent),
            "updated_at": (_day if whole_days else _moment)(lambda c: c.updated_at, zone),
        },
        anywhere=lambda word: _words(_customer_texts)(Comparator.EQUAL, word),
    )


def variant_filters(zone: ZoneInfo, state: ShopState) -> SearchFilters[Variant]:
    """The filters of `productVariants`."""
    product = state.products

    def texts(variant: Variant) -> list[str | None]:
        return [product[variant.product_id].title, variant.title, variant.sku, variant.barcode]

    return SearchFilters(
        named={
            "barcode": _text(lambda v: [v.barcode]),
            "id": _number(lambda v: v.id),
            "inventory_quantity": _number(lambda v: v.inventory_quantity),
            "product_id": _number(lambda v: v.product_id),
            "product_status": _choice(lambda v: product[v.product_id].status, PRODUCT_STATUSES),
            "sku": _text(lambda v: [v.sku]),
            "tag": _text(lambda v: product[v.product_id].tags),
            "title": _words(lambda v: [v.title]),
            "updated_at": _moment(lambda v: v.updated_at, zone),
            "vendor": _text(lambda v: [product[v.product_id].vendor]),
        },
        anywhere=lambda word: _words(texts)(Comparator.EQUAL, word),
    )


def location_filters() -> SearchFilters[LocationRecord]:
    """The filters of `locations`."""
    return SearchFilters(
        named={
            "active": _flag(lambda place: place.is_active),
            "city": _text(lambda place: [place.city]),
            "id": _number(lambda place: place.id),
            "name": _text(lambda place: [place.name]),
        },
        anywhere=lambda word: _words(_location_texts)(Comparator.EQUAL, word),
    )


def bulk_operation_filters(zone: ZoneInfo) -> SearchFilters[BulkOperation]:
    """The filters of `bulkOperations`."""
    return SearchFilters(
        named={
            "created_at": _moment(lambda operation: operation.created_at, zone),
            "id": _number(lambda operation: operation.id),
            "operation_type": _choice(lambda _: "QUERY", frozenset({"MUTATION", "QUERY"})),
            "status": _choice(lambda operation: operation.status, BULK_STATUSES),
        },
        anywhere=lambda _: lambda _: False,
    )


def _location_texts(place: LocationRecord) -> list[str | None]:
    return [place.name, place.city]


def _product_texts(product: Product) -> list[str | None]:
    codes = [code for variant in product.variants for code in (variant.sku, variant.barcode)]
    return [product.title, product.vendor, product.product_type, *product.tags, *codes]


def _customer_texts(customer: CustomerRecord) -> list[str | None]:
    return [customer.first_name, customer.last_name, customer.email, customer.phone, customer.note, *customer.tags]


def _text(texts: Callable[[T], Iterable[str | None]]) -> MakePredicate[T]:
    """Equal without regard to case; a trailing `*` asks for the beginning."""

    def make(_: Comparator, value: str) -> Predicate[T]:
        wanted = value.casefold()
        if wanted.endswith("*"):
            return lambda row: any(text is not None and text.casefold().startswith(wanted[:-1]) for text in texts(row))
        return lambda row: any((text or "").casefold() == wanted for text in texts(row))

    return make


def _words(texts: Callable[[T], Iterable[str | None]]) -> MakePredicate[T]:
    """Contained without regard to case."""

    def make(_: Comparator, value: str) -> Predicate[T]:
        wanted = value.casefold().rstrip("*")
        return lambda row: any(text is not None and wanted in text.casefold() for text in texts(row))

    return make


def _phone(phones: Callable[[T], Iterable[str | None]]) -> MakePredicate[T]:
    def make(_: Comparator, value: str) -> Predicate[T]:
        wanted = _digits(value)
        if not wanted:
            raise InvalidValueError(value)
        return lambda row: any(_digits(phone) == wanted for phone in phones(row) if phone)

    return make


def _digits(phone: str) -> str:
    return "".join(letter for letter in phone if letter.isdigit())


def _number(number: Callable[[T], int | Decimal]) -> MakePredicate[T]:
    return _any_number(lambda row: [number(row)])


def _any_number(numbers: Callable[[T], Iterable[int | Decimal]]) -> MakePredicate[T]:
    def make(comparator: Comparator, value: str) -> Predicate[T]:
        try:
            bound = Decimal(value)
        except InvalidOperation:
            raise InvalidValueError(value) from None
        if not bound.is_finite():
            raise InvalidValueError(value)
        holds = comparator.relation
        return lambda row: any(holds(number, bound) for number in numbers(row))

    return make


def _flag(flag: Callable[[T], bool]) -> MakePredicate[T]:
    def make(_: Comparator, value: str) -> Predicate[T]:
        if value.lower() not in {"true", "false"}:
            raise InvalidValueError(value)
        return lambda row: flag(row) == (value.lower() == "true")

    return make


def _choice(choice: Callable[[T], str], choices: frozenset[str]) -> MakePredicate[T]:
    def make(_: Comparator, value: str) -> Predicate[T]:
        if value.upper() not in choices:
            raise InvalidValueError(value)
        return lambda row: choice(row) == value.upper()

    return make


def _moment(moment: Callable[[T], datetime | None], zone: ZoneInfo) -> MakePredicate[T]:
    def make(comparator: Comparator, value: str) -> Predicate[T]:
        bound = _time(value, zone)
        if isinstance(bound, date) and not isinstance(bound, datetime):
            return _compare_days(moment, zone, comparator, bound)
        holds = comparator.relation
        return lambda row: (at := moment(row)) is not None and holds(at, bound)

    return make


def _day(moment: Callable[[T], datetime | None], zone: ZoneInfo) -> MakePredicate[T]:
    def make(comparator: Comparator, value: str) -> Predicate[T]:
        bound = _time(value, zone)
        day = bound.astimezone(zone).date() if isinstance(bound, datetime) else bound
        widened = Comparator.GREATER_OR_EQUAL if comparator is Comparator.GREATER else comparator
        return _compare_days(moment, zone, widened, day)

    return make


def _compare_days(
    moment: Callable[[T], datetime | None], zone: ZoneInfo, comparator: Comparator, day: date
) -> Predicate[T]:
    start = datetime.combine(day, time.min, zone).astimezone(UTC)
    end = datetime.combine(day, time.max, zone).astimezone(UTC)
    match comparator:
        case Comparator.EQUAL:
            return lambda row: (at := moment(row)) is not None and start <= at <= end
        case Comparator.LESS | Comparator.GREATER_OR_EQUAL:
            bound = start
        case Comparator.LESS_OR_EQUAL | Comparator.GREATER:
            bound = end
    holds = comparator.relation
    return lambda row: (at := moment(row)) is not None and holds(at, bound)


def _time(value: str, zone: ZoneInfo) -> datetime | date:
    """A time, or a day where no time of day is given; without an offset it is in the shop's zone."""
    try:
        if len(value) == len("2026-10-01"):
            return date.fromisoformat(value)
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidValueError(value) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _not(make: MakePredicate[T]) -> MakePredicate[T]:
    def negated(comparator: Comparator, value: str) -> Predicate[T]:
        matches = make(comparator, value)
        return lambda row: not matches(row)

    return negated
