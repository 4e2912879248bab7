"""Calls of a sale that wait for points in the memory of a daemon, as they are seen from outside."""

import asyncpg

from daemon.sandbox.shopify import ShopifySandbox
from daemon.sources.shopify.models import PricePair

POINTS_LEFT = 20.0  # enough for one call that writes
UNDER_WAY = "SELECT variant_id, new_price, new_compare_at FROM dongbo.sale_writes WHERE result = 'intended'"


def use_up_points(shopify: ShopifySandbox) -> None:
    """Leave hardly any points: the daemon learns it from the next answer, and of its calls one waits for the other."""
    shopify.bucket.spend(max(shopify.bucket.available - POINTS_LEFT, 0.0))


async def waiting_calls(connection: asyncpg.Connection, shopify: ShopifySandbox) -> int:
    """How many calls, each for a product, are meant to be sent and have not been carried out."""
    waiting = {
        shopify.variants[row["variant_id"]].product_id
        for row in await connection.fetch(UNDER_WAY)
        if prices_of(shopify)[row["variant_id"]] != PricePair(row["new_price"], row["new_compare_at"])
    }
    return len(waiting)


def prices_of(shopify: ShopifySandbox) -> dict[int, PricePair]:
    """What each variant costs."""
    return {number: PricePair(one.price, one.compare_at_price) for number, one in shopify.variants.items()}
