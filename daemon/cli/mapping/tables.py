"""Mappings as a table and as a file, and what decisions about them have changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from daemon.api.mappings import Mapping as ProductMapping
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.mapping.csv_file import MappingFileError, write_mappings
from daemon.cli.mapping.csv_import import ImportPlan
from daemon.cli.render import output
from daemon.cli.render.output import plain

STATE_STYLES = {"mapped": "green", "excluded": "dim", "ambiguous": "magenta", "unmatched": "yellow", "retired": "red"}


def write_list(mappings: Sequence[ProductMapping]) -> None:
    """Mappings as a table."""
    output.write_table(
        ("variant", "sku", "title", "state", "product", "code", "name", "by", "note"),
        [_row(mapping) for mapping in mappings],
    )


async def decide(
    client: DaemonClient, store: str, decisions: Mapping[int, int | None], note: str | None, *, as_json: bool
) -> None:
    """Send a person's decisions and say what they have changed."""
    outcome = await client.set_mappings(store, decisions, note)
    if as_json:
        output.write_json(outcome)
        return
    for variant, product in decisions.items():
        output.write_text(f"variant {variant} {'is excluded' if product is None else f'is product {product}'}")
    for gone in outcome.overruled:
        output.say(f"variant {gone.variant_id}, which was matched to product {gone.nhanh_id}, has none now")


def export(mappings: Sequence[ProductMapping], file: Path | None, *, as_json: bool) -> None:
    """Write the mappings into a file or to standard output, and say how many there are."""
    if as_json and file is None:
        output.write_json({"mappings": mappings})
        return
    text = write_mappings(mappings)
    if file is None:
        output.write_csv(text)
        return
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise MappingFileError(f"{file}: can't be written: {error.strerror}") from None
    if as_json:
        output.write_json({"file": str(file), "mappings": len(mappings)})
    else:
        output.write_text(f"{len(mappings):,} variants in {file}")


def write_import(plan: ImportPlan, overruled: int, *, is_dry: bool, as_json: bool) -> None:
    """What a file has changed, or would change."""
    figures = {
        "mapped": plan.mapped,
        "excluded": plan.excluded,
        "unchanged": plan.unchanged,
        "empty": plan.empty,
        "overruled": overruled,
    }
    if as_json:
        output.write_json({"dry_run": is_dry, **figures})
        return
    said = f"{plan.mapped:,} mapped, {plan.excluded:,} excluded, {plan.unchanged:,} unchanged"
    output.write_text(f"{'would be: ' if is_dry else ''}{said}, {plan.empty:,} lines without a decision")
    if overruled:
        output.say(f"{overruled:,} automatic mappings of other variants gave way to these decisions")


def _row(mapping: ProductMapping) -> list[Text]:
    note = mapping.note or mapping.reason or ""
    if mapping.candidates:
        note = f"candidates {', '.join(map(str, mapping.candidates))}: {note}"
    cells = [mapping.sku, mapping.variant_title]
    product = [mapping.nhanh_code, mapping.nhanh_name, mapping.source, note]
    return [
        Text(str(mapping.variant_id)),
        *(Text(plain(cell or "")) for cell in cells),
        Text(mapping.state, style=STATE_STYLES.get(mapping.state, "")),
        Text(str(mapping.nhanh_id or "")),
        *(Text(plain(cell or "")) for cell in product),
    ]
