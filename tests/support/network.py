"""What a network does to the connections that lead through a proxy, for as long as the context lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from tests.support.fault_proxy import Cut, Drip, FaultProxy, Latency, Mode, Silence, Way

OfProxy: TypeAlias = Callable[[FaultProxy], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def behaving(mode: Mode, *ways: Way, proxy: FaultProxy) -> AsyncIterator[None]:
    """The network is like that."""
    proxy.behave(mode, *ways)
    yield
    await proxy.restore()


@asynccontextmanager
async def reset_again_and_again(proxy: FaultProxy) -> AsyncIterator[None]:
    """Every connection is reset soon after it has come to be."""

    async def reset() -> None:
        while True:
            proxy.reset()
            await asyncio.sleep(0.05)

    resetting = asyncio.create_task(reset(), name="reset")
    yield
    resetting.cancel()
    await asyncio.wait({resetting})


@asynccontextmanager
async def refused(proxy: FaultProxy) -> AsyncIterator[None]:
    """The port is closed, and nothing that was open stays so."""
    await proxy.refuse()
    proxy.reset()
    yield
    await proxy.restore()


@asynccontextmanager
async def half_open(proxy: FaultProxy) -> AsyncIterator[None]:
    """The other end is gone without a word, and new connections lead nowhere: a machine that has lost its power."""
    proxy.half_open()
    await proxy.leave_out()
    yield
    await proxy.restore()


@asynccontextmanager
async def black_hole(proxy: FaultProxy) -> AsyncIterator[None]:
    """What is sent vanishes, and so do new connections; what is under way arrives when it is over."""
    proxy.behave(Silence())
    await proxy.leave_out()
    yield
    await proxy.restore()


def slow(seconds: float) -> OfProxy:
    """So long a round trip."""
    return lambda proxy: behaving(Latency(seconds / 2), proxy=proxy)


def dripping(proxy: FaultProxy) -> AbstractAsyncContextManager[None]:
    """Answers come at a crawl."""
    return behaving(Drip(60), Way.TO_CLIENT, proxy=proxy)


def truncated(proxy: FaultProxy) -> AbstractAsyncContextManager[None]:
    """Every answer ends too early."""
    return behaving(Cut(after=100), Way.TO_CLIENT, proxy=proxy)


def silent(proxy: FaultProxy) -> AbstractAsyncContextManager[None]:
    """Connections are accepted, and nothing comes."""
    return behaving(Silence(), proxy=proxy)
