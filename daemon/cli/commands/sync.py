"""`dongbo match` and `dongbo sync`: ask the running daemon for the steps between the pulls and Shopify."""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, StoreOption, UrlOption, WaitOption
from daemon.jobs.model import JobType

if TYPE_CHECKING:
    from pathlib import Path

match_app = typer.Typer(help="Find out what belongs together on both sides.", no_args_is_help=True)
sync_app = typer.Typer(help="Push to Shopify what differs from Nhanh.vn.", no_args_is_help=True)

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing: find out what would be done; --wait shows it.")
]


@match_app.command("products")
def match_products(
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Match variants of Shopify to products of Nhanh.vn."""
    _request(JobType.MATCH_PRODUCTS, store, dry_run=dry_run, wait=wait, config=config, url=url, as_json=as_json)


@match_app.command("customers")
def match_customers(
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Match customers of both sides by their phone numbers."""
    _request(JobType.MATCH_CUSTOMERS, store, dry_run=dry_run, wait=wait, config=config, url=url, as_json=as_json)


@sync_app.command("products")
def sync_products(
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Push stock and prices that differ to Shopify."""
    _request(JobType.SYNC_PRODUCTS, store, dry_run=dry_run, wait=wait, config=config, url=url, as_json=as_json)


@sync_app.command("customers")
def sync_customers(
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Push totals and tiers of customers to Shopify."""
    _request(JobType.SYNC_CUSTOMERS, store, dry_run=dry_run, wait=wait, config=config, url=url, as_json=as_json)


def _request(
    job_type: JobType,
    store: str | None,
    *,
    dry_run: bool,
    wait: bool,
    config: "Path | None",
    url: str | None,
    as_json: bool,
) -> None:
    from daemon.cli.jobs.request import request_job

    params = {"dry_run": True} if dry_run else {}
    request_job(job_type, store, params, wait=wait, config=config, url=url, as_json=as_json)
