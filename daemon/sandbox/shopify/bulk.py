"""Bulk operations: a query is run as a whole, and what it found lies in a file of JSON Lines at an address.

Sources: shopify.dev, "Perform bulk operations with the GraphQL Admin API", and Shopify's schema. A row of a connection
is a line. A child names the row around it by `__parentId`, also where objects that are no rows lie between the two, as
the inventory item does between a variant and its levels. Unless they are grouped, lines come in no order: they are
shuffled here.

`shop.bulk.next(BulkTrouble.HANGS)` lets the next operation hang. The download suffers from the `Faults` of every
request, by its path: `faults.next("cut_off", path="result.jsonl")`.
"""

import itertools
import json
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from graphql import ExecutionResult, GraphQLSchema, parse

from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import bulk_rules
from daemon.sandbox.shopify.bad_rows import spoil_bulk_rows
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.troubles import Troubles
from daemon.sandbox.shopify.values import user_error

AT_ONCE = 5  # Shopify: "up to five bulk query operations at a time per shop"
KEPT = 20  # operations, with their files
FILE = "result.jsonl"
PATH = f"/bulk/{{number}}/{{signature}}/{FILE}"

ENDED = frozenset({"CANCELED", "COMPLETED", "EXPIRED", "FAILED"})

Execute = Callable[[str], ExecutionResult]


class BulkTrouble(StrEnum):
    """What can happen to an operation, besides being completed."""

    FAILS = "fails"  # INTERNAL_SERVER_ERROR, with nothing to show for it
    FAILS_IN_PART = "fails_in_part"  # TIMEOUT, with half of the lines at `partialDataUrl`
    IS_DENIED = "is_denied"  # ACCESS_DENIED
    IS_CANCELED = "is_canceled"  # by somebody else
    EXPIRES = "expires"  # before anybody has looked
    HANGS = "hangs"  # it runs and runs, until it is cancelled
    IS_FORGOTTEN = "is_forgotten"  # the operation no longer exists
    LOSES_ROWS = "loses_rows"  # it is completed, and one of the rows that it counted is not in its file
    FINDS_NOTHING = "finds_nothing"  # of what was searched for
    LIMIT_REACHED = "limit_reached"  # it is not even begun
    OPERATION_IN_PROGRESS = "operation_in_progress"  # the same, in the words of older versions


_REFUSALS: Mapping[BulkTrouble, str] = {
    BulkTrouble.LIMIT_REACHED: "Bulk operations limit reached. Please try again later.",
    BulkTrouble.OPERATION_IN_PROGRESS: "A bulk query operation for this app and shop is already in progress.",
}


@dataclass(slots=True)
class BulkOperation:
    """One operation. What it finds is known from the start, and told when its time is over."""

    id: int
    query: str
    created_at: datetime
    ends_at: float  # by the clock that restores points
    lines: list[bytes]
    roots: int
    error_code: str | None
    trouble: BulkTrouble | None
    signature: str
    started: float
    status: str = "CREATED"
    completed_at: datetime | None = None

    @property
    def file(self) -> bytes:
        """What lies at its address."""
        lines = self.lines
        if self.error_code is not None:
            lines = lines[: len(lines) // 2]
        elif self.trouble is BulkTrouble.LOSES_ROWS:
            lines = lines[:-1]
        return b"".join(line + b"\n" for line in lines)


class BulkOperations:
    """The bulk operations of one app and shop.

    Args:
        seed: the same seed shuffles in the same way.
        clock: seconds, never going backwards.
        now: the time that operations are stamped with.
        faults: which rows are bad.
        troubles: which records can't be had.

    `seconds` is how long an operation takes, and may be changed at any time. `downloads` are the headers with which
    files were asked for.
    """

    def __init__(
        self, seed: int, clock: Callable[[], float], now: Callable[[], datetime], faults: Faults, troubles: Troubles
    ) -> None:
        self.seconds = 1.0
        self.downloads: list[Mapping[str, str]] = []
        self._seed = seed
        self._clock = clock
        self._now = now
        self._faults = faults
        self._troubles = troubles
        self._script: list[BulkTrouble] = []
        self._operations: OrderedDict[int, BulkOperation] = OrderedDict()
        self._numbers = itertools.count(7_000_000_000_001)

    def next(self, trouble: BulkTrouble | str, *, times: int = 1) -> None:
        """Let this happen to the next `times` operations."""
        self._script += [BulkTrouble(trouble)] * times

    @property
    def operations(self) -> list[BulkOperation]:
        """The recent ones, as they are at present, the oldest first."""
        for operation in self._operations.values():
            self._go_on(operation)
        return list(self._operations.values())

    def run(self, schema: GraphQLSchema, query: str, execute: Execute, *, grouped: bool) -> Payload:
        """Begin an operation; the payload of `bulkOperationRunQuery`. `execute` answers the query with all its rows."""
        said = bulk_rules.problems(schema, query)
        if said:
            return _refused([user_error(["query"], sentence, "INVALID") for sentence in said])
        trouble = self._script.pop(0) if self._script else None
        running = [each for each in self.operations if each.status not in ENDED]
        if len(running) >= AT_ONCE:
            trouble = BulkTrouble.LIMIT_REACHED
        if trouble is not None and trouble in _REFUSALS:
            return _refused([user_error(None, _REFUSALS[trouble], trouble.name)])
        operation = self._begun(query, execute(query), trouble, grouped=grouped)
        self._operations[operation.id] = operation
        if len(self._operations) > KEPT:
            self._operations.popitem(last=False)
        return {"bulkOperation": operation, "userErrors": []}

    def find(self, number: int) -> BulkOperation | None:
        """An operation as it is at present."""
        operation = self._operations.get(number)
        if operation is None or operation.trouble is BulkTrouble.IS_FORGOTTEN:
            return None
        self._go_on(operation)
        return operation

    def cancel(self, number: int) -> Payload:
        """Cancel an operation; the payload of `bulkOperationCancel`. It is cancelled when it is looked at next."""
        operation = self.find(number)
        if operation is None:
            return _refused([user_error(["id"], "Bulk operation does not exist")])
        if operation.status in ENDED:
            said = f"A bulk operation cannot be canceled when it is {operation.status.lower()}"
            return {"bulkOperation": operation, "userErrors": [user_error(None, said)]}
        operation.status = "CANCELING"
        return {"bulkOperation": replace(operation), "userErrors": []}

    async def answer(self, request: web.Request) -> web.Response:
        """The file of an operation, for whoever knows its address."""
        self.downloads.append(dict(request.headers))
        operation = self._operations.get(int(request.match_info["number"]))
        if operation is None or operation.signature != request.match_info["signature"]:
            return web.Response(status=HTTPStatus.FORBIDDEN, text="<Error><Code>ExpiredToken</Code></Error>")
        return web.Response(body=operation.file, content_type="application/jsonl")

    def _begun(
        self, query: str, result: ExecutionResult, trouble: BulkTrouble | None, *, grouped: bool
    ) -> BulkOperation:
        connection = spoil_bulk_rows(result.data, bulk_rules.connection_of(parse(query)), self._faults)
        codes = [(error.extensions or {}).get("code") for error in result.errors or ()]
        number = next(self._numbers)
        draw = random.Random(f"{self._seed}/bulk/{number}")
        rows = [] if trouble is BulkTrouble.FINDS_NOTHING or codes else connection.get("edges") or []
        lines = [_written(line) for edge in rows for line in _lines(edge["node"], None)]
        if not grouped:
            draw.shuffle(lines)
        return BulkOperation(
            id=number,
            query=query,
            created_at=self._now(),
            ends_at=self._clock() + self.seconds,
            lines=lines,
            roots=len(rows),
            error_code=_error_code(trouble, codes) or self._troubles.of_bulk(connection),
            trouble=trouble,
            signature=f"{draw.getrandbits(128):032x}",
            started=self._clock(),
        )

    def so_far(self, operation: BulkOperation, whole: int) -> int:
        """How much of the `whole` a running operation has got through."""
        share = (self._clock() - operation.started) / max(operation.ends_at - operation.started, 0.001)
        return int(whole * min(share, 1.0))

    def _go_on(self, operation: BulkOperation) -> None:
        if operation.status in ENDED:
            return
        if operation.status == "CANCELING":
            operation.status = "CANCELED"
        elif self._clock() < operation.ends_at or operation.trouble is BulkTrouble.HANGS:
            operation.status = "RUNNING"
        else:
            operation.status = _outcome(operation)
            operation.completed_at = self._now() if operation.status == "COMPLETED" else None


def _outcome(operation: BulkOperation) -> str:
    match operation.trouble:
        case BulkTrouble.IS_CANCELED:
            return "CANCELED"
        case BulkTrouble.EXPIRES:
            return "EXPIRED"
        case _:
            return "FAILED" if operation.error_code is not None else "COMPLETED"


def _error_code(trouble: BulkTrouble | None, codes: list[Any]) -> str | None:
    match trouble:
        case BulkTrouble.FAILS:
            return "INTERNAL_SERVER_ERROR"
        case BulkTrouble.FAILS_IN_PART:
            return "TIMEOUT"
        case BulkTrouble.IS_DENIED:
            return "ACCESS_DENIED"
        case _:
            return ("ACCESS_DENIED" if "ACCESS_DENIED" in codes else "INTERNAL_SERVER_ERROR") if codes else None


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


def _refused(errors: list[dict[str, Any]]) -> Payload:
    return {"bulkOperation": None, "userErrors": errors}
