"""Who is told: a web service and a mail server that keep what they are sent, and answer as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiohttp import web

PATIENCE = 30.0  # seconds: each message is sent by a process of its own, and the machine may be busy


class Receiver:
    """A web service. `path` of its addresses is a secret."""

    def __init__(self) -> None:
        self.received: list[Any] = []  # bodies of POST, in the order in which they came
        self.calls = 0  # GET
        self.status = 200
        self.on_receipt: Callable[[], Awaitable[None]] | None = None  # before it answers
        self._arrived = asyncio.Condition()
        self.port = 0

    @property
    def titles(self) -> list[str]:
        """Of what it was sent."""
        return [body["title"] for body in self.received]

    def alert_url(self, path: str = "hook") -> str:
        """As an Apprise URL."""
        return f"json://127.0.0.1:{self.port}/{path}"

    def heartbeat_url(self, path: str = "beat") -> str:
        """As a web address."""
        return f"http://127.0.0.1:{self.port}/{path}"

    async def wait_for(self, messages: int = 0, calls: int = 0) -> None:
        """Wait until so much has come in."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= messages and self.calls >= calls)

    async def handle(self, request: web.Request) -> web.Response:
        """Keep what comes."""
        if request.method == "POST":
            if self.status == 200:
                self.received.append(await request.json())
        else:
            self.calls += 1
        if self.on_receipt is not None:
            await self.on_receipt()
        async with self._arrived:
            self._arrived.notify_all()
        return web.Response(status=self.status, text="said by the service")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A web service on a free port of this machine."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Mailbox:
    """A mail server that takes everything (RFC 5321, as far as smtplib asks)."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        writer.write(b"220 mail.example.com\r\n")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    self.mails.append(message_from_bytes(content.removesuffix(b".\r\n")))
                    writer.write(b"250 kept\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def taking_mail() -> AsyncIterator[Mailbox]:
    """A mail server on a free port of this machine."""
    mailbox = Mailbox()
    server = await asyncio.start_server(mailbox.serve, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mailbox
