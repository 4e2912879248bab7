"""Rows in the order of their ids, made when they are first needed, with each row's JSON kept until the row changes."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from itertools import islice
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Table(MutableMapping[int, Row], Generic[Row]):
    """A mapping from id to row that can be read page by page. Rows are immutable: a change is a new row for the id.

    Args:
        ids: the ids that exist, ascending.
        make: the row of an id that nobody has set; the same at every call.
    """

    def __init__(self, ids: Iterable[int], make: Callable[[int], Row]) -> None:
        self._ids = array("q", ids)
        self._make = make
        self._rows: dict[int, Row] = {}
        self._rendered: dict[int, bytes] = {}

    def __getitem__(self, row_id: int) -> Row:
        row = self._rows.get(row_id)
        if row is not None:
            return row
        if row_id not in self:
            raise KeyError(row_id)
        return self._make(row_id)

    def __setitem__(self, row_id: int, row: Row) -> None:
        if row_id not in self:
            self._ids.insert(bisect_left(self._ids, row_id), row_id)
        self._rows[row_id] = row
        self._rendered.pop(row_id, None)

    def __delitem__(self, row_id: int) -> None:
        if row_id not in self:
            raise KeyError(row_id)
        del self._ids[bisect_left(self._ids, row_id)]
        self._rows.pop(row_id, None)
        self._rendered.pop(row_id, None)

    def __contains__(self, row_id: object) -> bool:
        if not isinstance(row_id, int):
            return False
        position = bisect_left(self._ids, row_id)
        return position < len(self._ids) and self._ids[position] == row_id

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def page(
        self,
        after: int | None,
        size: int,
        *,
        descending: bool = False,
        among: Collection[int] = (),
        wanted: Callable[[Row], bool] | None = None,
    ) -> tuple[list[int], bool]:
        """The next `size` ids that are wanted, and whether there are more.

        Args:
            after: the last id of the page before; None for the first page. It need not exist any more.
            size: how many ids at most.
            descending: from the highest id down.
            among: only these ids; empty for all.
            wanted: a filter; None takes every row.
        """
        if among:
            candidates = sorted((row_id for row_id in among if row_id in self), reverse=descending)
            if after is not None:
                candidates = [row_id for row_id in candidates if (row_id < after) == descending and row_id != after]
        else:
            count = size + 1 if wanted is None else len(self._ids)
            candidates = self._slice(after, count, descending).tolist()
        if wanted is not None:
            candidates = list(islice((row_id for row_id in candidates if wanted(self._held(row_id))), size + 1))
        return candidates[:size], len(candidates) > size

    def id_at(self, position: int) -> int:
        """The id at a position from 0 to `len(self)` - 1."""
        return self._ids[position]

    def rendered(self, row_ids: Iterable[int], render: Callable[[Row], bytes]) -> list[bytes]:
        """The JSON of each row, rendered only where it is not known yet."""
        known = self._rendered
        for row_id in row_ids:
            if row_id not in known:
                known[row_id] = render(self[row_id])
        return [known[row_id] for row_id in row_ids]

    def forget_rendered(self) -> None:
        """Render everything again, because the form of rows has changed."""
        self._rendered.clear()

    def _held(self, row_id: int) -> Row:
        """The row, kept from now on: filters look at each row again and again."""
        row = self._rows.get(row_id)
        if row is None:
            row = self._rows[row_id] = self._make(row_id)
        return row

    def _slice(self, after: int | None, count: int, descending: bool) -> "array[int]":
        if descending:
            end = len(self._ids) if after is None else bisect_left(self._ids, after)
            return self._ids[max(end - count, 0) : end][::-1]
        start = 0 if after is None else bisect_right(self._ids, after)
        return self._ids[start : start + count]
