"""The documented filters of each list, checked strictly: one that Nhanh does not document is refused, not ignored."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from daemon.sandbox.nhanh.records import PARENT, STANDALONE, NhanhCustomerRecord, NhanhProductRecord

Row = TypeVar("Row")
Wanted = Callable[[Row], bool]
Maker = Callable[[str, Any], Wanted[Row]]  # takes a filter's name and value

MAX_IDS = 100
_SHOWN_BY_DEFAULT = frozenset({1, 2, 4})  # Nhanh documentation: status 3 is hidden unless asked for, or by exact id


class InvalidFieldsError(Exception):
    """ERR_INVALID_FORM_FIELDS; `messages` says what is wrong with each field."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.messages = {field: f"{field} {problem}"}


def product_filter(filters: Mapping[str, Any]) -> Wanted[NhanhProductRecord]:
    """What product/list was asked for.

    Raises:
        InvalidFieldsError: a filter is unknown or has the wrong type.
    """
    return _all(_hiding_stopped(filters, _tests(filters, _PRODUCT_FILTERS)))


def inventory_filter(filters: Mapping[str, Any]) -> Wanted[NhanhProductRecord]:
    """What product/inventory was asked for. Its times see changes of the stock; parents, without stock, are not listed.

    Raises:
        InvalidFieldsError: a filter is unknown or has the wrong type.
    """
    tests = _hiding_stopped(filters, _tests(filters, _INVENTORY_FILTERS))
    return _all([lambda product: product.parent_id != PARENT, *tests])


def customer_filter(filters: Mapping[str, Any]) -> Wanted[NhanhCustomerRecord] | None:
    """What customer/list was asked for; None for everybody.

    Raises:
        InvalidFieldsError: a filter is unknown or has the wrong type.
    """
    tests = _tests(filters, _CUSTOMER_FILTERS)
    return _all(tests) if tests else None


def id_list(filters: Mapping[str, Any], name: str) -> frozenset[int]:
    """The ids in one filter; empty where it is not given.

    Raises:
        InvalidFieldsError: not a list of whole numbers.
    """
    value = filters.get(name)
    return _whole_numbers(name, value) if value else frozenset()


def whole(field: str, value: Any) -> int:
    """A whole number, as such or as text.

    Raises:
        InvalidFieldsError: it is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    raise InvalidFieldsError(field, "must be integer")


def _tests(filters: Mapping[str, Any], known: Mapping[str, Maker[Row]]) -> list[Wanted[Row]]:
    """A test for each filter that says something: null, "" and [] are as good as absent."""
    tests = []
    for name, value in filters.items():
        if name not in known:
            raise InvalidFieldsError(f"filters.{name}", "is not supported")
        if value not in (None, "", []):
            tests.append(known[name](name, value))
    return tests


def _all(tests: list[Wanted[Row]]) -> Wanted[Row]:
    return lambda row: all(test(row) for test in tests)


def _hiding_stopped(
    filters: Mapping[str, Any], tests: list[Wanted[NhanhProductRecord]]
) -> list[Wanted[NhanhProductRecord]]:
    if filters.get("status") or filters.get("ids"):
        return tests
    return [lambda product: product.status in _SHOWN_BY_DEFAULT, *tests]


def _equal(get: Callable[[Row], int]) -> Maker[Row]:
    def make(name: str, value: Any) -> Wanted[Row]:
        wanted = whole(f"filters.{name}", value)
        return lambda row: get(row) == wanted

    return make


def _any_of(get: Callable[[Row], int]) -> Maker[Row]:
    def make(name: str, value: Any) -> Wanted[Row]:
        wanted = _whole_numbers(name, value)
        return lambda row: get(row) in wanted

    return make


def _ids(get: Callable[[Row], int]) -> Maker[Row]:
    def make(name: str, value: Any) -> Wanted[Row]:
        wanted = _whole_numbers(name, value)
        if len(value) > MAX_IDS:
            raise InvalidFieldsError(f"filters.{name}", f"must have at most {MAX_IDS} items")
        return lambda row: get(row) in wanted

    return make


def _at_least(get: Callable[[Row], int]) -> Maker[Row]:
    def make(name: str, value: Any) -> Wanted[Row]:
        lowest = whole(f"filters.{name}", value)
        return lambda row: get(row) >= lowest

    return make


def _at_most(get: Callable[[Row], int]) -> Maker[Row]:
    def make(name: str, value: Any) -> Wanted[Row]:
        highest = whole(f"filters.{name}", value)
        return lambda row: get(row) <= highest

    return make


def _product_name(name: str, value: Any) -> Wanted[NhanhProductRecord]:
    wanted = _text(name, value).casefold()
    return lambda product: (
        wanted in product.name.casefold() or wanted in (product.code.strip().casefold(), product.barcode)
    )


def _family(name: str, value: Any) -> Wanted[NhanhProductRecord]:
    match whole(f"filters.{name}", value):  # Nhanh documentation, product/list, `gpid`
        case -1:
            return lambda product: product.parent_id == STANDALONE
        case -2:
            return lambda product: product.parent_id == PARENT
        case 1:
            return lambda product: product.parent_id > 0
        case 2:
            return lambda product: product.parent_id in (PARENT, STANDALONE)
        case 3:
            return lambda product: product.parent_id > 0 or product.parent_id == STANDALONE
        case _:
            raise InvalidFieldsError(f"filters.{name}", "must be one of -2, -1, 1, 2, 3")


def _price(name: str, value: Any) -> Wanted[NhanhProductRecord]:
    if not isinstance(value, dict) or not value.keys() <= {"from", "to"}:
        raise InvalidFieldsError(f"filters.{name}", 'must be {"from", "to"}')
    try:
        lowest, highest = Decimal(str(value.get("from", 0))), Decimal(str(value.get("to", "Infinity")))
    except InvalidOperation as error:
        raise InvalidFieldsError(f"filters.{name}", "must hold numbers") from error
    if lowest.is_nan() or highest.is_nan():
        raise InvalidFieldsError(f"filters.{name}", "must hold numbers")
    return lambda product: lowest <= product.price <= highest


def _no_imei(name: str, value: Any) -> Wanted[NhanhProductRecord]:
    """The sandbox sells nothing that has an IMEI."""
    _text(name, value)
    return lambda _: False


def _depots(name: str, value: Any) -> Wanted[NhanhProductRecord]:
    """`depotIds` chooses what is summed, not which products are listed."""
    _whole_numbers(name, value)
    return lambda _: True


def _mobile(name: str, value: Any) -> Wanted[NhanhCustomerRecord]:
    wanted = _digits(_text(name, value))
    return lambda customer: _digits(customer.mobile) == wanted


def _bought_from(name: str, value: Any) -> Wanted[NhanhCustomerRecord]:
    first = _date(name, value)
    return lambda customer: customer.last_bought_date >= first


def _bought_to(name: str, value: Any) -> Wanted[NhanhCustomerRecord]:
    last = _date(name, value)
    return lambda customer: "" < customer.last_bought_date <= last


def _whole_numbers(name: str, value: Any) -> frozenset[int]:
    if not isinstance(value, list):
        raise InvalidFieldsError(f"filters.{name}", "must be array")
    return frozenset(whole(f"filters.{name}", item) for item in value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise InvalidFieldsError(f"filters.{name}", "must be string")


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _date(name: str, value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError) as error:
        raise InvalidFieldsError(f"filters.{name}", "must be yyyy-mm-dd") from error


def _stock_changed_at(product: NhanhProductRecord) -> int:
    return max(product.updated_at, product.stock_updated_at)


_PRODUCT_FILTERS: dict[str, Maker[NhanhProductRecord]] = {
    "ids": _ids(lambda product: product.id),
    "name": _product_name,
    "parentId": _equal(lambda product: product.parent_id),
    "gpid": _family,
    "categoryIds": _any_of(lambda product: product.category_id),
    "status": _any_of(lambda product: product.status),
    "price": _price,
    "brandIds": _any_of(lambda product: product.brand_id),
    "imei": _no_imei,
    "updatedAtFrom": _at_least(lambda product: product.updated_at),
    "updatedAtTo": _at_most(lambda product: product.updated_at),
}
_INVENTORY_FILTERS: dict[str, Maker[NhanhProductRecord]] = {
    "ids": _ids(lambda product: product.id),
    "name": _product_name,
    "depotIds": _depots,
    "categoryId": _equal(lambda product: product.category_id),
    "status": _any_of(lambda product: product.status),
    "brandIds": _any_of(lambda product: product.brand_id),
    "updatedAtFrom": _at_least(_stock_changed_at),
    "updatedAtTo": _at_most(_stock_changed_at),
}
_CUSTOMER_FILTERS: dict[str, Maker[NhanhCustomerRecord]] = {
    "ids": _ids(lambda customer: customer.id),
    "mobile": _mobile,
    "type": _equal(lambda customer: customer.type),
    "lastBoughtDateFrom": _bought_from,
    "lastBoughtDateTo": _bought_to,
    "updatedAtFrom": _at_least(lambda customer: customer.updated_at),
    "updatedAtTo": _at_most(lambda customer: customer.updated_at),
}
