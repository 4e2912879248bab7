"""What changes a campaign: `dongbo sale create`, `apply`, `revert`, `cancel` and `resume`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from daemon.api.sales import Decision, SaleDetail, SalePreview
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.sales import SalesClient
from daemon.cli.context import CommandContext
from daemon.cli.options import StoreOption
from daemon.cli.render import output
from daemon.cli.sales import previews, prompts, tables, wording
from daemon.cli.sales.definition import define
from daemon.cli.sales.options import NameArgument, OfStoreOption, YesOption, given_options


def create(
    context: CommandContext,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: a-z, 0-9, - and _.")],
    draft: Annotated[
        bool, typer.Option("--draft", help="Only save it; `sale resume` or `sale apply` starts it.")
    ] = False,
    yes: YesOption = False,
    store: StoreOption = None,
) -> None:
    """Create a campaign, after showing what it would do.

    Targets add up: a variant that any of them names is on sale, unless an exclusion names it. A campaign that starts at
    once needs a yes: at the terminal, or as --yes.
    """

    async def look(client: DaemonClient) -> tuple[dict[str, object], SalePreview]:
        definition = await define(client, name, store, given_options(context))
        return definition, await SalesClient(client).preview_definition(definition)

    definition, preview = context.talk(look)
    if context.as_json:
        previews.say(preview, context.zone)
    else:
        previews.write(preview, context.zone, rows=previews.SAMPLE)
    if not draft:
        prompts.require_no_conflict(name, preview)
        question = prompts.creation(name, str(definition["store"]), preview, context.zone)
        prompts.confirm_change(question, yes=yes, is_at_once=wording.starts_at_once(preview.definition))
    _act(context, lambda sales: sales.create(definition, is_draft=draft))


def apply(context: CommandContext, name: NameArgument, yes: YesOption = False, store: OfStoreOption = None) -> None:
    """Start a campaign now, even before its time."""

    async def look(client: DaemonClient) -> tuple[SaleDetail, SalePreview]:
        sales = SalesClient(client)
        campaign = await sales.get(name, store)
        prompts.require_state(campaign, prompts.STARTABLE, "it can't be started")
        return campaign, await sales.preview(str(campaign.id))

    campaign, preview = context.talk(look)
    previews.say(preview, context.zone)
    prompts.confirm_change(prompts.start(campaign, preview), yes=yes, is_at_once=True)
    _act(context, lambda sales: sales.act(str(campaign.id), "apply"))


def revert(context: CommandContext, name: NameArgument, yes: YesOption = False, store: OfStoreOption = None) -> None:
    """End a running campaign now: its prices are reverted."""
    campaign = _look_up(context, name, store)
    prompts.require_state(campaign, prompts.ENDABLE, "there is nothing to revert")
    prompts.confirm_change(prompts.end(campaign, "End"), yes=yes, is_at_once=True)
    _act(context, lambda sales: sales.act(str(campaign.id), "revert"))


def cancel(context: CommandContext, name: NameArgument, yes: YesOption = False, store: OfStoreOption = None) -> None:
    """Call off a campaign; a running one is reverted."""
    campaign = _look_up(context, name, store)
    prompts.require_state(campaign, prompts.STARTABLE + prompts.ENDABLE, "it can't be cancelled")
    is_running = campaign.state in prompts.ENDABLE
    question = prompts.end(campaign, "Call off") if is_running else f"Call off {name} of {campaign.store}?"
    prompts.confirm_change(question, yes=yes, is_at_once=is_running)
    _act(context, lambda sales: sales.act(str(campaign.id), "cancel"))


def resume(
    context: CommandContext,
    name: NameArgument,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="all|ID", help="Leave prices that somebody else has set; may be repeated."),
    ] = None,
    restore: Annotated[
        list[str] | None,
        typer.Option("--restore", metavar="all|ID", help="Restore the prices without the sale; may be repeated."),
    ] = None,
    yes: YesOption = False,
    store: OfStoreOption = None,
) -> None:
    """Decide about changed prices, try again, or plan a draft.

    Without --keep or --restore, what Shopify refused to revert is tried again, and a draft is planned.
    """
    if keep and restore:
        raise typer.BadParameter("either --keep or --restore: decide about the others after that", param_hint="--keep")
    decision = Decision.KEEP if keep else Decision.RESTORE if restore else None
    variants = read_variants("--keep" if keep else "--restore", [*(keep or ()), *(restore or ())])
    campaign = _look_up(context, name, store)
    if campaign.state == "DRAFT" and wording.has_come(campaign.starts_at):
        question = f"Start {campaign.name} of {campaign.store} now? Its time has come."
        prompts.confirm_change(question, yes=yes, is_at_once=True)
    _act(context, lambda sales: sales.resume(str(campaign.id), decision, variants))


def read_variants(option: str, texts: list[str]) -> list[int] | None:
    """The variants that are named, one by one or with commas; None for all. Raises BadParameter."""
    named = [text.strip() for entry in texts for text in entry.split(",") if text.strip()]
    if not named or [text.lower() for text in named] == ["all"]:
        return None
    wrong = [text for text in named if not (text.isascii() and text.isdecimal())]
    if wrong:
        raise typer.BadParameter(f"all, or variant ids; not {', '.join(wrong)}", param_hint=option)
    return [int(text) for text in named]


def _look_up(context: CommandContext, name: str, store: str | None) -> SaleDetail:
    return context.talk(lambda client: SalesClient(client).get(name, store))


def _act(context: CommandContext, action: Callable[[SalesClient], Awaitable[SaleDetail]]) -> None:
    """Do something with a campaign and show its state afterwards."""
    campaign = context.talk(lambda client: action(SalesClient(client)))
    if context.as_json:
        output.write_json(campaign)
        return
    output.write_text(wording.outcome(campaign, context.zone))
    tables.say_next_steps(campaign)
