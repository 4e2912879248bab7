"""A daemon that is started anew whenever it has gone, as systemd does it, and what it is found to need."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.faulty_shop import ServiceManagerEar
from tests.support.preludes import hasten
from tests.support.process import OPEN, READY, Api, DaemonProcess, RunningDaemon
from tests.support.site import Site

WATCHDOG_SECONDS = 10.0
SETTLING_LOOKS = 8
SETTLING_SECONDS = 0.25  # between two looks
MB = 1_000_000
STRANGE = ("asyncio", "py.warnings")  # loggers


@dataclass(frozen=True)
class Needs:
    """What a daemon holds in a quiet moment: the least of several looks, between which requests come and go.

    Args:
        memory: MB that are resident.
        files: that are open, but for those of the pool.
        tasks: of the event loop.
        pool: connections to the database.
    """

    memory: float
    files: int
    tasks: int
    pool: int


class Instance:
    """One of the daemons. `starts` counts its processes, `lines` all lines of their logs."""

    def __init__(self, name: str, site: Site, directory: Path) -> None:
        self.name = name
        self.starts = 0
        self.daemon: RunningDaemon | None = None  # None while it is down
        self.is_suspended = False
        self.lines: Counter[str] = Counter()  # of the logs of processes that have ended, by event
        self.problems: list[str] = []  # of processes that have ended
        self._site = site
        self._life = AsyncExitStack()
        self._ear = ServiceManagerEar(directory / f"notify-{name}")
        self._excused: list[tuple[float, float]] = []  # when it can't give signs of life
        self._down_since = time.monotonic()

    @property
    def api(self) -> Api | None:
        """A client of it, while it is up."""
        return self.daemon.api if self.daemon is not None else None

    @property
    def has_died(self) -> bool:
        """Whether its process has ended though nobody wanted it to."""
        return self.daemon is not None and self.daemon.process.exit_code is not None

    async def start(self) -> None:
        """Start it, and wait until its endpoint is open."""
        environment = {
            "NOTIFY_SOCKET": str(self._ear.path),
            "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000)),
        }
        self.daemon = await self._life.enter_async_context(self._site.daemon(environment, prelude=hasten, once=OPEN))
        self.starts += 1
        self._excused.append((self._down_since, time.monotonic()))

    async def ready(self) -> None:
        """Wait until it does all that it does."""
        assert self.daemon is not None
        await self.daemon.process.logged(READY)

    async def stop(self) -> None:
        """Let it end in order, which must work whatever is wrong."""
        assert self.daemon is not None
        ended = self.daemon.process
        self._down()
        if (code := await ended.terminate()) != 0:
            self.problems.append(f"ended with {code}: {ended.log[-20:]}")
        await self._bury(ended)

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.daemon is not None
        ended = self.daemon.process
        self._down()
        await ended.kill()
        await self._bury(ended)

    @asynccontextmanager
    async def suspended(self) -> AsyncIterator[None]:
        """Its process stands still."""
        assert self.daemon is not None
        began = time.monotonic()
        self.is_suspended = True
        self.daemon.process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemon.process.send(signal.SIGCONT)
            self.is_suspended = False
            self._excused.append((began, time.monotonic()))

    async def reload(self) -> None:
        """Let it read its configuration again."""
        assert self.daemon is not None
        process = self.daemon.process
        times = len(process.events("reloaded"))
        process.send(signal.SIGHUP)
        await process.logged("reloaded", times=times + 1)

    async def complaints(self) -> set[str]:
        """What is wrong, in its own words; see `FaultyShop.complaints`."""
        if self.api is None:
            return {"down"}
        try:
            status = await self.api.get("/status")
        except (aiohttp.ClientError, TimeoutError):
            return {"no answer"}
        failing = {f"check:{check['name']}" for check in status["checks"] if not check["ok"]}
        return {condition["id"] for condition in status["conditions"]} | failing

    async def needs(self) -> Needs:
        """What it holds now."""
        looks = []
        for _ in range(SETTLING_LOOKS):
            looks.append(await self._look())
            await asyncio.sleep(SETTLING_SECONDS)
        return Needs(
            min(look.memory for look in looks),
            min(look.files for look in looks),
            min(look.tasks for look in looks),
            max(look.pool for look in looks),
        )

    def longest_silence(self) -> float:
        """The longest time in which the service manager heard nothing though the process could have spoken, in s."""
        excused = [(began, self._next_sign(ended)) for began, ended in self._excused]
        heard = sorted([*self._ear.heard, *(moment for span in excused for moment in span)])
        silences = (
            later - earlier
            for earlier, later in pairwise(heard)
            if not any(began <= earlier and later <= ended for began, ended in excused)
        )
        return max(silences, default=0.0)

    def _next_sign(self, moment: float) -> float:
        """A service that starts is watched from when it is ready: with the database away, that takes its time."""
        return next((heard for heard in self._ear.heard if heard > moment), moment)

    async def close(self) -> None:
        """End all that is left of it."""
        await self._life.aclose()
        self._ear.close()

    def _down(self) -> None:
        assert self.daemon is not None
        self.lines.update(str(line.get("event", "?")) for line in self.daemon.process.log)
        self.daemon = None
        self._down_since = time.monotonic()

    async def _bury(self, ended: DaemonProcess) -> None:
        """Let go of a process; what it wrote must not tell of bugs."""
        try:
            await self._life.aclose()
        except AssertionError:
            loud = [line for line in ended.log if {"exception", "raw"} & line.keys() or line.get("logger") in STRANGE]
            self.problems.append(f"strange lines in its log: {loud}")

    async def _look(self) -> Needs:
        assert self.daemon is not None
        status, text = await self.daemon.api.text("/metrics")
        assert status == 200, text
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if not sample.labels
        }
        pool = int(values["dongbo_pool_connections"])
        return Needs(
            values["process_resident_memory_bytes"] / MB,
            int(values["dongbo_open_files"]) - pool,
            int(values["dongbo_tasks"]),
            pool,
        )
