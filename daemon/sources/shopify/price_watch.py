"""Prices that are written only where they still are as they were read: Shopify has no compare-and-set for them.

A call waits in memory, for points and between attempts, and the process may be suspended meanwhile. So the prices are
checked when the call's turn comes, and again before each attempt that follows one without an answer: that one may
have been carried out, and somebody may have changed the price since. What remains is the time of one call.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

from daemon.clock import boot_time
from daemon.errors import SourceError
from daemon.sources.meter import BeforeSend, CallMeter
from daemon.sources.shopify.models import PricePair, Reading
from daemon.sources.shopify.writes import ANY, UNCHANGED, PriceChange, PriceOutcome

READ_LASTS = 2.0  # seconds from reading a price to the call that it was read for
# The third time, an answer that takes longer than that is believed all the same: then the network is slow.
MOST_READS = 3
LONG_AGO: Final = -math.inf


class PricesMoved(Exception):
    """Keeps a call from being sent: Shopify's prices are not the expected ones."""


class LookFailed(Exception):
    """Keeps a call from being sent: the prices can't be read, even after retries."""

    def __init__(self, error: SourceError) -> None:
        super().__init__(str(error))
        self.error = error


class ReadPrices(Protocol):
    """Reads the present prices of variants; see `StockReader.present_prices`."""

    async def __call__(
        self, variant_ids: Sequence[int], *, meter: CallMeter, before_send: BeforeSend
    ) -> Reading[PricePair]: ...


class Stopwatch:
    """When a question was sent, by `boot_time`; of several attempts, the last."""

    def __init__(self) -> None:
        self.sent_at = LONG_AGO

    async def start(self) -> None:
        """The question is about to be sent."""
        self.sent_at = boot_time()


class PriceWatch:
    """Checks the prices of one call right before each of its attempts.

    Args:
        read: reads present prices.
        changes: those that expect no particular price are not checked.
        read_at: when the expected prices were asked for, by `boot_time`.
    """

    def __init__(self, read: ReadPrices, changes: Sequence[PriceChange], read_at: float, meter: CallMeter) -> None:
        self._read = read
        self._meter = meter
        self._read_at = read_at
        self._expected: dict[int, PricePair] = {}
        self._present: Reading[PricePair] = Reading()
        self._is_under_way = False  # an attempt was sent, and nothing has been read since
        self.in_doubt: set[int] = set()  # in an attempt that another has followed
        self.expect(changes)

    def expect(self, changes: Sequence[PriceChange]) -> None:
        """What the next attempt is about."""
        self._expected = {change.variant_id: change.expected for change in changes if change.expected is not ANY}
        self._sent = {change.variant_id for change in changes}

    async def check(self) -> None:
        """Let an attempt be sent; raises PricesMoved where something else must be decided first,
        and LookFailed."""
        if self._is_under_way:
            self.in_doubt |= self._sent
        for _ in range(MOST_READS if self._expected else 0):
            if not self._is_under_way and boot_time() - self._read_at <= READ_LASTS:
                break
            await self._look()
        self._is_under_way = True

    def not_done(self) -> None:
        """The attempt under way certainly had no effect."""
        self._is_under_way = False

    async def _look(self) -> None:
        stopwatch = Stopwatch()
        try:
            self._present = await self._read(list(self._expected), meter=self._meter, before_send=stopwatch.start)
        except SourceError as error:
            raise LookFailed(error) from error
        self._read_at, self._is_under_way = stopwatch.sent_at, False
        if any(self._present.found.get(number) != amounts for number, amounts in self._expected.items()):
            raise PricesMoved

    def sort(self, changes: Sequence[PriceChange], outcome: PriceOutcome) -> list[PriceChange]:
        """Note the outcome of changes by what was read, and return those still to be sent."""
        left = []
        for change in changes:
            present = self._present.found.get(change.variant_id)
            if change.expected is ANY or present == change.expected:
                left.append(change)
            elif change.variant_id in self._present.unread:
                outcome.unread[change.variant_id] = self._present.unread[change.variant_id]
            elif present is not None and present == _wanted(change, change.expected):
                outcome.applied[change.variant_id] = present
            else:
                outcome.moved[change.variant_id] = present
        return left


def _wanted(change: PriceChange, expected: PricePair) -> PricePair:
    return PricePair(
        expected.price if change.price is UNCHANGED else change.price,
        expected.compare_at if change.compare_at_price is UNCHANGED else change.compare_at_price,
    )
