"""The lines that a bulk operation makes of the rows it finds, and what can be wrong with single ones.

A row of a connection is a line. A child names the row around it by `__parentId`, also where objects that are no rows
lie between the two, as the inventory item does between a variant and its levels.
"""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import orjson

from daemon.sandbox.shopify.bulk_file import BulkFile


class RowTrouble(StrEnum):
    """What can happen to one row of an operation, which is completed all the same."""

    LOST_ROOT = "lost_root"  # it is counted, and not in the file
    LOST_CHILD = "lost_child"
    SPOILT_ROOT = "spoilt_root"  # its line is no JSON
    SPOILT_CHILD = "spoilt_child"
    OVERLOOKED_CHILD = "overlooked_child"  # neither counted nor in the file, and nor is what belongs to it

    @property
    def is_of_root(self) -> bool:
        """Whether it befalls a row without a parent."""
        return self in (RowTrouble.LOST_ROOT, RowTrouble.SPOILT_ROOT)


class BulkRows:
    """Writes rows into a file, and counts them.

    Args:
        file: where they go.
        trouble: what happens to the first row that it can happen to.
    """

    def __init__(self, file: BulkFile, trouble: RowTrouble | None) -> None:
        self.objects = 0
        self.roots = 0
        self._file = file
        self._trouble = trouble
        self._overlooked: set[str] = set()  # ids

    def add(self, row: Any) -> None:
        """Write a row and all that belongs to it."""
        for number, line in enumerate(_lines(row, None)):
            self._add(line, is_root=number == 0)

    def _add(self, line: Any, *, is_root: bool) -> None:
        trouble = self._trouble if self._trouble is not None and self._trouble.is_of_root is is_root else None
        if trouble is not None:
            self._trouble = None
        if trouble is RowTrouble.OVERLOOKED_CHILD or (not is_root and line.get("__parentId") in self._overlooked):
            if "id" in line:  # which others may name as the row around them
                self._overlooked.add(line["id"])
            return
        self.objects += 1
        self.roots += is_root
        if trouble not in (RowTrouble.LOST_ROOT, RowTrouble.LOST_CHILD):
            text = _written(line)
            self._file.add(text if trouble is None else text[: len(text) // 2])


def _lines(row: Any, parent: str | None) -> Iterator[Any]:
    """A row without its connections, and then what is in them."""
    if not isinstance(row, dict):  # a bad row may be a null
        yield row
        return
    children: list[Any] = []
    line = _without_connections(row, children)
    yield line if parent is None else line | {"__parentId": parent}
    for child in children:
        yield from _lines(child, row.get("id"))


def _without_connections(value: dict[str, Any], children: list[Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and isinstance(inner.get("edges"), list):
            children += [edge["node"] for edge in inner["edges"]]
        else:
            kept[name] = _without_connections(inner, children) if isinstance(inner, dict) else inner
    return kept


def _written(line: Any) -> bytes:
    try:
        return orjson.dumps(line)
    except TypeError:  # a bad row may hold a number beyond 64 bits, which orjson refuses
        return json.dumps(line, ensure_ascii=False).encode()
