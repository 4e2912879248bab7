"""The answer with a large file: in chunks, or the part of it that was asked for, and broken off on demand."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

CHUNK_BYTES = 256 * 1024


class ReadableFile(Protocol):
    """What is sent."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`."""
        ...


class FileAnswer(web.StreamResponse):
    """A file, or the part of it that a request asks for by `Range`.

    Args:
        file: what is sent.
        request: who asks.
        content_type: of the file.
        ranges: whether `Range` is understood.
        compresses: whether a whole file is compressed for those who accept that.
    """

    def __init__(
        self,
        file: ReadableFile,
        request: web.Request,
        content_type: str,
        *,
        ranges: bool = True,
        compresses: bool = False,
    ) -> None:
        super().__init__()
        self.content_type = content_type
        self._file = file
        self._begin, self._end = 0, file.size
        self._breaks_off_at: int | None = None
        self._break_off: Callable[[web.BaseRequest], Awaitable[None]] | None = None
        part = _part_asked_for(request) if ranges else None
        if part is not None:
            self._take(part)
        elif compresses and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            self.enable_compression(web.ContentCoding.gzip)
            return
        self.content_length = self._end - self._begin

    def break_off(self, at: int | None, by: Callable[[web.BaseRequest], Awaitable[None]]) -> None:
        """Send nothing from this byte of the file on, by default from the middle, and then do something else."""
        self._breaks_off_at = (self._begin + self._end) // 2 if at is None else at
        self._break_off = by

    def half(self) -> bytes:
        """The first half of what is to be sent."""
        return self._file.read(self._begin, (self._begin + self._end) // 2)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it; aiohttp calls this once the answer has been returned."""
        writer = await super().prepare(request)
        position, stop = self._begin, self._end
        if self._breaks_off_at is not None:
            stop = min(stop, max(position, self._breaks_off_at))
        while position < stop and request.method != hdrs.METH_HEAD:
            chunk = self._file.read(position, min(stop, position + CHUNK_BYTES))
            await self.write(chunk)
            position += len(chunk)
        if self._break_off is not None:
            await self._break_off(request)
        return writer

    def _take(self, part: slice) -> None:
        size = self._file.size
        self._begin, self._end, _ = part.indices(size)
        if self._begin < self._end:
            self.set_status(HTTPStatus.PARTIAL_CONTENT)
            self.headers[hdrs.CONTENT_RANGE] = f"bytes {self._begin}-{self._end - 1}/{size}"
        else:
            self._end = self._begin
            self.set_status(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.headers[hdrs.CONTENT_RANGE] = f"bytes */{size}"


def _part_asked_for(request: web.Request) -> slice | None:
    """Which bytes; None: all of them, as where it can't be understood (RFC 9110, 14.2)."""
    try:
        return request.http_range if hdrs.RANGE in request.headers else None
    except ValueError:
        return None
