"""Reads many rows by a bulk operation: Shopify runs a query as a whole, and puts what it found into a file.

That costs 10 points plus one for each poll, however many rows there are, but seconds of waiting. It is never the only
way: whatever goes wrong, the caller reads the same by pages. An operation that is abandoned because its job was
stopped ends by itself; it has changed nothing. No access scopes are needed besides those of what is read.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API".
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, assert_never

import orjson
import structlog
from yarl import URL

from daemon.clock import boot_time
from daemon.errors import SourceError
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sources.http import downloading
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import operations
from daemon.sources.shopify.bulk_lines import Assembly, HalfReadError, lines_of
from daemon.sources.shopify.changes import may_be_one_of
from daemon.sources.shopify.endpoint import SMALL_COST, GraphqlEndpoint
from daemon.sources.shopify.errors import said_of
from daemon.sources.shopify.operations import GraphqlOperation

log = structlog.get_logger()

# Some five times what 250 products take. Once read, a file takes up to eight times its size in memory (measured); what
# is larger is read by pages.
MAX_FILE_BYTES = 6 * 1024 * 1024
LINES_AT_ONCE = 250  # decoded without a break: some 2 ms
DOWNLOADS = 2  # of one file: it stays there for days, and what cut it off may have passed
REST_SECONDS = 900.0  # after a failure, so that a shop where it does not work does not wait for it again and again

_HEAD = re.compile(r"^(query \w+)\s*\([^)]*\)", re.MULTILINE)
_VARIABLE = re.compile(r"\$(\w+)")
_OK = 200  # HTTP status


class BulkStatus(StrEnum):
    """What Shopify says about an operation: BulkOperationStatus in its schema."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an operation: between polls, longer each time, and in all; seconds."""

    first: float = 0.5
    longest: float = 5.0
    total: float = 60.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class BulkState:
    """An operation as it was last seen."""

    id: str
    status: BulkStatus
    error_code: str | None
    objects: int  # lines so far
    roots: int  # of them without a parent
    file_bytes: int
    url: str | None  # None where nothing was found


class NotReadInBulk(Exception):
    """The rows must be read in another way. `notice` tells a person what they can do about it, if anything."""

    def __init__(self, message: str, notice: str | None = None) -> None:
        super().__init__(message)
        self.notice = notice


class BulkReader:
    """Reads rows of one shop in bulk. After a failure it rests for a while."""

    def __init__(self, endpoint: GraphqlEndpoint, patience: Patience = PATIENCE) -> None:
        self.patience = patience
        self._endpoint = endpoint
        self._rests_until = float("-inf")  # by `boot_time`
        self._notice: str | None = None

    @property
    def rests(self) -> bool:
        """Whether the last failure was too recent for another try to be worthwhile."""
        return boot_time() < self._rests_until

    @property
    def notices(self) -> frozenset[str]:
        """What a person can do about the last failure."""
        return frozenset({self._notice} if self.rests and self._notice is not None else ())

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
            state = await self._ended(await self._begun(text, meter), wanted, meter)
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

    async def _begun(self, text: str, meter: CallMeter) -> BulkState:
        def read(data: dict[str, Any]) -> tuple[BulkState | None, list[Any]]:
            payload = data["bulkOperationRunQuery"]
            operation, errors = payload["bulkOperation"], payload["userErrors"]
            return (read_state(operation) if operation is not None else None), list(errors)

        state, errors = await self._endpoint.query(
            operations.RUN_BULK_QUERY, {"query": text}, meter, read=read, estimate=SMALL_COST
        )
        if state is None or errors:
            said = said_of(errors, self._endpoint.credential.secrets) or _("it does not say why")
            raise NotReadInBulk(
                _("{source} refused to start a bulk operation: {said}.").format(source=self._endpoint.source, said=said)
            )
        return state

    async def _ended(self, state: BulkState, wanted: Sequence[str], meter: CallMeter) -> BulkState:
        """The operation once it is completed and its file is available."""
        loop = asyncio.get_running_loop()
        gives_up_at, wait = loop.time() + self.patience.total, self.patience.first
        while True:
            match state.status:
                case BulkStatus.COMPLETED:
                    return state
                case BulkStatus.FAILED | BulkStatus.CANCELED | BulkStatus.CANCELING | BulkStatus.EXPIRED:
                    why = f" ({state.error_code})" if state.error_code is not None else ""
                    raise NotReadInBulk(
                        _("A bulk operation of {source} ended as {status}{why}.").format(
                            source=self._endpoint.source, status=state.status, why=why
                        )
                    )
                case BulkStatus.CREATED | BulkStatus.RUNNING:
                    pass
                case _:
                    assert_never(state.status)
            if state.roots > len(wanted):
                await self._give_up(state, _("found more than was searched for"), meter)
            if loop.time() + wait > gives_up_at:
                await self._give_up(state, _("took longer than {n:.0f} s").format(n=self.patience.total), meter)
            with meter.waiting_for(mark("a bulk operation")):
                await asyncio.sleep(wait)
            wait = min(wait * 2, self.patience.longest)
            state = await self._look(state, meter)

    async def _look(self, state: BulkState, meter: CallMeter) -> BulkState:
        def read(data: dict[str, Any]) -> BulkState | None:
            return read_state(data["bulkOperation"]) if data["bulkOperation"] is not None else None

        seen = await self._endpoint.query(
            operations.BULK_OPERATION, {"id": state.id}, meter, read=read, estimate=SMALL_COST
        )
        if seen is None:
            raise NotReadInBulk(
                _("{source} no longer knows a bulk operation that it had started.").format(source=self._endpoint.source)
            )
        return seen

    async def _give_up(self, state: BulkState, why: str, meter: CallMeter) -> NoReturn:
        """Cancel an operation, so that it does not take up one of the five that may run at once."""
        await self._endpoint.query(
            operations.CANCEL_BULK_OPERATION,
            {"id": state.id},
            meter,
            read=lambda data: data["bulkOperationCancel"]["userErrors"],  # it may have ended meanwhile: just as good
            estimate=SMALL_COST,
        )
        raise NotReadInBulk(
            _("A bulk operation of {source} {why}; it was cancelled.").format(source=self._endpoint.source, why=why)
        )

    async def _read_file(self, state: BulkState, wanted: Sequence[str], meter: CallMeter) -> list[Any]:
        if state.url is None:
            if state.objects == 0:
                return []
            raise NotReadInBulk(
                _("A bulk operation of {source} is completed, but there is no file.").format(
                    source=self._endpoint.source
                )
            )
        if state.file_bytes > MAX_FILE_BYTES:
            raise NotReadInBulk(
                _("The file of a bulk operation of {source} is too large to be read.").format(
                    source=self._endpoint.source
                )
            )
        place = self._place(state.url)
        for last in (False,) * (DOWNLOADS - 1) + (True,):
            try:
                return await self._download(state, state.url, place, wanted, meter)
            except HalfReadError as error:
                if last:
                    raise NotReadInBulk(
                        _("The file at {place} is not complete: {error}").format(place=place, error=error)
                    ) from error
                meter.retries += 1
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _place(self, url: str) -> str:
        """The host of an address, which may be shown: the rest of it is as good as a password."""
        try:
            address = URL(url)
        except ValueError:
            address = URL()
        if address.host is None or address.scheme not in {"https", URL(self._endpoint.url).scheme}:
            raise NotReadInBulk(_("{source} gave an invalid address for a file.").format(source=self._endpoint.source))
        return address.host

    async def _download(
        self, state: BulkState, url: str, place: str, wanted: Sequence[str], meter: CallMeter
    ) -> list[Any]:
        assembly = Assembly(lambda row: may_be_one_of(row, wanted))
        source, is_reached = _("The file of a bulk operation at {place}").format(place=place), False
        try:
            async with downloading(self._endpoint.session, url, source=source, meter=meter) as response:
                is_reached = True
                if response.status != _OK:
                    raise HalfReadError(f"HTTP {response.status}.")
                async with aclosing(lines_of(response.content.iter_any(), limit=MAX_FILE_BYTES)) as lines:
                    async for line in lines:
                        meter.bytes_received += len(line) + 1
                        assembly.add(line)
                        if assembly.lines % LINES_AT_ONCE == 0:
                            await asyncio.sleep(0)  # a compressed chunk may hold any number of them
        except SourceError as error:
            if is_reached:
                raise HalfReadError(str(error)) from error
            raise NotReadInBulk(str(error), self._unreachable(place, error)) from error
        return assembly.rows(objects=state.objects, roots=state.roots)

    def _unreachable(self, place: str, error: SourceError) -> str:
        return _(
            "Files of {source}'s bulk operations can't be fetched from {place}: allow this machine, or the "
            "proxy, to reach it. Until then changes are read by pages, which costs more points. ({error})"
        ).format(source=self._endpoint.source, place=place, error=error)


def written(query: GraphqlOperation, variables: Mapping[str, Any]) -> str:
    """A query with the values of its variables in it: in bulk there can't be any."""
    bare = _HEAD.sub(r"\1", query.document)
    return _VARIABLE.sub(lambda name: orjson.dumps(variables[name[1]]).decode(), bare)


def read_state(node: dict[str, Any]) -> BulkState:
    """An operation out of an answer.

    Raises:
        KeyError, TypeError, ValueError: it can't be read.
    """
    url, has_part = node["url"], node["partialDataUrl"] is not None
    return BulkState(
        id=str(node["id"]),
        # Partial data counts as no data, whatever the status.
        status=BulkStatus.FAILED if has_part else BulkStatus(node["status"]),
        error_code=node["errorCode"],
        objects=int(node["objectCount"]),
        roots=int(node["rootObjectCount"]),
        file_bytes=int(node["fileSize"] or 0),
        url=str(url) if url is not None else None,
    )
