"""Reads rows by bulk operations: Shopify runs a query as a whole, and puts what it found into a file.

That costs 10 points plus one for each poll, however many rows there are, but seconds of waiting. It is never the only
way: whatever goes wrong, the caller reads the same by pages. An operation that is abandoned because its job was
stopped ends by itself; it has changed nothing. No access scopes are needed besides those of what is read.

`BulkReader.read` does all of it for some rows. A whole list is read in steps, each of which can be gone on with after a
crash: see `WholeList`.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API".
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, assert_never

import msgspec
import orjson
import structlog

from daemon.clock import boot_time
from daemon.errors import SourceError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sources.decode import Moment
from daemon.sources.http import BACKOFF, Backoff
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import operations
from daemon.sources.shopify.bulk_file import BulkFile, BulkPortion
from daemon.sources.shopify.bulk_lines import Assembly, HalfReadError
from daemon.sources.shopify.bulk_state import BulkBusy, BulkState, BulkStatus, NotReadInBulk, read_state
from daemon.sources.shopify.changes import may_be_one_of
from daemon.sources.shopify.endpoint import SMALL_COST, GraphqlEndpoint
from daemon.sources.shopify.errors import said_of
from daemon.sources.shopify.models import gid, gid_number
from daemon.sources.shopify.operations import GraphqlOperation

log = structlog.get_logger()

# Some five times what 250 products take. Once read, a file takes up to eight times its size in memory (measured); what
# is larger is read by pages.
MAX_FILE_BYTES = 6 * 1024 * 1024
LINES_AT_ONCE = 250  # decoded without a break: some 2 ms
REST_SECONDS = 900.0  # after a failure, so that a shop where it does not work does not wait for it again and again
STALLS_AFTER = 600.0  # seconds without any progress, after which an operation is given up
RECENT = 50  # operations of this app that are looked through for one of our own

# Shopify's schema, BulkOperationUserErrorCode: the first is that of five at once, the second of older versions.
BUSY_CODES = frozenset({"LIMIT_REACHED", "OPERATION_IN_PROGRESS"})
_ACCESS_DENIED = "ACCESS_DENIED"  # Shopify's schema, BulkOperationErrorCode: of which a person can do something

_HEAD = re.compile(r"^(query \w+)\s*\([^)]*\)", re.MULTILINE)
_VARIABLE = re.compile(r"\$(\w+)")
_SEARCH = "(query: $query)"

Tell = Callable[[BulkState], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an operation: between polls, longer each time, and in all for one of some rows; seconds."""

    first: float = 0.5
    longest: float = 2.0
    total: float = 60.0


PATIENCE = Patience()


class BulkReader:
    """Reads rows of one shop in bulk. After a failure over some rows it rests for a while."""

    def __init__(self, endpoint: GraphqlEndpoint, patience: Patience = PATIENCE, backoff: Backoff = BACKOFF) -> None:
        self.patience = patience
        self._endpoint = endpoint
        self._backoff = backoff
        self._ended_early: dict[str, asyncio.Event] = {}  # of the operations that are waited for
        self._rests_until = float("-inf")  # by `boot_time`
        self._notice: str | None = None

    @property
    def rests(self) -> bool:
        """Whether the last failure was too recent for another try to be worthwhile."""
        return boot_time() < self._rests_until

    @property
    def restore_rate(self) -> float:
        """Points that the shop restores in a second."""
        return self._endpoint.restore_rate

    @property
    def awaited(self) -> frozenset[int]:
        """The operations that are waited for, by their numbers."""
        return frozenset(number for each in self._ended_early if (number := gid_number(each)) is not None)

    def note_end(self, number: int) -> None:
        """Look at an operation at once: it is said to have ended. Of one that nobody waits for, nothing comes of it."""
        if (ended := self._ended_early.get(gid("BulkOperation", number))) is not None:
            ended.set()

    @property
    def notices(self) -> frozenset[str]:
        """What a person can do about the last failure."""
        return frozenset({self._notice} if self.rests and self._notice is not None else ())

    # ── Some rows ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(
        self, query: GraphqlOperation, variables: Mapping[str, Any], ids: Sequence[int], meter: CallMeter
    ) -> list[Any]:
        """The rows of these ids that a search for them finds, whole, in the same shape as in pages.

        `query` is one of `BULK_QUERIES`; `variables` are its own, besides `query`.

        Raises:
            NotReadInBulk: for whatever reason; nothing that may have arrived is used.
        """
        wanted = [str(number) for number in ids]
        text = written(query, {**variables, "query": " OR ".join(f"id:{number}" for number in wanted)})
        try:
            state = await self._ended(await self.start(text, meter), wanted, meter)
            rows = await self._read_file(state, wanted, meter)
        except (NotReadInBulk, SourceError) as error:
            self._notice = getattr(error, "notice", None)
            self._rests_until = boot_time() + REST_SECONDS
            log.warning(
                "not_read_in_bulk",
                source=self._endpoint.source,
                query=query.name,
                rows=len(wanted),
                reason=str(error),
                next_step=f"read by pages; bulk operations are tried again in {REST_SECONDS / 60:.0f} minutes",
            )
            raise NotReadInBulk(str(error), self._notice) from error
        log.debug("read_in_bulk", source=self._endpoint.source, query=query.name, rows=len(rows))
        return rows

    async def _ended(self, state: BulkState, wanted: Sequence[str], meter: CallMeter) -> BulkState:
        """The operation once it is completed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with aclosing(self._looks(state, meter)) as looks:
            async for state in looks:
                if state.roots > len(wanted):
                    await self._give_up(state, _("found more than was searched for"), meter)
                if state.status is not BulkStatus.COMPLETED and loop.time() - began > self.patience.total:
                    await self._give_up(state, _("took longer than {n:.0f} s").format(n=self.patience.total), meter)
        return state

    async def _read_file(self, state: BulkState, wanted: Sequence[str], meter: CallMeter) -> list[Any]:
        if state.file_bytes > MAX_FILE_BYTES:
            raise NotReadInBulk(
                _("The file of a bulk operation of {source} is too large to be read.").format(
                    source=self._endpoint.source
                )
            )
        assembly = Assembly(lambda row: may_be_one_of(row, wanted))
        try:
            async with aclosing(self.portions(state, 0, meter)) as portions:
                async for portion in portions:
                    for line in portion.lines:
                        assembly.add(line)
                        if assembly.lines % LINES_AT_ONCE == 0:
                            await asyncio.sleep(0)
            return assembly.rows(objects=state.objects, roots=state.roots)
        except HalfReadError as error:
            raise NotReadInBulk(
                _("The file of a bulk operation of {source} is not complete: {error}").format(
                    source=self._endpoint.source, error=error
                )
            ) from error

    # ── The steps ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, text: str, meter: CallMeter) -> BulkState:
        """Start an operation of a query as `written` writes it.

        Raises:
            BulkBusy: as many as may run at once are under way.
            NotReadInBulk: it was refused.
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """

        def read(data: dict[str, Any]) -> tuple[BulkState | None, list[Any]]:
            payload = data["bulkOperationRunQuery"]
            operation, errors = payload["bulkOperation"], payload["userErrors"]
            return (read_state(operation) if operation is not None else None), list(errors)

        state, errors = await self._endpoint.query(
            operations.RUN_BULK_QUERY, {"query": text}, meter, read=read, estimate=SMALL_COST
        )
        if state is not None and not errors:
            return state
        said = said_of(errors, self._endpoint.credential.secrets) or _("it does not say why")
        message = _("{source} refused to start a bulk operation: {said}.").format(
            source=self._endpoint.source, said=said
        )
        if any(isinstance(error, dict) and error.get("code") in BUSY_CODES for error in errors):
            raise BulkBusy(message)
        raise NotReadInBulk(message)

    async def begun(
        self, text: str, since: datetime, meter: CallMeter, *, not_these: Collection[str] = ()
    ) -> BulkState | None:
        """The last operation with the same text, however it is indented, that this app has begun since a moment of
        Shopify's time, and that may still be of use; None: there is none.

        The answer to `start` may have been lost, while what it started goes on.

        Args:
            not_these: global ids of operations that are left out.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """

        def read(data: dict[str, Any]) -> list[tuple[datetime, BulkState]]:
            nodes = data["bulkOperations"]["nodes"]
            return [
                (msgspec.convert(node["createdAt"], Moment), read_state(node))
                for node in nodes
                if node["query"].split() == text.split() and node["id"] not in not_these
            ]

        # Whole seconds: an operation of the same second is ours.
        since = since.astimezone(UTC).replace(microsecond=0)
        search = f"operation_type:query AND created_at:>='{since:%Y-%m-%dT%H:%M:%SZ}'"
        found = await self._endpoint.query(
            operations.BULK_OPERATIONS, {"first": RECENT, "query": search}, meter, read=read, estimate=SMALL_COST
        )
        of_use = (BulkStatus.CREATED, BulkStatus.RUNNING, BulkStatus.COMPLETED)
        usable = [(at, state) for at, state in found if at >= since and state.status in of_use]
        return max(usable, key=lambda each: each[0])[1] if usable else None

    async def state(self, operation: str, meter: CallMeter) -> BulkState | None:
        """An operation as it is now; None: Shopify no longer knows it.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """

        def read(data: dict[str, Any]) -> BulkState | None:
            return read_state(data["bulkOperation"]) if data["bulkOperation"] is not None else None

        return await self._endpoint.query(
            operations.BULK_OPERATION, {"id": operation}, meter, read=read, estimate=SMALL_COST
        )

    async def wait(
        self, state: BulkState, meter: CallMeter, tell: Tell, stalls_after: float = STALLS_AFTER
    ) -> BulkState:
        """The operation once it is completed. `tell` is awaited with what each look has seen.

        One that gets nowhere for `stalls_after` seconds is cancelled, whether it runs or waits behind others.

        Raises:
            NotReadInBulk: it has ended otherwise.
            SourceRefused, RateLimited, SourceUnavailable: after the retries; it goes on.
        """
        loop = asyncio.get_running_loop()
        seen, moved_at = None, loop.time()
        async with aclosing(self._looks(state, meter)) as looks:
            async for state in looks:
                await tell(state)
                if state != seen:
                    seen, moved_at = state, loop.time()
                elif loop.time() - moved_at >= stalls_after:
                    why = _("got nowhere for {n:.0f} min").format(n=stalls_after / 60)
                    await self._give_up(state, why, meter)
        return state

    def portions(self, state: BulkState, offset: int, meter: CallMeter) -> AsyncGenerator[BulkPortion, None]:
        """The file of a completed operation from a byte on; it has come whole where this ends.

        Raises:
            NotReadInBulk: while iterating, it can't be had, or is not the file of this operation.
            SourceUnavailable: while iterating, nobody answers any more: it can be gone on with later.
            SourceRefused, RateLimited, SourceUnavailable: while iterating, another address can't be had.
        """

        async def renew() -> BulkState:
            return self._completed(await self._look(state, meter))

        return BulkFile(self._endpoint, state, renew, self._backoff, meter).portions(offset)

    async def cancel(self, operation: str, meter: CallMeter) -> None:
        """Let an operation end, so that it does not take up one of the five places.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        await self._endpoint.query(
            operations.CANCEL_BULK_OPERATION,
            {"id": operation},
            meter,
            read=lambda data: data["bulkOperationCancel"]["userErrors"],  # it may have ended meanwhile: just as good
            estimate=SMALL_COST,
        )

    async def _looks(self, state: BulkState, meter: CallMeter) -> AsyncGenerator[BulkState, None]:
        """An operation as it is, and again after each pause or as soon as it is said to have ended, until it is
        completed."""
        said_to_have_ended = self._ended_early[state.id] = asyncio.Event()
        pause = self.patience.first
        try:
            while self._completed_or_under_way(state).status is not BulkStatus.COMPLETED:
                yield state
                with meter.waiting_for(mark("a bulk operation")), suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await said_to_have_ended.wait()
                said_to_have_ended.clear()
                pause = min(pause * 2, self.patience.longest)
                state = await self._look(state, meter)
            yield state
        finally:
            self._ended_early.pop(state.id, None)

    async def _look(self, state: BulkState, meter: CallMeter) -> BulkState:
        seen = await self.state(state.id, meter)
        if seen is None:
            raise NotReadInBulk(
                _("{source} no longer knows a bulk operation that it had started.").format(source=self._endpoint.source)
            )
        return seen

    def _completed_or_under_way(self, state: BulkState) -> BulkState:
        match state.status:
            case BulkStatus.CREATED | BulkStatus.RUNNING | BulkStatus.COMPLETED:
                return state
            case BulkStatus.FAILED | BulkStatus.CANCELED | BulkStatus.CANCELING | BulkStatus.EXPIRED:
                raise self._ended_as(state)
            case _:
                assert_never(state.status)

    def _completed(self, state: BulkState) -> BulkState:
        if state.status is not BulkStatus.COMPLETED:
            raise self._ended_as(state)
        return state

    def _ended_as(self, state: BulkState) -> NotReadInBulk:
        why = f" ({state.error_code})" if state.error_code is not None else ""
        said = _("A bulk operation of {source} ended as {status}{why}.").format(
            source=self._endpoint.source, status=state.status, why=why
        )
        if state.error_code != _ACCESS_DENIED:
            return NotReadInBulk(said)
        advice = _("Check which access scopes the app was granted: dongbo check --live.")
        return NotReadInBulk(said, f"{said} {advice}")

    async def _give_up(self, state: BulkState, why: str, meter: CallMeter) -> NoReturn:
        await self.cancel(state.id, meter)
        raise NotReadInBulk(
            _("A bulk operation of {source} {why}; it was cancelled.").format(source=self._endpoint.source, why=why)
        )


def written(query: GraphqlOperation, variables: Mapping[str, Any]) -> str:
    """A query with the values of its variables in it, since there can't be any in bulk; without a search for None."""
    bare = _HEAD.sub(r"\1", query.document)
    if variables["query"] is None:
        bare = bare.replace(_SEARCH, "")
    return _VARIABLE.sub(lambda name: orjson.dumps(variables[name[1]]).decode(), bare)
