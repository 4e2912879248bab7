"""Server-sent events, as the HTML standard defines them (section 9.2, "Server-sent events")."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import StreamReader

LARGEST_LINE = 64 * 2**20  # bytes; the snapshot is one line


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name, its data, and the id of the last event that had one."""

    name: str
    data: str
    id: str


async def read_events(stream: StreamReader) -> AsyncIterator[ServerEvent]:
    """The events of a stream until it ends; one that is cut off is dropped."""
    name, data, event_id = "message", list[str](), ""
    async for line in _lines(stream):
        if not line:
            if data:
                yield ServerEvent(name, "\n".join(data), event_id)
            name, data = "message", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match key:
            case "event":
                name = value
            case "data":
                data.append(value)
            case "id":
                event_id = value
            case _:  # a comment, which begins with a colon, or `retry`
                pass


async def _lines(stream: StreamReader) -> AsyncIterator[str]:
    """Lines of any length: `StreamReader.readline` refuses long ones."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        if len(rest) > LARGEST_LINE:
            raise ConnectionError(f"a line of the event stream is longer than {LARGEST_LINE} bytes")
        if b"\n" not in chunk:
            continue
        *lines, tail = rest.split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", errors="replace")
        rest = bytearray(tail)
