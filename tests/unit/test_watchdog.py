"""systemd's watchdog is fed for as long as the loop turns and all parts run."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.notify import Notifier
from daemon.watchdog import Watchdog


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The receiving end of the protocol."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


async def test_it_is_fed_only_while_all_parts_run(manager: socket.socket) -> None:
    """Several times in its interval; not once a part has ended, of which the log tells."""
    interval = 0.03
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": str(int(interval * 1_000_000))}
    ended: list[str] = []
    looked = asyncio.Event()

    def look() -> list[str]:
        looked.set()
        return ended

    loop = asyncio.get_running_loop()
    service = Notifier(environ)
    with capture_logs() as log:
        async with asyncio.timeout(10), Watchdog(service, look):
            await looked.wait()
            service.ready()
            assert await loop.sock_recv(manager, 100) == b"READY=1", "nothing is fed before that"
            for _ in range(3):
                assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"
            ended.append("scheduler")
            for _ in range(3):
                looked.clear()
                await looked.wait()
    assert [line["parts"] for line in log if line["event"] == "watchdog_not_fed"] == [["scheduler"]]
