"""The daemon under systemd: what it says on the notify socket."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.site import Site

WATCHDOG_SECONDS = 0.2


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that nobody comes to see."""
    return SandboxSettings(products=1, customers=1, limits=False)


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


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    """A service manager that listens."""
    listening = ServiceManager(tmp_path / "notify")
    yield listening
    listening.close()


async def test_the_notify_protocol_is_spoken(site: Site, manager: ServiceManager) -> None:
    """READY, STATUS with the address, WATCHDOG; RELOADING with the monotonic time and READY again, also where the file
    is refused; STOPPING: each at its time."""
    environment = {
        "NOTIFY_SOCKET": str(manager.path),
        "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000)),
    }
    async with site.daemon(environment) as daemon:
        assert await manager.hears("READY") == {"READY": "1"}
        assert daemon.address in (await manager.hears("STATUS"))["STATUS"]
        began = time.monotonic()
        for _ in range(4):
            assert await manager.hears("WATCHDOG") == {"WATCHDOG": "1"}
        assert time.monotonic() - began < 4 * WATCHDOG_SECONDS, "in time, every time"
        for broken in (False, True):
            if broken:
                site.config.write_text("colour = 'red'")
            before = time.monotonic_ns() // 1000
            daemon.process.send(signal.SIGHUP)
            reloading = await manager.hears("RELOADING")
            assert reloading["RELOADING"] == "1"
            assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            assert await manager.hears_next() == "READY"
        daemon.process.send(signal.SIGTERM)
        assert await manager.hears_next() == "STOPPING"
        assert await daemon.process.exited() == 0


async def test_nothing_is_ready_before_the_database_answers(
    site: Site, manager: ServiceManager, unused_port: int
) -> None:
    """Without a database the daemon never says READY."""
    site.settings["database"] = {"url": f"postgresql://postgres@127.0.0.1:{unused_port}/dongbo"}
    site.write()
    async with site.process(environment={"NOTIFY_SOCKET": str(manager.path)}) as process:
        await process.logged("database_awaited", times=3)
        await process.terminate()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await manager.hears("READY")
