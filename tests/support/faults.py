"""A fault, what a daemon goes through under it, and what came of it."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from tests.support.faulty_shop import WATCHDOG_SECONDS, FaultyShop, Ledger

SHOW_SECONDS = 20.0
LOOK_SECONDS = 0.2  # between two looks
RECOVERY_SECONDS = 20.0
MOST_LINES = 60  # of the log, for a fault of some seconds
RECORD = "DONGBO_FAULT_TABLE"  # a file that gets a line for each outcome


Injection: TypeAlias = Callable[[FaultyShop], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """Something that happens to a daemon.

    Args:
        inject: lets it happen for as long as the context lasts.
        lasts: seconds, at least; longer where it takes longer to show.
        shows: what tells of it: a condition, or a check of `/readyz` as `check:NAME`; "" where nobody need know.
        spares_the_loop: whether signs of life go on meanwhile.
        most_lines: how many lines of the log it may take.
    """

    name: str
    inject: Injection
    shows: str = ""
    lasts: float = 3.0
    spares_the_loop: bool = True
    most_lines: int = MOST_LINES


@dataclass(frozen=True)
class Outcome:
    """What a fault has led to.

    Args:
        shown: everything that told of it.
        shown_after: seconds from its beginning until it was told of.
        recovered_after: seconds from its end until nothing was wrong any more.
        lines: of the log, from its beginning to the recovery.
        loudest: the most frequent of these lines, by event.
        longest_silence: seconds that the service manager heard nothing.
    """

    fault: str
    shown: Sequence[str]
    shown_after: float
    recovered_after: float
    lines: int
    loudest: Mapping[str, int]
    longest_silence: float
    ledger: Ledger


async def undergo(shop: FaultyShop, fault: Fault) -> Outcome:
    """Let a fault happen in the middle of the work, wait until it shows, end it, and see the work done."""
    await shop.prepare()
    usual = await shop.complaints()
    await shop.begin()
    process, began = shop.daemon.process, time.monotonic()
    first = len(process.log)
    shown: set[str] = set()
    async with fault.inject(shop):

        def look(complaints: set[str]) -> bool:
            shown.update(complaints - usual)
            return fault.shows in complaints or not fault.shows

        await shop.until(look, SHOW_SECONDS, f"{fault.shows} of {fault.name}")
        shown_at = time.monotonic()
        while time.monotonic() < began + fault.lasts:
            look(await shop.complaints())
            await asyncio.sleep(LOOK_SECONDS)
    over = time.monotonic()

    await shop.until(lambda complaints: complaints <= usual, RECOVERY_SECONDS, f"the recovery from {fault.name}")
    recovered = time.monotonic()
    lines = process.log[first:] + (shop.daemon.process.log if shop.daemon.process is not process else [])
    await shop.done()
    outcome = Outcome(
        fault.name,
        sorted(shown),
        round(shown_at - began, 1),
        round(recovered - over, 1),
        len(lines),
        dict(Counter(str(line.get("event", "?")) for line in lines).most_common(4)),
        round(shop.ear.longest_silence(began, recovered), 1),
        await shop.ledger(),
    )
    note(outcome)
    return outcome


def check(fault: Fault, outcome: Outcome) -> None:
    """Nothing is lost, nothing is done twice, the log stays readable, and systemd sees no reason to kill."""
    assert outcome.ledger == Ledger(), outcome
    assert outcome.lines <= fault.most_lines, outcome
    if fault.spares_the_loop:
        assert outcome.longest_silence < WATCHDOG_SECONDS, outcome


def note(outcome: Outcome) -> None:
    """Show an outcome, and keep it for the table where one is wanted."""
    print(outcome)  # noqa: T201 - for whoever runs the tests with -rP
    if path := os.environ.get(RECORD):
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
