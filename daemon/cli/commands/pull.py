"""`dongbo pull`: ask the running daemon for a pull, and follow it if wanted."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import ConfigOption, JsonOption, StoreOption, UrlOption, WaitOption
from daemon.jobs.model import JobType

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(help="Pull from a source now, and follow it if wanted.", no_args_is_help=True)

FullOption = Annotated[
    bool, typer.Option("--full", help="Pull everything, not only what changed, and find what was deleted.")
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Start anew where an interrupted pull would be gone on with.")
]
DeletionsOption = Annotated[
    bool, typer.Option("--allow-deletions", help="Believe the source even if a large share of the rows is gone.")
]
QueryOption = Annotated[
    str | None, typer.Option("--query", help="Only what this search finds, in the syntax of Shopify's admin.")
]


@app.command()
def nhanh_products(
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull the products of Nhanh.vn with their stock."""
    params = _params(full=full, restart=restart, allow_deletions=allow_deletions)
    _pull(JobType.PULL_NHANH_PRODUCTS, store, params, wait=wait, config=config, url=url, as_json=as_json)


@app.command()
def nhanh_inventory(
    store: StoreOption = None,
    full: FullOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull the stock of Nhanh.vn alone, which is quick."""
    _pull(JobType.PULL_NHANH_INVENTORY, store, _params(full=full), wait=wait, config=config, url=url, as_json=as_json)


@app.command()
def nhanh_customers(
    customer_type: Annotated[
        int | None, typer.Option("--type", min=1, max=3, help="Only 1 retail, 2 wholesale or 3 agents.")
    ] = None,
    last_bought_from: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only who bought on this day (yyyy-mm-dd) or later.")
    ] = None,
    last_bought_to: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only who bought last on this day or earlier.")
    ] = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull the customers of Nhanh.vn."""
    filters = _given(type=customer_type, last_bought_from=last_bought_from, last_bought_to=last_bought_to)
    params = _params(full=full, restart=restart, allow_deletions=allow_deletions, filters=filters)
    _pull(JobType.PULL_NHANH_CUSTOMERS, store, params, wait=wait, config=config, url=url, as_json=as_json)


@app.command()
def shopify_products(
    status: Annotated[
        list[str] | None, typer.Option(help="Only active, draft or archived products; may be given several times.")
    ] = None,
    query: QueryOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull the products of Shopify with all their variants."""
    filters = _given(status=status)
    params = _params(full=full, restart=restart, allow_deletions=allow_deletions, filters=filters, query=query)
    _pull(JobType.PULL_SHOPIFY_PRODUCTS, store, params, wait=wait, config=config, url=url, as_json=as_json)


@app.command()
def shopify_customers(
    query: QueryOption = None,
    store: StoreOption = None,
    full: FullOption = False,
    restart: RestartOption = False,
    allow_deletions: DeletionsOption = False,
    wait: WaitOption = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull the customers of Shopify."""
    params = _params(full=full, restart=restart, allow_deletions=allow_deletions, query=query)
    _pull(JobType.PULL_SHOPIFY_CUSTOMERS, store, params, wait=wait, config=config, url=url, as_json=as_json)


def _pull(
    job_type: JobType,
    store: str | None,
    params: dict[str, Any],
    *,
    wait: bool,
    config: "Path | None",
    url: str | None,
    as_json: bool,
) -> None:
    from daemon.cli.jobs.request import request_job

    request_job(job_type, store, params, wait=wait, config=config, url=url, as_json=as_json)


def _given(**options: object) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value}


_params = _given
