"""`dongbo pull`: ask the running daemon for a pull, and follow it on request."""

from typing import Annotated

import typer

from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs.request import given, request_job
from daemon.cli.options import StoreOption, WaitOption
from daemon.jobs.types import JobType, PullMethod

app = Commands()

FullOption = Annotated[
    bool, typer.Option("--full", help="Pull everything, not only what changed, and find what was deleted.")
]
RestartOption = Annotated[bool, typer.Option("--restart", help="Start over instead of continuing an interrupted pull.")]
DeletionsOption = Annotated[
    bool, typer.Option("--allow-deletions", help="Believe the source even if a large share of the rows is gone.")
]
IdsOption = Annotated[
    list[int] | None,
    typer.Option("--id", min=1, help="Read just this row, or find out that it is gone; may be given several times."),
]
QueryOption = Annotated[
    str | None, typer.Option("--query", help="Only what this search finds, in the syntax of Shopify's admin.")
]

MethodOption = Annotated[
    PullMethod | None,
    typer.Option(help="How everything is read: by pages, in bulk as one file of Shopify's, or whichever is faster."),
]


@app.command()
async def nhanh_products(
    context: CommandContext,
    ids: IdsOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
) -> None:
    """Pull the products of Nhanh.vn with their stock."""
    params = given(ids=ids, full=full, restart=restart, allow_deletions=allow_deletions)
    await request_job(context, JobType.PULL_NHANH_PRODUCTS, store, params, wait=wait)


@app.command()
async def nhanh_inventory(
    context: CommandContext,
    ids: IdsOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    wait: WaitOption = False,
) -> None:
    """Pull the stock of Nhanh.vn alone, which is quick."""
    await request_job(context, JobType.PULL_NHANH_INVENTORY, store, given(ids=ids, full=full), wait=wait)


@app.command()
async def nhanh_customers(
    context: CommandContext,
    customer_type: Annotated[
        int | None, typer.Option("--type", min=1, max=3, help="Only 1 retail, 2 wholesale or 3 agents.")
    ] = None,
    last_bought_from: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only those who last bought on this day (yyyy-mm-dd) or later.")
    ] = None,
    last_bought_to: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only those who last bought on this day or earlier.")
    ] = None,
    ids: IdsOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
) -> None:
    """Pull the customers of Nhanh.vn."""
    filters = given(type=customer_type, last_bought_from=last_bought_from, last_bought_to=last_bought_to)
    params = given(ids=ids, full=full, restart=restart, allow_deletions=allow_deletions, filters=filters)
    await request_job(context, JobType.PULL_NHANH_CUSTOMERS, store, params, wait=wait)


@app.command()
async def shopify_products(
    context: CommandContext,
    status: Annotated[
        list[str] | None, typer.Option(help="Only active, draft or archived products; may be given several times.")
    ] = None,
    query: QueryOption = None,
    method: MethodOption = None,
    ids: IdsOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
) -> None:
    """Pull the products of Shopify with all their variants."""
    chosen = given(filters=given(status=status), query=query, method=method)
    params = given(ids=ids, full=full, restart=restart, allow_deletions=allow_deletions) | chosen
    await request_job(context, JobType.PULL_SHOPIFY_PRODUCTS, store, params, wait=wait)


@app.command()
async def shopify_customers(
    context: CommandContext,
    query: QueryOption = None,
    method: MethodOption = None,
    ids: IdsOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
) -> None:
    """Pull the customers of Shopify."""
    params = given(ids=ids, full=full, restart=restart, allow_deletions=allow_deletions, query=query, method=method)
    await request_job(context, JobType.PULL_SHOPIFY_CUSTOMERS, store, params, wait=wait)
