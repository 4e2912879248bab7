"""`dongbo match` and `dongbo sync`: ask the running daemon for the steps between the pulls and Shopify."""

from datetime import datetime
from typing import Annotated

import typer

from daemon.api.stores import PauseBody
from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs.moments import read_end
from daemon.cli.jobs.named_customers import write_customers
from daemon.cli.jobs.pushed_items import write_pushed_items
from daemon.cli.jobs.request import given, request_items, request_job
from daemon.cli.options import StoreOption, WaitOption
from daemon.cli.render import output, values
from daemon.i18n import gettext as _
from daemon.jobs.types import JobType

match_app = Commands()
sync_app = Commands()

StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="The store's name in the configuration.")]
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
    skus: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SKU]...", help="Only these: read now at both sides, and followed to the end."),
    ] = None,
    variants: Annotated[
        list[int] | None,
        typer.Option("--variant", min=1, help="Only this variant of Shopify, by its id; may be given several times."),
    ] = None,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
) -> None:
    """Push stock and prices that differ to Shopify.

    With SKUs or ids of variants just these are read at both sides now and pushed, and the command shows what was done
    and why; the exit code is 1 where one of them failed or is not there.
    """
    if skus or variants:
        params = given(skus=skus, variants=variants, dry_run=dry_run)
        await request_items(context, JobType.SYNC_PRODUCTS, store, params, write_pushed_items)
        return
    await request_job(context, JobType.SYNC_PRODUCTS, store, given(dry_run=dry_run), wait=wait)


@sync_app.command("customers")
async def sync_customers(
    context: CommandContext,
    phones: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PHONE...]", help="Only who has one of these numbers, in whatever way it is written."),
    ] = None,
    ids: Annotated[
        list[int] | None,
        typer.Option("--id", min=1, help="Only the customer with this id in Shopify; may be given several times."),
    ] = None,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
) -> None:
    """Push totals and tiers of customers to Shopify.

    Those that are named are read at both sides first, and what came of each is told as soon as that is done.
    """
    params, is_named = given(customers=phones, ids=ids, dry_run=dry_run), bool(phones or ids)
    if is_named and not dry_run:
        await request_items(context, JobType.SYNC_CUSTOMERS, store, params, write_customers)
        return
    await request_job(context, JobType.SYNC_CUSTOMERS, store, params, wait=wait or is_named)


@sync_app.command("pause")
async def pause_store(
    context: CommandContext,
    store: StoreArgument,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help='When writing goes on by itself: "22:00", "2027-01-28 20:00", or for how long: 2h; else when resumed.',
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever wonders.")] = None,
) -> None:
    """Write nothing to a store for now.

    Everything is still read and planned. Campaigns that are due meanwhile start or end when the pause is over.
    """
    end = None if until is None else read_end(until, datetime.now(context.zone))
    async with context.daemon() as client:
        pausing = await client.pause_store(store, PauseBody(end, reason))
    if context.as_json:
        output.write_json(pausing)
    elif pausing.until is None:
        output.write_text(
            _("Nothing is written to {store} until `dongbo sync resume {store}`").format(store=pausing.store)
        )
    else:
        output.write_text(
            _("Nothing is written to {store} until {time}, or `dongbo sync resume {store}`").format(
                store=pausing.store, time=values.moment(pausing.until, context.zone)
            )
        )


@sync_app.command("resume")
async def resume_store(context: CommandContext, store: StoreArgument) -> None:
    """Write to a paused store again.

    Campaigns go on at once, syncs with their next run.
    """
    async with context.daemon() as client:
        pausing = await client.resume_store(store)
    if context.as_json:
        output.write_json(pausing)
    else:
        output.write_text(_("{store} is written to again").format(store=pausing.store))
