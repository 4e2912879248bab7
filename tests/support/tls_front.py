"""TLS before a server that speaks none, with a certificate that can be exchanged."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

CHUNK = 64 * 1024  # bytes
MAKE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=dongbo-test"
EXTENSIONS = ("subjectAltName=IP:127.0.0.1", "keyUsage=critical,digitalSignature,keyCertSign")


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 that vouches for itself."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, directory: Path, name: str) -> "Certificate":
        """A new one."""
        made = cls(directory / f"{name}.crt", directory / f"{name}.key")
        extensions = [word for extension in EXTENSIONS for word in ("-addext", extension)]
        files = ("-out", str(made.certificate), "-keyout", str(made.key))
        subprocess.run([*MAKE.split(), *extensions, *files], check=True, capture_output=True)
        return made


class TlsFront:
    """Listens on a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.url = ""

    def show(self, certificate: Certificate) -> None:
        """Let new connections see this certificate."""
        self._context.load_cert_chain(certificate.certificate, certificate.key)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ways = ((reader, back_writer), (back_reader, writer))
        copies = [asyncio.create_task(_copy(*way), name="tls-front") for way in ways]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            for end in (writer, back_writer):
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass


def has_openssl() -> bool:
    """Whether certificates can be made."""
    return shutil.which("openssl") is not None
