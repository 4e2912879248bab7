"""No sale starts, ends or fails for good by a clock that is not the database's and Shopify's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from structlog.testing import capture_logs

from daemon.api.sales import CampaignState
from daemon.clock import boot_time
from daemon.errors import InvalidJobRequest, SaleConflict
from daemon.ids import StoreName
from daemon.jobs.types import JobType
from daemon.sales.model import Campaign
from daemon.sales.service import Sales
from daemon.schedules.sale import SaleClock
from daemon.sources.clock import SourceClock
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from tests.support.sale_shop import SaleShop, sandbox_settings, shop, soon
from tests.support.workshop import STORE

__all__ = ["sandbox_settings", "shop"]

DAY = 86_400
WRONG = timedelta(hours=72)


def set_clock(shop: SaleShop, ahead: timedelta) -> None:
    """Let the machine's clock be so far ahead."""

    def clock() -> datetime:
        return datetime.now(UTC) + ahead

    shop.sales.clock = shop.sales.clocks.clock = shop.clock._clock = clock


def times_of(shop: SaleShop) -> SourceClock:
    """What is known of Shopify's time."""
    return shop.workshop.parts.registry.stores[STORE].shopify.clock


@pytest.mark.parametrize("hours", [72, -72])
async def test_with_the_clock_days_off_nothing_starts_ends_or_fails_until_it_is_right(
    shop: SaleShop, hours: int
) -> None:
    """The condition is told once; when the clock has been set, all happens at its time."""
    running = await shop.until(await shop.create("running", ends=soon(2 * DAY)), CampaignState.ACTIVE)
    coming = await shop.create("coming", starts=soon(2 * DAY + 1), ends=soon(9 * DAY))
    set_clock(shop, timedelta(hours=hours))
    with capture_logs() as logs:
        await shop.clock.sweep()
        await shop.clock.sweep()
    assert (await shop.get(running)).state is CampaignState.ACTIVE
    assert (await shop.get(coming)).state is CampaignState.SCHEDULED
    problem = shop.clock.clock_problem or ""
    assert f"This machine's clock is 3 days {'ahead of' if hours > 0 else 'behind'} PostgreSQL's" in problem
    assert [line["log_level"] for line in logs if line["event"] == "sale_clock_wrong"] == ["error"]
    with pytest.raises(SaleConflict, match="no sale starts or ends"):
        await shop.create("now")
    set_clock(shop, timedelta(0))
    await shop.clock.sweep()
    assert shop.clock.clock_problem is None
    assert (await shop.get(coming)).state is CampaignState.SCHEDULED
    await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET ends_at = now() WHERE name = 'running' RETURNING 1")
    await shop.until(running, CampaignState.COMPLETED)


async def test_a_sale_that_a_person_ends_at_a_daemon_whose_clock_is_ahead_stays_ended(shop: SaleShop) -> None:
    """A sale clock that is right takes back only what a wrong clock has ended."""
    running = await shop.until(await shop.create(ends=soon(DAY)), CampaignState.ACTIVE)
    set_clock(shop, WRONG)
    await shop.sales.end_now(running)
    set_clock(shop, timedelta(0))
    await shop.until(running, CampaignState.COMPLETED)
    await shop.clock.sweep()
    states = await shop.workshop.rows("SELECT state FROM dongbo.sale_campaigns")
    assert [row["state"] for row in states] == ["COMPLETED"]


@pytest.mark.parametrize("hours", [72, -72])
async def test_a_worker_whose_clock_is_wrong_prepares_a_sale_and_puts_it_on(shop: SaleShop, hours: int) -> None:
    """It is another daemon's sale clock that asks for that, and no other campaign may take the same variants."""
    coming = await shop.create(starts=soon(60), ends=soon(DAY))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours)):
        await shop.workshop.run(JobType.PREPARE_SALE)
    prepared = await shop.get(coming)
    assert prepared.prepared_at is not None
    assert abs(prepared.prepared_at - datetime.now(UTC)) < timedelta(minutes=1)
    (held,) = await shop.workshop.rows("SELECT DISTINCT held FROM dongbo.sale_items WHERE NOT isempty(held)")
    assert (held["held"].lower, held["held"].upper) == (coming.starts_at, coming.ends_at)


async def test_a_campaign_that_would_have_run_meanwhile_is_not_failed_for_good(shop: SaleShop) -> None:
    """By the wrong clock it lies in the past as a whole; by the right one it is still to come."""
    campaign = await shop.create(starts=soon(DAY), ends=soon(2 * DAY))
    set_clock(shop, WRONG)
    await shop.clock.sweep()
    assert (await shop.get(campaign)).state is CampaignState.SCHEDULED


async def test_where_the_database_has_the_same_wrong_clock_shopify_tells(shop: SaleShop) -> None:
    """The embedded server runs on the same machine: only Shopify's answers show it."""
    campaign = await shop.create(starts=soon(3600))
    times_of(shop).observe(datetime.now(UTC).timestamp() - WRONG.total_seconds(), boot_time())
    await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET starts_at = now() RETURNING 1")
    await shop.clock.sweep()
    assert (await shop.get(campaign)).state is CampaignState.SCHEDULED
    assert "3 days ahead of Shopify's (main)" in (shop.clock.clock_problem or "")
    times_of(shop).observe(datetime.now(UTC).timestamp(), boot_time())
    await shop.until(campaign, CampaignState.ACTIVE)


async def test_a_daemon_that_has_not_heard_of_shopify_yet_asks_for_its_time_first(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything starts; where nobody answers, nothing does."""
    campaign = await shop.create(starts=soon(3600))
    shopify = shop.workshop.parts.registry.stores[STORE].shopify
    endpoint = shopify._endpoint
    await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET starts_at = now() RETURNING 1")
    monkeypatch.setattr(endpoint, "clock", SourceClock())
    monkeypatch.setattr(shopify, "clock", endpoint.clock)
    url = endpoint.url
    monkeypatch.setattr(endpoint, "url", "http://127.0.0.1:9/graphql.json")
    await shop.clock.sweep()
    assert (await shop.get(campaign)).state is CampaignState.SCHEDULED
    assert "has not answered yet" in (shop.clock.clock_problem or "")
    endpoint.url = url
    await shop.until(campaign, CampaignState.ACTIVE)
    assert endpoint.clock.age() < 60


@pytest.mark.parametrize("answers", [True, False])
async def test_only_a_shop_that_was_asked_in_vain_is_told_of(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """A daemon that has just started does not know a shop's time: that is no alarm until the shop does not answer."""
    campaign = await shop.create(starts=soon(3600))
    shopify = shop.workshop.parts.registry.stores[STORE].shopify
    endpoint = shopify._endpoint
    monkeypatch.setattr(endpoint, "clock", SourceClock())
    monkeypatch.setattr(shopify, "clock", endpoint.clock)
    if not answers:
        monkeypatch.setattr(endpoint, "url", "http://127.0.0.1:9/graphql.json")
    with capture_logs() as logs:
        await shop.clock.sweep()
        assert [line for line in logs if line["event"] == "sale_clock_wrong"] == []
        await asyncio.gather(*shop.clock._asked.values())
        await shop.clock.sweep()
        told = [line["stores"] for line in logs if line["event"] == "sale_clock_wrong"]
    assert told == ([] if answers else [[campaign.store]])


async def test_a_shop_that_can_not_be_reached_keeps_no_other_shops_sales_back(shop: SaleShop) -> None:
    """Since the daemon began it has heard nothing of one of its two shops: the other's campaign starts and ends."""
    elsewhere, stores = StoreName("elsewhere"), shop.workshop.parts.registry.stores
    async with open_session() as session:
        lost = ShopifyClient(
            session,
            shop="lost",
            credential=PermanentToken("shpat_lost"),
            base_url="http://127.0.0.1:9",
            limits=LimiterRegistry(None),
            backoff=Backoff(attempts=1),
        )
        stores[elsewhere] = replace(stores[STORE], name=elsewhere, shopify_client=lost)
        campaign = await shop.create("here", starts=soon(3600), ends=soon(7200))
        await shop.create("there", starts=soon(DAY), ends=soon(2 * DAY))
        await shop.workshop.rows(
            "UPDATE dongbo.sale_campaigns SET store = $1 WHERE name = 'there' RETURNING 1", elsewhere
        )
        await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET starts_at = now() WHERE name = 'here' RETURNING 1")
        await shop.until(campaign, CampaignState.ACTIVE)
        assert "Shopify (elsewhere) has not answered yet" in (shop.clock.clock_problem or "")
        await shop.sales.end_now(await shop.get(campaign))
        await shop.until(campaign, CampaignState.COMPLETED)


@asynccontextmanager
async def swallowing() -> AsyncIterator[str]:
    """The address of a server that takes every request, and never answers."""
    silent: list[asyncio.StreamWriter] = []

    async def swallow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        for writer in silent:
            writer.close()
        server.close()
        await server.wait_closed()


async def test_a_shop_that_swallows_what_it_is_asked_delays_no_other_shops_sales(shop: SaleShop) -> None:
    """Whoever waits for its time, a campaign of the other shop starts and ends when its own has come."""
    elsewhere, stores = StoreName("elsewhere"), shop.workshop.parts.registry.stores
    async with open_session() as session, swallowing() as url:
        lost = ShopifyClient(
            session, shop="lost", credential=PermanentToken("shpat_lost"), base_url=url, limits=LimiterRegistry(None)
        )
        stores[elsewhere] = replace(stores[STORE], name=elsewhere, shopify_client=lost)
        await shop.create("there", starts=soon(DAY), ends=soon(2 * DAY))
        await shop.workshop.rows("UPDATE dongbo.sale_campaigns SET store = $1 RETURNING 1", elsewhere)
        database = shop.workshop.database
        async with SaleClock(database, shop.sales, lambda: [STORE, elsewhere], sweep_interval=0.1) as clock:
            while "Shopify (elsewhere) has not answered yet" not in (clock.clock_problem or ""):
                await asyncio.sleep(0.01)
            campaign = await shop.create("here", starts=soon(1.0), ends=soon(3.0))
            clock.look()
            done = await shop.until(campaign, CampaignState.COMPLETED, sweep=False)
        for planned, really in ((done.starts_at, done.started_at), (done.ends_at, done.ended_at)):
            assert planned is not None
            assert really is not None
            assert timedelta(0) <= really - planned < timedelta(seconds=1)


async def run_by(shop: SaleShop, campaign: Campaign, hours: float, state: CampaignState) -> None:
    """Let a clock that nobody compares be so far ahead, until a campaign has come to a state."""
    set_clock(shop, timedelta(hours=hours))
    shop.sales.clocks.clock = lambda: datetime.now(UTC)  # an older daemon did not compare
    await shop.until(campaign, state)


@pytest.mark.parametrize(
    ("starts", "ends", "steps", "then"),
    [
        (3600, 7200, [(1.5, CampaignState.ACTIVE), (72, CampaignState.COMPLETED)], CampaignState.SCHEDULED),
        (3600, 7200, [(72, CampaignState.FAILED)], CampaignState.SCHEDULED),
        (None, 7200, [(0, CampaignState.ACTIVE), (72, CampaignState.COMPLETED)], CampaignState.ACTIVE),
    ],
    ids=["begun and ended", "missed", "ended"],
)
async def test_what_a_wrong_clock_has_ended_begins_again_at_its_time(
    shop: SaleShop,
    starts: float | None,
    ends: float,
    steps: list[tuple[float, CampaignState]],
    then: CampaignState,
) -> None:
    """Once, however often it is looked at, and not against a person's word; nothing of it was left on sale."""
    before = shop.prices()
    campaign = await shop.create(starts=soon(starts) if starts else None, ends=soon(ends))
    for hours, state in steps:
        await run_by(shop, campaign, hours, state)
    assert shop.prices() == before
    await shop.clock.sweep()
    assert (await shop.sales.find("tet")).id == campaign.id, "by the wrong clock it is over"
    set_clock(shop, timedelta(0))
    await shop.clock.sweep()
    again = await shop.sales.find("tet")
    assert (again.id != campaign.id, again.starts_at, again.ends_at) == (True, campaign.starts_at, campaign.ends_at)
    await shop.until(again, then)
    assert ((await shop.get(campaign)).closed_at or again.ends_at) <= datetime.now(UTC)
    await shop.sales.cancel(await shop.get(again))
    await shop.until(again, CampaignState.CANCELLED)
    await shop.clock.sweep()
    assert (await shop.sales.find("tet")).id == again.id
    assert shop.prices() == before


async def test_what_a_person_has_ended_stays_so(shop: SaleShop) -> None:
    """Under a wrong clock as well."""
    campaign = await shop.create(starts=soon(3600), ends=soon(9 * DAY))
    await run_by(shop, campaign, 72, CampaignState.ACTIVE)
    await shop.sales.end_now(await shop.get(campaign))
    await run_by(shop, campaign, 72, CampaignState.COMPLETED)
    set_clock(shop, timedelta(0))
    await shop.clock.sweep()
    assert (await shop.sales.find("tet")).id == campaign.id


async def test_what_a_wrong_clock_has_begun_is_taken_back_and_begins_again_at_its_time(shop: SaleShop) -> None:
    """Prices are as before, and a campaign of the same definition waits for the time that was meant."""
    before = shop.prices()
    campaign = await shop.create(starts=soon(3600), ends=soon(9 * DAY))
    set_clock(shop, WRONG)
    shop.sales.clocks.clock = lambda: datetime.now(UTC)  # an older daemon did not compare
    await shop.until(campaign, CampaignState.ACTIVE)
    assert shop.prices() != before
    set_clock(shop, timedelta(0))
    with capture_logs() as logs:
        await shop.until(campaign, CampaignState.COMPLETED)
        await shop.clock.sweep()
    assert [line["event"] for line in logs if line["event"] == "sale_recalled"] == ["sale_recalled"]
    assert shop.prices() == before
    again = await shop.sales.find("tet")
    assert (again.state, again.starts_at, again.ends_at) == (
        CampaignState.SCHEDULED,
        campaign.starts_at,
        campaign.ends_at,
    )
    await shop.clock.sweep()
    assert (await shop.sales.find("tet")).id == again.id


async def test_one_that_can_not_be_planned_again_keeps_no_other_back(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store has lost its Shopify, for example: other campaigns get their jobs, and it is tried again."""
    lost = await shop.create("lost", ends=soon(7200))
    await run_by(shop, lost, 0, CampaignState.ACTIVE)
    await run_by(shop, lost, 72, CampaignState.COMPLETED)
    set_clock(shop, timedelta(0))
    original = Sales.plan_again

    async def refuse(self: Sales, campaign: Campaign) -> Campaign:
        raise InvalidJobRequest(f"{campaign.name} has no Shopify.")

    monkeypatch.setattr(Sales, "plan_again", refuse)
    other = await shop.create("other", percent=10)
    with capture_logs() as logs:
        await shop.until(other, CampaignState.ACTIVE)
    assert "lost has no Shopify." in {line["error"] for line in logs if line["event"] == "sale_not_planned_again"}
    await shop.sales.end_now(await shop.get(other))
    await shop.until(other, CampaignState.COMPLETED)
    monkeypatch.setattr(Sales, "plan_again", original)
    await shop.clock.sweep()
    assert (await shop.sales.find("lost")).id != lost.id
