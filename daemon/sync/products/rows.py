"""Rows of the plan: what of a variant differs at Shopify from what it should be, in the plan's order."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Generic, NamedTuple, Protocol, TypeVar

import orjson

from daemon.jobs.failures import DeadLetter
from daemon.money import amount_text
from daemon.sources.shopify.models import PricePair
from daemon.sync.pushes import Value

LAST_ID = 2**63 - 1
REASON = 5  # a change by this factor, either way, is large whatever the settings say
ZERO = Decimal(0)


class Key(NamedTuple):
    """Where a row stands in the plan's order; the location of a price is 0."""

    product_id: int
    variant_id: int
    location_id: int = 0


START = Key(0, 0, 0)
END = Key(LAST_ID, LAST_ID, LAST_ID)


@dataclass(frozen=True, slots=True)
class StockRow:
    """A variant at a location, with another stock than it should have."""

    key: Key
    place: int  # among all rows of its window, from 1
    item_id: int
    sku: str | None
    nhanh_id: int  # the product whose stock it gets
    present: int | None  # of the quantity that is synced; None: not stocked there
    desired: int
    reason: str
    rule: str | None = None  # the names of the rules that have decided
    is_asked: bool = False  # whether a rule has a person asked

    @property
    def value(self) -> Value:
        """What no other job may push meanwhile: variants can share an item."""
        return (self.item_id, self.key.location_id)

    @property
    def zeroes(self) -> bool:
        """Whether something that can be bought would be sold out."""
        return self.present is not None and self.present > 0 and self.desired == 0


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A variant with other prices than it should have. Prices are in the shop's currency."""

    key: Key
    place: int
    sku: str | None
    nhanh_id: int
    price: Decimal
    compare_at_price: Decimal | None
    desired_price: Decimal
    desired_compare_at_price: Decimal | None
    price_reason: str
    compare_at_reason: str
    is_by_vat: bool = False  # whether Nhanh.vn's own figure is another one, without VAT or with it
    rule: str | None = None
    is_asked: bool = False

    @property
    def value(self) -> Value:
        """What no other job may push meanwhile."""
        return (self.key.variant_id, 0)

    @property
    def is_beyond_reason(self) -> bool:
        """Whether a price becomes `REASON` times as much or as little: another currency, more likely."""
        return _is_beyond_reason(self.price, self.desired_price) or _is_beyond_reason(
            self.compare_at_price or ZERO, self.desired_compare_at_price or ZERO
        )

    @property
    def differs(self) -> bool:
        """Whether Shopify has another price or compare-at price."""
        return self.changes_price or self.changes_compare_at_price

    @property
    def changes_price(self) -> bool:
        """Whether the price itself changes."""
        return self.price != self.desired_price

    @property
    def changes_compare_at_price(self) -> bool:
        """Whether the compare-at price changes."""
        return self.compare_at_price != self.desired_compare_at_price

    def is_large(self, share: float) -> bool:
        """Whether the price changes by at least this share of the present one."""
        return _is_large(self.price, self.desired_price, share)

    def is_large_of_compare_at(self, share: float) -> bool:
        """Whether the compare-at price does, or is removed; where there was none, it has no share."""
        if not self.compare_at_price:
            return False
        new = self.desired_compare_at_price
        return new is None or _is_large(self.compare_at_price, new, share)


def is_large_change(old: PricePair, new: PricePair, share: float) -> bool:
    """Whether either price changes by at least this share of the present one; a compare-at price that goes does."""
    if _is_large(old.price, new.price, share):
        return True
    if not old.compare_at:
        return False
    return new.compare_at is None or _is_large(old.compare_at, new.compare_at, share)


def _is_large(old: Decimal, new: Decimal, share: float) -> bool:
    return old > 0 and (abs(new - old) >= old * Decimal(str(share)) or _is_beyond_reason(old, new))


def _is_beyond_reason(old: Decimal, new: Decimal) -> bool:
    """What was nothing, or becomes nothing, has no such factor."""
    return old > 0 and new > 0 and (new >= old * REASON or old >= new * REASON)


def large_change(old: str, new: str, share: float) -> str:
    """What `is_large` and `is_large_of_compare_at` say, and `is_beyond_reason`, as SQL over two prices."""
    return (
        f"{old} > 0 AND ({new} IS NULL OR abs({new} - {old}) >= {old} * {Decimal(str(share))} "
        f"OR {new} >= {old} * {REASON} OR {new} > 0 AND {old} >= {new} * {REASON})"
    )


class Row(Protocol):
    """What rows of both kinds have."""

    @property
    def key(self) -> Key: ...

    @property
    def place(self) -> int: ...

    @property
    def nhanh_id(self) -> int: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Window(Generic[R]):
    """The rows of some products that differ, in order, and how many rows these products have altogether.

    Args:
        others: of a survey, how many more differ that nobody has to be asked about, and that are not shown either.
        other_changes: how many values of these do.
    """

    rows: list[R]
    population: int
    others: int = 0
    other_changes: int = 0


@dataclass(frozen=True, slots=True)
class Batch(Generic[R]):
    """Rows to push together, and the rows before and between them that need nothing."""

    rows: list[R]
    unchanged: int
    through: Key  # the next batch begins after it

    @property
    def is_empty(self) -> bool:
        """Whether there is not even anything to count."""
        return not self.rows and not self.unchanged

    def leaving(self, is_left: Callable[[R], bool]) -> "Batch[R]":
        """The batch with some rows counted among those that need nothing."""
        kept = [row for row in self.rows if not is_left(row)]
        return replace(self, rows=kept, unchanged=self.unchanged + len(self.rows) - len(kept))


async def in_batches(
    windows: AsyncGenerator[Window[R], None], size: int, begins_new: Callable[[R, R], bool] = lambda _last, _next: False
) -> AsyncGenerator[Batch[R], None]:
    """The rows in batches of at most `size`, and a new one where `begins_new` says so of a row and the next.

    The last batch, perhaps an empty one, includes all rows after it.
    """
    rows: list[R] = []
    unchanged = gap = 0  # rows that need nothing: between the rows of the batch, and after the last of them
    async with aclosing(windows):
        async for window in windows:
            seen = 0
            for row in window.rows:
                gap += row.place - seen - 1
                seen = row.place
                if len(rows) == size or (rows and begins_new(rows[-1], row)):
                    yield Batch(rows, unchanged, rows[-1].key)
                    rows, unchanged = [], 0
                rows.append(row)
                unchanged, gap = unchanged + gap, 0
            gap += window.population - seen
    yield Batch(rows, unchanged + gap, END)


def dead_letter(row: StockRow | PriceRow, reason: str) -> DeadLetter:
    """A row that could not be pushed, and why."""
    payload = asdict(row) | {"key": row.key._asdict()}
    return DeadLetter(str(row.key.variant_id), reason, orjson.dumps(payload, default=amount_text))
