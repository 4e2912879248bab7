"""The stores whose webhooks are set up, with clients that work without a daemon."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import typer

from daemon.cli.checks.stores import SHOPIFY_BACKOFF
from daemon.cli.context import CommandContext
from daemon.cli.installation.places import service_environment
from daemon.config import Settings, StoreSecrets, StoreSettings, load_settings, resolve_secrets
from daemon.errors import ConfigError
from daemon.i18n import configure as speak
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.logging import configure_logging
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.shopify.client import ShopifyClient
from daemon.stores import StoreFactory


@dataclass(frozen=True, slots=True)
class WebhookStore:
    """A store with what is needed to set up its webhooks; `client` is None where it has no Shopify."""

    name: StoreName
    settings: StoreSettings
    secrets: StoreSecrets
    client: ShopifyClient | None


@dataclass(frozen=True, slots=True)
class WebhookSetup:
    """The stores, the whole configuration, and the address under which others reach the listener."""

    settings: Settings
    url: str
    stores: Sequence[WebhookStore]
    session: aiohttp.ClientSession


@asynccontextmanager
async def opened(context: CommandContext, store: str | None) -> AsyncIterator[WebhookSetup]:
    """The stores that are meant. Raises ConfigError where no address is configured, and for secrets that lack."""
    path = context.find_config()
    settings = load_settings(path)
    speak(settings.language)
    configure_logging("error", "console")
    if settings.webhooks is None or settings.webhooks.url is None:
        raise ConfigError(
            _("{path}: write the address under which others reach the listener into [webhooks] url").format(path=path)
        )
    if store is not None and store not in settings.stores:
        names = ", ".join(settings.stores)
        raise typer.BadParameter(_("which store? one of {names}").format(names=names), param_hint="STORE")
    secrets = resolve_secrets(settings, service_environment(path), config=path)
    async with open_session() as session:
        factory = StoreFactory(session, LimiterRegistry())
        stores = [
            WebhookStore(
                name,
                each,
                secrets.stores[name],
                factory.shopify(name, each.shopify, secrets.stores[name], backoff=SHOPIFY_BACKOFF)
                if each.shopify is not None
                else None,
            )
            for name, each in settings.stores.items()
            if store in (None, name)
        ]
        yield WebhookSetup(settings, settings.webhooks.url, stores, session)
