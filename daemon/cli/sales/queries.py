"""The commands that only look at campaigns: `dongbo sale list`, `show`, `preview` and `report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer

from daemon.api.sales import CampaignState, ItemState, SaleItem
from daemon.cli.client.sales import SalesClient
from daemon.cli.context import CommandContext
from daemon.cli.options import StoreOption, one_of
from daemon.cli.render import output
from daemon.cli.sales import previews, reports, tables
from daemon.cli.sales.definition import define
from daemon.cli.sales.options import CsvOption, NameArgument, OfStoreOption, given_options

STATES = sorted(CampaignState, key=lambda state: state.has_ended)
EVERY = "ALL"
DRIFTED_SHOWN = 20  # of those that wait for a decision


async def list_campaigns(
    context: CommandContext,
    store: Annotated[str | None, typer.Option("--store", help="Only this store's campaigns.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", callback=one_of(STATES), help=f"Only these: {', '.join(STATES)}.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 50,
) -> None:
    """List campaigns that have not ended, newest first."""
    is_open = not every and state is None
    async with context.daemon() as client:
        found = await SalesClient(client).list_campaigns(store=store, state=state, is_open=is_open, limit=limit)
    if context.as_json:
        output.write_json({"sales": found})
    elif found:
        tables.write_list(found, context.zone)
        if len(found) == limit:
            output.say(f"There may be more than {limit}: use --limit.")
    else:
        output.say("There are no such campaigns." if every or state or store else "No campaign is open; try --all.")


async def show(
    context: CommandContext,
    name: NameArgument,
    items: Annotated[
        str | None,
        typer.Option(
            "--items",
            metavar="STATE",
            callback=one_of((EVERY, *ItemState)),
            help=f"Its variants in a state: all, {', '.join(ItemState)}.",
        ),
    ] = None,
    variant: Annotated[
        int | None, typer.Option("--variant", metavar="ID", help="One variant, with every write of its prices.")
    ] = None,
    store: OfStoreOption = None,
) -> None:
    """Show a campaign: state, times, lateness, what it asks."""
    if items is not None and variant is not None:
        raise typer.BadParameter("give either --items or --variant", param_hint="--items")
    async with context.daemon() as client:
        sales = SalesClient(client)
        campaign = await sales.get(name, store)
        if variant is not None:
            item = await sales.item(str(campaign.id), variant)
            output.write_json(item) if context.as_json else tables.write_item(item, context.zone)
        elif items is not None:
            found = await sales.items(str(campaign.id), state=None if items == EVERY else items)
            _show_items(context, found)
        else:
            waits = campaign.counts.get("DRIFTED", 0)
            drifted = await sales.items(str(campaign.id), state="DRIFTED", limit=DRIFTED_SHOWN) if waits else []
            if context.as_json:
                output.write_json({**output.members(campaign), "drifted": drifted})
            else:
                tables.write_one(campaign, drifted, context.zone)


async def preview(
    context: CommandContext, name: NameArgument, csv: CsvOption = False, store: StoreOption = None
) -> None:
    """Show what a campaign would do, or with options one would.

    A name alone is that of an existing campaign; with the options of `sale create` nothing is created.
    """
    _require_one_format(csv, context.as_json)
    options = given_options(context)
    async with context.daemon() as client:
        sales = SalesClient(client)
        definition = await define(client, name, store, options) if options.are_given else None
        if csv:
            asked = sales.preview_csv(name, store) if definition is None else sales.preview_definition_csv(definition)
            output.write_csv((await asked).decode())
            return
        found = await (sales.preview(name, store) if definition is None else sales.preview_definition(definition))
    if context.as_json:
        output.write_json(found)
    else:
        previews.write(found, context.zone, rows=previews.ROWS)


async def report(
    context: CommandContext,
    name: NameArgument,
    csv: CsvOption = False,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, as .csv or .json.")
    ] = None,
    store: OfStoreOption = None,
) -> None:
    """Prove what a campaign did: times, lateness, every variant."""
    _require_one_format(csv, context.as_json)
    if file is not None and not (csv or context.as_json) and file.suffix.lower() not in (".csv", ".json"):
        raise typer.BadParameter("add --csv or --json, or name it .csv or .json", param_hint="--output")
    is_table = csv or (file is not None and not context.as_json and file.suffix.lower() == ".csv")
    async with context.daemon() as client:
        sales = SalesClient(client)
        if is_table:
            content = await sales.report_csv(name, store)
            if file is None:
                output.write_csv(content.decode())
                return
        else:
            found = await sales.report(name, store)
            if file is None:
                output.write_json(found) if context.as_json else reports.write_report(found, context.zone)
                return
            content = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    reports.save(content, file, is_table=is_table)
    output.say(f"The report of {name} is in {file}.")


def _show_items(context: CommandContext, items: Sequence[SaleItem]) -> None:
    if context.as_json:
        output.write_json({"items": items})
    elif items:
        tables.write_items(items, context.zone)
    else:
        output.say("There are no such variants.")


def _require_one_format(csv: bool, as_json: bool) -> None:
    if csv and as_json:
        raise typer.BadParameter("give either --csv or --json", param_hint="--csv")
