"""The fields of webhook subscriptions, and the mutations that make, change and delete them."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from daemon.sandbox.shopify.common_fields import Resolver, identified, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.listings import sorted_listing
from daemon.sandbox.shopify.paging import ConnectionPage
from daemon.sandbox.shopify.values import gid, parse_gid, user_error
from daemon.sandbox.shopify.webhooks import TOPICS, WebhookSubscription


def webhook_subscriptions(_: object, info: Info, **arguments: Any) -> ConnectionPage[WebhookSubscription]:
    """The subscriptions of the app in this shop."""
    topics, uri = arguments.get("topics"), arguments.get("uri")
    found = [
        each
        for each in info.context.webhooks.subscriptions.values()
        if (not topics or each.topic in topics) and (uri is None or each.uri == uri)
    ]
    return page_of(info, sorted_listing(found, lambda each: each.id, reverse=bool(arguments.get("reverse"))), arguments)


def webhook_subscription(_: object, info: Info, **arguments: str) -> WebhookSubscription | None:
    """The subscription of an id."""
    return _find(info, arguments["id"])


def _create(_: object, info: Info, **arguments: Any) -> Payload:
    topic, asked = arguments["topic"], arguments["webhookSubscription"]
    name, scopes = TOPICS[topic]
    if scopes and not any({scope, scope.replace("read_", "write_")} & info.context.scopes for scope in scopes):
        message = f"You do not have permission to create or update webhooks with {name} topic."
        return _refused(["webhookSubscription", "topic"], message)
    refusal = _problem_of_address(info, topic, asked.get("uri"), None)
    if refusal is not None:
        return _refused(["webhookSubscription", "uri"], refusal)
    subscription = info.context.webhooks.subscribe(
        topic, asked["uri"], asked.get("includeFields") or (), name=asked.get("name")
    )
    subscription.filter = asked.get("filter")
    return {"webhookSubscription": subscription, "userErrors": []}


def _update(_: object, info: Info, **arguments: Any) -> Payload:
    subscription, asked = _find(info, arguments["id"]), arguments["webhookSubscription"]
    if subscription is None:
        return _refused(["id"], "Webhook subscription does not exist")
    if "uri" in asked:
        refusal = _problem_of_address(info, subscription.topic, asked["uri"], subscription)
        if refusal is not None:
            return _refused(["webhookSubscription", "uri"], refusal)
        subscription.uri = asked["uri"]
    if "includeFields" in asked:
        subscription.include_fields = tuple(asked["includeFields"] or ())
    subscription.name = asked.get("name", subscription.name)
    subscription.filter = asked.get("filter", subscription.filter)
    subscription.updated_at = info.context.now()
    return {"webhookSubscription": subscription, "userErrors": []}


def _delete(_: object, info: Info, **arguments: str) -> Payload:
    subscription = _find(info, arguments["id"])
    if subscription is None:
        return _refused(["id"], "Webhook subscription does not exist")
    info.context.webhooks.unsubscribe(subscription.id)
    return {"deletedWebhookSubscriptionId": gid("WebhookSubscription", subscription.id), "userErrors": []}


def _find(info: Info, text: str) -> WebhookSubscription | None:
    kind, number = parse_gid(text)
    return info.context.webhooks.subscriptions.get(number) if kind == "WebhookSubscription" else None


def _problem_of_address(info: Info, topic: str, uri: str | None, own: WebhookSubscription | None) -> str | None:
    """Why an address is refused; None where it is not. Those of this machine may go without TLS, unlike at Shopify."""
    address = urlsplit(uri or "")
    if address.scheme == "http" and not _is_of_this_machine(address.hostname):
        return "Address protocol http:// is not supported"
    if address.scheme not in ("http", "https") or not address.hostname:
        return "Address is invalid"
    taken = any(
        each.topic == topic and each.uri == uri and each is not own
        for each in info.context.webhooks.subscriptions.values()
    )
    return "Address for this topic has already been taken" if taken else None


def _is_of_this_machine(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _refused(field: list[str], message: str) -> Payload:
    return {
        "webhookSubscription": None,
        "deletedWebhookSubscriptionId": None,
        "userErrors": [user_error(field, message)],
    }


WEBHOOK_SUBSCRIPTION: dict[str, Resolver] = {
    **identified("WebhookSubscription"),
    "apiVersion": lambda _subscription, info: {
        "handle": info.context.api_version,
        "displayName": info.context.api_version,
        "supported": True,
    },
    "format": lambda _subscription, _: "JSON",
    "includeFields": lambda subscription, _: list(subscription.include_fields),
}

WEBHOOK_MUTATIONS: dict[str, Resolver] = {
    "webhookSubscriptionCreate": _create,
    "webhookSubscriptionDelete": _delete,
    "webhookSubscriptionUpdate": _update,
}
