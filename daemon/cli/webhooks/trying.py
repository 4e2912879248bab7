"""Harmless events that are sent as the shops would, and whether they arrive in the inbox."""

from collections.abc import Iterator

from daemon.api.findings import Finding, failed
from daemon.api.webhooks import Webhooks
from daemon.checks.webhooks import Arrived, WebhookTrial, nhanh_trial, no_secret, shopify_trial
from daemon.cli.context import CommandContext
from daemon.cli.webhooks.setup import WebhookStore
from daemon.errors import DaemonUnreachable
from daemon.i18n import gettext as _
from daemon.ids import StoreName

EVENTS_LOOKED_AT = 200  # in which a test must be, while others come


def trials(shop: WebhookStore, url: str) -> Iterator[WebhookTrial | Finding]:
    """What is sent in the name of each side; a finding where there is no secret to sign with."""
    if shop.settings.nhanh is not None:
        token = shop.secrets.nhanh_webhook_token
        subject, advice = f"{shop.name} nhanh webhooks", _("add webhook_token to the store's nhanh table")
        yield (
            nhanh_trial(shop.name, url, token.get_secret_value())
            if token is not None
            else failed(subject, _("none is accepted: there is no token to know them by"), advice)
        )
    if shop.settings.shopify is not None:
        secret = shop.secrets.shopify_webhook_secret or shop.secrets.shopify_client_secret
        subject = f"{shop.name} shopify webhooks"
        domain = f"{shop.settings.shopify.shop}.myshopify.com"
        yield (
            shopify_trial(shop.name, url, secret.get_secret_value(), domain)
            if secret is not None
            else failed(subject, *no_secret())
        )


async def newest_event(context: CommandContext, store: StoreName) -> int | None:
    """The newest event in the inbox before a test; None where no daemon can be asked."""
    came = await ask_daemon(context, store, 1)
    return None if came is None else max((event.id for event in came.events), default=0)


def looking(context: CommandContext, store: StoreName, newest: int | None) -> Arrived:
    """Whether a test is among what came after the `newest` event of before."""

    async def has_arrived(trial: WebhookTrial) -> bool | None:
        came = await ask_daemon(context, store, EVENTS_LOOKED_AT) if newest is not None else None
        if came is None or newest is None:
            return None
        return any(event.id > newest and event.topic == trial.topic for event in came.events)

    return has_arrived


async def ask_daemon(context: CommandContext, store: str | None, limit: int) -> Webhooks | None:
    """What the daemon knows of webhooks; None where none answers."""
    try:
        async with context.daemon() as client:
            return await client.webhooks(store, limit=limit)
    except DaemonUnreachable:
        return None
