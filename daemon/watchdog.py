"""Tells systemd that the daemon is alive."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from daemon.lifecycle import Part
from daemon.logging.faults import Fault
from daemon.notify import Notifier

log = structlog.get_logger()

FEEDS = 3  # in the time after which systemd takes the daemon for hung: a late one is forgiven


class Watchdog(Part):
    """Feeds systemd's watchdog while the loop turns, which this needs itself, and all parts of the daemon run.

    The database is not its affair: a restart brings it back no sooner, and `/readyz` tells of it.

    Args:
        ended: looks up the names of parts that should run and do not.
    """

    name = "watchdog"

    def __init__(self, service: Notifier, ended: Callable[[], Sequence[str]]) -> None:
        self._service = service
        self._ended = ended
        self._unfed = Fault(log, "watchdog_not_fed", next_step="systemd restarts the daemon")

    async def _run(self) -> None:
        interval = self._service.watchdog_interval()
        if interval is None:
            return
        while True:
            if ended := self._ended():
                self._unfed.happened("parts have ended", parts=ended)
            elif self._service.is_ready:  # before that nobody waits for it
                self._service.watchdog()
            await asyncio.sleep(interval / FEEDS)
