"""`dongbo pull`: ask the running daemon for a pull, and follow it if wanted."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption
from daemon.jobs.model import JobType

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.cli.client import DaemonClient
    from daemon.cli.target import Target

app = typer.Typer(help="Pull from a source now, and follow it if wanted.", no_args_is_help=True)

StoreOption = Annotated[
    str | None, typer.Option("--store", help="The store; may be left out where only one has the source.")
]
FullOption = Annotated[
    bool, typer.Option("--full", help="Pull everything, not only what changed, and find what was deleted.")
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Start anew where an interrupted pull would be gone on with.")
]
DeletionsOption = Annotated[
    bool, typer.Option("--allow-deletions", help="Believe the source even if a large share of the rows is gone.")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit code 1 unless it completes.")]
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
    from daemon.cli.job_output import show_requested
    from daemon.cli.talking import talk

    async def ask(client: "DaemonClient", target: "Target") -> bool:
        wanted = store or await _only_store(client, target, job_type)
        return await show_requested(
            client, target, lambda: client.submit(job_type, wanted, params), wait=wait, as_json=as_json
        )

    if not talk(config, url, ask):
        raise typer.Exit(1)


async def _only_store(client: "DaemonClient", target: "Target", job_type: JobType) -> str:
    """The store to pull from where none was named; raises BadParameter where that is not clear."""
    from daemon.config.settings import source_of

    source = source_of(job_type)
    if target.settings is None or source is None:
        names = (await client.status())["stores"]
    else:
        names = [name for name, store in target.settings.stores.items() if getattr(store, source) is not None]
    if len(names) == 1:
        return names[0]
    known = f"one of {', '.join(names)}" if names else f"the configuration has none with a table .{source}"
    raise typer.BadParameter(f"which store? {known}", param_hint="--store")


def _given(**options: object) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value}


_params = _given
