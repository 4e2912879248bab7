"""What a campaign would do, as JSON and CSV."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from operator import attrgetter
from typing import Final

from daemon.api.sales import PreviewItem, PreviewTotals
from daemon.money import amount_text, amount_text_or_none
from daemon.sales.export import csv_of, json_with_rows, portions
from daemon.sales.planning import PlannedItem
from daemon.sales.service import Preview

COLUMNS: Final = tuple(field.name for field in fields(PreviewItem))
_cells = attrgetter(*COLUMNS)


async def as_json(preview: Preview) -> bytes:
    """A `SalePreview` as JSON."""
    skipped: Counter[str] = Counter()
    conflicts: Counter[str] = Counter()
    sums = _Sums()
    async for portion in portions(preview.items):
        skipped.update(item.reason for item in portion if item.reason is not None)
        conflicts.update(item.rival for item in portion if item.rival is not None)
        sums.add(portion)
    head = {
        "definition": preview.definition.to_json(),
        "totals": PreviewTotals(
            variants=len(preview.items),
            on_sale=sums.on_sale,
            skipped=skipped.total(),
            conflicts=conflicts.total(),
            old_total=amount_text(sums.old),
            new_total=amount_text(sums.new),
            average_discount_percent=sums.discount_percent,
        ),
        "skipped": dict(skipped.most_common()),
        "conflicts": dict(conflicts.most_common()),
        "unmatched": preview.unmatched,
    }
    return await json_with_rows(head, "items", preview.items, _item)


async def as_csv(preview: Preview) -> bytes:
    """The variants of a preview as CSV."""
    return await csv_of(COLUMNS, preview.items, lambda planned: _cells(_item(planned)))


def _item(planned: PlannedItem) -> PreviewItem:
    base, sale = planned.base, planned.sale
    return PreviewItem(
        variant_id=planned.variant_id,
        product_id=planned.product_id,
        sku=planned.sku,
        title=planned.title,
        price=amount_text(base.price),
        compare_at_price=amount_text_or_none(base.compare_at),
        new_price=amount_text(sale.price) if sale else None,
        new_compare_at_price=amount_text_or_none(sale.compare_at) if sale else None,
        skipped=planned.reason,
        conflict=planned.rival,
        is_held=planned.is_held,
    )


@dataclass(slots=True)
class _Sums:
    """What would be on sale, and what it costs without the sale and during it."""

    on_sale: int = 0
    old: Decimal = Decimal(0)
    new: Decimal = Decimal(0)

    def add(self, planned: Sequence[PlannedItem]) -> None:
        for item in planned:
            if item.sale is not None and item.rival is None:
                self.on_sale += 1
                self.old += item.base.price
                self.new += item.sale.price

    @property
    def discount_percent(self) -> float | None:
        return round(float((self.old - self.new) / self.old * 100), 2) if self.old else None
