"""How soon the command line answers: what a person waits for, beside the bare interpreter."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from statistics import median

from figures import Bound, Figure

ROUNDS = 15
TARGET = 0.3  # seconds


async def measure(quick: bool) -> AsyncIterator[Figure]:
    """Start `dongbo --help` and an empty program in turns."""
    helped, bare = [], []
    for _ in range(3 if quick else ROUNDS):
        bare.append(await _seconds("-c", "pass"))
        helped.append(await _seconds("-c", "from daemon.cli import main; main()", "--help"))
    yield Figure(
        "help",
        median(helped),
        "s from exec to exit",
        Bound.LESS_THAN,
        TARGET,
        values=helped,
        reference=median(bare),
        ratio=median(helped) / median(bare),
    )


async def _seconds(*arguments: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return time.perf_counter() - began
