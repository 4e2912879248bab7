"""A shop whose bucket of points calls draw on, in virtual time."""

import asyncio
from itertools import cycle

from daemon.sources.limits import CostBucket, ThrottleStatus


class Shop:
    """Shopify's side of a bucket: takes the requested points when a call arrives, gives back what it did not use."""

    def __init__(self, rate: float = 100.0, maximum: float = 2000.0, available: float | None = None) -> None:
        self.rate, self.maximum = rate, maximum
        self.points = maximum if available is None else available
        self.as_of = 0.0
        self.throttled = 0
        self.used = 0.0

    def available(self, now: float) -> float:
        """What it holds at a moment."""
        self.points = min(self.maximum, self.points + (now - self.as_of) * self.rate)
        self.as_of = now
        return self.points

    async def call(self, requested: float, actual: float, there: float, back: float) -> ThrottleStatus:
        """What it answers to a call that takes so long to arrive, and whose answer takes so long."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(there)
        if self.available(loop.time()) < requested:
            self.throttled += 1
            actual = requested = 0
        self.points -= requested
        self.used += actual
        await asyncio.sleep(0.05)
        self.points = min(self.maximum, self.available(loop.time()) + requested - actual)
        charged = actual if requested else None
        status = ThrottleStatus(requested or None, self.maximum, self.points, self.rate, charged)
        await asyncio.sleep(back)
        return status


async def pull(bucket: CostBucket, shop: Shop, costs: list[tuple[float, float]], way: float, until: float) -> float:
    """Call again and again; `costs` are (requested, actual), taken in turn. What they come to."""
    loop, used = asyncio.get_running_loop(), 0.0
    for requested, actual in cycle(costs):
        if loop.time() > until:
            break
        async with bucket.reserve(f"pull:{requested}", 1000) as reservation:
            status = await shop.call(requested, actual, way, way)
            reservation.report(status)
            used += status.actual or 0.0
    return used
