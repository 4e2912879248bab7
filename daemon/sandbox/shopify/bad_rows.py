"""Rows that the API should never have sent, in the lists of an answer."""

from typing import Any

from daemon.sandbox.faults import Faults, spoil

_NUMBERS = ("totalInventory", "numberOfOrders", "createdAt", "updatedAt")
_TEXTS = ("title", "displayName")


def spoil_rows(data: dict[str, Any] | None, faults: Faults) -> dict[str, Any] | None:
    """`data` with some of the rows of its lists spoilt, as `faults` demand."""
    if not data or not faults.bad_rows:
        return data
    return {key: _spoil_list(key, value, faults) for key, value in data.items()}


def spoil_bulk_rows(data: dict[str, Any] | None, key: str, faults: Faults) -> dict[str, Any]:
    """The connection `key` of what a bulk query found, with the same of its rows spoilt as in lists."""
    connection: dict[str, Any] = (data or {}).get(key) or {}
    if not faults.bad_rows:
        return connection
    return connection | {"edges": [{"node": _spoil_row(key, edge["node"], faults)} for edge in connection["edges"]]}


def _spoil_list(key: str, value: Any, faults: Faults) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("nodes"), list):
        return value
    return value | {"nodes": [_spoil_row(key, row, faults) for row in value["nodes"]]}


def _spoil_row(key: str, row: dict[str, Any], faults: Faults) -> dict[str, Any] | None:
    bad = faults.bad_row(key, row["id"]) if "id" in row else None
    text = next((field for field in _TEXTS if field in row), None)
    if bad is None or text is None:
        return row
    present = tuple(field for field in _NUMBERS if field in row)
    return spoil(row, bad, id_field="id", text_field=text, number_fields=present)
