"""The file of a bulk operation, in portions of whole lines: from any byte on, whatever becomes of the connection.

A file may have gigabytes, so nothing of it is kept but the line that has just begun. What is cut off is gone on with by
a range of bytes (RFC 9110, 14); a server that ignores the range sends the file from its start, and what is known of it
is skipped.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import aiohttp
import structlog
from yarl import URL

from daemon.errors import SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.i18n import number_text
from daemon.sources import failures
from daemon.sources.http import Backoff, downloading
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.bulk_state import BulkState, NotReadInBulk
from daemon.sources.shopify.endpoint import GraphqlEndpoint

log = structlog.get_logger()

PORTION_BYTES = 1024 * 1024  # cut into lines without a break: less than 1 ms
PORTION_LINES = 2000
MAX_LINE_BYTES = 16 * 1024 * 1024  # a product's description alone may have some hundred KiB, and nothing has more
NEW_ADDRESSES = 2  # in a row that are asked for where one is no longer accepted

# No time for all of it, which depends on its size and on how fast it is stored; only for the next piece of it.
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=15, sock_connect=10, sock_read=30)

# What stores of files say of a signature that no longer holds: Google Cloud Storage documentation, "Signed URLs"
# (400 ExpiredToken), Amazon S3 documentation, "Error responses" (403), or of a file that is gone.
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Renew = Callable[[], Awaitable[BulkState]]


@dataclass(frozen=True, slots=True)
class BulkPortion:
    """Some whole lines, without their line breaks and without those that are empty."""

    lines: list[bytes]
    end: int  # the byte of the file after the last of them


class LineCutter:
    """Cuts what comes of a file, from a byte on, into portions of whole lines."""

    def __init__(self, offset: int) -> None:
        self.end = offset  # after the last line that was given out
        self.received = offset
        self._pieces: list[bytes] = []
        self._has_break = False

    def take(self, chunk: bytes) -> Iterator[BulkPortion]:
        """The portions that are whole with this chunk.

        Raises:
            NotReadInBulk: a line does not end.
        """
        self._pieces.append(chunk)
        self.received += len(chunk)
        self._has_break = self._has_break or b"\n" in chunk
        pending = self.received - self.end
        if pending >= PORTION_BYTES and self._has_break:
            yield from self._cut()
        elif pending > MAX_LINE_BYTES and not self._has_break:
            raise NotReadInBulk(
                _("A line of the file has more than {n} MiB: it is not the one asked for.").format(
                    n=MAX_LINE_BYTES // 2**20
                )
            )

    def rest(self, *, is_last: bool) -> Iterator[BulkPortion]:
        """The lines that have come besides. `is_last`: the file ends here, with or without a line break."""
        yield from self._cut()
        line = b"".join(self._pieces)
        if is_last and line:
            self.end, self._pieces = self.received, []
            yield BulkPortion([line], self.end)

    def _cut(self) -> Iterator[BulkPortion]:
        come = b"".join(self._pieces)
        *lines, begun = come.split(b"\n")
        self._pieces, self._has_break = [begun] if begun else [], False
        for start in range(0, len(lines), PORTION_LINES):
            some = lines[start : start + PORTION_LINES]
            self.end += sum(map(len, some)) + len(some)
            yield BulkPortion([line for line in some if line], self.end)


class BulkFile:
    """Reads the file of a completed operation. `renew` gives the operation with an address that holds."""

    def __init__(
        self, endpoint: GraphqlEndpoint, state: BulkState, renew: Renew, backoff: Backoff, meter: CallMeter
    ) -> None:
        self._endpoint = endpoint
        self._state = state
        self._renew = renew
        self._backoff = backoff
        self._meter = meter
        self._size = state.file_bytes
        self._is_reached = False  # the server of the file has answered, to whatever attempt
        self._is_answered = False  # to the last one
        self._ranges = True  # it is worth asking for a part
        self._failed = 0  # attempts in a row that have brought nothing
        self._renewed = 0  # addresses in a row that have brought nothing

    async def portions(self, offset: int) -> AsyncGenerator[BulkPortion, None]:
        """What lies behind a byte of the file; it has come whole where this ends.

        Raises:
            NotReadInBulk: it can't be had, or is not the file of this operation.
            SourceUnavailable: nobody answers any more, which may pass: it can be gone on with later.
            SourceRefused, RateLimited, SourceUnavailable: no other address can be had.
        """
        if self._state.objects and not self._size:
            raise self._none()
        if not 0 <= offset <= self._size:
            raise self._another()
        while offset < self._size:
            cutter, failure = LineCutter(offset), None
            try:
                async with aclosing(self._chunks(offset)) as chunks:
                    async for chunk in chunks:
                        for portion in cutter.take(chunk):
                            yield portion
            except SourceUnavailable as error:
                failure = error
            except SourceRefused as error:
                raise NotReadInBulk(str(error), self._unreachable(error)) from error
            for portion in cutter.rest(is_last=cutter.received == self._size):
                yield portion
            if cutter.end > offset:
                self._failed = self._renewed = 0
            offset = cutter.end
            if offset < self._size:
                await self._try_again(failure or self._interrupted(_("it is cut off")), offset)

    async def _chunks(self, offset: int) -> AsyncGenerator[bytes, None]:
        """The bytes of the file from one on, as far as they come."""
        if self._state.url is None:
            raise self._none()
        place = self._place(self._state.url)
        headers = {"Accept-Encoding": "identity"}  # offsets are those of the lines
        if offset and self._ranges:
            headers["Range"] = f"bytes={offset}-"
        self._is_answered = False
        async with downloading(
            self._endpoint.session,
            self._state.url,
            source=_("The file of a bulk operation at {place}").format(place=place),
            meter=self._meter,
            headers=headers,
            timeout=TIMEOUT,
        ) as response:
            self._is_reached = self._is_answered = True
            known = self._known(response, offset)
            left = self._size - offset + known
            async for chunk in response.content.iter_any():
                self._meter.bytes_received += len(chunk)
                left -= len(chunk)
                if left < 0:
                    raise self._another()
                if len(chunk) > known:
                    yield chunk[known:]
                known = max(0, known - len(chunk))

    def _known(self, response: aiohttp.ClientResponse, offset: int) -> int:
        """How many bytes at the start of an answer are known already.

        Raises:
            _AddressExpired, SourceUnavailable: another try may help.
            NotReadInBulk: none will.
        """
        is_encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        match response.status:
            case 206 if is_encoded:  # a part of something else than the lines
                self._ranges = False
                raise self._interrupted(_("it comes compressed"))
            case 206:
                found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
                if found is None or int(found[1]) != offset or found[2] not in ("*", str(self._size)):
                    raise self._interrupted(_("another part of it, or of another file, has come"))
                return 0
            case 200:
                length = response.content_length
                if not is_encoded and length is not None and length != self._size:
                    raise self._interrupted(_("it has another size"))
                return offset
            case 416:
                raise self._another()
            case status if status in _EXPIRED:
                raise _AddressExpired(self._said(f"HTTP {status}"))
            case status if failures.may_pass(status):
                raise self._interrupted(f"HTTP {status}")
            case status:
                raise NotReadInBulk(self._said(f"HTTP {status}"))

    async def _try_again(self, failure: SourceUnavailable, offset: int) -> None:
        """Get ready for another attempt, which goes on behind `offset`.

        Raises:
            NotReadInBulk, SourceUnavailable: there have been enough.
        """
        self._meter.retries += 1
        if isinstance(failure, _AddressExpired):
            self._renewed += 1
            if self._renewed > NEW_ADDRESSES:
                raise NotReadInBulk(str(failure)) from failure
            await self._renew_address()
            return
        self._failed += 1
        if self._failed >= self._backoff.attempts or self._meter.retry_budget <= 0:
            if self._is_reached and not self._is_answered:
                raise SourceUnavailable(str(failure)) from failure
            raise NotReadInBulk(str(failure), self._unreachable(failure)) from failure
        self._meter.retry_budget -= 1
        wait = self._backoff.wait(self._failed)
        log.info(
            "download_interrupted",
            source=self._endpoint.source,
            reason=str(failure),
            at_byte=offset,
            bytes=self._size,
            wait_seconds=round(wait, 3),
        )
        await asyncio.sleep(wait)
        self._meter.retry_wait_seconds += wait

    async def _renew_address(self) -> None:
        state = await self._renew()
        if state.file_bytes != self._size:
            raise self._another()
        self._state = state

    def _place(self, url: str) -> str:
        """The host of an address, which may be shown: the rest of it is as good as a password."""
        try:
            address = URL(url)
        except ValueError:
            address = URL()
        if address.host is None or address.scheme not in {"https", URL(self._endpoint.url).scheme}:
            raise NotReadInBulk(_("{source} gave an invalid address for a file.").format(source=self._endpoint.source))
        return address.host

    def _said(self, why: str) -> str:
        return _("The file of a bulk operation of {source} can't be read: {why}.").format(
            source=self._endpoint.source, why=why
        )

    def _none(self) -> NotReadInBulk:
        return NotReadInBulk(
            _("A bulk operation of {source} is completed, but there is no file.").format(source=self._endpoint.source)
        )

    def _interrupted(self, why: str) -> SourceUnavailable:
        return SourceUnavailable(self._said(why))

    def _another(self) -> NotReadInBulk:
        return NotReadInBulk(
            self._said(_("it does not have the {n} bytes that it should have").format(n=number_text(self._size)))
        )

    def _unreachable(self, error: Exception) -> str | None:
        """What a person can do where nobody has answered at all."""
        if self._is_reached or self._state.url is None:
            return None
        return _(
            "Files of {source}'s bulk operations can't be fetched from {place}: allow this machine, or the "
            "proxy, to reach it. Until then changes are read by pages, which costs more points. ({error})"
        ).format(source=self._endpoint.source, place=self._place(self._state.url), error=error)


class _AddressExpired(SourceUnavailable):
    """The address is no longer accepted; Shopify may give another."""
