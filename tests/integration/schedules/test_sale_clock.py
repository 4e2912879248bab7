"""Campaigns start and end on time, whoever watches the clock and whatever was missed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from daemon.api.sales import CampaignState, ItemState, Lateness
from daemon.database.pool import open_database
from daemon.errors import DatabaseError, DongboError, InvalidSale
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import JobStatus
from daemon.jobs.types import JobType
from daemon.sales import apply, campaigns, report
from daemon.sales.model import Campaign
from daemon.sales.preparation import lead
from daemon.sales.records import lateness_of
from daemon.schedules.sale import CHANNEL, MISSED, SaleClock
from daemon.sources.shopify.models import PricePair
from tests.support.sale_shop import SaleShop, on_sale, sandbox_settings, shop, soon
from tests.support.shop_memory import Journal
from tests.support.workshop import STORE, running_parts

__all__ = ["sandbox_settings", "shop"]

NEVER = 3600.0  # seconds between two sweeps, where only the timer may wake the clock
# The shop's zone, start and end as somebody writes them, and both in UTC.
CHANGING_CLOCKS = [
    ("Asia/Ho_Chi_Minh", "2027-01-28T20:00:00", "2027-01-29T00:00:00", "2027-01-28T13:00Z", "2027-01-28T17:00Z"),
    ("Europe/Berlin", "2027-03-28T02:30:00", "2027-03-28T03:30:00", "2027-03-28T01:00Z", "2027-03-28T01:30Z"),
    ("Europe/Berlin", "2027-10-31T02:30:00", "2027-10-31T03:00:00", "2027-10-31T00:30Z", "2027-10-31T02:00Z"),
    ("Europe/Berlin", "2027-10-31T02:30:00", "2027-10-31T02:30:00+01:00", "2027-10-31T00:30Z", "2027-10-31T01:30Z"),
    ("America/New_York", "2027-03-14T00:00:00", "2027-03-15T00:00:00", "2027-03-14T05:00Z", "2027-03-15T04:00Z"),
    ("America/New_York", "2027-11-07T00:00:00", "2027-11-08T00:00:00", "2027-11-07T04:00Z", "2027-11-08T05:00Z"),
    ("Australia/Lord_Howe", "2027-10-03T02:15:00", "2027-10-03T03:00:00", "2027-10-02T15:30Z", "2027-10-02T16:00Z"),
]
WHOLE_LIFE = ["DRAFT", "SCHEDULED", "APPLYING", "ACTIVE", "REVERTING", "COMPLETED"]


def clock_of(shop: SaleShop, sweep_interval: float = NEVER) -> SaleClock:
    """A clock that runs by itself inside `async with`."""
    return SaleClock(shop.workshop.database, shop.sales, lambda: [STORE], sweep_interval=sweep_interval)


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 15.0) -> None:
    """Wait for something that the clock does."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} within {seconds} s") from None


async def reached(shop: SaleShop, campaign: Campaign, state: CampaignState) -> Campaign:
    """The campaign when it has come to a state by itself."""

    async def is_there() -> bool:
        present = await shop.get(campaign)
        assert present.state is state or not present.state.has_ended, f"{present.state}: {present.notice}"
        return present.state is state

    await until(is_there, f"{campaign.name} should become {state}")
    return await shop.get(campaign)


async def shift(shop: SaleShop, campaign: Campaign, **moved: timedelta) -> Campaign:
    """The campaign with other times (from now), as if the time between had passed while no daemon ran."""
    for column, distance in moved.items():
        sql = f"UPDATE dongbo.sale_campaigns SET {column} = clock_timestamp() + $2::interval WHERE id = $1 RETURNING 1"
        await shop.workshop.rows(sql, campaign.id, distance)
    return await shop.get(campaign)


async def states(shop: SaleShop, campaign: Campaign) -> list[str]:
    """The states that a campaign has gone through."""
    async with shop.workshop.database.acquire() as connection:
        return [event.state for event in await campaigns.list_events(connection, campaign.id)]


async def lateness(shop: SaleShop, campaign: Campaign) -> Lateness:
    """How late a campaign was, as the report says."""
    async with shop.workshop.database.acquire() as connection:
        return lateness_of(campaign, await report.read_times(connection, campaign.id))


def changes(shop: SaleShop) -> dict[int, list[Any]]:
    """The prices that each variant was given, one after the other."""
    found: dict[int, list[Any]] = {}
    for write in shop.shopify.writes:
        if write.subject[0] == "price":
            found.setdefault(int(write.subject[1]), []).append(write.after)
    return found


async def test_the_timer_starts_and_ends_a_campaign_when_its_times_come(shop: SaleShop) -> None:
    """Without any sweep and never too early; the prices are on sale between, and each is written once."""
    before = shop.prices()
    async with clock_of(shop) as clock:
        campaign = await shop.create(starts=soon(0.8), ends=soon(3600))
        clock.look()  # as whoever creates a campaign does
        await reached(shop, campaign, CampaignState.ACTIVE)
        planned = await shift(shop, campaign, ends_at=timedelta(seconds=0.8))
        clock.look()
        done = await reached(shop, campaign, CampaignState.COMPLETED)
    assert done.started_at is not None
    assert done.ended_at is not None
    assert planned.starts_at is not None
    assert planned.ends_at is not None
    assert planned.starts_at <= done.started_at
    assert planned.ends_at <= done.ended_at
    assert shop.prices() == before
    sale = on_sale(done.definition, before)
    assert changes(shop) == {
        number: [sale[number].price, prices.price] for number, prices in before.items() if sale[number] != prices
    }
    assert await states(shop, done) == WHOLE_LIFE


async def test_a_daemon_without_a_sale_clock_lets_that_of_another_look(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign that is made at the one starts on time at the other, without waiting for a sweep."""
    parts = shop.workshop.parts
    monkeypatch.setattr(parts.sale_clock, "_sweep_interval", NEVER)
    elsewhere = SaleClock(
        shop.workshop.database, shop.sales, lambda: [STORE], call_others=lambda: parts.notifier.call(CHANNEL)
    )
    async with parts.sale_clock:
        campaign = await shop.create(starts=soon(0.8), ends=soon(3600))
        elsewhere.look()
        await reached(shop, campaign, CampaignState.ACTIVE)


async def test_any_number_of_daemons_start_and_end_a_campaign_once(shop: SaleShop, database_url: str) -> None:
    """Two daemons look at the same moment, again and again: one start, one end, each price written once for each."""
    before = shop.prices()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(database_url, application_name="another"))
        another = await stack.enter_async_context(running_parts(database, shop.workshop.sandbox))
        clocks = [shop.clock, another.sale_clock] * 3

        async def look() -> None:
            await asyncio.gather(*(clock.sweep() for clock in clocks))

        async def come_to(state: CampaignState) -> None:
            async def is_there() -> bool:
                await look()
                return (await shop.get(campaign)).state is state

            await until(is_there, f"{state}")

        campaign = await shop.create(starts=soon(3600))
        await shift(shop, campaign, starts_at=timedelta(0))
        with capture_logs() as logs:
            await come_to(CampaignState.ACTIVE)
            await shift(shop, campaign, ends_at=timedelta(0))
            await come_to(CampaignState.COMPLETED)
    assert [line["event"] for line in logs if line["event"] in ("sale_started", "sale_ended")] == [
        "sale_started",
        "sale_ended",
    ]
    assert await states(shop, campaign) == WHOLE_LIFE
    assert shop.prices() == before
    assert {len(written) for written in changes(shop).values()} == {2}


async def test_an_end_while_it_is_applied_takes_back_what_is_on_sale(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applying stops, nothing new is put on sale, and what was is restored."""
    monkeypatch.setattr(apply, "PRODUCTS_AT_ONCE", 3)
    before, written = shop.prices(), asyncio.Event()
    shop.shopify.writes = journal = Journal()
    journal.listeners.append(lambda _: written.set())
    faults = shop.workshop.sandbox.faults
    faults.slow, faults.slow_seconds = 1.0, 0.05
    campaign = await shop.create()
    await written.wait()
    await shift(shop, campaign, ends_at=timedelta(0))
    await shop.clock.sweep()
    assert (await shop.get(campaign)).state is CampaignState.REVERTING
    done = await shop.until(campaign, CampaignState.COMPLETED)
    assert shop.prices() == before
    assert {len(prices) for prices in changes(shop).values()} == {2}
    found = await shop.items(done)
    assert {number for number, item in found.items() if item.state is ItemState.REVERTED} == changes(shop).keys()
    never = [item for item in found.values() if item.note == "the campaign ended before it was put on sale"]
    assert never
    assert all(item.state is ItemState.SKIPPED and item.applied_at is None for item in never)
    job = await shop.last_job(JobType.APPLY_SALE)
    assert job.status is JobStatus.COMPLETED


async def test_a_start_that_was_missed_is_made_up_and_measured(shop: SaleShop) -> None:
    """The first daemon that runs again starts the campaign, and it is known how late that was."""
    before = shop.prices()
    campaign = await shift(shop, await shop.create(starts=soon(3600)), starts_at=timedelta(hours=-1))
    assert 3600 <= campaign.overdue_start(datetime.now(UTC)) < 3660
    with capture_logs() as logs:
        active = await shop.until(campaign, CampaignState.ACTIVE)
    (started,) = [line for line in logs if line["event"] == "sale_started"]
    assert started["log_level"] == "warning"
    assert 3600 <= started["late_seconds"] < 3660
    assert shop.prices() == on_sale(active.definition, before) != before
    assert active.overdue_start(datetime.now(UTC)) == 0
    late = await lateness(shop, active)
    assert late.first_on_sale_seconds is not None
    assert 3600 <= late.first_on_sale_seconds < 3660


async def test_an_end_that_was_missed_is_made_up_and_measured(shop: SaleShop) -> None:
    """The first daemon that runs again ends the campaign, and it is known how late that was."""
    before = shop.prices()
    active = await shop.until(await shop.create(ends=soon(3600)), CampaignState.ACTIVE)
    active = await shift(shop, active, starts_at=timedelta(hours=-3), ends_at=timedelta(hours=-1))
    assert 3600 <= active.overdue_end(datetime.now(UTC)) < 3660
    with capture_logs() as logs:
        done = await shop.until(active, CampaignState.COMPLETED)
    assert [3600 <= line["late_seconds"] < 3660 for line in logs if line["event"] == "sale_ended"] == [True]
    assert [line["log_level"] for line in logs if line["event"] == "sale_ended"] == ["warning"]
    assert shop.prices() == before
    late = await lateness(shop, done)
    assert late.first_restored_seconds is not None
    assert 3600 <= late.first_restored_seconds < 3660


async def test_a_campaign_that_was_missed_as_a_whole_fails_loudly_and_touches_nothing(shop: SaleShop) -> None:
    """With start and end in the past it is not started; its variants are free for others."""
    campaign = await shop.create(starts=soon(3600), ends=soon(7200))
    await shift(shop, campaign, starts_at=timedelta(hours=-2), ends_at=timedelta(hours=-1))
    calls = shop.shopify.requests.calls
    with capture_logs() as logs:
        await shop.clock.sweep()
    missed = await shop.get(campaign)
    assert (missed.state, missed.notice) == (CampaignState.FAILED, MISSED)
    assert [line["log_level"] for line in logs if line["event"] == "sale_missed"] == ["error"]
    assert {item.state for item in (await shop.items(missed)).values()} == {ItemState.SKIPPED}
    assert shop.shopify.requests.calls == calls
    await shop.until(await shop.create("another"), CampaignState.ACTIVE)


async def test_at_the_start_of_a_prepared_campaign_only_what_has_changed_is_read_again(shop: SaleShop) -> None:
    """Prices are read ahead, also those that have changed since the last pull; what changes after that is seen, too."""
    changed, changed_later = shop.variants[0].id, shop.variants[-1].id
    shop.shopify.change_price(changed, Decimal(950_000), None)  # which the mirror does not know
    before = shop.prices()
    async with clock_of(shop) as clock:
        campaign = await shop.create(starts=soon(30))
        clock.look()

        async def is_prepared() -> bool:
            jobs = (await shop.workshop.parts.jobs.list_jobs(JobFilters(type=JobType.PREPARE_SALE), limit=1)).jobs
            return bool(jobs) and jobs[0].status is JobStatus.COMPLETED

        await until(is_prepared, "it should be prepared")
        assert shop.shopify.writes == []
        assert (await shop.items(campaign))[changed].base == PricePair(Decimal(950_000), None)
        shop.shopify.change_price(changed_later, Decimal(850_000), None)
        before = shop.prices()
        calls = shop.shopify.requests.calls
        await shift(shop, campaign, starts_at=timedelta(seconds=0.2))
        clock.look()
        active = await reached(shop, campaign, CampaignState.ACTIVE)
    asked = list(shop.shopify.requests.last)[calls - shop.shopify.requests.calls :]
    assert {request.operation for request in asked} == {"ProductVersions", "PresentPrices", "SetPrices"}
    points = sum(request.actual_cost or 0 for request in asked if request.operation == "PresentPrices")
    touched = {variant.product_id for variant in shop.variants if variant.id in (changed, changed_later)}
    assert points == sum(variant.product_id in touched for variant in shop.variants)
    assert shop.prices() == on_sale(active.definition, before)
    assert (await shop.items(campaign))[changed_later].base == PricePair(Decimal(850_000), None)


async def test_the_preparation_is_asked_for_at_its_time_and_not_before(shop: SaleShop) -> None:
    """The timer wakes for it: as long before the start as so many variants take."""
    ahead = lead(len(shop.variants))

    async def preparations() -> list[datetime]:
        jobs = (await shop.workshop.parts.jobs.list_jobs(JobFilters(type=JobType.PREPARE_SALE), limit=5)).jobs
        return [job.created_at for job in jobs]

    async def is_asked_for() -> bool:
        return await preparations() != []

    async with clock_of(shop) as clock:
        campaign = await shop.create(starts=soon(ahead.total_seconds() + 1.2))
        assert campaign.starts_at is not None
        assert campaign.variants == len(shop.variants)
        clock.look()
        await clock.sweep()
        assert await preparations() == []
        await until(is_asked_for, "its preparation should be asked for")
    (asked_at,) = await preparations()
    assert campaign.starts_at - ahead <= asked_at
    await shop.last_job(JobType.PREPARE_SALE)
    await shop.clock.sweep()
    assert len(await preparations()) == 1, "once is enough"


async def test_times_are_the_shops_on_the_days_when_the_clocks_change(shop: SaleShop) -> None:
    """A time that does not exist is that of the jump; one that comes twice is the first; an offset is taken at its
    word. The campaign is kept with these times, and one for which the jump leaves no time is refused."""
    for zone, starts, ends, first, last in CHANGING_CLOCKS:
        shop.workshop.parts.zone = ZoneInfo(zone)
        definition = shop.define(starts=starts, ends=ends)
        assert [definition.starts, definition.ends] == [datetime.fromisoformat(moment) for moment in (first, last)]
    shop.sales.clock = lambda: datetime(2026, 12, 1, tzinfo=UTC)
    campaign = await shop.create(starts=starts, ends=ends)
    assert [campaign.starts_at, campaign.ends_at] == [definition.starts, definition.ends]
    shop.workshop.parts.zone = ZoneInfo("Europe/Berlin")
    with pytest.raises(InvalidSale, match="would end before it has begun"):
        shop.define(starts="2027-03-28T02:10:00", ends="2027-03-28T02:50:00")


async def test_a_campaign_in_the_past_is_refused(shop: SaleShop) -> None:
    """Whoever creates it is told so, and nothing is left of it."""
    with pytest.raises(InvalidSale, match="Its start,"):
        await shop.create(starts=soon(-3600))
    with pytest.raises(InvalidSale, match="Its end,"):
        await shop.create(ends=soon(-1))
    with pytest.raises(InvalidSale, match="would end before it has begun"):
        shop.define(starts="2027-01-28T20:00:00", ends="2027-01-28T12:59:00+00:00")
    assert await shop.workshop.rows("SELECT FROM dongbo.sale_campaigns") == []


async def test_a_clock_that_stands_still_says_so(shop: SaleShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it starts, when it has ended, and when its sweeps fail: that is what /readyz asks."""
    clock = clock_of(shop, sweep_interval=0.01)
    assert "is not running" in clock.health.detail
    async with clock:
        assert clock.health.is_ok
        monkeypatch.setattr("daemon.schedules.sweeping.UNHEALTHY_AFTER", 0.2)
        monkeypatch.setattr(campaigns, "list_open", _broken)

        async def is_told() -> bool:
            return "no sale could be checked" in clock.health.detail and "out of order" in clock.health.detail

        await until(is_told, "the failing sweeps are told")
        monkeypatch.undo()
        clock.look()

        async def is_well() -> bool:
            return clock.health.is_ok

        await until(is_well, "the clock is well again")
    assert "is not running" in clock.health.detail


async def test_a_start_that_fails_again_and_again_is_logged_when_it_begins_and_when_it_is_over(
    shop: SaleShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sweep tries it anew, a few seconds apart: a line for each would bury all others."""
    campaign = await shift(shop, await shop.create(starts=soon(3600)), starts_at=timedelta(0))

    async def refused(*_arguments: Any) -> Any:
        raise DongboError("it can't be locked")

    with capture_logs() as logs:
        with monkeypatch.context() as broken:
            broken.setattr(campaigns, "lock", refused)
            for _ in range(5):
                await shop.clock.sweep()
        await shop.clock.sweep()
    told = [line for line in logs if line["event"] in ("sale_failed", "sale_recovered")]
    assert [(line["event"], line["sale"]) for line in told] == [
        ("sale_failed", campaign.name),
        ("sale_recovered", campaign.name),
    ]
    assert told[1]["times"] == 5


async def _broken(*_arguments: Any) -> Any:
    raise DatabaseError("out of order")
