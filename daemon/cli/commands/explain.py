"""`dongbo explain`: why does Shopify say 7?"""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, StoreOption, UrlOption
from daemon.jobs.model import JobType

if TYPE_CHECKING:
    from daemon.cli.client.daemon import DaemonClient
    from daemon.cli.client.target import Target


def explain(
    sku: Annotated[
        str,
        typer.Argument(
            metavar="SKU",
            help="An SKU or barcode; an id of Shopify (also gid://…) or Nhanh.vn; an address out of Shopify's admin.",
        ),
    ],
    store: StoreOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why Shopify has the stock and prices that it has.

    The exit code is 1 where no variant was found.
    """
    from daemon.cli.commands import explanation_output
    from daemon.cli.context import talk
    from daemon.cli.jobs.request import only_store
    from daemon.cli.render import output

    async def ask(client: "DaemonClient", target: "Target") -> bool:
        # One that syncs nothing is explained, too: that is why.
        wanted = store or await only_store(client, target, JobType.SYNC_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS)
        found = await client.explain(wanted, sku)
        if as_json:
            output.write_json(found)
        else:
            explanation_output.write(found, target.zone)
        return bool(found["variants"])

    if not talk(config, url, ask):
        raise typer.Exit(1)
