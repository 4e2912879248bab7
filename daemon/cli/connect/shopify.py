"""`dongbo connect shopify`: from an app in the Dev Dashboard to a store that signs in with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.cli.checks.stores import SHOPIFY_BACKOFF
from daemon.cli.connect.config_file import ConfigFile
from daemon.cli.connect.finish import keep
from daemon.cli.connect.interview import ask, ask_secret, confirm, is_interactive
from daemon.cli.connect.secret_places import choose_place
from daemon.cli.connect.toml_edit import CannotEdit, set_keys
from daemon.cli.event_loop import run_in_loop
from daemon.cli.render import output
from daemon.config import needed_scopes, parse_settings
from daemon.config.scopes import PRICES, PULLS, STOCK
from daemon.config.shopify_names import check_client_id, check_client_secret, read_shop
from daemon.errors import ConfigError, SourceRefused
from daemon.ids import StoreName
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.logging import register_secret
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import ClientCredentials
from daemon.sources.shopify.models import Location, ShopInfo
from daemon.sources.shopify.scopes import missing_scopes, write_scopes

EXAMPLE_SHOP = "my-shop"  # the placeholder in config/dongbo.toml
EXAMPLE_CLIENT_ID = "your-client-id"
READS_LOCATIONS = {"read_locations", "read_inventory", "write_inventory"}

STEPS = """\
An app in Shopify's Dev Dashboard, once for {shop}:

 1. Open https://dev.shopify.com/dashboard with an account of the shop's own
    organisation, and choose "Create app". Any name will do, such as dongbo.
 2. On its first version, App URL: https://shopify.dev/apps/default-app-home
    Scopes, to paste:
      {scopes}
{more}    Then "Release".
 3. On the app's Home, "Install app", and choose the shop.
 4. "Settings" shows the Client ID and the Secret, which are asked for here.

An app that was made in the shop's admin before 2026 keeps its access_token.
"""
MORE = """\
    (for what the configuration does now; to push stock, prices and customers
    as well, once that is configured:
      {scopes})
"""


@dataclass(frozen=True, slots=True)
class ShopifyAnswers:
    """What was given on the command line; None is asked for."""

    store: str | None
    shop: str | None
    client_id: str | None
    secret_file: Path | None
    keep_in: str | None
    yes: bool


@dataclass(frozen=True, slots=True)
class ShopifyTrial:
    """What a client id and its secret have opened."""

    shop: ShopInfo
    scopes: frozenset[str]
    locations: Sequence[Location]


def connect_shopify(answers: ShopifyAnswers, config: Path | None, *, as_json: bool) -> None:
    """Ask, try, store.

    Raises ConfigError and SourceError; nothing is stored then.
    """
    file = ConfigFile(config)
    store = file.store(answers.store)
    present = file.table(store, "shopify")
    needed = _needed(file, store)
    configured_shop = present.get("shop")
    known_shop = configured_shop if isinstance(configured_shop, str) and configured_shop != EXAMPLE_SHOP else None
    base_url = file.base_url(store, "shopify")
    if is_interactive() or not answers.client_id:
        output.tell(_steps(answers.shop or known_shop, needed))
    place = choose_place(
        answers.keep_in, present.get("client_secret"), name=f"{store}-shopify-client-secret", config=file.path
    )
    place.check()
    shop, client_id, secret, trial = _try_until_it_works(answers, known_shop, present.get("client_id"), base_url)
    missing = missing_scopes(needed, trial.scopes)
    _show(trial, missing)
    keys = {"shop": shop, "client_id": client_id, "client_secret": place.toml}
    edit = file.edit(store, "shopify", keys, without=("access_token",))
    confirm(f"Keep the secret in {place.describe()}, and set [stores.{store}.shopify] in {file.path}?", yes=answers.yes)
    done = keep(file, edit, [(place, secret)])
    if as_json:
        output.write_json({"store": store, **_describe(trial), "missing_scopes": missing, **done})


def _try_until_it_works(
    answers: ShopifyAnswers, known_shop: str | None, known_id: object, base_url: str | None
) -> tuple[str, str, str, ShopifyTrial]:
    """Shop, id and secret that work together. Whoever sits at the terminal may try again."""
    shop_default = answers.shop or known_shop
    id_default = known_id if isinstance(known_id, str) and known_id != EXAMPLE_CLIENT_ID else None
    said_shop, said_id = answers.shop, answers.client_id  # asked for again if they did not work
    while True:
        try:
            shop = said_shop or ask("Shop", option="--shop", default=shop_default)
            shop = shop_default = _understood(read_shop, shop, "the shop")
            client_id = said_id or ask("Client ID", option="--client-id", default=id_default)
            client_id = id_default = _understood(check_client_id, client_id.strip(), "the client id")
            secret = _understood(check_client_secret, ask_secret("Client secret", answers.secret_file), "the secret")
            if secret == client_id:
                raise ConfigError(
                    "the client secret is the same as the client ID: the Dev Dashboard shows it as Secret"
                )
            register_secret(secret)
            return shop, client_id, secret, run_in_loop(_try(shop, client_id, secret, base_url))
        except (ConfigError, SourceRefused) as error:
            if not is_interactive() or answers.secret_file is not None:
                raise
            output.tell(f"\n{error}\nNothing was stored. Try again, or press Ctrl-C to stop.\n")
            said_shop = said_id = None


async def _try(shop: str, client_id: str, secret: str, base_url: str | None) -> ShopifyTrial:
    async with open_session() as session:
        credential = ClientCredentials(
            session,
            base_url=base_url or f"https://{shop}.myshopify.com",
            source=f"Shopify ({shop})",
            client_id=client_id,
            client_secret=secret,
        )
        client = ShopifyClient(
            session,
            shop=shop,
            credential=credential,
            base_url=base_url,
            limits=LimiterRegistry(),
            backoff=SHOPIFY_BACKOFF,
        )
        info = await client.shop()
        scopes = credential.scopes or frozenset()
        return ShopifyTrial(info, scopes, await client.locations() if READS_LOCATIONS & scopes else [])


def _steps(shop: str | None, needed: Sequence[str]) -> str:
    everything = write_scopes([*needed, *STOCK, *PRICES, *JOB_TYPES[JobType.SYNC_CUSTOMERS].scopes])
    more = "" if set(everything.split(",")) <= set(needed) else MORE.format(scopes=everything)
    return STEPS.format(shop=f"the shop {shop}" if shop else "your shop", scopes=write_scopes(needed), more=more)


def _needed(file: ConfigFile, store: StoreName) -> list[str]:
    """The scopes for what the configuration does, as far as it can be read yet."""
    found = {job: JOB_TYPES[job].scopes for job in PULLS}
    keys = {"shop": "to-be-asked", "client_id": "to-be-asked", "client_secret": {"env": "TO_BE_ASKED"}}
    try:
        text = set_keys(file.text, ("stores", str(store), "shopify"), keys, without=("access_token",))
        found = needed_scopes(parse_settings(text, source=str(file.path)), store)
    except (CannotEdit, ConfigError) as error:
        output.tell(f"The scopes below are only those for pulls: {file.path} is not valid yet ({error}).\n")
    return [scope for scopes in found.values() for scope in scopes]


def _understood(read: Callable[[str], str], text: str, what: str) -> str:
    try:
        return read(text)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}") from None


def _show(trial: ShopifyTrial, missing: Sequence[str]) -> None:
    shop = trial.shop
    output.tell(f"\nIt works: {output.plain(shop.name)} ({shop.domain}), {shop.plan}, prices in {shop.currency}")
    output.tell(f"  granted scopes  {', '.join(sorted(trial.scopes)) or 'none'}")
    for location in trial.locations:
        closed = "" if location.is_active else " (deactivated)"
        output.tell(f"  location        {location.id} {output.plain(location.name or '')}{closed}")
    if missing:
        output.tell(
            f"  missing scopes  {write_scopes(missing)}\n"
            f"    Add them in the Dev Dashboard: a new version with {write_scopes([*trial.scopes, *missing])},\n"
            "    release it, and approve it in the shop. Jobs that need them will fail until then."
        )
    output.tell("")


def _describe(trial: ShopifyTrial) -> dict[str, Any]:
    return {
        "shop": {
            "name": trial.shop.name,
            "domain": trial.shop.domain,
            "currency": trial.shop.currency,
            "plan": trial.shop.plan,
        },
        "scopes": sorted(trial.scopes),
        "locations": [
            {"id": location.id, "name": location.name, "active": location.is_active} for location in trial.locations
        ],
    }
