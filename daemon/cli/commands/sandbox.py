"""`dongbo sandbox`: a Nhanh.vn and a Shopify on this machine, to try things out with."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.event_loop import run_in_loop
from daemon.cli.render import output
from daemon.errors import ConfigError
from daemon.logging import configure_logging
from daemon.sandbox.faults import Faults
from daemon.sandbox.server import STORE, VERIFY_TOKEN, Sandbox, SandboxSettings, serve
from daemon.sandbox.situations import SITUATIONS
from daemon.sandbox.webhooks import WebhookFaults

LISTENER = "http://127.0.0.1:8766"  # as daemons listen for webhooks unless told otherwise

app = Commands()


class TokenRefusal(StrEnum):
    """Why Shopify issues no tokens to an app."""

    NOT_INSTALLED = "not-installed"
    OTHER_ORGANISATION = "other-organisation"


@app.command(cls=LocalCommand)
def sandbox(
    context: CommandContext,
    seed: Annotated[int, typer.Option(help="The same seed makes the same shop.")] = 7,
    products: Annotated[int, typer.Option(min=0, help="How many products.")] = 300,
    customers: Annotated[int, typer.Option(min=0, help="How many customers.")] = 2000,
    shopify_csv: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Products from this Shopify export; may be given several times."),
    ] = None,
    nhanh_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Nhanh.vn; 0 takes a free one.")] = 0,
    shopify_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Shopify; 0 takes a free one.")] = 0,
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Whether rate limits apply.")] = True,
    quirks: Annotated[
        bool, typer.Option("--quirks/--no-quirks", help="Whether answers vary in form as the real ones do.")
    ] = True,
    token_lifetime: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long Shopify's access tokens live.")
    ] = 86_399,
    refuse_tokens: Annotated[
        TokenRefusal | None,
        typer.Option(help="Issue no tokens, as to an app that is not installed, or belongs to another organisation."),
    ] = None,
    html_errors: Annotated[
        bool, typer.Option("--html-errors", help="Refuse tokens with a web page, as Shopify does to browsers.")
    ] = False,
    currency: Annotated[str | None, typer.Option(help="Shopify's currency, such as USD; VND by default.")] = None,
    prices_without_vat: Annotated[
        bool, typer.Option("--prices-without-vat", help="Make Nhanh.vn's prices exclude VAT.")
    ] = False,
    situations: Annotated[
        list[str] | None,
        typer.Option("--situation", metavar="NAME", help="Start in this situation; may be given several times."),
    ] = None,
    list_situations: Annotated[
        bool, typer.Option("--list-situations", help="Show all situations, and what to expect of dongbo in each.")
    ] = False,
    churn: Annotated[float, typer.Option(min=0, metavar="NUMBER", help="Changes per second in both shops.")] = 0.0,
    clock_offset: Annotated[
        float, typer.Option(metavar="SECONDS", help="How far the clocks of both are ahead of this machine's.")
    ] = 0.0,
    webhooks: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send all webhooks of both to the listener there, http://127.0.0.1:8766."),
    ] = None,
    webhook_loss_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of webhooks that get lost.")] = 0.0,
    webhook_repeat_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of webhooks sent twice.")] = 0.0,
    webhook_delay_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of webhooks that come late.")] = 0.0,
    webhook_forgery_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of webhooks that come with a forged copy.")
    ] = 0.0,
    error_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of calls that fail with HTTP 500.")] = 0.0,
    rate_limit_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of calls that are told to wait.")] = 0.0,
    reset_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of connections reset.")] = 0.0,
    slow_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of slow answers.")] = 0.0,
    truncate_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of answers cut short.")] = 0.0,
    bad_row_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of rows that are wrong.")] = 0.0,
) -> None:
    """Run a sandbox Nhanh.vn and Shopify for one shop on this machine."""
    if list_situations:
        _show_situations(as_json=context.as_json)
        return
    for path in shopify_csv or ():
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file; name a Shopify product export with --shopify-csv")
    configure_logging("warning", "auto")
    settings = SandboxSettings(
        seed=seed,
        products=products,
        customers=customers,
        limits=limits,
        quirks=quirks,
        faults=Faults(
            error_500=error_rate,
            rate_limited=rate_limit_rate,
            reset=reset_rate,
            slow=slow_rate,
            truncated=truncate_rate,
            bad_rows=bad_row_rate,
            seed=seed,
        ),
        token_lifetime=token_lifetime,
        app_is_installed=refuse_tokens is not TokenRefusal.NOT_INSTALLED,
        app_is_of_the_organisation=refuse_tokens is not TokenRefusal.OTHER_ORGANISATION,
        html_errors=html_errors,
        currency=currency,
        prices_without_vat=prices_without_vat,
        situations=tuple(situations or ()),
        churn_per_second=churn / 2,
        shopify_churn_per_second=churn / 2,
        nhanh_clock_offset=clock_offset,
        shopify_clock_offset=clock_offset,
        nhanh_port=nhanh_port,
        shopify_port=shopify_port,
        shopify_csv=tuple(shopify_csv or ()),
        webhooks=webhooks,
        webhook_faults=WebhookFaults(
            lost=webhook_loss_rate,
            repeated=webhook_repeat_rate,
            delayed=webhook_delay_rate,
            forged=webhook_forgery_rate,
            seed=seed,
        ),
    )

    def announce(running: Sandbox) -> None:
        if context.as_json:
            output.write_json_line(_describe(running))
        else:
            output.say(_instructions(running, (webhooks or LISTENER).rstrip("/")))

    run_in_loop(serve(settings, announce))


def _show_situations(*, as_json: bool) -> None:
    if as_json:
        found = SITUATIONS.values()
        output.write_json([{"name": each.name, "text": each.text, "expect": each.expect} for each in found])
        return
    rows = [(each.name, each.text, each.expect) for each in SITUATIONS.values()]
    output.write_table(("situation", "what is so", "what to expect of dongbo"), rows)


def _describe(running: Sandbox) -> dict[str, object]:
    nhanh, shopify = running.nhanh, running.shopify
    return {
        "nhanh": {
            "base_url": running.nhanh_url,
            "app_id": nhanh.app_id,
            "business_id": nhanh.business_id,
            "access_token": nhanh.token,
            "secret_key": nhanh.secret_key,
            "webhook_token": nhanh.webhooks.verify_token or VERIFY_TOKEN,
        },
        "shopify": {
            "base_url": running.shopify_url,
            "shop": shopify.shop,
            "client_id": shopify.app.client_id,
            "client_secret": shopify.app.client_secret,
            "access_token": shopify.token,
        },
        "goods": len(running.catalogue.goods),
        "customers": len(running.catalogue.people),
    }


def _instructions(running: Sandbox, webhooks: str) -> str:
    nhanh, shopify = running.nhanh, running.shopify
    token = nhanh.webhooks.verify_token or VERIFY_TOKEN
    return f"""\
A shop with {len(running.catalogue.goods):,} goods and {len(running.catalogue.people):,} customers answers at
  Nhanh.vn  {running.nhanh_url}
  Shopify   {running.shopify_url}
until Ctrl-C. To point a daemon at it, set

export SANDBOX_NHANH_TOKEN={nhanh.token}
export SANDBOX_NHANH_SECRET_KEY={nhanh.secret_key}
export SANDBOX_NHANH_WEBHOOK_TOKEN={token}
export SANDBOX_SHOPIFY_SECRET={shopify.app.client_secret}

and put this into its configuration:

[webhooks]
listen = "{urlsplit(webhooks).netloc}"
url = "{webhooks}"  # where `dongbo sandbox --webhooks {webhooks}` sends them

[stores.{STORE}.nhanh]
app_id = {nhanh.app_id}
business_id = {nhanh.business_id}
access_token = {{ env = "SANDBOX_NHANH_TOKEN" }}
secret_key = {{ env = "SANDBOX_NHANH_SECRET_KEY" }}
webhook_token = {{ env = "SANDBOX_NHANH_WEBHOOK_TOKEN" }}
base_url = "{running.nhanh_url}"

[stores.{STORE}.shopify]
shop = "{shopify.shop}"
client_id = "{shopify.app.client_id}"
client_secret = {{ env = "SANDBOX_SHOPIFY_SECRET" }}
base_url = "{running.shopify_url}"

To put it into a situation of `dongbo sandbox --list-situations`, and out of it again:

curl -X PUT {running.shopify_url}/_sandbox/situations/closed-location
curl -X DELETE {running.shopify_url}/_sandbox/situations/closed-location
"""
