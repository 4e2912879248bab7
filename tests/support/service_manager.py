"""A service manager that listens to what a daemon tells it."""

import asyncio
import socket
from pathlib import Path


class ServiceManager:
    """The receiving end of the protocol."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    async def hears(self, name: str) -> dict[str, str]:
        """The next message that begins with this variable, as variables; others are passed over."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while True:
                message = (await loop.sock_recv(self._socket, 4096)).decode()
                variables = dict(line.split("=", 1) for line in message.splitlines())
                if next(iter(variables)) == name:
                    return variables

    async def hears_next(self) -> str:
        """The name of the next message that is neither a sign of life nor a text for people."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while True:
                name = (await loop.sock_recv(self._socket, 4096)).decode().partition("=")[0]
                if name not in ("WATCHDOG", "STATUS"):
                    return name

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
