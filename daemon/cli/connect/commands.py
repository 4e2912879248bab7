"""`dongbo connect shopify` and `dongbo connect nhanh`, and what is asked of them on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.connect.nhanh import NhanhAnswers, connect_nhanh
from daemon.cli.connect.shopify import ShopifyAnswers, connect_shopify
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.logging import configure_logging

app = Commands()

StoreOption = Annotated[
    str | None, typer.Option("--store", help="The store; one that is not in the configuration yet is added.")
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep-in",
        metavar="PLACE",
        help="Where to keep the secret: file, file:/path, credential:NAME or env:NAME; else as configured.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Store and write without asking.")]


@app.command(cls=LocalCommand)
def shopify(
    context: CommandContext,
    store: StoreOption = None,
    shop: Annotated[
        str | None, typer.Option(help="The shop: my-shop for my-shop.myshopify.com, or its admin's address.")
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="The app's client id.")] = None,
    secret_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Read the client secret from this file; - is standard input.")
    ] = None,
    keep_in: KeepOption = None,
    yes: YesOption = False,
) -> None:
    """Connect a Shopify shop through an app of the Dev Dashboard."""
    configure_logging("error", "console")  # errors are reported by the command itself
    answers = ShopifyAnswers(store, shop, client_id, secret_file, keep_in, yes)
    connect_shopify(answers, context.given_config, as_json=context.as_json)


@app.command(cls=LocalCommand)
def nhanh(
    context: CommandContext,
    store: StoreOption = None,
    app_id: Annotated[int | None, typer.Option(min=1, help="The app's number on open.nhanh.vn.")] = None,
    business_id: Annotated[
        int | None, typer.Option(min=1, help="The business's number, to make sure that it is the right one.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Read the app's secret key from this file; - is standard input.")
    ] = None,
    return_link: Annotated[
        str | None, typer.Option(metavar="URL", help="One of the app's Redirect URLs, to which the code is sent.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Wait here for the code instead of asking: the address that the return link leads to.",
        ),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(help="The access code, or the address that it came with; - reads it from standard input."),
    ] = None,
    keep_in: KeepOption = None,
    yes: YesOption = False,
) -> None:
    """Get an access token of Nhanh.vn, which lives a year."""
    configure_logging("error", "console")  # errors are reported by the command itself
    answers = NhanhAnswers(store, app_id, business_id, secret_file, return_link, listen, code, keep_in, yes)
    connect_nhanh(answers, context.given_config, as_json=context.as_json)
