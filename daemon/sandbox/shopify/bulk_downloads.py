"""The downloads of bulk operations' files: whole, by parts, and what can go wrong with one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from aiohttp import web

from daemon.sandbox.download import FileAnswer, ReadableFile
from daemon.sandbox.faults import abort

CONTENT_TYPE = "application/jsonl"


class DownloadTrouble(StrEnum):
    """What can happen to a download."""

    IS_CUT = "is_cut"  # the connection ends at a byte of the file, by default in the middle of what was asked for
    STALLS = "stalls"  # nothing more comes from there on, and the connection stays open
    IGNORES_RANGE = "ignores_range"  # the file from its beginning, whatever part was asked for
    IS_ANOTHER = "is_another"  # a file of another length
    IS_GONE = "is_gone"  # refused, though the address is right


@dataclass(slots=True)
class _Scripted:
    trouble: DownloadTrouble
    at: int | None
    times: int


@dataclass(frozen=True, slots=True)
class _OtherFile:
    """All but the last bytes of a file."""

    file: ReadableFile

    @property
    def size(self) -> int:
        return self.file.size * 9 // 10

    def read(self, start: int, stop: int) -> bytes:
        return self.file.read(start, stop)


class BulkDownloads:
    """Answers those who ask for files.

    `asked` are the headers with which files were asked for. `compresses` is whether a file is sent compressed to those
    who ask for the whole of it and accept that.
    """

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []
        self.compresses = False
        self._script: list[_Scripted] = []
        self._closing = asyncio.Event()

    def next(self, trouble: DownloadTrouble | str, *, at: int | None = None, times: int = 1) -> None:
        """Let this happen to the next `times` downloads; `at` is a byte of the file, where it is about one."""
        self._script.append(_Scripted(DownloadTrouble(trouble), at, times))

    def answer(self, request: web.Request, file: ReadableFile) -> web.StreamResponse:
        """The answer to whoever knows the address of a file."""
        self.asked.append(dict(request.headers))
        scripted = self._taken()
        match scripted.trouble if scripted else None:
            case DownloadTrouble.IS_GONE:
                return refused()
            case DownloadTrouble.IS_ANOTHER:
                file = _OtherFile(file)
        ranges = scripted is None or scripted.trouble is not DownloadTrouble.IGNORES_RANGE
        answer = FileAnswer(file, request, CONTENT_TYPE, ranges=ranges, compresses=self.compresses)
        match scripted:
            case _Scripted(DownloadTrouble.IS_CUT, at):
                answer.break_off(at, _abort)
            case _Scripted(DownloadTrouble.STALLS, at):
                answer.break_off(at, self._stall)
        return answer

    def close(self) -> None:
        """Let those go whose downloads stall."""
        self._closing.set()

    def _taken(self) -> _Scripted | None:
        if not self._script:
            return None
        scripted = self._script[0]
        scripted.times -= 1
        if not scripted.times:
            del self._script[0]
        return scripted

    async def _stall(self, request: web.BaseRequest) -> None:
        await self._closing.wait()
        abort(request)


def refused() -> web.Response:
    """The answer to an address that is none, or no longer."""
    return web.Response(status=HTTPStatus.FORBIDDEN, text="<Error><Code>ExpiredToken</Code></Error>")


async def _abort(request: web.BaseRequest) -> None:
    abort(request)
