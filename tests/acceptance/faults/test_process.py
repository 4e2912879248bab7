"""Whatever happens to the daemon's process: it is over when it is over, nothing is lost, nothing done twice."""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.support.faults import Fault, check, undergo
from tests.support.faulty_shop import FaultyShop
from tests.support.preludes import block_on_signal, hasten, shift_clock_on_signal

NO_ANSWER = "no answer"
BLOCKED_SECONDS = 3.3  # less than the watchdog allows


@asynccontextmanager
async def suspended(shop: FaultyShop) -> AsyncIterator[None]:
    """The process stands still for longer than its leases, and another daemon takes over; then it goes on."""
    shop.daemon.process.send(signal.SIGSTOP)
    try:
        async with shop.site.daemon(prelude=hasten):
            yield
            shop.daemon.process.send(signal.SIGCONT)
    finally:
        shop.daemon.process.send(signal.SIGCONT)


@asynccontextmanager
async def blocked(shop: FaultyShop) -> AsyncIterator[None]:
    """Something holds up the event loop."""
    shop.daemon.process.send(signal.SIGUSR1)
    yield


def lowest_free_file(pid: int) -> int:
    """The number that the next file of a process would get."""
    used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(used) + 1) if number not in used)


@asynccontextmanager
async def out_of_files(shop: FaultyShop) -> AsyncIterator[None]:
    """No file and no connection can be opened any more, and those to the database and to the sources break."""
    pid, proxies = shop.daemon.process.pid, (shop.database, shop.nhanh, shop.shopify)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    async def squeeze() -> None:
        while True:  # what is closed meanwhile is not to be had again either
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free_file(pid), hard))
            await asyncio.sleep(0.01)

    for proxy in proxies:
        await proxy.refuse()
        proxy.reset()
    for proxy in proxies:
        await proxy.until(lambda proxy=proxy: not proxy.connections, "connections are left")
    squeezing = asyncio.create_task(squeeze(), name="squeeze-files")
    for proxy in proxies:
        await proxy.restore()
    yield
    squeezing.cancel()
    await asyncio.wait({squeezing})
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def killed(shop: FaultyShop) -> AsyncIterator[None]:
    """The kernel kills the process, as for want of memory, and systemd starts it again."""
    await shop.daemon.process.kill()
    yield
    shop.daemon = await shop.life.enter_async_context(shop.site.daemon(shop.environment, prelude=hasten))


@asynccontextmanager
async def clock_jumps(shop: FaultyShop) -> AsyncIterator[None]:
    """The wall clock is set, and later put right."""
    shop.daemon.process.send(signal.SIGUSR1)
    yield
    shop.daemon.process.send(signal.SIGUSR2)


FAULTS = [
    (Fault("process: suspended, another takes over", suspended, NO_ANSWER, 5.0, spares_the_loop=False), hasten),
    (Fault("process: loop blocked", blocked, NO_ANSWER, 4.0), partial(block_on_signal, BLOCKED_SECONDS)),
    (Fault("process: no file descriptors", out_of_files, "database_away"), hasten),
    (Fault("process: killed for want of memory", killed, NO_ANSWER, 1.0, spares_the_loop=False), hasten),
    *(
        (
            Fault(f"process: wall clock {hours:+} h", clock_jumps, "daemon_clock_off"),
            partial(shift_clock_on_signal, timedelta(hours=hours)),
        )
        for hours in (1, -1)
    ),
]


@pytest.mark.parametrize(("fault", "prelude"), FAULTS, ids=[fault.name for fault, _ in FAULTS])
async def test_fault(shop: FaultyShop, fault: Fault, prelude: Callable[[], None]) -> None:
    """One fault."""
    async with shop.site.daemon(shop.environment, prelude=prelude) as shop.daemon:
        check(fault, await undergo(shop, fault))
        assert await shop.daemon.process.terminate() == 0
