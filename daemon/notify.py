"""What the daemon tells systemd: the notify protocol (sd_notify(3)), which does nothing where nobody listens."""

import asyncio
import os
import socket
import time
import weakref
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager

import structlog

from daemon.logging.faults import Fault
from daemon.texts import escaped

log = structlog.get_logger()

EXTENSION = 60.0  # seconds that are asked for at a time
EXTENSION_INTERVAL = 10.0  # seconds


class Notifier:
    """Speaks to the service manager that started this process.

    The variables of the protocol are taken out of the environment, so that no child, PostgreSQL above all, speaks
    on our behalf.

    Args:
        environ: `NOTIFY_SOCKET` is the path of a datagram socket, abstract when it begins with `@`; `WATCHDOG_USEC` and
            `WATCHDOG_PID` are those of sd_watchdog_enabled(3).
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._unheard = Fault(log, "notification_lost")
        self.is_ready = False  # whether the start is over
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._channel is not None:
            # Held for good: signs of life must not depend on whether another file can be opened.
            self._channel.setblocking(False)
            weakref.finalize(self, self._channel.close)
        self._watchdog_interval = _watchdog_interval(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))

    def watchdog_interval(self) -> float | None:
        """Seconds after which systemd takes the daemon for hung: notify in half of them. None: no watchdog."""
        return self._watchdog_interval

    def ready(self) -> None:
        """The daemon has started, or has reloaded."""
        self.is_ready = True
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={escaped(' '.join(text.split()))}")

    @asynccontextmanager
    async def taking_long(self, text: str, *, interval: float = EXTENSION_INTERVAL) -> AsyncGenerator[None]:
        """While this lasts, the service manager waits for the start, which takes as long as it takes.

        Args:
            text: what it takes long for, for `systemctl status`.
            interval: seconds after which more time is asked for.
        """
        self.status(text)
        extending = asyncio.create_task(self._extend(interval), name="extend-start")
        try:
            yield
        finally:
            extending.cancel()
            await asyncio.wait({extending})

    async def _extend(self, interval: float) -> None:
        while True:
            self._send(f"EXTEND_TIMEOUT_USEC={round(EXTENSION * 1_000_000)}")
            await asyncio.sleep(interval)

    def watchdog(self) -> None:
        """The daemon is alive; only to be said after a real check."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The daemon has begun to stop."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._channel is None:
            return
        try:
            self._channel.sendto(message.encode(), self._address)
        except OSError as error:  # systemd is not there, or its queue is full: the work continues without it
            self._unheard.happened(str(error), notification=message.partition("=")[0])
        else:
            self._unheard.passed()


def _watchdog_interval(microseconds: str, pid: str) -> float | None:
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
