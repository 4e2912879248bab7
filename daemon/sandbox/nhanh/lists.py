"""Nhanh's lists, page by page: what was asked for, which rows answer it, and the quirks of its paging."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from daemon.sandbox.catalogue import CatalogueDepot, Draws
from daemon.sandbox.faults import spoil
from daemon.sandbox.nhanh import filters
from daemon.sandbox.nhanh.access import ApiError, ErrorCode
from daemon.sandbox.nhanh.cursor import InvalidCursorError, Position
from daemon.sandbox.nhanh.filters import InvalidFieldsError
from daemon.sandbox.nhanh.records import PARENT, NhanhCustomerRecord, NhanhProductRecord
from daemon.sandbox.nhanh.sandbox import NhanhSandbox
from daemon.sandbox.nhanh.table import Table

Row = TypeVar("Row")

MAX_PAGE_SIZE = 100
MAX_COMBOS = 50
DEFAULT_PAGE_SIZE = 50  # ours: the documentation names only the maximum


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list request that has been understood."""

    filters: Mapping[str, Any]
    size: int
    descending: bool
    position: Position
    query: bytes  # resource, filters and sort, to which a cursor is bound


@dataclass(frozen=True, slots=True)
class _Bad:
    """Which fields a bad row of a list is spoilt in."""

    kind: str
    id_field: str
    number_fields: tuple[str, ...]


# Nhanh documentation, "Successful response": a warning is a string, an object or an array. By page number modulo 60.
_WARNINGS = {
    30: b',"warning":"sandbox: an example of a warning"',
    40: b',"warning":{"sandbox":"an example of a warning"}',
    50: b',"warning":["sandbox: an example","of two warnings"]',
}

_BAD_PRODUCT = _Bad("products", "id", ("status", "createdAt", "updatedAt"))
_BAD_INVENTORY = _Bad("inventory", "productId", ("prices", "inventory"))
_BAD_CUSTOMER = _Bad("customers", "id", ("points", "totalAmount", "updatedAt"))


def products(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """product/list."""
    asked = _understand(sandbox, body, "product/list", sort_by="id")
    wanted = filters.product_filter(asked.filters)
    row_ids, following = _page(sandbox, sandbox.products, asked, wanted)
    texts = sandbox.products.rendered(row_ids, sandbox.product_json)
    rows = _spoilt(sandbox, row_ids, texts, _BAD_PRODUCT)
    return _envelope(sandbox, asked, rows, following)


def inventory(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """product/inventory."""
    asked = _understand(sandbox, body, "product/inventory", sort_by="productId")
    wanted = filters.inventory_filter(asked.filters)
    only_depots = filters.id_list(asked.filters, "depotIds")
    _check_depots(sandbox, only_depots)
    row_ids, following = _page(sandbox, sandbox.products, asked, wanted)
    texts = [orjson.dumps(sandbox.spelling.inventory(sandbox.products[id_], only_depots)) for id_ in row_ids]
    rows = _spoilt(sandbox, row_ids, texts, _BAD_INVENTORY)
    return _envelope(sandbox, asked, rows, following)


def combos(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """product/combo: at most 50 combos a page, by their ids."""
    asked = filters.id_list(_object(body, "filters"), "productParentIds")
    if len(asked) > MAX_COMBOS:
        raise InvalidFieldsError("filters.productParentIds", f"must hold at most {MAX_COMBOS}")
    found = [sandbox.products[number] for number in sorted(asked) if number in sandbox.products]
    rows = [sandbox.spelling.combo(product) for product in found if product.combo]
    return orjson.dumps({"code": 1, "paginator": {"next": None}, "data": rows})


def customers(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """customer/list."""
    asked = _understand(sandbox, body, "customer/list", sort_by="id")
    wanted: Callable[[NhanhCustomerRecord], bool] | None = filters.customer_filter(asked.filters)
    row_ids, following = _page(sandbox, sandbox.customers, asked, wanted)
    texts = sandbox.customers.rendered(row_ids, sandbox.customer_json)
    rows = _spoilt(sandbox, row_ids, texts, _BAD_CUSTOMER)
    return _envelope(sandbox, asked, rows, following)


def product_detail(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """product/detail."""
    product_id = filters.whole("filters.id", _object(body, "filters").get("id"))
    product = sandbox.products.get(product_id)
    if product is None:
        raise InvalidFieldsError("filters.id", "does not exist")
    children: list[NhanhProductRecord] = []
    if product.parent_id == PARENT:
        children = [child for child in sandbox.products.values() if child.parent_id == product.id]
    return orjson.dumps({"code": 1, "data": sandbox.spelling.detail(product, children)})


def depots(sandbox: NhanhSandbox, body: Mapping[str, Any]) -> bytes:
    """business/depot: all on one page."""
    asked = filters.id_list(_object(body, "filters"), "ids")
    _check_depots(sandbox, asked)
    visible = asked or sandbox.depot_ids
    rows = [_depot(depot) for depot in sandbox.depots if not visible or depot.id in visible]
    return orjson.dumps({"code": 1, "paginator": {"next": None}, "data": rows})


def _depot(depot: CatalogueDepot) -> dict[str, Any]:
    city = {"cityId": 254, "cityName": depot.name.removeprefix("Kho "), "wardId": 0, "wardName": "", "address": ""}
    return {
        "id": depot.id,
        "code": depot.code,
        "name": depot.name,
        "mobile": "",
        "location": city | {"districtId": 0, "districtName": ""},
        "locationV2": city,
    }


def _check_depots(sandbox: NhanhSandbox, depot_ids: frozenset[int]) -> None:
    allowed = sandbox.depot_ids or {depot.id for depot in sandbox.depots}
    if not depot_ids <= allowed:
        raise ApiError(ErrorCode.INVALID_DEPOT_ID, "Invalid depotId")


def _understand(sandbox: NhanhSandbox, body: Mapping[str, Any], path: str, *, sort_by: str) -> _Asked:
    paginator = _object(body, "paginator")
    unknown = paginator.keys() - {"size", "sort", "next"}
    if unknown:
        raise InvalidFieldsError(f"paginator.{min(unknown)}", "is not supported")
    size = filters.whole("paginator.size", paginator.get("size", DEFAULT_PAGE_SIZE))
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise InvalidFieldsError("paginator.size", f"must be from 1 to {MAX_PAGE_SIZE}")
    descending = _descending(paginator.get("sort"), sort_by)
    asked_filters = _object(body, "filters")
    query = orjson.dumps([path, asked_filters, descending], option=orjson.OPT_SORT_KEYS)
    return _Asked(asked_filters, size, descending, _position(sandbox, paginator.get("next"), query), query)


def _descending(sort: Any, sort_by: str) -> bool:
    """Nhanh documentation, product/inventory: newest first unless told otherwise."""
    if sort in (None, "", [], {}):
        return True
    if not isinstance(sort, dict) or sort.keys() != {sort_by} or sort[sort_by] not in ("asc", "desc"):
        raise InvalidFieldsError("paginator.sort", f'must be {{"{sort_by}": "asc"}} or {{"{sort_by}": "desc"}}')
    return bool(sort[sort_by] == "desc")


def _position(sandbox: NhanhSandbox, sent: Any, query: bytes) -> Position:
    if sent is None or sent == "":
        return Position(last_id=None, page=0)
    try:
        return sandbox.cursors.decode(sent, query)
    except InvalidCursorError as error:
        raise ApiError(ErrorCode.INVALID_DATA, "Invalid paginator.next") from error


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the body that PHP may have sent as an empty array."""
    value = body.get(name)
    if value in (None, "", []):
        return {}
    if not isinstance(value, dict):
        raise InvalidFieldsError(name, "must be object")
    return value


def _page(
    sandbox: NhanhSandbox, table: Table[Row], asked: _Asked, wanted: Callable[[Row], bool] | None
) -> tuple[list[int], Position | None]:
    """The ids of a page, and where the next one begins, if there is one.

    With quirks a page may be short or empty although more follows, as when the source hides or has just deleted rows,
    and a last page may promise another that turns out empty.
    """
    last_id, page = asked.position.last_id, asked.position.page
    size, promises = asked.size, False
    if sandbox.quirks:
        draws = Draws(sandbox.seed, f"page/{last_id}", page)
        promises = draws.permille(300)
        if page % 3 != 2 and draws.permille(60):  # so that at most two empty pages follow each other
            size = 0
        elif draws.permille(150):
            size = draws.between(1, size)
    among = filters.id_list(asked.filters, "ids")
    row_ids, more = table.page(last_id, size, descending=asked.descending, among=among, wanted=wanted)
    if not more and not (promises and row_ids):
        return row_ids, None
    return row_ids, Position(row_ids[-1] if row_ids else last_id, page + 1)


def _spoilt(sandbox: NhanhSandbox, row_ids: list[int], rows: list[bytes], bad: _Bad) -> list[bytes]:
    """The rows, with the ones that should be bad replaced."""
    if not sandbox.faults.bad_rows:
        return rows
    spoilt = []
    for row_id, row in zip(row_ids, rows, strict=True):
        what = sandbox.faults.bad_row(bad.kind, row_id)
        if what is not None:
            worse = spoil(
                orjson.loads(row), what, id_field=bad.id_field, text_field="name", number_fields=bad.number_fields
            )
            row = json.dumps(worse, ensure_ascii=False).encode()  # orjson refuses numbers beyond 64 bits
        spoilt.append(row)
    return spoilt


def _envelope(sandbox: NhanhSandbox, asked: _Asked, rows: list[bytes], following: Position | None) -> bytes:
    paginator: bytes
    if following is not None:
        paginator = b',"paginator":' + orjson.dumps({"next": sandbox.cursors.encode(following, asked.query)})
    else:
        ends = (b',"paginator":{"next":null}', b',"paginator":{}', b"")
        paginator = ends[asked.position.page % 3 if sandbox.quirks else 0]
    warning = _WARNINGS.get(asked.position.page % 60, b"") if sandbox.quirks else b""
    return b'{"code":1' + warning + paginator + b',"data":[' + b",".join(rows) + b"]}"
