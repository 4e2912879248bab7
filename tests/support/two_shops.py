"""One article in both shops and what becomes of it: who sells which piece, and whether a piece is sold twice.

Shopify's side is the sandbox's. Nhanh.vn's is what its figures mean: `remain` is what lies in the depot, `available` is
without what the orders that it knows wait for. A sync is what the product chain does, step by step: it reads Shopify's
level, then Nhanh.vn's figure, and compares and sets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto

from daemon.config import ProductSyncSettings
from daemon.sandbox.shopify.inventory_fields import quantity_of
from daemon.sandbox.shopify.records import LevelRecord, LocationRecord, OrderRecord, Product, Variant
from daemon.sandbox.shopify.state import ShopState

NOW = datetime(2026, 10, 1, tzinfo=UTC)
LOCATION, VARIANT, PRODUCT, ITEM = 1, 2, 3, 4


class SyncStep(Enum):
    """What a sync does next."""

    READ_SHOPIFY = auto()
    READ_NHANH = auto()
    PUSH = auto()


@dataclass(eq=False)
class PieceOrder:
    """An order of one piece. Times do not matter, only what is known where."""

    at_shopify: OrderRecord | None  # None: of another channel, which Nhanh.vn knows at once
    is_taken: bool  # by Nhanh.vn, which holds a piece for it
    is_sent: bool = False  # the piece has left the depot
    is_fulfilled: bool = False  # at Shopify


@dataclass
class TwoShops:
    """The article by these settings, with so many pieces in the depot."""

    settings: ProductSyncSettings
    pieces: int
    orders: list[PieceOrder] = field(default_factory=list)
    steps: Sequence[SyncStep] = tuple(SyncStep)
    sold_twice: int = 0  # pieces that Shopify has sold although all were promised to others

    def __post_init__(self) -> None:
        self.remain = self.pieces
        self.shopify = ShopState(lambda: NOW)
        self.shopify.add_location(LocationRecord(LOCATION, "Kho", 1, "Huế", NOW, NOW))
        self._level = LevelRecord(LOCATION, self.pieces, NOW)
        self.shopify.add_product(_product(self._level))
        self._done = 0  # of the steps of the sync under way
        self._present = self._figure = 0

    @property
    def offered(self) -> int:
        """What can be bought at Shopify."""
        return self._level.available

    @property
    def promised(self) -> int:
        """Pieces that lie in the depot and belong to somebody."""
        return sum(not order.is_sent for order in self.orders)

    @property
    def free(self) -> int:
        """Pieces in the depot that nobody has bought."""
        return self.remain - self.promised

    @property
    def available(self) -> int:
        """What Nhanh.vn says is available: it does not know all orders."""
        return self.remain - sum(order.is_taken and not order.is_sent for order in self.orders)

    # What people do.

    def buy_at_shopify(self) -> PieceOrder | None:
        """Somebody buys a piece at Shopify, if it offers one."""
        if self.offered <= 0:
            return None
        self.sold_twice += self.free <= 0
        order = PieceOrder(self.shopify.place_order(VARIANT), is_taken=False)
        self.orders.append(order)
        return order

    def buy_elsewhere(self) -> None:
        """Somebody buys a piece in another channel, which Nhanh.vn holds at once, if it has one available."""
        if self.available > 0:
            self.orders.append(PieceOrder(None, is_taken=True))

    def take(self) -> None:
        """Nhanh.vn learns of an order of Shopify, however late."""
        for order in self._first(lambda order: not order.is_taken):
            order.is_taken = True

    def send(self) -> None:
        """The piece of an order that Nhanh.vn has taken leaves the depot."""
        for order in self._first(lambda order: order.is_taken and not order.is_sent):
            if self.remain > 0:
                order.is_sent = True
                self.remain -= 1

    def fulfil(self, *, early: bool = False) -> None:
        """An order that was sent (`early`: that Nhanh.vn has taken) is marked as fulfilled at Shopify."""
        for order in self._first(
            lambda order: (
                order.at_shopify is not None and not order.is_fulfilled and (order.is_taken if early else order.is_sent)
            )
        ):
            assert order.at_shopify is not None
            self.shopify.fulfil_order(order.at_shopify.id)
            order.is_fulfilled = True

    def cancel(self) -> None:
        """Somebody cancels an order of Shopify that Nhanh.vn has not taken yet."""
        for order in self._first(lambda order: order.at_shopify is not None and not order.is_taken):
            assert order.at_shopify is not None
            self.shopify.cancel_order(order.at_shopify.id)
            self.orders.remove(order)

    def receive(self) -> None:
        """A piece arrives in the depot."""
        self.remain += 1

    # What a sync does.

    def sync_on(self) -> None:
        """The next step of a sync: others act between the steps."""
        match self.steps[self._done]:
            case SyncStep.READ_SHOPIFY:
                self._present = self._named()
            case SyncStep.READ_NHANH:
                self._figure = max(self.remain if self.settings.stock_figure == "remain" else self.available, 0)
            case SyncStep.PUSH:
                self._push()
        self._done = (self._done + 1) % len(self.steps)

    def sync(self) -> None:
        """A whole sync, from the start."""
        self._done = 0
        for _step in self.steps:
            self.sync_on()

    def _push(self) -> None:
        if self.settings.quantity == "available":  # what has changed is read again, and set all the same
            self.shopify.change_stock(VARIANT, self._figure)
        elif self._present == self._named():  # else it is left to the next sync
            self.shopify.change_on_hand(VARIANT, self._figure)

    def _named(self) -> int:
        return quantity_of(self._level, self.settings.quantity)

    def _first(self, condition: Callable[[PieceOrder], bool]) -> list[PieceOrder]:
        return [order for order in self.orders if condition(order)][:1]


def _product(level: LevelRecord) -> Product:
    variant = Variant(
        id=VARIANT,
        product_id=PRODUCT,
        inventory_item_id=ITEM,
        title="Áo",
        sku="AO",
        barcode=None,
        price=Decimal(1),
        compare_at_price=None,
        position=1,
        option_values=("M",),
        created_at=NOW,
        updated_at=NOW,
        levels=[level],
    )
    return Product(
        id=PRODUCT,
        handle="ao",
        title="Áo",
        description_html="",
        vendor="",
        product_type="",
        tags=[],
        status="ACTIVE",
        option_names=("Size",),
        created_at=NOW,
        updated_at=NOW,
        published_at=NOW,
        variants=[variant],
    )
