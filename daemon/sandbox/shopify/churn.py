"""Random changes of the shop, as customers and staff make them while somebody synchronises it."""

import asyncio
import random
from decimal import Decimal

from daemon.sandbox.shopify.records import Variant
from daemon.sandbox.shopify.state import ShopState


class Churn:
    """Changes a shop at random.

    Args:
        state: the shop.
        seed: the same seed makes the same changes.
    """

    def __init__(self, state: ShopState, seed: int) -> None:
        self._state = state
        self._random = random.Random(f"{seed}/shopify churn")
        self._variant_ids: list[int] = []

    async def run(self, per_second: float) -> None:
        """Make `per_second` changes a second on average, until cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(per_second))
            self.change_something()

    def change_something(self) -> None:
        """One sale or, in one case of five, another price; nothing in an empty shop."""
        variant = self._any_variant()
        if variant is not None:
            self._random.choices((self._sell, self._reprice), weights=(80, 20))[0](variant)

    def _sell(self, variant: Variant) -> None:
        """Sell one or two, into the negative where the shop sells on."""
        if variant.levels:
            level = self._random.choice(variant.levels)
            self._state.place_order(variant.id, self._random.randint(1, 2), level.location_id)

    def _reprice(self, variant: Variant) -> None:
        """Nine tenths of the price, or a tenth or a fifth more, as precise as it was."""
        factor = Decimal(self._random.choice(("0.9", "1.1", "1.2")))
        self._state.change_price(variant.id, (variant.price * factor).quantize(variant.price))

    def _any_variant(self) -> Variant | None:
        variants = self._state.variants
        if len(self._variant_ids) != len(variants):  # a list of thousands is not made anew for each change
            self._variant_ids = list(variants)
        if not self._variant_ids:
            return None
        return variants.get(self._random.choice(self._variant_ids))
