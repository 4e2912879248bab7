"""`dongbo webhooks`: subscribe at Shopify, say what to enter at Nhanh.vn, show what comes, try whether it arrives."""

import asyncio
from typing import Annotated

import typer

from daemon.api.findings import Finding, any_failed
from daemon.checks.webhooks import read_plan, try_address
from daemon.cli.checks.findings import to_json, write_findings
from daemon.cli.confirmation import confirm
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.render import output
from daemon.cli.webhooks.installing import install_at, remove_at
from daemon.cli.webhooks.nhanh_entry import to_enter, write_to_enter
from daemon.cli.webhooks.setup import opened
from daemon.cli.webhooks.tables import SubscriptionRow, subscription_rows, write_came, write_subscriptions
from daemon.cli.webhooks.trying import ask_daemon, looking, newest_event, trials
from daemon.i18n import gettext as _
from daemon.jobs.types import Source
from daemon.sources.meter import CallMeter
from daemon.webhooks.subscriptions import webhook_address

EVENTS_SHOWN = 20

app = Commands()

StoreArgument = Annotated[str | None, typer.Argument(help="The store; all of them where it is left out.")]


@app.command(cls=LocalCommand)
async def install(context: CommandContext, store: StoreArgument = None) -> None:
    """Subscribe at Shopify; show what to enter at Nhanh.vn.

    What is there already stays; subscriptions to other addresses are left alone. The exit code is 1 where something
    could not be subscribed to.
    """
    findings: list[Finding] = []
    async with opened(context, store) as setup:
        for shop in setup.stores:
            if shop.client is not None:
                findings += await install_at(shop, shop.client, setup)
        entries = to_enter(setup)
    if context.as_json:
        output.write_json({"shopify": to_json(findings), "nhanh": entries})
    else:
        write_findings(findings)
        for entry in entries:
            write_to_enter(entry)
    if any_failed(findings):
        raise typer.Exit(1)


@app.command("list")
async def list_subscriptions(
    context: CommandContext,
    store: StoreArgument = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many events.")] = EVENTS_SHOWN,
) -> None:
    """Show what Shopify is asked to tell, and what came lately.

    Without a running daemon only the subscriptions are shown.
    """
    rows: list[SubscriptionRow] = []
    async with opened(context, store) as setup:
        for shop in setup.stores:
            if shop.client is not None:
                plan = await read_plan(shop.client, setup.settings, shop.name, setup.url, CallMeter())
                rows += subscription_rows(shop.name, plan)
    came = await ask_daemon(context, store, limit)
    if context.as_json:
        output.write_json({"subscriptions": rows, "streams": came and came.streams, "events": came and came.events})
        return
    write_subscriptions(rows)
    if came is not None:
        write_came(came, context.zone)
    else:
        output.say(_("What came lately is not known: no daemon answers"))


@app.command("test")
async def send_test(context: CommandContext, store: StoreArgument = None) -> None:
    """Send a harmless event of each side; see whether it arrives.

    It goes to the address under which others reach the listener, signed as the shop would. The exit code is 1 where
    one did not arrive, and what stands in its way is said.
    """
    findings: list[Finding] = []
    async with opened(context, store) as setup:
        for shop in setup.stores:
            for trial in trials(shop, setup.url):
                if isinstance(trial, Finding):
                    findings.append(trial)
                    continue
                newest = await newest_event(context, shop.name)
                findings.append(await try_address(setup.session, trial, looking(context, shop.name, newest)))
    if context.as_json:
        output.write_json(to_json(findings))
    else:
        write_findings(findings)
    if any_failed(findings):
        raise typer.Exit(1)


@app.command(cls=LocalCommand)
def remove(
    context: CommandContext,
    store: StoreArgument = None,
    address: Annotated[
        str | None, typer.Option(metavar="URL", help="Another address than that of the configuration.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Unsubscribe from everything at Shopify that goes to one address.

    Webhooks of Nhanh.vn are switched off where they were switched on. The exit code is 1 where something is left.
    """
    confirm("Remove the subscriptions?", yes=yes, why="this ends webhooks until they are installed again")
    findings = asyncio.run(_remove_all(context, store, address))
    if context.as_json:
        output.write_json({"shopify": to_json(findings)})
    else:
        write_findings(findings)
    if any_failed(findings):
        raise typer.Exit(1)


async def _remove_all(context: CommandContext, store: str | None, address: str | None) -> list[Finding]:
    findings: list[Finding] = []
    async with opened(context, store) as setup:
        for shop in setup.stores:
            if shop.client is not None:
                findings += await remove_at(
                    shop, shop.client, address or webhook_address(setup.url, Source.SHOPIFY, shop.name)
                )
    return findings
