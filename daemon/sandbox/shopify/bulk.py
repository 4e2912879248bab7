"""Bulk operations: a query is run as a whole, and what it found lies in a file of JSON Lines at an address.

Sources: shopify.dev, "Perform bulk operations with the GraphQL Admin API", and Shopify's schema. Unless they are
grouped, lines come in no order: they are shuffled here.

An operation is run piece by piece, so that other calls are answered meanwhile, and its lines go to disk.
`shop.bulk.next(BulkTrouble.HANGS)` lets the next operation hang, and `shop.bulk.downloads.next(DownloadTrouble.IS_CUT,
at=1000)` cuts off the next download. That suffers from the `Faults` of every request, too, by its path:
`faults.next("cut_off", path="result.jsonl")`.
"""

import asyncio
import itertools
import math
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from aiohttp import web
from graphql import ExecutionResult, GraphQLSchema, parse

from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import bulk_rules
from daemon.sandbox.shopify.bad_rows import spoil_bulk_rows
from daemon.sandbox.shopify.bulk_downloads import BulkDownloads, refused
from daemon.sandbox.shopify.bulk_file import BulkFile
from daemon.sandbox.shopify.bulk_rows import BulkRows, RowTrouble
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.troubles import Troubles
from daemon.sandbox.shopify.values import user_error

log = structlog.get_logger()

AT_ONCE = 5  # Shopify: "up to five bulk query operations at a time per shop"
KEPT = 20  # operations, with their files
WEEK = 7 * 86_400.0  # seconds; Shopify: "The URL expires 7 days after the operation completes"
FILE = "result.jsonl"
PATH = f"/bulk/{{number}}/{{signature}}/{FILE}"
FOREIGN_QUERY = "{ orders { edges { node { id } } } }"

ENDED = frozenset({"CANCELED", "COMPLETED", "EXPIRED", "FAILED"})

Pieces = Callable[[str], Iterator[ExecutionResult]]


class BulkTrouble(StrEnum):
    """What can happen to an operation, besides being completed."""

    FAILS = "fails"  # INTERNAL_SERVER_ERROR, with nothing to show for it
    FAILS_IN_PART = "fails_in_part"  # TIMEOUT, with half of the lines at `partialDataUrl`
    IS_DENIED = "is_denied"  # ACCESS_DENIED
    IS_CANCELED = "is_canceled"  # by somebody else
    EXPIRES = "expires"  # before anybody has looked
    HANGS = "hangs"  # it runs and runs, until it is cancelled
    IS_FORGOTTEN = "is_forgotten"  # the operation no longer exists
    LOSES_ROWS = "loses_rows"  # it is completed, and one of the roots that it counted is not in its file
    LOSES_A_CHILD = "loses_a_child"  # the same of a row that belongs to another
    SPOILS_A_ROOT = "spoils_a_root"  # it is completed, and one line of its file is no JSON
    SPOILS_A_CHILD = "spoils_a_child"
    OVERLOOKS_A_CHILD = "overlooks_a_child"  # it is completed, and one row is neither counted nor in its file
    FINDS_NOTHING = "finds_nothing"  # of what was searched for
    LIMIT_REACHED = "limit_reached"  # it is not even begun
    OPERATION_IN_PROGRESS = "operation_in_progress"  # the same, in the words of older versions


_REFUSALS: Mapping[BulkTrouble, str] = {
    BulkTrouble.LIMIT_REACHED: "Bulk operations limit reached. Please try again later.",
    BulkTrouble.OPERATION_IN_PROGRESS: "A bulk query operation for this app and shop is already in progress.",
}
_ROW_TROUBLES: Mapping[BulkTrouble, RowTrouble] = {
    BulkTrouble.LOSES_ROWS: RowTrouble.LOST_ROOT,
    BulkTrouble.LOSES_A_CHILD: RowTrouble.LOST_CHILD,
    BulkTrouble.SPOILS_A_ROOT: RowTrouble.SPOILT_ROOT,
    BulkTrouble.SPOILS_A_CHILD: RowTrouble.SPOILT_CHILD,
    BulkTrouble.OVERLOOKS_A_CHILD: RowTrouble.OVERLOOKED_CHILD,
}
_ERROR_CODES: Mapping[BulkTrouble, str] = {
    BulkTrouble.FAILS: "INTERNAL_SERVER_ERROR",
    BulkTrouble.FAILS_IN_PART: "TIMEOUT",
    BulkTrouble.IS_DENIED: "ACCESS_DENIED",
}


@dataclass(slots=True)
class BulkOperation:
    """One operation. It has an end when all its rows are found and its time is over.

    `objects` and `roots` are those found so far; `worked` is set when there are no more. `seconds` is how long it takes
    at least, and `objects_per_second` at most. `addresses` are the signatures of those that were told, with the time,
    by the clock that restores points, when they stop being good.
    """

    id: int
    query: str
    created_at: datetime
    started: float  # by the clock that restores points
    seconds: float
    objects_per_second: float
    trouble: BulkTrouble | None
    file: BulkFile
    draw: random.Random
    objects: int = 0
    roots: int = 0
    error_code: str | None = None
    status: str = "CREATED"
    completed_at: datetime | None = None
    addresses: dict[str, float] = field(default_factory=dict)
    worked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ends_at(self) -> float:
        """When its time is over; later while more is being found."""
        return self.started + max(self.seconds, self.objects / self.objects_per_second)


class BulkOperations:
    """The bulk operations of one app and shop.

    Args:
        seed: the same seed shuffles in the same way.
        clock: seconds, never going backwards.
        now: the time that operations are stamped with.
        faults: which rows are bad.
        troubles: which records can't be had.

    What may be changed at any time, for the operations that begin from then on:

    - `seconds`: how long an operation takes at least; `math.inf`: until `end` is called.
    - `objects_per_second`: how many lines it finds in a second, if that makes it take longer.
    - `roots_at_once`: how many rows of the list at the top of a query are found without a break.
    - `address_seconds`: how long the address of a file is good.

    `downloads` answers those who ask for files. `on_end` is called with each operation that has ended.
    """

    def __init__(
        self, seed: int, clock: Callable[[], float], now: Callable[[], datetime], faults: Faults, troubles: Troubles
    ) -> None:
        self.seconds = 1.0
        self.objects_per_second = math.inf
        self.roots_at_once = 10  # some 20 ms
        self.address_seconds = WEEK
        self.downloads = BulkDownloads()
        self.on_end: Callable[[BulkOperation], None] = lambda _: None
        self._seed = seed
        self._clock = clock
        self._now = now
        self._faults = faults
        self._troubles = troubles
        self._script: list[BulkTrouble] = []
        self._operations: OrderedDict[int, BulkOperation] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(7_000_000_000_001)

    def next(self, trouble: BulkTrouble | str, *, times: int = 1) -> None:
        """Let this happen to the next `times` operations."""
        self._script += [BulkTrouble(trouble)] * times

    @property
    def operations(self) -> list[BulkOperation]:
        """The recent ones, as they are at present, the oldest first."""
        for operation in self._operations.values():
            self._go_on(operation)
        return [each for each in self._operations.values() if each.trouble is not BulkTrouble.IS_FORGOTTEN]

    def run(self, schema: GraphQLSchema, query: str, pieces: Pieces, *, grouped: bool) -> Payload:
        """Begin an operation; the payload of `bulkOperationRunQuery`. `pieces` answers the query, some rows at a
        time."""
        said = bulk_rules.problems(schema, query)
        if said:
            return _refused([user_error(["query"], sentence, "INVALID") for sentence in said])
        trouble = self._script.pop(0) if self._script else None
        running = [each for each in self.operations if each.status not in ENDED]
        if len(running) >= AT_ONCE:
            trouble = BulkTrouble.LIMIT_REACHED
        if trouble is not None and trouble in _REFUSALS:
            return _refused([user_error(None, _REFUSALS[trouble], trouble.name)])
        operation = self._begun(query, trouble, grouped=grouped)
        task = asyncio.create_task(
            self._work(operation, pieces(query), bulk_rules.connection_of(parse(query))),
            name=f"sandbox-bulk-{operation.id}",
        )
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return {"bulkOperation": replace(operation), "userErrors": []}

    def foreign(self, count: int = 1, query: str = FOREIGN_QUERY) -> list[BulkOperation]:
        """Operations that another program began with the same credentials; they run until `end` is called."""
        begun = [self._begun(query, BulkTrouble.HANGS, grouped=False) for _ in range(count)]
        for operation in begun:
            operation.worked.set()
        return begun

    def end(self, *operations: BulkOperation) -> None:
        """Let operations end as soon as all their rows are found."""
        for operation in operations:
            operation.seconds, operation.objects_per_second = 0.0, math.inf
            self._go_on(operation)

    async def worked(self) -> None:
        """Wait until all rows of all operations are found."""
        await asyncio.gather(*(operation.worked.wait() for operation in self._operations.values()))

    def find(self, number: int) -> BulkOperation | None:
        """An operation as it is at present."""
        return next((each for each in self.operations if each.id == number), None)

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

    def sign(self, operation: BulkOperation) -> str:
        """A new address of an operation's file, behind the shop's own."""
        signature = f"{operation.draw.getrandbits(128):032x}"
        operation.addresses[signature] = self._clock() + self.address_seconds
        return PATH.format(number=operation.id, signature=signature)

    def so_far(self, operation: BulkOperation, found: int) -> int:
        """How much is told of the `found` while an operation runs: no more than its time allows."""
        share = (self._clock() - operation.started) / max(operation.ends_at - operation.started, 0.001)
        return int(found * min(share, 1.0))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The file of an operation, for whoever knows its address."""
        operation = self._operations.get(int(request.match_info["number"]))
        if operation is None or self._clock() >= operation.addresses.get(request.match_info["signature"], -math.inf):
            return refused()
        return self.downloads.answer(request, operation.file)

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """What the application holds open while it runs: the tasks that run operations, and the files."""
        yield
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for operation in self._operations.values():
            operation.file.close()
        self._operations.clear()

    async def close_downloads(self, _: web.Application) -> None:
        """Let go of downloads that stall, before the application waits for them."""
        self.downloads.close()

    def _begun(self, query: str, trouble: BulkTrouble | None, *, grouped: bool) -> BulkOperation:
        number = next(self._numbers)
        draw = random.Random(f"{self._seed}/bulk/{number}")
        operation = BulkOperation(
            id=number,
            query=query,
            created_at=self._now(),
            started=self._clock(),
            seconds=math.inf if trouble is BulkTrouble.HANGS else self.seconds,
            objects_per_second=self.objects_per_second,
            trouble=trouble,
            file=BulkFile(draw, grouped=grouped),
            draw=draw,
        )
        self._operations[number] = operation
        ended = [each for each in self._operations.values() if each.status in ENDED]
        for old in ended[: max(0, len(self._operations) - KEPT)]:
            self._operations.pop(old.id).file.close()
        return operation

    async def _work(self, operation: BulkOperation, pieces: Iterator[ExecutionResult], key: str) -> None:
        """Find all rows, put them into the file, and end when the time is over, whether anybody looks or not."""
        try:
            await self._find_rows(operation, pieces, key)
            await self._gather(operation)
        except Exception:
            log.exception("bulk_operation_failed", operation=operation.id)  # a bug in the sandbox
            operation.error_code = "INTERNAL_SERVER_ERROR"
        finally:
            operation.worked.set()
        if operation.ends_at < math.inf:
            await asyncio.sleep(max(0.0, operation.ends_at - self._clock()))
        self._go_on(operation)

    async def _find_rows(self, operation: BulkOperation, pieces: Iterator[ExecutionResult], key: str) -> None:
        trouble = operation.trouble
        rows = BulkRows(operation.file, None if trouble is None else _ROW_TROUBLES.get(trouble))
        for piece in pieces:
            connection = spoil_bulk_rows(piece.data, key, self._faults)
            operation.error_code = _code_of(piece) or self._troubles.of_bulk(connection)
            if operation.error_code is not None or trouble is BulkTrouble.FINDS_NOTHING:
                return
            for edge in connection.get("edges") or []:
                rows.add(edge["node"])
            operation.objects, operation.roots = rows.objects, rows.roots
            await asyncio.sleep(0)
            if operation.status in ENDED:
                return
        operation.error_code = None if trouble is None else _ERROR_CODES.get(trouble)

    async def _gather(self, operation: BulkOperation) -> None:
        for _ in operation.file.gather(operation.objects // 2 if operation.error_code is not None else None):
            await asyncio.sleep(0)

    def _go_on(self, operation: BulkOperation) -> None:
        if operation.status in ENDED:
            return
        if operation.status == "CANCELING":
            operation.status = "CANCELED"
        elif not operation.worked.is_set() or self._clock() < operation.ends_at:
            operation.status = "RUNNING"
        else:
            operation.status = _outcome(operation)
            operation.completed_at = self._now() if operation.status == "COMPLETED" else None
        if operation.status in ENDED:
            self.on_end(operation)


def _outcome(operation: BulkOperation) -> str:
    match operation.trouble:
        case BulkTrouble.IS_CANCELED:
            return "CANCELED"
        case BulkTrouble.EXPIRES:
            return "EXPIRED"
        case _:
            return "FAILED" if operation.error_code is not None else "COMPLETED"


def _code_of(piece: ExecutionResult) -> str | None:
    """The code of the error by which an operation fails over what it found; None: it does not."""
    codes: list[Any] = [(error.extensions or {}).get("code") for error in piece.errors or ()]
    return ("ACCESS_DENIED" if "ACCESS_DENIED" in codes else "INTERNAL_SERVER_ERROR") if codes else None


def _refused(errors: list[dict[str, Any]]) -> Payload:
    return {"bulkOperation": None, "userErrors": errors}
