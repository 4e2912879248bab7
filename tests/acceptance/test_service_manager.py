"""The daemon under systemd: what it says on the notify socket."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.sandbox.server import SandboxSettings
from tests.support.service_manager import ServiceManager
from tests.support.site import Site

WATCHDOG_SECONDS = 0.2


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that nobody comes to see."""
    return SandboxSettings(products=1, customers=1, limits=False)


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


async def test_a_daemon_that_is_ended_by_the_watchdog_leaves_its_stack(site: Site) -> None:
    """SIGABRT, by which systemd ends a hung daemon, puts into the log where each thread was."""
    async with site.daemon() as daemon:
        daemon.process.send(signal.SIGABRT)
        assert await daemon.process.exited() == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in daemon.process.text
        assert " in run_in_loop" in daemon.process.text
