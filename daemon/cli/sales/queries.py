"""`dongbo sale list`, `show` and `report`: look at campaigns."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption
from daemon.cli.sales.options import CsvOption, NameArgument, OfStoreOption, require_one_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.cli.client.sales import SalesClient
    from daemon.cli.client.target import Target

STATES = (
    "DRAFT",
    "SCHEDULED",
    "APPLYING",
    "ACTIVE",
    "REVERTING",
    "NEEDS_ATTENTION",
    "COMPLETED",
    "CANCELLED",
    "FAILED",
)
ITEM_STATES = (
    "PLANNED",
    "APPLYING",
    "APPLIED",
    "REVERTING",
    "REVERTED",
    "DRIFTED",
    "KEPT",
    "GONE",
    "SKIPPED",
    "REFUSED",
    "STUCK",
)
EVERY = "ALL"
DRIFTED_SHOWN = 20  # of those that wait for a decision


def _one_of(known: tuple[str, ...]) -> "Callable[[str | None], str | None]":
    def check(value: str | None) -> str | None:
        if value is not None and value.upper() not in known:
            raise typer.BadParameter(f"one of {', '.join(known)}")
        return value and value.upper()

    return check


def list_campaigns(
    store: Annotated[str | None, typer.Option("--store", help="Only campaigns of this store.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", callback=_one_of(STATES), help=f"Only these: {', '.join(STATES)}.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List campaigns that have not ended, newest first."""
    from daemon.cli.render import output
    from daemon.cli.sales import tables
    from daemon.cli.sales.talking import talk

    async def ask(client: "SalesClient", target: "Target") -> None:
        is_open = not every and state is None
        found = await client.list_campaigns(store=store, state=state, is_open=is_open, limit=limit)
        if as_json:
            output.write_json({"sales": found})
        elif found:
            tables.write_list(found, target.zone)
            if len(found) == limit:
                output.say(f"There may be more than {limit}: use --limit.")
        else:
            output.say("There are no such campaigns." if every or state or store else "No campaign is open; --all?")

    talk(config, url, ask)


def show(
    name: NameArgument,
    items: Annotated[
        str | None,
        typer.Option(
            "--items",
            metavar="STATE",
            callback=_one_of((EVERY, *ITEM_STATES)),
            help=f"Its variants of a state: all, {', '.join(ITEM_STATES)}.",
        ),
    ] = None,
    variant: Annotated[
        int | None, typer.Option("--variant", metavar="ID", help="One variant, with all that was written of it.")
    ] = None,
    store: OfStoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a campaign: state, times, lateness, what it asks."""
    from daemon.cli.render import output
    from daemon.cli.sales import tables
    from daemon.cli.sales.talking import talk

    if items is not None and variant is not None:
        raise typer.BadParameter("either --items or --variant", param_hint="--items")

    async def ask(client: "SalesClient", target: "Target") -> None:
        campaign = await client.get(name, store)
        if variant is not None:
            item = await client.item(campaign["id"], variant)
            output.write_json(item) if as_json else tables.write_item(item, target.zone)
        elif items is not None:
            found = await client.items(campaign["id"], state=None if items == EVERY else items)
            if as_json:
                output.write_json({"items": found})
            elif found:
                tables.write_items(found, target.zone)
            else:
                output.say("There are no such variants.")
        else:
            waits = campaign["counts"].get("DRIFTED", 0)
            drifted = await client.items(campaign["id"], state="DRIFTED", limit=DRIFTED_SHOWN) if waits else []
            if as_json:
                output.write_json({**campaign, "drifted": drifted})
            else:
                tables.write_one(campaign, drifted, target.zone)

    talk(config, url, ask)


def report(
    name: NameArgument,
    csv: CsvOption = False,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, as .csv or .json.")
    ] = None,
    store: OfStoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove what a campaign did: times, lateness, every variant."""
    import orjson

    from daemon.cli.render import output
    from daemon.cli.sales import previews, reports
    from daemon.cli.sales.talking import talk

    require_one_format(csv, as_json)
    if file is not None and not (csv or as_json) and file.suffix.lower() not in (".csv", ".json"):
        raise typer.BadParameter("say --csv or --json, or name it .csv or .json", param_hint="--output")
    is_table = csv or (file is not None and not as_json and file.suffix.lower() == ".csv")

    async def ask(client: "SalesClient", target: "Target") -> None:
        if is_table:
            content = await client.report_csv(name, store)
            if file is None:
                previews.write_csv(content)
                return
        else:
            found = await client.report(name, store)
            if file is None:
                output.write_json(found) if as_json else reports.write_report(found, target.zone)
                return
            content = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        reports.save(content, file, is_table=is_table)
        output.say(f"The report of {name} is in {file}.")

    talk(config, url, ask)
