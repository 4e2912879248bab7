"""`dongbo map`: see and decide which product of Nhanh.vn each variant of Shopify is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import ConfigOption, JsonOption, StoreOption, UrlOption
from daemon.jobs.model import JobType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from daemon.cli.client.daemon import DaemonClient
    from daemon.cli.client.target import Target

    Conversation = Callable[[DaemonClient, Target, str], Awaitable[None]]

app = typer.Typer(help="See and decide what product each variant is.", no_args_is_help=True)

STATES = ("mapped", "excluded", "ambiguous", "unmatched", "retired")
EVERYTHING = 10_000_000

VariantsArgument = Annotated[list[str], typer.Argument(metavar="VARIANT...", help="Ids or SKUs at Shopify.")]
NoteOption = Annotated[str | None, typer.Option("--note", help="Why, for whoever looks later.")]


def _known_state(value: str | None) -> str | None:
    if value is not None and value.lower() not in STATES:
        raise typer.BadParameter(f"one of {', '.join(STATES)}")
    return value and value.lower()


StateOption = Annotated[
    str | None, typer.Option("--state", callback=_known_state, help=f"Only these: {', '.join(STATES)}.")
]
SearchOption = Annotated[str | None, typer.Option("--search", help="A part of an SKU, a barcode or a name; or an id.")]


@app.command("list")
def list_mappings(
    state: StateOption = None,
    search: SearchOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List variants with the products that they are."""

    async def ask(client: "DaemonClient", _target: "Target", wanted: str) -> None:
        from daemon.cli.mapping import tables
        from daemon.cli.render import output

        found = await client.mappings(wanted, state=state, search=search, limit=limit)
        if as_json:
            output.write_json({"mappings": found})
        elif found:
            tables.write_list(found)
            if len(found) == limit:
                output.say(f"There may be more than {limit}: use --limit, or `dongbo map export`.")
        else:
            output.say("There are no such variants.")

    _talk(config, url, store, ask)


@app.command("set")
def set_mapping(
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="Its id or SKU at Shopify.")],
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Its id or code at Nhanh.vn.")],
    note: NoteOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a variant is a product of Nhanh.vn.

    That wins over what matching finds, and stays. A text that may mean several is answered with all of them.
    """

    async def ask(client: "DaemonClient", _target: "Target", wanted: str) -> None:
        from daemon.cli.mapping import tables

        variants, products = await _resolve(client, wanted, [variant], [product])
        await tables.decide(client, wanted, dict.fromkeys(variants, products[0]), note, as_json=as_json)

    _talk(config, url, store, ask)


@app.command()
def exclude(
    variants: VariantsArgument,
    note: NoteOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that variants have no counterpart at Nhanh.vn."""

    async def ask(client: "DaemonClient", _target: "Target", wanted: str) -> None:
        from daemon.cli.mapping import tables

        found, _ = await _resolve(client, wanted, variants, [])
        await tables.decide(client, wanted, dict.fromkeys(found), note, as_json=as_json)

    _talk(config, url, store, ask)


@app.command()
def remove(
    variants: VariantsArgument,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take decisions back; the next matching decides."""

    async def ask(client: "DaemonClient", _target: "Target", wanted: str) -> None:
        from daemon.cli.render import output

        found, _ = await _resolve(client, wanted, variants, [])
        removed = await client.remove_mappings(wanted, found)
        if as_json:
            output.write_json({"removed": removed})
        else:
            output.write_text(f"{removed} decisions taken back; `dongbo match products` decides anew")

    _talk(config, url, store, ask)


@app.command("export")
def export_mappings(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; else standard output.")] = None,
    state: StateOption = None,
    search: SearchOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the mappings as CSV, for a spreadsheet."""

    async def ask(client: "DaemonClient", _target: "Target", wanted: str) -> None:
        from daemon.cli.mapping import tables

        found = await client.mappings(wanted, state=state, search=search, limit=EVERYTHING)
        tables.export(found, file, as_json=as_json)

    _talk(config, url, store, ask)


@app.command("import")
def import_mappings(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV as `map export` writes it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing: only check the file.")] = False,
    note: NoteOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take decisions from a CSV file.

    Each line names a variant (variant_id or sku) and a product (nhanh_id or nhanh_code), or the word exclude; a line
    without a product decides nothing. Wrong lines are told all at once, before anything is changed.
    """

    async def ask(client: "DaemonClient", _target: "Target", wanted: str) -> None:
        from daemon.cli.mapping import csv_import, tables

        plan = await csv_import.plan_import(client, wanted, file)
        overruled = 0 if dry_run else await csv_import.carry_out(client, wanted, plan, note or f"from {file.name}")
        tables.write_import(plan, overruled, is_dry=dry_run, as_json=as_json)

    _talk(config, url, store, ask)


def _talk(config: Path | None, url: str | None, store: str | None, conversation: "Conversation") -> None:
    from daemon.cli.context import talk
    from daemon.cli.jobs.request import only_store

    async def ask(client: "DaemonClient", target: "Target") -> None:
        await conversation(client, target, store or await only_store(client, target, JobType.MATCH_PRODUCTS))

    talk(config, url, ask)


async def _resolve(
    client: "DaemonClient", store: str, variants: list[str], products: list[str]
) -> tuple[list[int], list[int]]:
    """The ids that texts stand for. Raises MappingFileError with all that stand for none or for several."""
    from daemon.cli.mapping.csv_file import MappingFileError
    from daemon.cli.mapping.csv_import import describe_product, describe_variant, only

    answer: Any = await client.resolve(store, variants, products)
    problems: list[str] = []
    sides = (
        ("variants", "variant of Shopify", "variant_id", describe_variant),
        ("products", "product of Nhanh.vn", "nhanh_id", describe_product),
    )
    found: dict[str, list[int]] = {"variants": [], "products": []}
    for side, what, name, describe in sides:
        for meanings in answer[side]:
            choices = meanings["choices"]
            try:
                found[side].append(
                    only(meanings["text"], what, choices, [describe(choice) for choice in choices])[name]
                )
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise MappingFileError("\n".join(problems))
    return found["variants"], found["products"]
