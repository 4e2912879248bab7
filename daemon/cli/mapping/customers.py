"""`dongbo map customers`: see and decide who each customer of Shopify is at Nhanh.vn."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from rich.text import Text

from daemon.api.customers import CustomerHit
from daemon.cli.client.items import ItemsClient
from daemon.cli.client.stores import only_store
from daemon.cli.context import CommandContext, Commands
from daemon.cli.options import StoreOption, one_of
from daemon.cli.render import output
from daemon.cli.render.output import plain
from daemon.jobs.types import JobType

app = Commands()

STATES = ("mapped", "excluded", "ambiguous", "unmatched", "nhanh_only")
STYLES = {"mapped": "green", "excluded": "dim", "ambiguous": "magenta", "unmatched": "yellow", "nhanh_only": "dim"}

CustomersArgument = Annotated[list[int], typer.Argument(metavar="CUSTOMER...", min=1, help="Ids in Shopify.")]
NoteOption = Annotated[str | None, typer.Option("--note", help="Why, for whoever looks at it later.")]


@app.command("list")
async def list_customers(
    context: CommandContext,
    state: Annotated[
        str | None, typer.Option("--state", callback=one_of(STATES), help=f"Only these: {', '.join(STATES)}.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="Words of a name, a phone number, an email address; or an id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 50,
    store: StoreOption = None,
) -> None:
    """List customers with who they are at Nhanh.vn, or why nobody."""
    async with _client(context, store) as client:
        found = await client.customers(search, state=state, limit=limit)
    if context.as_json:
        output.write_json(found)
        return
    if found.customers:
        columns = ("customer", "name", "phone", "state", "at nhanh", "why")
        output.write_table(columns, [_row(customer) for customer in found.customers])
    else:
        output.say("There are no such customers.")
    if found.text is not None:
        output.tell(found.text)
    if found.next_cursor is not None:
        output.say(f"There are more than {limit}: use --limit, or --search.")


@app.command("set")
async def set_customer(
    context: CommandContext,
    customer: Annotated[int, typer.Argument(metavar="CUSTOMER", min=1, help="The id in Shopify.")],
    nhanh_customer: Annotated[int, typer.Argument(metavar="NHANH_CUSTOMER", min=1, help="The id in Nhanh.vn.")],
    note: NoteOption = None,
    store: StoreOption = None,
) -> None:
    """Say who a customer of Shopify is at Nhanh.vn.

    That overrides what matching finds by phone numbers, and stays.
    """
    async with _client(context, store) as client:
        await _decide(client, {customer: nhanh_customer}, note, as_json=context.as_json)


@app.command()
async def exclude(
    context: CommandContext, customers: CustomersArgument, note: NoteOption = None, store: StoreOption = None
) -> None:
    """Say that customers have no counterpart in Nhanh.vn."""
    async with _client(context, store) as client:
        await _decide(client, dict.fromkeys(customers), note, as_json=context.as_json)


@app.command()
async def remove(context: CommandContext, customers: CustomersArgument, store: StoreOption = None) -> None:
    """Take decisions about customers back; the next matching decides."""
    async with _client(context, store) as client:
        removed = await client.remove_customers(customers)
    if context.as_json:
        output.write_json({"removed": removed})
    else:
        output.write_text(f"{removed} decisions taken back; `dongbo match customers` decides again")


@asynccontextmanager
async def _client(context: CommandContext, store: str | None) -> AsyncIterator[ItemsClient]:
    """A client for the store that is named, or else the only one whose customers are matched."""
    async with context.daemon() as daemon:
        yield ItemsClient(daemon, store or await only_store(daemon, JobType.MATCH_CUSTOMERS))


async def _decide(client: ItemsClient, decisions: Mapping[int, int | None], note: str | None, *, as_json: bool) -> None:
    """Send a person's decisions and say what they have changed."""
    outcome = await client.set_customers(decisions, note)
    if as_json:
        output.write_json(outcome)
        return
    for customer, nhanh_id in decisions.items():
        output.write_text(f"customer {customer} {'is excluded' if nhanh_id is None else f'is {nhanh_id} at Nhanh.vn'}")
    for gone in outcome.overruled:
        output.say(f"customer {gone.shopify_id}, who was matched to {gone.nhanh_id} at Nhanh.vn, is nobody there now")


def _row(customer: CustomerHit) -> list[Text | str]:
    return [
        str(customer.shopify_id or ""),
        plain(customer.name or ""),
        plain(customer.phone or ""),
        Text(customer.state, style=STYLES.get(customer.state, "")),
        str(customer.nhanh_id or ""),
        plain(customer.text),
    ]
