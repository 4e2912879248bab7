"""`dongbo sale`: create sale campaigns, look at them, start and end them, and decide what they ask."""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, StoreOption, UrlOption
from daemon.cli.sales.actions import apply, cancel, resume, revert
from daemon.cli.sales.options import (
    CsvOption,
    NameArgument,
    SaleOptions,
    YesOption,
    require_one_format,
    takes_sale_options,
)
from daemon.cli.sales.queries import list_campaigns, report, show
from daemon.jobs.model import JobType

if TYPE_CHECKING:
    from daemon.cli.client.documents_sales import PreviewDocument
    from daemon.cli.client.sales import SalesClient
    from daemon.cli.client.target import Target

app = typer.Typer(help="Create sale campaigns, look at them, start and end them.", no_args_is_help=True)

SAMPLE = 10  # rows of a preview before a campaign is created
ROWS = 50  # rows of a preview that is asked for


@app.command()
@takes_sale_options
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: a-z, 0-9, - and _.")],
    options: SaleOptions,
    draft: Annotated[
        bool, typer.Option("--draft", help="Only keep it; `sale resume` or `sale apply` starts it.")
    ] = False,
    yes: YesOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a campaign, after showing what it would do.

    Targets are united: a variant that any of them names is on sale, unless an exclusion names it. What starts at once
    needs a yes: at the terminal, or as --yes.
    """
    from daemon.cli.sales import previews, prompts
    from daemon.cli.sales.talking import act, talk
    from daemon.cli.sales.wording import starts_at_once

    async def look(client: "SalesClient", target: "Target") -> tuple[dict[str, object], "PreviewDocument", "Target"]:
        definition = await _definition(client, target, name, store, options)
        return definition, await client.preview_definition(definition), target

    definition, preview, target = talk(config, url, look)
    if as_json:
        previews.say(preview, target.zone)
    else:
        previews.write(preview, target.zone, rows=SAMPLE)
    if not draft:
        prompts.require_no_conflict(name, preview)
        question = prompts.creation(name, str(definition["store"]), preview, target)
        prompts.confirm_change(question, yes=yes, is_at_once=starts_at_once(preview["definition"]))
    act(config, url, lambda client: client.create(definition, is_draft=draft), as_json=as_json)


app.command("list")(list_campaigns)
app.command("show")(show)


@app.command()
@takes_sale_options
def preview(
    name: NameArgument,
    options: SaleOptions,
    csv: CsvOption = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a campaign would do, or with options one would.

    A name alone is that of a campaign that there is; with the options of `sale create` nothing is created.
    """
    from daemon.cli.render import output
    from daemon.cli.sales import previews
    from daemon.cli.sales.talking import talk

    require_one_format(csv, as_json)

    async def ask(client: "SalesClient", target: "Target") -> None:
        definition = await _definition(client, target, name, store, options) if options.are_given else None
        if csv:
            asked = client.preview_csv(name, store) if definition is None else client.preview_definition_csv(definition)
            previews.write_csv(await asked)
            return
        found = await (client.preview(name, store) if definition is None else client.preview_definition(definition))
        if as_json:
            output.write_json(found)
        else:
            previews.write(found, target.zone, rows=ROWS)

    talk(config, url, ask)


app.command("apply")(apply)
app.command("revert")(revert)
app.command("cancel")(cancel)
app.command("resume")(resume)
app.command("report")(report)


async def _definition(
    client: "SalesClient", target: "Target", name: str, store: str | None, options: SaleOptions
) -> dict[str, object]:
    from daemon.cli.jobs.request import only_store
    from daemon.cli.sales.definition import definition_of

    wanted = store or await only_store(client.daemon, target, JobType.APPLY_SALE)
    return definition_of(name, wanted, options).to_json()
