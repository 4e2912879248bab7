"""`dongbo match` and `dongbo sync`: ask the running daemon for the steps between the pulls and Shopify."""

from typing import Annotated

import typer

from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs.request import given, request_job
from daemon.cli.options import StoreOption, WaitOption
from daemon.jobs.types import JobType

match_app = Commands()
sync_app = Commands()

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing: only find out what would be done; --wait shows it.")
]


@match_app.command("products")
async def match_products(
    context: CommandContext,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
) -> None:
    """Match variants of Shopify to products of Nhanh.vn."""
    await request_job(context, JobType.MATCH_PRODUCTS, store, given(dry_run=dry_run), wait=wait)


@match_app.command("customers")
async def match_customers(
    context: CommandContext,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
) -> None:
    """Match customers of both sides by their phone numbers."""
    await request_job(context, JobType.MATCH_CUSTOMERS, store, given(dry_run=dry_run), wait=wait)


@sync_app.command("products")
async def sync_products(
    context: CommandContext,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
) -> None:
    """Push stock and prices that differ to Shopify."""
    await request_job(context, JobType.SYNC_PRODUCTS, store, given(dry_run=dry_run), wait=wait)


@sync_app.command("customers")
async def sync_customers(
    context: CommandContext,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
) -> None:
    """Push totals and tiers of customers to Shopify."""
    await request_job(context, JobType.SYNC_CUSTOMERS, store, given(dry_run=dry_run), wait=wait)
