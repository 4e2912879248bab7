"""How commands talk to the daemon about campaigns."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from daemon.cli import context
from daemon.cli.client.documents_sales import CampaignDetailDocument
from daemon.cli.client.sales import SalesClient
from daemon.cli.client.target import Target
from daemon.cli.render import output
from daemon.cli.sales import tables, wording

T = TypeVar("T")


def talk(config: Path | None, url: str | None, conversation: Callable[[SalesClient, Target], Awaitable[T]]) -> T:
    """Run `conversation` with a client of the daemon that the options name; its result. Raises as `context.talk`."""
    return context.talk(config, url, lambda client, target: conversation(SalesClient(client), target))


def look_up(config: Path | None, url: str | None, name: str, store: str | None) -> CampaignDetailDocument:
    """A campaign; raises SaleNotFound, and as `talk`."""
    return talk(config, url, lambda client, _: client.get(name, store))


def act(
    config: Path | None,
    url: str | None,
    action: Callable[[SalesClient], Awaitable[CampaignDetailDocument]],
    *,
    as_json: bool,
) -> None:
    """Do something with a campaign and show how it stands then.

    This is a conversation of its own, for a person may have thought for long before.
    """

    async def ask(client: SalesClient, target: Target) -> None:
        campaign = await action(client)
        if as_json:
            output.write_json(campaign)
            return
        output.write_text(wording.outcome(campaign, target.zone))
        tables.say_next_steps(campaign)

    talk(config, url, ask)
