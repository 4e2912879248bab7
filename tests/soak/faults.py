"""What happens to the daemons of a soak, at random: to the database, to the sources and to their processes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from daemon.sandbox.faults import Fault
from tests.soak.daemons import Instance
from tests.soak.world import World
from tests.support.network import (
    OfProxy,
    black_hole,
    dripping,
    half_open,
    refused,
    reset_again_and_again,
    silent,
    slow,
    truncated,
)

SHORTEST, LONGEST = 0.5, 5.0  # seconds that a fault lasts
LONGEST_PAUSE = 2.0  # seconds between two
TWO_AT_ONCE = 0.3  # share
SHARE_OF_CALLS = 0.3  # that a source fails

Happening: TypeAlias = Callable[[World], AbstractAsyncContextManager[None]]


def _to_database(injection: OfProxy) -> Happening:
    return lambda world: injection(world.shop.database)


def _to_nhanh(injection: OfProxy) -> Happening:
    return lambda world: injection(world.shop.nhanh)


def _to_shopify(injection: OfProxy) -> Happening:
    return lambda world: injection(world.shop.shopify)


@asynccontextmanager
async def _restarted(world: World) -> AsyncIterator[None]:
    await world.server.stop()
    yield
    await world.server.start()


def _answering(fault: Fault) -> Happening:
    """Both sources fail so many calls, each in this way."""

    @asynccontextmanager
    async def inject(world: World) -> AsyncIterator[None]:
        faults = world.sandbox.faults
        faults.slow, kept = 1.0 - SHARE_OF_CALLS, faults.slow
        setattr(faults, fault.value, SHARE_OF_CALLS)
        yield
        setattr(faults, fault.value, 0.0)
        faults.slow = kept

    return inject


@asynccontextmanager
async def _killed(world: World) -> AsyncIterator[None]:
    await world.mortal.kill()
    yield
    await world.mortal.start()


@asynccontextmanager
async def _stopped(world: World) -> AsyncIterator[None]:
    await world.mortal.stop()
    yield
    await world.mortal.start()


def _suspended(of: Callable[[World], Instance]) -> Happening:
    return lambda world: of(world).suspended()


@asynccontextmanager
async def _reloaded(world: World) -> AsyncIterator[None]:
    for instance in world.instances:
        await instance.reload()
    yield


NETWORK: Mapping[str, OfProxy] = {
    "connections reset": reset_again_and_again,
    "port closed": refused,
    "half-open": half_open,
    "black hole": black_hole,
    "silent": silent,
    "0.5 s round trip": slow(0.5),
    "2 s round trip": slow(2.0),
    "slow drip": dripping,
    "answers cut off": truncated,
}

# One of each place may happen at a time.
FAULTS: Mapping[str, Mapping[str, Happening]] = {
    "database": {name: _to_database(injection) for name, injection in NETWORK.items()} | {"restarted": _restarted},
    "Nhanh.vn": {name: _to_nhanh(injection) for name, injection in NETWORK.items()},
    "Shopify": {name: _to_shopify(injection) for name, injection in NETWORK.items()},
    "sources": {
        f"answer {fault.value}": _answering(fault)
        for fault in (Fault.ERROR_500, Fault.RATE_LIMITED, Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF)
    },
    "process": {
        "killed": _killed,
        "stopped": _stopped,
        "the mortal one suspended": _suspended(lambda world: world.mortal),
        "the steady one suspended": _suspended(lambda world: world.steady),
        "reloaded": _reloaded,
    },
}


async def let_happen(world: World, until: float) -> None:
    """One fault after the other, sometimes two at once, until so many seconds of the soak have passed."""
    chance = random.Random(world.chance.random())
    while world.seconds() < until:
        await asyncio.sleep(chance.uniform(0.0, LONGEST_PAUSE))
        chosen, lasts = _choose(chance), chance.uniform(SHORTEST, LONGEST)
        names = [f"{place}: {name}" for place, name in chosen]
        world.happened.update(names)
        world.say(f"{' and '.join(names)}, for {lasts:.1f} s")
        async with AsyncExitStack() as stack:
            for place, name in chosen:
                await stack.enter_async_context(FAULTS[place][name](world))
            await asyncio.sleep(lasts)
        for instance in world.instances:
            assert not instance.has_died, f"{instance.name} has ended by itself"


def _choose(chance: random.Random) -> Sequence[tuple[str, str]]:
    places = chance.sample(list(FAULTS), 2 if chance.random() < TWO_AT_ONCE else 1)
    return [(place, chance.choice(list(FAULTS[place]))) for place in places]
