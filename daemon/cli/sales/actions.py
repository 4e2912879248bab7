"""`dongbo sale apply`, `revert`, `cancel` and `resume`: start and end campaigns, and decide what they ask."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption
from daemon.cli.sales.options import NameArgument, OfStoreOption, YesOption

if TYPE_CHECKING:
    from daemon.cli.client.documents_sales import CampaignDetailDocument, PreviewDocument
    from daemon.cli.client.sales import SalesClient
    from daemon.cli.client.target import Target


def apply(
    name: NameArgument,
    yes: YesOption = False,
    store: OfStoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a campaign now, before its time or without one."""
    from daemon.cli.sales import previews, prompts
    from daemon.cli.sales.talking import act, talk

    async def look(
        client: "SalesClient", target: "Target"
    ) -> tuple["CampaignDetailDocument", "PreviewDocument", "Target"]:
        campaign = await client.get(name, store)
        prompts.require_state(campaign, prompts.STARTABLE, "it can't be started")
        return campaign, await client.preview(campaign["id"]), target

    campaign, found, target = talk(config, url, look)
    previews.say(found, target.zone)
    prompts.confirm_change(prompts.start(campaign, found), yes=yes, is_at_once=True)
    act(config, url, lambda client: client.act(campaign["id"], "apply"), as_json=as_json)


def revert(
    name: NameArgument,
    yes: YesOption = False,
    store: OfStoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a running campaign now: its prices are taken back."""
    from daemon.cli.sales import prompts
    from daemon.cli.sales.talking import act, look_up

    campaign = look_up(config, url, name, store)
    prompts.require_state(campaign, prompts.ENDABLE, "there is nothing to take back")
    prompts.confirm_change(prompts.end(campaign, "End"), yes=yes, is_at_once=True)
    act(config, url, lambda client: client.act(campaign["id"], "revert"), as_json=as_json)


def cancel(
    name: NameArgument,
    yes: YesOption = False,
    store: OfStoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a campaign off; a running one is taken back."""
    from daemon.cli.sales import prompts
    from daemon.cli.sales.talking import act, look_up

    campaign = look_up(config, url, name, store)
    prompts.require_state(campaign, prompts.STARTABLE + prompts.ENDABLE, "it can't be cancelled")
    is_running = campaign["state"] in prompts.ENDABLE
    question = prompts.end(campaign, "Call off") if is_running else f"Call off {name} of {campaign['store']}?"
    prompts.confirm_change(question, yes=yes, is_at_once=is_running)
    act(config, url, lambda client: client.act(campaign["id"], "cancel"), as_json=as_json)


def resume(
    name: NameArgument,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="all|ID", help="Leave prices that somebody else has set; may be repeated."),
    ] = None,
    restore: Annotated[
        list[str] | None,
        typer.Option("--restore", metavar="all|ID", help="Set them to those without the sale; may be repeated."),
    ] = None,
    yes: YesOption = False,
    store: OfStoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about changed prices, try again, or plan a draft.

    Without --keep or --restore, what Shopify refused to take back is tried again, and a draft is planned.
    """
    from daemon.cli.sales import prompts
    from daemon.cli.sales.talking import act, look_up
    from daemon.cli.sales.wording import starts_at_once

    if keep and restore:
        raise typer.BadParameter("either --keep or --restore: decide about the others after that", param_hint="--keep")
    decision: Literal["keep", "restore"] | None = "keep" if keep else "restore" if restore else None
    variants = _variants("--keep" if keep else "--restore", [*(keep or ()), *(restore or ())])
    campaign = look_up(config, url, name, store)
    if campaign["state"] == "DRAFT" and starts_at_once({"starts": campaign["starts_at"]}):
        question = f"Start {campaign['name']} of {campaign['store']} now? Its time has come."
        prompts.confirm_change(question, yes=yes, is_at_once=True)
    act(config, url, lambda client: client.resume(campaign["id"], decision, variants), as_json=as_json)


def _variants(option: str, texts: list[str]) -> list[int] | None:
    """The variants that are named; None for all."""
    named = [text.strip() for entry in texts for text in entry.split(",") if text.strip()]
    if not named or [text.lower() for text in named] == ["all"]:
        return None
    wrong = [text for text in named if not (text.isascii() and text.isdecimal())]
    if wrong:
        raise typer.BadParameter(f"all, or ids of variants; not {', '.join(wrong)}", param_hint=option)
    return [int(text) for text in named]
