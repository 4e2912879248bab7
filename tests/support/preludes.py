"""What a forked daemon does before it becomes one: so that a test need not wait as long as life does."""

import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import time_machine

from daemon.sources.http import Backoff

# A tenth or so of what they are; the order in which they come after one another is the same.
SHORT: Mapping[str, Any] = {
    "daemon.sources.http.TIMEOUT": aiohttp.ClientTimeout(total=2, connect=1, sock_connect=0.8, sock_read=0.8),
    "daemon.sources.http.BACKOFF": Backoff(attempts=4, initial=0.05, maximum=0.2),
    "daemon.database.pool.CONNECT_TIMEOUT": 2.0,
    "daemon.database.pool.ACQUIRE_TIMEOUT": 2.0,
    "daemon.database.pool.REFUSAL_COUNTS": timedelta(seconds=2),
    "daemon.database.locks.WORTH_SAYING": 0.3,
    "daemon.conditions.watch.LOOK_INTERVAL": 1.0,
    "daemon.conditions.watch.OUTAGE_INTERVAL": 0.5,
    "daemon.conditions.watch.LOOK_TIMEOUT": 2.0,
    "daemon.conditions.watch.ASK_INTERVAL": 1.0,
    "daemon.conditions.facts.STALE_AFTER": timedelta(seconds=3),
    "daemon.jobs.events.CATCH_UP_INTERVAL": 1.0,
    "daemon.jobs.events.PROBE_INTERVAL": 2.0,
    "daemon.jobs.events.PROBE_TIMEOUT": 1.0,
    "daemon.jobs.queue.worker.POLL_INTERVAL": timedelta(seconds=0.5),
    "daemon.jobs.queue.worker.SWEEP_INTERVAL": 1.0,
    "daemon.jobs.queue.places.HEARTBEAT_TIMEOUT": timedelta(seconds=3),
    "daemon.schedules.sweeping.RETRY": 0.5,
    "daemon.status.checks.CHECK_TIMEOUT": 1.0,
    "daemon.status.survey.SURVEY_TIMEOUT": 1.0,
}

# The same for a daemon that is started by a command line.
HASTENED_COMMAND = (
    sys.executable,
    "-c",
    "from tests.support.preludes import hasten; hasten(); from daemon.cli import main; main()",
)
HASTENED_ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2])}


def hasten(values: Mapping[str, Any] = SHORT) -> None:
    """Replace constants, also in the modules that have imported them."""
    for path, value in values.items():
        module, _, name = path.rpartition(".")
        replaced = getattr(import_module(module), name)
        if isinstance(value, Backoff):  # the default of many parameters
            for field in ("attempts", "initial", "maximum"):
                object.__setattr__(replaced, field, getattr(value, field))
            continue
        for place, loaded in list(sys.modules.items()):
            if place.startswith("daemon.") and getattr(loaded, name, None) is replaced:
                setattr(loaded, name, value)


def block_on_signal(seconds: float, number: int = signal.SIGUSR1) -> None:
    """Let a signal stop the event loop for a while, as a call that blocks does."""
    hasten()
    signal.signal(number, partial(_block, seconds))


def _block(seconds: float, number: int, frame: FrameType | None) -> None:
    time.sleep(seconds)


def shift_clock_on_signal(shift: timedelta, to: int = signal.SIGUSR1, back: int = signal.SIGUSR2) -> None:
    """Let one signal set the wall clock, as this process sees it, forward or back, and another one put it right."""
    hasten()
    shifts: list[time_machine.travel] = []

    def jump(number: int, frame: FrameType | None) -> None:
        shifts.append(time_machine.travel(datetime.now(UTC) + shift, tick=True))
        shifts[-1].start()

    def put_right(number: int, frame: FrameType | None) -> None:
        shifts.pop().stop()

    signal.signal(to, jump)
    signal.signal(back, put_right)
