"""Points to spend on queries, restored over time: Shopify's leaky bucket."""

from collections.abc import Callable

CAPACITY_IN_SECONDS = 20  # the bucket holds about twenty seconds of restored points


class PointBucket:
    """What one app may spend on one shop.

    Args:
        restore_rate: points restored per second.
        clock: seconds, never going backwards.
    """

    def __init__(self, restore_rate: float, clock: Callable[[], float]) -> None:
        self.restore_rate = restore_rate
        self.capacity = CAPACITY_IN_SECONDS * restore_rate
        self._clock = clock
        self._points = self.capacity
        self._as_of = clock()

    @property
    def available(self) -> float:
        """Points that can be spent now, from 0 to `capacity`."""
        now = self._clock()
        self._points = min(self.capacity, self._points + (now - self._as_of) * self.restore_rate)
        self._as_of = now
        return self._points

    def spend(self, points: float) -> bool:
        """Take `points` out; False, taking none, when there are not enough."""
        if points > self.available:
            return False
        self._points -= points
        return True

    def refund(self, points: float) -> None:
        """Give back what a query turned out not to cost."""
        self._points = min(self.capacity, self.available + points)
