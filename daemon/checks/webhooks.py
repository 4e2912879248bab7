"""What webhooks a store is told by: whether what it needs has been subscribed to, and whether the address works."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
import orjson
from yarl import URL

from daemon.api.findings import Finding, failed, ok, warning
from daemon.config import Settings, ShopifySettings
from daemon.errors import SourceError
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.ids import StoreName
from daemon.inbox.topics import TEST_TOPIC
from daemon.jobs.types import Source
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.scopes import write_scopes
from daemon.sources.shopify.version import API_VERSION
from daemon.webhooks.subscriptions import SubscriptionPlan, compare, topic_name, wanted_topics, webhook_address
from daemon.webhooks.verification import sign

PATIENCE = aiohttp.ClientTimeout(total=15, connect=5)  # longer than the shops have: a late answer has a name, too
SHOPIFY_WAITS = 5.0  # seconds, shopify.dev, "HTTPS delivery"
BEHIND_A_PROXY = frozenset({502, 504})


async def read_plan(
    client: ShopifyClient, settings: Settings, name: StoreName, base_url: str, meter: CallMeter
) -> SubscriptionPlan:
    """What a store's app has subscribed to, against what it should; `base_url` is that of the listener, from outside.

    Raises SourceRefused, RateLimited, SourceUnavailable.
    """
    granted = await client.granted_scopes(meter=meter)
    wanted = wanted_topics(settings.stores[name], granted)
    address = webhook_address(base_url, Source.SHOPIFY, name)
    return compare(address, wanted, await client.webhooks.all(meter=meter), granted)


async def check_webhooks(name: StoreName, shopify: ShopifyClient | None, settings: Settings) -> list[Finding]:
    """What is missing before a store is told of everything; nothing where no webhooks are listened for."""
    if settings.webhooks is None:
        return []
    store, url = settings.stores[name], settings.webhooks.url
    findings: list[Finding] = []
    if store.nhanh is not None and store.nhanh.webhook_token is None:
        findings.append(
            warning(
                f"{name} nhanh webhooks",
                _("none is accepted: there is no token to know them by"),
                _("add webhook_token to the store's nhanh table, and enter it at open.nhanh.vn"),
            )
        )
    if shopify is None or store.shopify is None:
        return findings
    subject = f"{name} shopify webhooks"
    if not can_be_told_from_forgeries(store.shopify):
        return [*findings, warning(subject, *no_secret())]
    if url is None:
        advice = _("add url to [webhooks]: the address under which others reach the listener")
        return [*findings, warning(subject, _("nobody can be told where to send them"), advice)]
    try:
        plan = await read_plan(shopify, settings, name, url, CallMeter())
    except SourceError as error:
        return [*findings, failed(subject, str(error))]
    return findings + judge_plan(subject, plan, name)


def can_be_told_from_forgeries(shopify: ShopifySettings) -> bool:
    """Whether it is configured by what Shopify signs; an access token alone does not say."""
    return shopify.webhook_secret is not None or shopify.client_secret is not None


def no_secret() -> tuple[str, str]:
    """What is wrong where that is not configured, and what to do."""
    return _("none is accepted: there is no secret that signs them"), _(
        "add webhook_secret to the store's shopify table"
    )


def judge_plan(subject: str, plan: SubscriptionPlan, store: StoreName) -> list[Finding]:
    """What a comparison says to a person."""
    install = _("run `dongbo webhooks install {store}`").format(store=store)
    findings = [
        warning(subject, text, install)
        for names, text in (
            (plan.missing, _("not subscribed to: {topics}").format(topics=_listed(each.name for each in plan.missing))),
            (
                plan.changed,
                _("subscribed to with other fields than are read: {topics}").format(
                    topics=_listed(wanted.name for _subscribed, wanted in plan.changed)
                ),
            ),
            (
                plan.stale,
                _("subscribed to without use: {topics}").format(
                    topics=_listed(topic_name(each.topic) for each in plan.stale)
                ),
            ),
        )
        if names
    ]
    if plan.refused:
        scopes = [scope for each in plan.refused for scope in each.scopes]
        findings.append(
            warning(
                subject,
                _("the app may not subscribe to {topics}").format(topics=_listed(each.name for each in plan.refused)),
                _("grant it the scopes {scopes} first").format(scopes=write_scopes(scopes)),
            )
        )
    if versions := {each.api_version for each in plan.of_other_version}:
        findings.append(
            warning(
                subject,
                _("they are of version {version} of the API, not {expected}").format(
                    version=_listed(versions), expected=API_VERSION
                ),
                _("in the Dev Dashboard, add a version of the app with the webhooks version {expected}").format(
                    expected=API_VERSION
                ),
            )
        )
    return [*findings, *_elsewhere(subject, plan, store), *([_all_right(subject, plan)] if plan.is_done else [])]


def _all_right(subject: str, plan: SubscriptionPlan) -> Finding:
    n = len(plan.right)
    return ok(
        subject,
        ngettext("{n} topic is told to {address}", "{n} topics are told to {address}", n).format(n=n, address=plan.uri),
    )


def _elsewhere(subject: str, plan: SubscriptionPlan, store: StoreName) -> list[Finding]:
    """Other addresses, which may be right: another machine's, or another program's."""
    topics: dict[str, list[str]] = {}
    for each in plan.elsewhere:
        topics.setdefault(each.uri, []).append(topic_name(each.topic))
    return [
        warning(
            subject,
            _("another address is told as well: {address}, of {topics}").format(address=uri, topics=_listed(names)),
            _("if nobody needs that, run `dongbo webhooks remove {store} --address {address}`").format(
                store=store, address=uri
            ),
        )
        for uri, names in topics.items()
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


@dataclass(frozen=True, slots=True)
class WebhookTrial:
    """A harmless event, sent as the shop would.

    Args:
        subject: of the finding.
        url: where it goes.
        headers: with the proof of its sender.
        body: JSON.
        topic: under which it is in the inbox.
        event_id: by which it is known there; None: by its topic and time.
    """

    subject: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    topic: str
    event_id: str | None = None


def nhanh_trial(store: StoreName, base_url: str, token: str) -> WebhookTrial:
    """The event by which Nhanh.vn itself tries an address."""
    return WebhookTrial(
        f"{store} nhanh webhooks",
        webhook_address(base_url, Source.NHANH, store),
        {"Authorization": token},
        orjson.dumps({"event": "webhooksEnabled"}),
        "webhooksEnabled",
    )


def shopify_trial(store: StoreName, base_url: str, secret: str, domain: str) -> WebhookTrial:
    """An event of a topic that Shopify does not have, signed as its own are; `domain` is the shop's."""
    event_id = str(uuid4())
    body = orjson.dumps({"event": TEST_TOPIC})
    headers = {
        "X-Shopify-Topic": TEST_TOPIC,
        "X-Shopify-Shop-Domain": domain,
        "X-Shopify-Webhook-Id": event_id,
        "X-Shopify-API-Version": API_VERSION,
        "X-Shopify-Hmac-SHA256": sign(body, secret.encode()).decode(),
    }
    address = webhook_address(base_url, Source.SHOPIFY, store)
    return WebhookTrial(f"{store} shopify webhooks", address, headers, body, TEST_TOPIC, event_id)


Arrived = Callable[[WebhookTrial], Awaitable[bool | None]]
"""Whether an event is in the inbox; None: that can't be asked."""


async def try_address(session: aiohttp.ClientSession, trial: WebhookTrial, arrived: Arrived) -> Finding:
    """Send an event, and say what came of it."""
    started = time.monotonic()
    try:
        async with session.post(
            trial.url,
            data=trial.body,
            headers={"Content-Type": "application/json", **trial.headers},
            allow_redirects=False,
            timeout=PATIENCE,
        ) as answer:
            status, location = answer.status, answer.headers.get("Location")
    except (aiohttp.ClientError, TimeoutError) as error:
        return _not_reached(trial, error)
    took = time.monotonic() - started
    if status == 200:
        return await _taken(trial, took, arrived)
    return _refused(trial, status, location)


async def _taken(trial: WebhookTrial, took: float, arrived: Arrived) -> Finding:
    is_there = await arrived(trial)
    if is_there is None:
        text = _("{address} answered, but there is no telling whether it was dongbo: no daemon can be asked here")
        return warning(
            trial.subject,
            text.format(address=trial.url),
            _("try it where the daemon runs, or give its address by --url"),
        )
    if not is_there:
        return failed(
            trial.subject,
            _("{address} answered, but nothing arrived: something else answers there").format(address=trial.url),
            _("let the proxy pass this path on to [webhooks] listen"),
        )
    if took > SHOPIFY_WAITS:
        return warning(
            trial.subject,
            _("a test arrived, but its answer took {n:.1f} s: the shops do not wait that long").format(n=took),
            _("look at the proxy and at the database"),
        )
    return ok(trial.subject, _("a test arrived by {address}").format(address=trial.url), milliseconds=took * 1000)


def _not_reached(trial: WebhookTrial, error: Exception) -> Finding:
    host = URL(trial.url).host
    match error:
        case aiohttp.ClientConnectorDNSError():
            text = _("the name {host} is not known: {error}").format(host=host, error=error.os_error)
            advice = _("add it to the DNS, or correct [webhooks] url")
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError():
            text = _("the certificate of {host} is not accepted: {error}").format(host=host, error=error)
            advice = _("the shops refuse it as well: let the proxy obtain one, as Caddy does by itself")
        case aiohttp.ClientConnectorError():
            text = _("nobody answers at {host}: {error}").format(host=host, error=error.os_error.strerror or error)
            advice = _("start the proxy, and open its port to the outside")
        case TimeoutError():
            text = _("{address} did not answer in time").format(address=trial.url)
            advice = _("look whether a firewall stands in between, and at the log of the proxy")
        case _:
            text = _("the connection to {address} broke off: {error}").format(address=trial.url, error=error)
            advice = _("look at the log of the proxy")
    return failed(trial.subject, text, advice)


def _refused(trial: WebhookTrial, status: int, location: str | None) -> Finding:
    """What each status means; `location`: where a redirect points to."""
    text = _("{address} answered HTTP {status}").format(address=trial.url, status=status)
    match status:
        case 301 | 302 | 303 | 307 | 308:
            text = _("{address} redirects to {location}: the shops do not follow").format(
                address=trial.url, location=location
            )
            advice = _("write the address into [webhooks] url that answers by itself, and ask for no login there")
        case 401:
            advice = _(
                "the secret that is configured here is not the one that the daemon works with: reload it, and look "
                "whether it has this store"
            )
        case 403:
            advice = _("let the proxy pass everybody on this path: the shops prove who they are by a signature")
        case 404 | 405:
            advice = _("let the proxy pass this path, and the method POST, on to [webhooks] listen unchanged")
        case 413:
            advice = _("let the proxy take bodies of a megabyte")
        case 503:
            advice = _("the daemon could not store it: `dongbo doctor` says what is wrong")
        case _ if status in BEHIND_A_PROXY:
            advice = _("the proxy does not reach the daemon: compare its target with [webhooks] listen")
        case _:
            advice = _("look at the log of the proxy, and at that of the daemon")
    return failed(trial.subject, text, advice)
