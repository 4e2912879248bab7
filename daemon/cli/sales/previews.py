"""What a campaign would do, as a table with its totals."""

from collections.abc import Iterator, Mapping
from datetime import tzinfo

from rich.text import Text

from daemon.api.sales import PreviewItem, SalePreview
from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.cli.sales import wording
from daemon.cli.sales.wording import amount

SAMPLE = 10  # rows before a campaign is created
ROWS = 50  # rows of a requested preview


def write(preview: SalePreview, zone: tzinfo, *, rows: int) -> None:
    """The totals, and the first rows."""
    output.write_text("\n".join(lines(preview, zone)))
    shown = preview.items[:rows]
    if not shown:
        return
    output.write_text("")
    output.write_table(
        ("variant", "sku", "title", "price", "compare at", "sale price", "sale compare at", "note"),
        [_row(item) for item in shown],
        numbers=("price", "compare at", "sale price", "sale compare at"),
    )
    if len(shown) < len(preview.items):
        output.say(
            f"These are the first {len(shown):,} of {len(preview.items):,}: `dongbo sale preview` with --csv or "
            "--json has all."
        )


def say(preview: SalePreview, zone: tzinfo) -> None:
    """The totals alone, beside a result that is for programs."""
    for line in lines(preview, zone):
        output.say(line)


def lines(preview: SalePreview, zone: tzinfo) -> Iterator[str]:
    """The summary: discount, time, figures, what is skipped, conflicts or matches nothing."""
    definition, totals = preview.definition, preview.totals
    yield wording.discount(definition)
    yield wording.period(definition.get("starts"), definition.get("ends"), zone)
    yield f"for {wording.selection(definition['targets'])}"
    if excludes := definition.get("excludes"):
        yield f"except {wording.selection(excludes)}"
    average = totals.average_discount_percent
    reduced = f" ({average:g}% less on average)" if average is not None else ""
    yield (
        f"{values.number(totals.on_sale)} of {values.number(totals.variants)} variants on sale: "
        f"{amount(totals.old_total)} → {amount(totals.new_total)}{reduced}"
    )
    yield from _counted("skipped", preview.skipped)
    yield from _counted("held at that time by the sale", preview.conflicts)
    for part, named in preview.unmatched.items():
        yield f"{part} that match nothing in the shop: {wording.selection(named)}"


def _counted(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    for name, count in counts.items():
        yield f"{values.number(count)} {what}{':' if what == 'skipped' else ''} {plain(name)}"


def _row(item: PreviewItem) -> list[Text]:
    return [
        Text(str(item.variant_id)),
        Text(plain(item.sku or "")),
        Text(plain(item.title or "")),
        Text(amount(item.price)),
        Text(amount(item.compare_at_price)),
        Text(amount(item.new_price)),
        Text(amount(item.new_compare_at_price)),
        _note(item),
    ]


def _note(item: PreviewItem) -> Text:
    if item.conflict is not None:
        return Text(f"held by the sale {plain(item.conflict)}", style="red")
    if item.skipped is not None:
        return Text(f"skipped: {plain(item.skipped)}", style="yellow")
    return Text("on sale in another campaign now" if item.is_held else "")
