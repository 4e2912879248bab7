"""What Shopify's answers can suffer from, on demand: oversized pages, unreadable rows, fields that are kept back.

`shop.troubles.largest_page = 20` fails every larger page. `shop.troubles.next_answer(edit, operation="Products")`
changes the next answer to that operation as `edit` says, whatever it is.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from daemon.sandbox.faults import OneIn

Answer = dict[str, Any]
Edit = Callable[[Answer], Answer]
Path = tuple[str | int, ...]

INTERNAL_ERROR = "Internal error. Looks like something went wrong on our end.\nRequest ID: 4711-sandbox"
CAN_NOT_BE_NULL = frozenset({"displayName"})  # of a customer: where it is kept back, the whole answer is


@dataclass(slots=True)
class _Scripted:
    edit: Edit
    operation: str
    times: int


@dataclass(slots=True, eq=False)
class _Lasting:
    edit: Edit
    operation: str
    turn: OneIn


@dataclass
class Troubles:
    """What is wrong with the answers; nothing to begin with. Ids are global ones.

    Args:
        largest_page: rows of a page, or ids in a question, over which Shopify fails when there are more.
        broken: {id: field}: the field is null, with an error, wherever the record comes.
        poisonous: records over which a whole answer fails, unless it is their id only that is asked for.
        protected: fields of customers that the app may not read, such as `defaultPhoneNumber`, `defaultAddress.phone`.
        refused_cursors: how many more questions that continue after a cursor are refused.
        served_version: the API version that answers say they are of; None: the one that was asked for.
        deprecated_reason: what answers say of deprecated calls; None: nothing.
    """

    largest_page: int | None = None
    broken: dict[str, str] = field(default_factory=dict)
    poisonous: set[str] = field(default_factory=set)
    protected: set[str] = field(default_factory=set)
    refused_cursors: int = 0
    served_version: str | None = None
    deprecated_reason: str | None = None
    _script: list[_Scripted] = field(default_factory=list, repr=False)
    _lasting: list[_Lasting] = field(default_factory=list, repr=False)

    def next_answer(self, edit: Edit, *, operation: str = "", times: int = 1) -> None:
        """Let `edit` make something else of the next `times` answers; of this operation only, if one is named."""
        self._script.append(_Scripted(edit, operation, times))

    @contextmanager
    def editing(self, edit: Edit, *, operation: str = "", every: int = 1) -> Iterator[None]:
        """Meanwhile, let `edit` make something else of one answer in `every`, of this operation if one is named."""
        lasting = _Lasting(edit, operation, OneIn(every))
        self._lasting.append(lasting)
        try:
            yield
        finally:
            self._lasting.remove(lasting)

    def headers(self, version: str) -> Mapping[str, str]:
        """What every answer says of the API's version."""
        headers = {"X-Shopify-API-Version": self.served_version or version}
        if self.deprecated_reason is not None:
            headers["X-Shopify-API-Deprecated-Reason"] = self.deprecated_reason
        return headers

    def apply(self, operation: str | None, variables: Mapping[str, Any], answer: Answer) -> Answer:
        """The answer as the shop's troubles leave it."""
        for scripted in self._script:
            if scripted.operation in ("", operation):
                scripted.times -= 1
                if not scripted.times:
                    self._script.remove(scripted)
                return scripted.edit(answer)
        for lasting in self._lasting:
            if lasting.operation in ("", operation) and lasting.turn.strikes():
                return lasting.edit(answer)
        if self.largest_page is not None and _rows(variables) > self.largest_page:
            return _failed(answer, INTERNAL_ERROR, "INTERNAL_SERVER_ERROR")
        if self.refused_cursors and variables.get("after") is not None:
            self.refused_cursors -= 1
            return _failed(answer, "Invalid cursor for current pagination sort.", "BAD_REQUEST")
        records = list(_records(answer.get("data"), ()))
        if any(record["id"] in self.poisonous and len(record) > 1 for _, record in records):
            return _failed(answer, INTERNAL_ERROR, "INTERNAL_SERVER_ERROR")
        errors = [error for path, record in records for error in self._spoil(path, record)]
        if not errors:
            return answer
        if any(error["path"][-1] in CAN_NOT_BE_NULL for error in errors):
            answer = answer | {"data": None}
        return answer | {"errors": [*answer.get("errors", ()), *errors]}

    def of_bulk(self, found: Any) -> str | None:
        """The code of the error by which a bulk operation over what it found fails; None: it does not."""
        if not (self.broken or self.poisonous or self.protected):
            return None
        records = list(_records(found, ()))
        if any(record["id"] in self.poisonous for _, record in records):
            return "INTERNAL_SERVER_ERROR"
        codes = [error["extensions"]["code"] for path, record in records for error in self._spoil(path, record)]
        return str(codes[0]) if codes else None

    def _spoil(self, path: Path, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Make null what can't be had of a record, with an error for each."""
        broken = self.broken.get(record["id"])
        if broken in record:
            record[broken] = None
            yield _error(INTERNAL_ERROR, "INTERNAL_SERVER_ERROR", (*path, broken))
        if not str(record["id"]).startswith("gid://shopify/Customer/"):
            return
        for name in sorted(self.protected):
            *around, last = name.split(".")
            holder: Any = record
            for step in around:
                holder = holder.get(step) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and last in holder:
                holder[last] = None
                message = f"This app is not approved to use the {last} field. See https://shopify.dev/docs/apps"
                yield _error(message, "ACCESS_DENIED", (*path, *around, last))


def _rows(variables: Mapping[str, Any]) -> int:
    ids = variables.get("ids")
    return len(ids) if isinstance(ids, list) else int(variables.get("first") or 0)


def _records(found: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Everything in an answer that has an id, with the path to it."""
    if isinstance(found, dict):
        if "id" in found:
            yield path, found
        for name, value in list(found.items()):
            yield from _records(value, (*path, name))
    elif isinstance(found, list):
        for index, value in enumerate(found):
            yield from _records(value, (*path, index))


def _failed(answer: Answer, message: str, code: str) -> Answer:
    return answer | {"data": None, "errors": [{"message": message, "extensions": {"code": code}}]}


def _error(message: str, code: str, path: Path) -> dict[str, Any]:
    return {"message": message, "path": list(path), "extensions": {"code": code}}
