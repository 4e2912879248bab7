"""How much of a list to ask for at once."""

from dataclasses import dataclass, field
from typing import Any

MAX_PAGE = 250  # Shopify documentation, "Paginating results": at most 250 rows a page

_FEW_ROWS = 10
_FEW_VARIANTS = 20
PATIENCE = 5  # pages that must go well before a size is tried again that Shopify has failed over
LONGEST_PATIENCE = 640


@dataclass(slots=True)
class PageShape:
    """How many rows to ask for at once, and how many of what belongs to each row.

    One query may be charged 1,000 points at its start. A connection costs by the logarithm of its size, so that large
    pages get the most rows out of a point: 200 products with up to 50 variants and 4 stock levels each are charged 842,
    some 10 MB at most; 100 products with 20 variants and 10 levels are charged 830. A list of ids costs by the id: 10
    products of that shape are charged 840, and the levels of 100 inventory items 900. The few products with more
    variants cost a call each.

    A shop stocks its items at about the same locations, so the number of levels grows to what the shop needs. What
    Shopify then refuses as too expensive is asked for with fewer variants, then with fewer rows, for good. What it
    fails over is asked for with a quarter of the rows, and when some of these pages have gone well, with as many as
    before; where that fails again, the next time comes later.
    """

    rows: int
    variants: int | None = None  # of each row; None where rows have none
    levels: int | None = None  # of stock, of each variant or inventory item; None where rows have none
    _larger: list[tuple[int, int | None]] = field(default_factory=list, init=False, repr=False)  # rows and variants
    _patience: int = field(default=PATIENCE, init=False, repr=False)
    _well: int = field(default=0, init=False, repr=False)  # pages in a row
    _has_regrown: bool = field(default=False, init=False, repr=False)

    def __str__(self) -> str:
        return "x".join(str(size) for size in (self.rows, self.variants, self.levels) if size is not None)

    @property
    def variables(self) -> dict[str, Any]:
        """The sizes of what belongs to each row, as the operations call them."""
        sizes = {"variants": self.variants, "levels": self.levels}
        return {name: size for name, size in sizes.items() if size is not None}

    def can_shrink(self, asked: int) -> bool:
        """Whether there is less to ask for than `asked` rows of this shape."""
        return min(self.rows, asked) > 1 or (self.variants or 1) > 1

    def shrink(self, asked: int | None = None, *, for_good: bool = True) -> bool:
        """Ask for less from now on than for `asked` rows (None: all of them); False if there is nothing less. Levels
        alone never cost too much.
        """
        asked = self.rows if asked is None or for_good else min(self.rows, asked)
        if not self.can_shrink(asked):
            return False
        if for_good:
            self._larger.clear()  # sizes of before would be refused as well
            self._halve()
            return True
        self._larger.append((self.rows, self.variants))
        if self._has_regrown:
            self._patience = min(self._patience * 2, LONGEST_PATIENCE)
        self._well, self._has_regrown = 0, False
        if asked > 1:
            self.rows = max(1, asked // 4)
        else:
            self.rows, self.variants = 1, max(1, (self.variants or 1) // 4)
        return True

    def went_well(self) -> None:
        """A page of this size has come; after some of them, the size before is tried again."""
        self._well += 1
        if self._larger and self._well >= self._patience:
            self.rows, self.variants = self._larger.pop()
            self._well, self._has_regrown = 0, True

    def _halve(self) -> None:
        variants = self.variants or 1
        if variants > _FEW_VARIANTS:
            self.variants = max(_FEW_VARIANTS, variants // 2)
        elif self.rows > _FEW_ROWS or (self.rows > 1 and variants <= _FEW_ROWS):
            self.rows //= 2
        else:
            self.variants = variants // 2

    def grow(self) -> bool:
        """Ask for twice as many stock levels from now on; False if there can't be more."""
        if self.levels is None or self.levels >= MAX_PAGE:
            return False
        self.levels = min(MAX_PAGE, self.levels * 2)
        return True
