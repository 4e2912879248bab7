"""Subscriptions at the sandbox's Shopify: made, changed and deleted until an address is told of the right topics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from daemon.config import StoreSettings
from daemon.errors import SourceRefused
from daemon.ids import StoreName
from daemon.jobs.types import Source
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.webhooks.subscriptions import (
    SubscriptionPlan,
    carry_out,
    compare,
    topic_name,
    wanted_topics,
    webhook_address,
)

QUICK = Backoff(attempts=4, initial=0.01, maximum=0.02)
SMALL = SandboxSettings(products=5, customers=5)
URI = webhook_address("https://hooks.example.com", Source.SHOPIFY, StoreName("main"))
FOREIGN = "https://other.example.com/webhooks/shopify/main"
SHOPIFY = {"shop": "x", "access_token": {"env": "SHOPIFY_TOKEN"}}
NHANH = {"app_id": 1, "business_id": 2, "access_token": {"env": "N"}, "secret_key": {"env": "K"}}
PRODUCT_SYNC = {"locations": {"1": [1]}}
PRODUCTS_ONLY = StoreSettings.model_validate({"nhanh": NHANH, "shopify": SHOPIFY, "product_sync": PRODUCT_SYNC})
EVERYTHING = StoreSettings.model_validate(
    {"nhanh": NHANH, "shopify": SHOPIFY, "product_sync": PRODUCT_SYNC, "customer_sync": {}}
)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Sandbox, ShopifyClient]]:
    """A sandbox, and a client of its Shopify."""
    async with running_sandbox(SMALL) as sandbox, open_session() as session:
        yield (
            sandbox,
            ShopifyClient(
                session,
                shop="x",
                credential=PermanentToken(sandbox.shopify.token),
                base_url=sandbox.shopify_url,
                limits=LimiterRegistry(),
                backoff=QUICK,
            ),
        )


async def plan_for(store: StoreSettings, client: ShopifyClient, uri: str = URI) -> SubscriptionPlan:
    """What is to be done for a store, as Shopify is at present."""
    meter = CallMeter()
    granted = await client.granted_scopes(meter=meter)
    return compare(uri, wanted_topics(store, granted), await client.webhooks.all(meter=meter), granted)


def topics(sandbox: Sandbox, uri: str = URI) -> set[str]:
    """What an address is told of, as the shop knows it."""
    return {topic_name(each.topic) for each in sandbox.shopify.webhooks.subscriptions.values() if each.uri == uri}


async def test_an_address_is_subscribed_to_what_the_store_uses() -> None:
    """All of it by one round, with the fields that are read; a second round has nothing to do."""
    async with opened() as (sandbox, client):
        made = await carry_out(await plan_for(EVERYTHING, client), client.webhooks, CallMeter())
        assert (made.failed, made.updated, made.deleted) == ({}, [], [])
        assert set(made.created) == topics(sandbox)
        assert topics(sandbox) >= {"products/update", "inventory_levels/update", "customers/update", "app/uninstalled"}
        assert "customers/merge" not in topics(sandbox)  # its scope is asked of nobody
        again = await plan_for(EVERYTHING, client)
        assert again.is_done
        assert len(again.right) == len(made.created)
        assert (await carry_out(again, client.webhooks, CallMeter())).created == []


async def test_only_what_is_used_stays() -> None:
    """A store that no longer syncs customers is no longer told of them; other addresses are left alone."""
    async with opened() as (sandbox, client):
        await carry_out(await plan_for(EVERYTHING, client), client.webhooks, CallMeter())
        sandbox.shopify.webhooks.subscribe("CUSTOMERS_UPDATE", FOREIGN)
        plan = await plan_for(PRODUCTS_ONLY, client)
        assert [each.uri for each in plan.elsewhere] == [FOREIGN]
        made = await carry_out(plan, client.webhooks, CallMeter())
        assert set(made.deleted) == {"customers/create", "customers/update", "customers/delete"}
        assert not any(name.startswith("customers/") for name in topics(sandbox))
        assert topics(sandbox, FOREIGN) == {"customers/update"}


async def test_what_tells_too_little_is_changed() -> None:
    """Without `updated_at` Shopify drops events as duplicates; with a filter it keeps them back."""
    async with opened() as (sandbox, client):
        subscription = sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", URI, ["id"])
        subscription.filter = "vendor:x"
        plan = await plan_for(PRODUCTS_ONLY, client)
        assert [wanted.name for _, wanted in plan.changed] == ["products/update"]
        made = await carry_out(plan, client.webhooks, CallMeter())
        assert made.updated == ["products/update"]
        assert "updated_at" in subscription.include_fields
        assert not subscription.filter
        assert (await plan_for(PRODUCTS_ONLY, client)).is_done


async def test_a_topic_without_its_scope_does_not_hold_up_the_others() -> None:
    """It is named, and not even tried."""
    async with opened() as (sandbox, client):
        sandbox.shopify.scopes = frozenset({"write_products", "read_customers"})
        plan = await plan_for(EVERYTHING, client)
        assert {wanted.scopes for wanted in plan.refused} == {("read_inventory",)}
        made = await carry_out(plan, client.webhooks, CallMeter())
        assert made.failed == {}
        assert "products/update" in topics(sandbox)


async def test_a_refusal_of_one_topic_does_not_hold_up_the_others() -> None:
    """What Shopify says is told of that topic."""
    async with opened() as (sandbox, client):
        plan = await plan_for(EVERYTHING, client)
        sandbox.shopify.webhooks.subscribe("PRODUCTS_DELETE", URI)  # meanwhile, by somebody else
        made = await carry_out(plan, client.webhooks, CallMeter())
        assert set(made.failed) == {"products/delete"}
        assert "already been taken" in made.failed["products/delete"]
        assert len(made.created) == len(plan.missing) - 1


async def test_a_lost_answer_makes_no_second_subscription() -> None:
    """The repetition is refused, since the first attempt was carried out: it is seen by comparing once more."""
    async with opened() as (sandbox, client):
        plan = await plan_for(PRODUCTS_ONLY, client)
        sandbox.faults.next(Fault.RESET, path="graphql.json")
        made = await carry_out(plan, client.webhooks, CallMeter())
        assert set(made.failed) == {plan.missing[0].name}
        assert (await plan_for(PRODUCTS_ONLY, client)).is_done
        assert len(sandbox.shopify.webhooks.subscriptions) == len(plan.missing)


async def test_bodies_of_another_version_are_noticed() -> None:
    """The version is the app's, not the subscription's: nothing here can change it."""
    async with opened() as (sandbox, client):
        await carry_out(await plan_for(PRODUCTS_ONLY, client), client.webhooks, CallMeter())

        def older(answer: dict[str, object]) -> dict[str, object]:
            for node in answer["data"]["webhookSubscriptions"]["nodes"]:  # type: ignore[index]
                node["apiVersion"]["handle"] = "2026-07"
            return answer

        sandbox.shopify.troubles.next_answer(older, operation="WebhookSubscriptions")
        assert (await plan_for(PRODUCTS_ONLY, client)).of_other_version


async def test_long_lists_are_read_to_their_end() -> None:
    """Whatever other addresses there are."""
    async with opened() as (sandbox, client):
        for number in range(230):
            sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", f"https://{number}.example.com/")
        assert len(await client.webhooks.all(meter=CallMeter())) == 230


async def test_a_refused_deletion_says_why() -> None:
    """Such as of one that is gone."""
    async with opened() as (_sandbox, client):
        with pytest.raises(SourceRefused, match="does not exist"):
            await client.webhooks.delete("gid://shopify/WebhookSubscription/1", meter=CallMeter())
