"""Makes and deletes subscriptions at Shopify, and says what came of it."""

from daemon.api.findings import Finding, failed, ok
from daemon.checks.webhooks import can_be_told_from_forgeries, judge_plan, no_secret, read_plan
from daemon.cli.webhooks.setup import WebhookSetup, WebhookStore
from daemon.i18n import gettext as _
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.webhooks.subscriptions import SubscriptionsMade, carry_out, delete_all, topic_name


async def install_at(shop: WebhookStore, client: ShopifyClient, setup: WebhookSetup) -> list[Finding]:
    """Subscribe to what is missing, then look again: what is there although its answer got lost is right.

    Nothing is subscribed to where all of it would be refused, by which Shopify ends the subscriptions within hours.
    """
    subject, meter = f"{shop.name} shopify webhooks", CallMeter()
    if shop.settings.shopify is None or not can_be_told_from_forgeries(shop.settings.shopify):
        return [failed(subject, *no_secret())]
    plan = await read_plan(client, setup.settings, shop.name, setup.url, meter)
    made = await carry_out(plan, client.webhooks, meter)
    after = plan if plan.is_done else await read_plan(client, setup.settings, shop.name, setup.url, meter)
    left = {
        *(each.name for each in after.missing),
        *(wanted.name for _subscribed, wanted in after.changed),
        *(topic_name(each.topic) for each in after.stale),
    }
    refusals = [failed(f"{subject} {name}", reason) for name, reason in made.failed.items() if name in left]
    return [*_done(subject, made), *refusals, *judge_plan(subject, after, shop.name)]


async def remove_at(shop: WebhookStore, client: ShopifyClient, address: str) -> list[Finding]:
    """Delete all subscriptions that go to an address."""
    subject, meter, made = f"{shop.name} shopify webhooks", CallMeter(), SubscriptionsMade()
    present = [each for each in await client.webhooks.all(meter=meter) if each.uri == address]
    await delete_all(present, client.webhooks, made, meter)
    refusals = [failed(f"{subject} {name}", reason) for name, reason in made.failed.items()]
    if not present:
        return [ok(subject, _("nothing was subscribed to for {address}").format(address=address))]
    return [*_done(subject, made), *refusals]


def _done(subject: str, made: SubscriptionsMade) -> list[Finding]:
    return [
        ok(subject, text.format(topics=", ".join(sorted(topics))))
        for topics, text in (
            (made.created, _("subscribed to {topics}")),
            (made.updated, _("changed {topics}")),
            (made.deleted, _("unsubscribed from {topics}")),
        )
        if topics
    ]
