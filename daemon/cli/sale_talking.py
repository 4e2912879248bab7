"""How commands talk to the daemon about campaigns."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from daemon.cli import output, sale_output, sale_wording, talking
from daemon.cli.client_sales import SalesClient
from daemon.cli.documents_sales import CampaignDetailDocument
from daemon.cli.target import Target

T = TypeVar("T")


def talk(config: Path | None, url: str | None, conversation: Callable[[SalesClient, Target], Awaitable[T]]) -> T:
    """Run `conversation` with a client of the daemon that the options name; its result. Raises as `talking.talk`."""
    return talking.talk(config, url, lambda client, target: conversation(SalesClient(client), target))


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
        output.write_text(sale_wording.outcome(campaign, target.zone))
        sale_output.say_next_steps(campaign)

    talk(config, url, ask)
