"""What the figure of Nhanh.vn and the quantity of Shopify come to together: what is offered, and what is sold twice.

An order at Shopify waits there as *committed* until it is marked as fulfilled. Sooner or later it comes to Nhanh.vn,
which holds its pieces until they leave the depot. What is said here is shown by a model of both shops
(`tests/unit/sync/test_overselling.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daemon.config import ProductSyncSettings
from daemon.i18n import mark
from daemon.sources.shopify.models import QuantityName

FigureName = Literal["available", "remain"]


@dataclass(frozen=True, slots=True)
class StockPolicy:
    """What a combination of figure and quantity means.

    Args:
        offered: what Shopify offers by it.
        risk: which orders can be sold twice, and what to set instead; None where none can.
    """

    offered: str
    risk: str | None


POLICIES: Mapping[tuple[FigureName, QuantityName], StockPolicy] = {
    ("available", "available"): StockPolicy(
        mark("Shopify offers what Nhanh.vn has available."),
        mark(
            "Until Nhanh.vn has taken an order from Shopify, each sync offers its pieces again, and they can be "
            'sold twice. Set quantity = "on_hand".'
        ),
    ),
    ("remain", "available"): StockPolicy(
        mark("Shopify offers all that is in Nhanh.vn's depots, including what orders are waiting for."),
        mark(
            "What an order is waiting for stays on offer until it leaves the depot, whatever channel the order came "
            'from, and can be sold twice. Set quantity = "on_hand" and, where others sell too, stock_figure = '
            '"available".'
        ),
    ),
    ("remain", "on_hand"): StockPolicy(
        mark("Shopify offers all that is in Nhanh.vn's depots, less what its own open orders have committed."),
        mark(
            "What orders of other channels are waiting for stays on offer until it leaves the depot, and can be sold "
            "twice. So can what Shopify marks as fulfilled before Nhanh.vn takes it off `remain`. Where others sell "
            'too, set stock_figure = "available".'
        ),
    ),
    ("available", "on_hand"): StockPolicy(
        mark(
            "Shopify offers what Nhanh.vn has available, less what its own open orders have committed: too little "
            "rather than too much, since an order that Nhanh.vn has taken counts twice until it is fulfilled at "
            "Shopify."
        ),
        None,
    ),
}


def policy_of(settings: ProductSyncSettings) -> StockPolicy:
    """What these settings come to."""
    return POLICIES[settings.stock_figure, settings.quantity]
