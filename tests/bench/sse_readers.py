"""Readers of the event stream on raw sockets, in a process of their own.

`python tests/bench/sse_readers.py HOST PORT COUNT` prints a line when all are connected, collects until its input is
closed, and then prints one JSON line for each event of each reader: [seconds when it came, the job]. With `--behind` it
prints one for each reader instead, of how many seconds it was behind at most, and how many times it was told something:
what a thousand readers get would not fit into memory.
"""

import asyncio
import re
import sys
import time
from datetime import datetime

import orjson
import uvloop

UPDATED = re.compile(rb'"updated_at":"([^"]+)"')
REQUEST = b"GET /api/events HTTP/1.1\r\nHost: %b\r\nAccept: text/event-stream\r\n\r\n"


class Reader(asyncio.Protocol):
    """Keeps what came and when; looks into it only at the end, so that no reader waits for another."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.begun = asyncio.Event()
        self.arrivals: list[tuple[float, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        transport.write(REQUEST % self._host.encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Note the time first."""
        self.arrivals.append((time.time(), data))
        if b"event: snapshot" in data:
            self.begun.set()

    def events(self) -> list[tuple[float, object]]:
        """When each job event had come completely."""
        found, text, line_start = [], bytearray(), 0
        for at, data in self.arrivals:
            text += data
            while (end := text.find(b"\n", line_start)) >= 0:
                line, line_start = bytes(text[line_start:end]), end + 1
                if line.startswith(b'data: {"id"'):
                    found.append((at, orjson.loads(line[6:])))
        return found


class LagReader(Reader):
    """Keeps how old the news were when they came."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.behind = 0.0  # seconds, at most
        self.told = 0

    def data_received(self, data: bytes) -> None:
        """Look at the oldest of the states that have come at once."""
        at = time.time()
        if not self.begun.is_set():
            if b"event: snapshot" in data:
                self.begun.set()
            return
        changed = [datetime.fromisoformat(found.decode()).timestamp() for found in UPDATED.findall(data)]
        if changed:
            self.told += 1
            self.behind = max(self.behind, at - min(changed))


async def read(host: str, port: int, count: int, kind: type[Reader]) -> None:
    """Connect all readers, collect, report."""
    loop = asyncio.get_running_loop()
    readers = [kind(f"{host}:{port}") for _ in range(count)]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, host, port)  # type: ignore[misc]
    for reader in readers:
        await reader.begun.wait()
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    for reader in readers:
        found = [(reader.behind, reader.told)] if isinstance(reader, LagReader) else reader.events()
        for line in found:
            sys.stdout.buffer.write(orjson.dumps(line) + b"\n")


if __name__ == "__main__":
    is_crowd = "--behind" in sys.argv
    uvloop.run(read(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), LagReader if is_crowd else Reader))
