"""`dongbo items`: find an item on both sides by whatever one has of it, and see whether it is right."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated

import typer
from rich.text import Text

from daemon.api.items import Item, ItemHit, ItemPlace, ItemPrice
from daemon.cli.client.items import ItemsClient
from daemon.cli.client.stores import only_store
from daemon.cli.context import CommandContext, Commands
from daemon.cli.options import StoreOption, one_of
from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.cli.render.values import value
from daemon.i18n import gettext as _
from daemon.jobs.types import JobType
from daemon.tone import Tone

STATES = ("mapped", "excluded", "ambiguous", "unmatched", "retired", "nhanh_only")
STYLES = {
    Tone.OK: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "red",
    Tone.RUN: "cyan",
    Tone.ASK: "magenta",
    Tone.OFF: "dim",
}
EQUAL = {True: Text("equal", style="green"), False: Text("differs", style="yellow"), None: Text("–")}

app = Commands()


@app.command()
async def items(
    context: CommandContext,
    search: Annotated[
        str | None,
        typer.Argument(
            metavar="[SEARCH]",
            help="Words of an SKU, a barcode or a name; an id; an address of Shopify's admin.",
        ),
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", callback=one_of(STATES), help=f"Only these: {', '.join(STATES)}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 20,
    store: StoreOption = None,
) -> None:
    """Find items of Shopify and Nhanh.vn; of a single one, show all.

    The exit code is 1 where nothing was found.
    """
    async with context.daemon() as daemon:
        wanted = store or await only_store(daemon, JobType.SYNC_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS)
        client = ItemsClient(daemon, wanted)
        found = await client.items(search, state=state, limit=limit)
        only = found.items[0].variant_id if len(found.items) == 1 else None
        item = await client.item(only) if only is not None else None
    if context.as_json:
        output.write_json(item if item is not None else found)
    elif item is not None:
        write_item(item, context.zone)
    elif found.items:
        write_hits(found.items)
    if not context.as_json:
        _write_remarks(found.text, has_more=found.next_cursor is not None, limit=limit, is_empty=not found.items)
    if not found.items:
        raise typer.Exit(1)


def write_hits(hits: Sequence[ItemHit]) -> None:
    """Items as a table."""
    output.write_table(
        (_("variant"), _("product"), "sku", _("title"), "shopify", "nhanh", _("verdict")),
        [
            (
                str(hit.variant_id or ""),
                str(hit.nhanh_id or ""),
                plain(hit.sku or ""),
                plain(hit.title or ""),
                hit.shopify_stock or "",
                hit.nhanh_stock or "",
                Text(plain(hit.text), style=STYLES[hit.tone]),
            )
            for hit in hits
        ],
        numbers=("shopify", "nhanh"),
    )


def write_item(item: Item, zone: tzinfo) -> None:
    """All of an item; times are in `zone`."""
    variant = item.variant
    output.write_fields(
        {
            _("item"): Text(plain(variant.title), style="bold"),
            _("verdict"): Text(plain(item.verdict.text), style=STYLES[item.verdict.tone]),
            _("variant"): _("{id} (SKU {sku}, barcode {barcode})").format(
                id=variant.variant_id, sku=value(variant.sku), barcode=value(variant.barcode)
            ),
            _("mapping"): plain(item.mapping.text),
        }
    )
    for choice in item.mapping.candidates:
        candidate = _("candidate {id} ({code}): {name}")
        output.write_text("  " + candidate.format(id=choice.nhanh_id, code=value(choice.code), name=value(choice.name)))
    output.write_text("")
    columns = (
        _("value"),
        "nhanh",
        "shopify",
        _("should be"),
        _("equal"),
        _("seen at nhanh"),
        _("seen at shopify"),
    )
    shown: list[ItemPlace | ItemPrice] = [*item.places, *item.prices]
    rows = [(_called(one), *_cells(one, zone)) for one in shown]
    output.write_table(columns, rows, numbers=("nhanh", "shopify", _("should be")))
    output.write_text("")
    for sentence in item.next:
        output.write_text(_("next: {sentence}").format(sentence=plain(sentence)))


def _called(shown: ItemPlace | ItemPrice) -> str:
    if isinstance(shown, ItemPrice):
        return shown.kind.replace("_", " ")
    called = _("on hand at {location}") if shown.quantity == "on_hand" else _("available at {location}")
    return called.format(location=plain(shown.location_name or str(shown.location_id)))


def _cells(shown: ItemPlace | ItemPrice, zone: tzinfo) -> list[Text | str]:
    return [
        value(shown.nhanh),
        value(shown.shopify),
        value(shown.should_be),
        EQUAL[shown.equal],
        values.moment(shown.seen_at_nhanh, zone),
        values.moment(shown.seen_at_shopify, zone),
    ]


def _write_remarks(said: str | None, *, has_more: bool, limit: int, is_empty: bool) -> None:
    """What there is to say besides."""
    if said is not None:
        output.tell(said)
    if has_more:
        output.say(_("There are more than {limit}: use --limit, or say more of what you look for.").format(limit=limit))
    elif is_empty and said is None:
        output.say(_("There are no such items."))
