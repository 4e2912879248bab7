"""Answers that hold data and errors at once: which of their rows can be relied on.

GraphQL specification, "Errors": an error in a field leaves null there, or in the nearest field around it that may be
null, and its path leads to the field. Such a null must never be taken for a value: it deletes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.i18n import gettext as _
from daemon.sources import failures
from daemon.sources.shopify import errors

FEW = 3  # rows; where more than these and more than half of a page fail, the page has failed
DENIED = "_denied"  # a key that we add to a row: the paths in it that the app may not read, with dots between names


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in an answer for a row that Shopify could not give whole."""

    said: str  # by Shopify
    node: Any  # the part that came
    gid: str | None = None

    @property
    def reason(self) -> str:
        """For the dead letter."""
        return _("Shopify could not give the row: {said}.").format(said=self.said)

    @property
    def row(self) -> dict[str, Any]:
        """The part that came, with its id where that is known."""
        known = self.node if isinstance(self.node, dict) else {}
        return known if "id" in known or self.gid is None else known | {"id": self.gid}


_Broken = dict[tuple[int, int], tuple[list[Any], list[Any]]]  # by list and index: the list, and the errors of the row


@dataclass(frozen=True, slots=True)
class Partial:
    """Says whether the failed rows of a partly good answer may be readable when they are asked for again."""

    may_pass: bool


def mark_rows(payload: Any, secrets: Iterable[str]) -> Partial | None:
    """Put `Unreadable` into the data of an answer for each row that an error is about.

    A row that lacks only fields with protected customer data, which the app may not read, stays and names them under
    `DENIED`. None: the answer is unusable, and was left as it is.
    """
    data, found = payload.get("data"), payload.get("errors")
    if not isinstance(data, dict) or not isinstance(found, list):
        return None
    broken: _Broken = {}
    denied: dict[tuple[int, int], tuple[list[Any], set[str]]] = {}
    for error in found:
        place = _row_of(data, error)
        if place is None or not _is_of_a_row(error):
            return None
        rows, index, inside = place
        key = id(rows), index
        if errors.is_protected(error):
            if not isinstance(rows[index], dict):  # the field can't be null: it must not be asked for at all
                return None
            denied.setdefault(key, (rows, set()))[1].add(".".join(inside))
        else:
            broken.setdefault(key, (rows, []))[1].append(error)
    if _are_too_many(broken):
        return None
    for (_name, index), (rows, names) in denied.items():
        rows[index][DENIED] = sorted(names)
    for (_name, index), (rows, about) in broken.items():
        rows[index] = Unreadable(errors.said_of(about, secrets), rows[index])
    return Partial(any(errors.may_pass(error) for _, about in broken.values() for error in about))


def _row_of(data: dict[str, Any], error: Any) -> tuple[list[Any], int, list[str]] | None:
    """The list and the index of the row that an error is about, and the path from there; None: not about a row."""
    path: Sequence[Any] = (error.get("path") or ()) if isinstance(error, dict) else ()
    found: Any = data
    for depth, step in enumerate(path):
        if isinstance(found, list) and isinstance(step, int) and 0 <= step < len(found):
            return found, step, [str(each) for each in path[depth + 1 :]]
        found = found.get(step) if isinstance(found, dict) else None
    return None


def _is_of_a_row(error: Any) -> bool:
    """Whether something other than the app, the shop or the call is refused."""
    code = errors.code_of(error)
    if code == failures.ACCESS_DENIED:
        return errors.is_protected(error)
    return code not in (failures.THROTTLED, failures.MAX_COST_EXCEEDED, failures.SHOP_INACTIVE)


def _are_too_many(broken: _Broken) -> bool:
    counts: dict[int, int] = defaultdict(int)
    sizes: dict[int, int] = {}
    for (name, _index), (rows, about) in broken.items():
        if any(map(errors.may_pass, about)):
            counts[name] += 1
            sizes[name] = len(rows)
    return any(count > max(FEW, sizes[name] / 2) for name, count in counts.items())
