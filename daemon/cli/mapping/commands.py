"""`dongbo map`: see and decide which product of Nhanh.vn each variant of Shopify is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.stores import only_store
from daemon.cli.context import CommandContext, Commands
from daemon.cli.mapping import csv_import, customers, tables
from daemon.cli.mapping.choices import only_product, only_variant
from daemon.cli.mapping.csv_file import MappingFileError
from daemon.cli.options import StoreOption, one_of
from daemon.cli.render import output
from daemon.jobs.types import JobType

app = Commands()
app.add_typer(customers.app, name="customers", help="See and decide who each customer is at Nhanh.vn.")

STATES = ("mapped", "excluded", "ambiguous", "unmatched", "retired")
EVERYTHING = 10_000_000

VariantsArgument = Annotated[list[str], typer.Argument(metavar="VARIANT...", help="Ids or SKUs in Shopify.")]
NoteOption = Annotated[str | None, typer.Option("--note", help="Why, for whoever looks at it later.")]
StateOption = Annotated[
    str | None, typer.Option("--state", callback=one_of(STATES), help=f"Only these: {', '.join(STATES)}.")
]
SearchOption = Annotated[str | None, typer.Option("--search", help="Part of an SKU, a barcode or a name; or an id.")]


@app.command("list")
async def list_mappings(
    context: CommandContext,
    state: StateOption = None,
    search: SearchOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many.")] = 50,
    store: StoreOption = None,
) -> None:
    """List variants with the products that they are."""
    async with _daemon_and_store(context, store) as (client, wanted):
        found = await client.mappings(wanted, state=state, search=search, limit=limit)
        if context.as_json:
            output.write_json({"mappings": found})
        elif found:
            tables.write_list(found)
            if len(found) == limit:
                output.say(f"There may be more than {limit}: use --limit, or `dongbo map export`.")
        else:
            output.say("There are no such variants.")


@app.command("set")
async def set_mapping(
    context: CommandContext,
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="Its id or SKU in Shopify.")],
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Its id or code in Nhanh.vn.")],
    note: NoteOption = None,
    store: StoreOption = None,
) -> None:
    """Say that a variant is a product of Nhanh.vn.

    That overrides what matching finds, and stays. A text with several possible meanings is answered with all of them.
    """
    async with _daemon_and_store(context, store) as (client, wanted):
        variants, products = await _resolve(client, wanted, [variant], [product])
        await tables.decide(client, wanted, dict.fromkeys(variants, products[0]), note, as_json=context.as_json)


@app.command()
async def exclude(
    context: CommandContext,
    variants: VariantsArgument,
    note: NoteOption = None,
    store: StoreOption = None,
) -> None:
    """Say that variants have no counterpart in Nhanh.vn."""
    async with _daemon_and_store(context, store) as (client, wanted):
        found, _ = await _resolve(client, wanted, variants, [])
        await tables.decide(client, wanted, dict.fromkeys(found), note, as_json=context.as_json)


@app.command()
async def remove(
    context: CommandContext,
    variants: VariantsArgument,
    store: StoreOption = None,
) -> None:
    """Take decisions back; the next matching decides."""
    async with _daemon_and_store(context, store) as (client, wanted):
        found, _ = await _resolve(client, wanted, variants, [])
        removed = await client.remove_mappings(wanted, found)
        if context.as_json:
            output.write_json({"removed": removed})
        else:
            output.write_text(f"{removed} decisions taken back; `dongbo match products` decides again")


@app.command("export")
async def export_mappings(
    context: CommandContext,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; else standard output.")] = None,
    state: StateOption = None,
    search: SearchOption = None,
    store: StoreOption = None,
) -> None:
    """Write the mappings as CSV, for a spreadsheet."""
    async with _daemon_and_store(context, store) as (client, wanted):
        found = await client.mappings(wanted, state=state, search=search, limit=EVERYTHING)
        tables.export(found, file, as_json=context.as_json)


@app.command("import")
async def import_mappings(
    context: CommandContext,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV as `map export` writes it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing: only check the file.")] = False,
    note: NoteOption = None,
    store: StoreOption = None,
) -> None:
    """Take decisions from a CSV file.

    Each line names a variant (variant_id or sku) and a product (nhanh_id or nhanh_code), or the word exclude; a line
    without a product decides nothing. Wrong lines are reported all at once, before anything is changed.
    """
    async with _daemon_and_store(context, store) as (client, wanted):
        plan = await csv_import.plan_import(client, wanted, file)
        overruled = 0 if dry_run else await csv_import.carry_out(client, wanted, plan, note or f"from {file.name}")
        tables.write_import(plan, overruled, is_dry=dry_run, as_json=context.as_json)


@asynccontextmanager
async def _daemon_and_store(context: CommandContext, store: str | None) -> AsyncIterator[tuple[DaemonClient, str]]:
    """A client, and the store that is named or else the only one whose products are matched."""
    async with context.daemon() as client:
        yield client, store or await only_store(client, JobType.MATCH_PRODUCTS)


async def _resolve(
    client: DaemonClient, store: str, variants: list[str], products: list[str]
) -> tuple[list[int], list[int]]:
    """The ids that texts stand for. Raises MappingFileError with all texts that stand for none or for several."""
    answer = await client.resolve(store, variants, products)
    variant_ids, product_ids, problems = list[int](), list[int](), list[str]()
    for variant in answer.variants:
        try:
            variant_ids.append(only_variant(variant.text, variant.choices).variant_id)
        except ValueError as error:
            problems.append(str(error))
    for product in answer.products:
        try:
            product_ids.append(only_product(product.text, product.choices).nhanh_id)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise MappingFileError("\n".join(problems))
    return variant_ids, product_ids
