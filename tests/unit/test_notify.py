"""The notify protocol, spoken to a real socket in systemd's place."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end, on a socket file or an abstract address."""
    address = str(tmp_path / "notify") if request.param == "path" else f"\0dongbo-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(5)
        yield server


@pytest.fixture
def environ(manager: socket.socket) -> dict[str, str]:
    """What systemd sets for the service."""
    name = manager.getsockname()
    return {"NOTIFY_SOCKET": name if isinstance(name, str) else f"@{name[1:].decode()}"}


def received(manager: socket.socket) -> str:
    """The next datagram."""
    return manager.recv(4096).decode()


def test_messages(manager: socket.socket, environ: dict[str, str]) -> None:
    """Each step in the daemon's life is said in the words of sd_notify(3)."""
    notifier = Notifier(environ)
    for say, message in (
        (notifier.ready, "READY=1"),
        (notifier.watchdog, "WATCHDOG=1"),
        (notifier.stopping, "STOPPING=1"),
    ):
        say()
        assert received(manager) == message


def test_signs_of_life_need_no_file(manager: socket.socket, environ: dict[str, str]) -> None:
    """A daemon that can open no file any more is alive: it must not be killed for that."""
    notifier = Notifier(environ)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        notifier.watchdog()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert received(manager) == "WATCHDOG=1"


def test_a_reload_tells_its_time(manager: socket.socket, environ: dict[str, str]) -> None:
    """systemd pairs a reload with the time of the monotonic clock in microseconds."""
    before = time.monotonic_ns() // 1000
    Notifier(environ).reloading()
    after = time.monotonic_ns() // 1000
    reloading, monotonic = received(manager).split("\n")
    assert reloading == "RELOADING=1"
    assert before <= int(monotonic.removeprefix("MONOTONIC_USEC=")) <= after


def test_a_status_is_one_line(manager: socket.socket, environ: dict[str, str]) -> None:
    """Whatever a status says, it can't say anything but a status."""
    Notifier(environ).status("2 jobs run: Đồng bộ\nSTOPPING=1")
    assert received(manager) == "STATUS=2 jobs run: Đồng bộ STOPPING=1"


async def test_a_long_start_asks_for_more_time(manager: socket.socket, environ: dict[str, str]) -> None:
    """More time is asked for at once, again while the start goes on, and no longer once it has ended."""
    notifier = Notifier(environ)
    async with notifier.taking_long("migrating", interval=0.01):
        messages = [await asyncio.to_thread(received, manager) for _ in range(3)]
    assert messages == ["STATUS=migrating", "EXTEND_TIMEOUT_USEC=60000000", "EXTEND_TIMEOUT_USEC=60000000"]
    assert "extend-start" not in {task.get_name() for task in asyncio.all_tasks()}


def test_children_inherit_nothing(environ: dict[str, str]) -> None:
    """The embedded PostgreSQL, which speaks the protocol too, can't report in the daemon's name."""
    environ |= {"WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}
    Notifier(environ)
    assert environ == {"PATH": "/bin"}


def test_nobody_listens() -> None:
    """Outside systemd every message is a no-op."""
    notifier = Notifier({})
    with capture_logs() as logs:
        notifier.ready()
        notifier.status("x")
        notifier.reloading()
        notifier.watchdog()
        notifier.stopping()
    assert logs == []


def test_a_lost_message_is_logged(tmp_path: Path) -> None:
    """Where systemd's socket is gone, the daemon goes on, and says so."""
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert [(entry["event"], entry["notification"]) for entry in logs] == [("notification_lost", "READY")]


def test_a_full_queue_does_not_block(manager: socket.socket, environ: dict[str, str]) -> None:
    """A service manager that does not read never stops the event loop."""
    notifier = Notifier(environ)
    with capture_logs() as logs:
        for _ in range(10_000):
            notifier.watchdog()
            if logs:
                break
    assert logs[0]["event"] == "notification_lost"


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: float | None) -> None:
    """The watchdog's interval counts for the process that systemd means, and for no other."""
    assert Notifier(dict(environ)).watchdog_interval() == interval
