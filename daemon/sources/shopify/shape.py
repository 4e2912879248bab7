"""How much of a list to ask for at once."""

from dataclasses import dataclass
from typing import Any

MAX_PAGE = 250  # Shopify documentation, "Paginating results": at most 250 rows a page

_FEW_ROWS = 10
_FEW_VARIANTS = 20


@dataclass(slots=True)
class PageShape:
    """How many rows to ask for at once, and how many of what belongs to each row.

    One query may be charged 1,000 points at its start. A connection costs by the logarithm of its size, so that large
    pages get the most rows out of a point: 200 products with up to 50 variants and 4 stock levels each are charged 842,
    some 10 MB at most; 100 products with 20 variants and 10 levels are charged 830. A list of ids costs by the id: 10
    products of that shape are charged 840, and the levels of 100 inventory items 900. The few products with more
    variants cost a call each.

    A shop stocks its items at about the same locations, so the number of levels grows to what the shop needs. What
    Shopify then refuses as too expensive is asked for with fewer variants, then with fewer rows.
    """

    rows: int
    variants: int | None = None  # of each row; None where rows have none
    levels: int | None = None  # of stock, of each variant or inventory item; None where rows have none

    def __str__(self) -> str:
        return "x".join(str(size) for size in (self.rows, self.variants, self.levels) if size is not None)

    @property
    def variables(self) -> dict[str, Any]:
        """The sizes of what belongs to each row, as the operations call them."""
        sizes = {"variants": self.variants, "levels": self.levels}
        return {name: size for name, size in sizes.items() if size is not None}

    def shrink(self) -> bool:
        """Ask for half of it from now on; False if there is nothing to halve. Levels alone never cost too much."""
        variants = self.variants or 1
        if variants > _FEW_VARIANTS:
            self.variants = max(_FEW_VARIANTS, variants // 2)
        elif self.rows > _FEW_ROWS or (self.rows > 1 and variants <= _FEW_ROWS):
            self.rows //= 2
        elif variants > 1:
            self.variants = variants // 2
        else:
            return False
        return True

    def grow(self) -> bool:
        """Ask for twice as many stock levels from now on; False if there can't be more."""
        if self.levels is None or self.levels >= MAX_PAGE:
            return False
        self.levels = min(MAX_PAGE, self.levels * 2)
        return True
