"""Readers of the event stream on raw sockets, in a process of their own.

`python tests/bench/sse_readers.py HOST PORT COUNT` prints a line when all are connected, collects until its input is
closed, and then prints one JSON line for each event of each reader: [seconds when it came, the job].
"""

import asyncio
import sys
import time

import orjson
import uvloop

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


async def read(host: str, port: int, count: int) -> None:
    """Connect all readers, collect, report."""
    loop = asyncio.get_running_loop()
    readers = [Reader(f"{host}:{port}") for _ in range(count)]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, host, port)  # type: ignore[misc]
    for reader in readers:
        await reader.begun.wait()
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    for reader in readers:
        for event in reader.events():
            sys.stdout.buffer.write(orjson.dumps(event) + b"\n")


if __name__ == "__main__":
    uvloop.run(read(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
