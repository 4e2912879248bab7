"""A DNS server for one process, which answers, does not, or says that there is no such name.

The process is started in a mount namespace of its own, whose /etc/resolv.conf names this server: only root can do so.
"""

import asyncio
import os
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

ADDRESS = f"127.0.53.{os.getpid() % 250 + 1}"  # another one for each worker of the tests
PORT = 53  # resolv.conf knows no other
ANSWERS, NO_SUCH_NAME = 0x8180, 0x8183  # flags of answers, with their code: RFC 1035, 4.1.1
A = 1  # type of a question for an IPv4 address
BIND = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


class NameServer(asyncio.DatagramProtocol):
    """Says that every name is 127.0.0.1.

    Attributes:
        knows: whether it knows any name.
        delay: seconds after which it answers; None: never.
    """

    def __init__(self) -> None:
        self.knows = True
        self.delay: float | None = 0.0
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question, now or later."""
        if self.delay is not None:
            asyncio.get_running_loop().call_later(self.delay, self._answer, data, addr)

    def _answer(self, query: bytes, address: tuple[str, int]) -> None:
        if self._transport.is_closing():
            return
        end = query.index(b"\0", 12) + 5  # of the question: the name, its type and class
        (kind,) = struct.unpack("!H", query[end - 4 : end - 2])
        found = self.knows and kind == A
        flags = ANSWERS if self.knows else NO_SUCH_NAME
        header = query[:2] + struct.pack("!5H", flags, 1, int(found), 0, 0)
        record = struct.pack("!3HIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton("127.0.0.1") if found else b""
        self._transport.sendto(header + query[12:end] + record, address)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """A server at ADDRESS. Raises OSError where the port can't be had."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=(ADDRESS, PORT)
    )
    try:
        yield server
    finally:
        transport.close()


def asking_it(command: Sequence[str], directory: Path) -> Sequence[str]:
    """A command that resolves names by this server alone."""
    resolver = directory / "resolv.conf"
    resolver.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n")
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", BIND, "sh", str(resolver), *command)


def why_not() -> str | None:
    """What keeps a process from asking it; None: nothing."""
    if os.geteuid() != 0:
        return "only root can give a process another resolver"
    return None if shutil.which("unshare") else "there is no `unshare`"
