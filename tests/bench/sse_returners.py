"""Readers of the event stream who all come at the same moment, on raw sockets, in a process of their own.

`python tests/bench/sse_returners.py HOST PORT` reads one line of JSON from its input: the `Last-Event-ID` of each
reader, null for one that comes anew. It connects them, asks for all streams at once, and prints one line of JSON for
it: the seconds to each reader's first byte, and to its first whole event.
"""

import asyncio
import sys
import time
from typing import cast

import orjson
import uvloop


class Reader(asyncio.Protocol):
    """Notes when the first byte and the first event came, and throws the rest away."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.first_byte: float | None = None
        self.first_event: float | None = None
        self.begun = asyncio.Event()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, host: str, last_event_id: str | None) -> None:
        """Ask for the stream."""
        assert self.transport is not None
        lines = ["GET /api/events HTTP/1.1", f"Host: {host}", "Accept: text/event-stream"]
        if last_event_id is not None:
            lines.append(f"Last-Event-ID: {last_event_id}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        """Note the time first. The body's first blank line ends the hint for reconnecting, the second one an event."""
        now = time.perf_counter()
        if self.first_byte is None:
            assert data.startswith(b"HTTP/1.1 200 "), data
            self.first_byte = now
        if self.first_event is None:
            self._tail += data
            if self._tail.count(b"\n\n") >= 2:
                self.first_event = now
                self._tail = b""
                self.begun.set()


async def come(host: str, port: int, last_event_ids: list[str | None]) -> dict[str, list[float]]:
    """Seconds from asking, by reader."""
    loop = asyncio.get_running_loop()
    readers = [Reader() for _ in last_event_ids]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, host, port)  # type: ignore[misc]
    began = time.perf_counter()
    for reader, last_event_id in zip(readers, last_event_ids, strict=True):
        reader.ask(f"{host}:{port}", last_event_id)
    async with asyncio.timeout(60):
        for reader in readers:
            await reader.begun.wait()
    for reader in readers:
        assert reader.transport is not None
        reader.transport.abort()
    return {
        "first_byte": [(reader.first_byte or 0) - began for reader in readers],
        "first_event": [(reader.first_event or 0) - began for reader in readers],
    }


if __name__ == "__main__":
    found = uvloop.run(come(sys.argv[1], int(sys.argv[2]), orjson.loads(sys.stdin.readline())))
    sys.stdout.write(orjson.dumps(found).decode() + "\n")
