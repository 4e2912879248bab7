"""The one sentence about a store: it says what is true, and never that all is well where that is not known."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from daemon.api.conditions import StreamState, Verdict
from daemon.conditions.detectors import detect
from daemon.conditions.facts import Facts, Outage, SlowFacts, StoreFacts, StreamFacts
from daemon.conditions.reports import report
from daemon.conditions.scene import Scene
from daemon.conditions.verdicts import judge
from daemon.i18n import Language, spoken
from daemon.ids import ScheduleName
from daemon.jobs.types import BOTH, JobType, Source
from daemon.schedules.fires import ScheduleMemory
from daemon.tone import Tone
from tests.support.scenes import (
    CHAIN,
    NOW,
    PRODUCT_SYNC,
    STORE,
    complete,
    credential,
    facts,
    lost,
    minutes,
    question,
    schedule,
    trouble,
    unstored,
)

STOCK, PUSH = JobType.PULL_NHANH_INVENTORY, JobType.SYNC_PRODUCTS
CUSTOMERS = JobType.PULL_SHOPIFY_CUSTOMERS
WITH_CUSTOMERS = [schedule("products", JobType.PRODUCT_CHAIN), schedule("customers", CUSTOMERS, "0 */2 * * *")]


def verdict(known: Facts) -> Verdict:
    scene = Scene.of(known)
    return judge(known.stores[0], scene, detect(scene))


def pushed(*, of: timedelta) -> StreamFacts:
    """A push that has just ended, of what was there so long ago."""
    push = complete(PUSH, minutes(0))
    assert push.last is not None
    return replace(push, last=replace(push.last, complete_to=NOW - of))


def said(known: Facts) -> tuple[Tone, str]:
    found = verdict(known)
    return found.tone, found.text


def test_all_is_well() -> None:
    """As of what the last push was made from, whenever it ended, and whatever has been pulled since."""
    known = facts(complete(STOCK, minutes(1)), pushed(of=minutes(2.5)), slow=SlowFacts(mapped={STORE: 3919}))
    found = verdict(known)
    assert (found.tone, found.text) == (Tone.OK, "Shopify matches Nhanh.vn as of 02:13")
    assert found.detail == (
        "main · 3,919 variants at 2 locations · stock 1 minute old · prices 2 minutes old · next push 02:30"
    )


@pytest.mark.parametrize("late", [JobType.PULL_NHANH_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS])
def test_whatever_the_push_draws_on_counts(late: JobType) -> None:
    """Prices, and what Shopify has, as much as the stock: named where they fail, are late, or were never pulled."""
    nouns = {JobType.PULL_NHANH_PRODUCTS: "roducts of Nhanh.vn", JobType.PULL_SHOPIFY_PRODUCTS: "roducts of Shopify"}
    failing = facts(complete(late, minutes(2_000), trouble=trouble(NOW - minutes(1_000))))
    assert said(failing)[1].startswith(f"P{nouns[late]}: failing since yesterday ")
    assert said(facts(complete(late, minutes(56))))[1].startswith(f"P{nouns[late]}: 45 minutes late")
    never = replace(complete(late, minutes(0)), last=None, newest=None)
    assert said(facts(never, schedules=[])) == (Tone.OFF, f"Not pulled yet: p{nouns[late]}")


def test_stock_that_nobody_pulls_is_not_known() -> None:
    """With locations there is no match without it; without locations nobody asks for it."""
    never = replace(complete(STOCK, minutes(0)), last=None, newest=None)
    parts = [schedule(name, JobType(name)) for name in CHAIN if name is not STOCK]
    memories = {ScheduleName(name): ScheduleMemory(NOW - minutes(10_000), None) for name in CHAIN}
    known = facts(never, schedules=parts, memories=memories)
    assert said(known) == (Tone.OFF, "Not pulled yet: stock")
    prices_only = StoreFacts(STORE, frozenset(BOTH), PRODUCT_SYNC.model_copy(update={"locations": {}}), None)
    assert said(replace(known, stores=[prices_only])) == (Tone.OK, "Shopify matches Nhanh.vn as of 02:13")


def test_what_waits_for_a_person_is_asked() -> None:
    """What was pushed last still matches; what came since waits."""
    waiting = facts(complete(PUSH, minutes(46)), questions=[question(12)])
    assert said(waiting) == (Tone.ASK, "Shopify matches Nhanh.vn as of 01:29; 12 changes wait for you")
    unknown = facts(questions=[question(None)])
    assert said(unknown) == (Tone.ASK, "Shopify matches Nhanh.vn as of 02:13; what came since waits for you")


def test_values_that_could_not_be_pushed_are_excepted() -> None:
    """They do not match."""
    rows = facts(complete(PUSH, minutes(1), unstored=unstored(2, NOW - minutes(1))))
    assert said(rows) == (
        Tone.WARN,
        "Shopify matches Nhanh.vn as of 02:13, except 2 values that could not be pushed",
    )


def test_a_shop_that_is_down_comes_first() -> None:
    """Since when, and how old the stock is; both where both are down."""
    since = NOW
    down = facts(sources=[lost("shopify", since)])
    assert said(down) == (Tone.BAD, "Shopify unreachable since 02:16; stock is as of 02:13")
    both = facts(sources=[lost("nhanh", since - minutes(1)), lost("shopify", since)])
    assert said(both) == (Tone.BAD, "Nhanh.vn and Shopify unreachable since 02:15; stock is as of 02:13")
    refused = facts(credentials=[credential(works=False, refused_since=since, problems=("No.",))])
    assert said(refused) == (Tone.BAD, "Shopify refuses the credential since 02:16; stock is as of 02:13")


def test_stock_that_is_late_says_by_how_much() -> None:
    """And as of when it is."""
    late = facts(complete(STOCK, minutes(56)), complete(PUSH, minutes(56)))
    assert said(late) == (Tone.WARN, "Stock is 45 minutes late: it is as of 01:19")


def test_a_push_that_fails_is_no_match() -> None:
    """Whatever was pulled."""
    failing = facts(complete(PUSH, minutes(20), trouble=trouble(NOW - minutes(5))))
    assert said(failing) == (Tone.BAD, "Push to Shopify: failing since 02:11; stock is as of 01:55")


def test_customers_are_told_below_the_sentence() -> None:
    """The products match; but it is not green."""
    known = facts(complete(CUSTOMERS, minutes(456)), schedules=WITH_CUSTOMERS)
    found = verdict(known)
    assert (found.tone, found.text) == (Tone.WARN, "Shopify matches Nhanh.vn as of 02:13")
    assert "customers of Shopify late by 6 h 15 min" in found.detail


def test_nothing_is_known_without_the_database() -> None:
    """Not even what it said before."""
    away = facts(outage=Outage(NOW - minutes(6), "connection refused"))
    assert said(away) == (
        Tone.BAD,
        "The database has not answered since 02:10, so nothing is known of the shop",
    )
    assert verdict(away).detail == "main"


def test_at_first_nothing_has_been_pulled() -> None:
    """With the source that is in the way, where one is."""
    streams = [replace(complete(job_type, minutes(0)), last=None, newest=None) for job_type in CHAIN]
    assert said(facts(*streams)) == (Tone.WARN, "Nothing pulled yet")
    lost_at_once = facts(*streams, sources=[lost("nhanh", NOW)])
    assert said(lost_at_once) == (Tone.BAD, "Nothing pulled yet: Nhanh.vn unreachable since 02:16")


def test_what_was_never_pushed_does_not_match() -> None:
    """However fresh the stock is."""
    never = replace(complete(PUSH, minutes(0)), last=None)
    fresh = {ScheduleName("products"): ScheduleMemory(NOW - minutes(1), None)}
    assert said(facts(never, memories=fresh)) == (Tone.OFF, "Nothing pushed yet; stock is as of 02:13")


def test_a_store_that_pushes_nothing_says_what_it_does() -> None:
    """It is as right as what it pulls."""
    nhanh = StoreFacts(STORE, frozenset({Source.NHANH}), None, None)
    known = facts(stores=[nhanh], schedules=[schedule("stock", STOCK), schedule("p", JobType.PULL_NHANH_PRODUCTS)])
    assert said(known) == (Tone.OK, "Nhanh.vn pulled as of 02:13")
    both = StoreFacts(STORE, frozenset(BOTH), None, None)
    assert said(facts(stores=[both])) == (Tone.WARN, "Nhanh.vn and Shopify pulled as of 02:13")


@pytest.mark.parametrize(
    "changes",
    [
        {"schedules": []},
        {"memories": {ScheduleName("products"): ScheduleMemory(NOW, NOW - minutes(1))}},
        {"sources": [lost("nhanh", NOW)]},
        {"outage": Outage(NOW, "gone")},
        {"database": None, "outage": Outage(NOW, "gone")},
        {"database": None},
        {"questions": [question()]},
    ],
    ids=["no schedule", "paused", "unreachable", "no database", "never any database", "not looked yet", "question"],
)
def test_it_is_green_only_where_something_vouches_for_it(changes: dict[str, Any]) -> None:
    """Nobody pulls by itself, something can't be reached, or nothing is known: not green."""
    assert verdict(facts(**changes)).tone is not Tone.OK


def test_times_have_a_day_when_they_are_not_of_today() -> None:
    """In the shop's zone, where it is Saturday."""
    late = facts(complete(STOCK, timedelta(hours=3)), complete(PUSH, timedelta(hours=3)))
    assert said(late)[1].endswith("it is as of yesterday 23:15")
    days = facts(complete(STOCK, timedelta(days=3)), complete(PUSH, timedelta(days=3)))
    assert said(days)[1] == "Stock is 2 days late: it is as of Wed 02:15"
    weeks = facts(complete(STOCK, timedelta(days=30)), complete(PUSH, timedelta(days=30)), memories={}, started_at=NOW)
    assert said(weeks)[1] == "Shopify matches Nhanh.vn as of 29 Oct 2026 02:15:40"
    with spoken(Language.VIETNAMESE):
        assert "02:15:40 29/10/2026" in said(weeks)[1]


def line(known: Facts, job_type: JobType) -> Any:
    scene = Scene.of(known)
    (found,) = [report(stream, scene) for stream in scene.streams if stream.key.type is job_type]
    return found


def test_a_stream_says_how_it_stands() -> None:
    """In words, with the schedule that keeps it fresh."""
    rows = line(facts(complete(STOCK, minutes(2), unstored=unstored(54, NOW))), STOCK)
    assert (rows.state, rows.tone, rows.text) == (StreamState.ON_TIME, Tone.WARN, "on time · 54 rows failed")
    assert (rows.name, rows.schedule, rows.rhythm) == ("Stock at Nhanh.vn", "products", "every 15 min")
    assert (rows.failed_rows, rows.expected_by) == (54, NOW - minutes(1) + timedelta(seconds=20))
    late = line(
        facts(complete(CUSTOMERS, minutes(456), trouble=trouble(NOW - minutes(300), "401.")), schedules=WITH_CUSTOMERS),
        CUSTOMERS,
    )
    assert (late.state, late.tone) == (StreamState.FAILING, Tone.BAD)
    assert late.text == "late by 6 h 15 min · failing since yesterday 21:16: 401"
    assert late.since == NOW - minutes(300)
    again = line(facts(complete(STOCK, minutes(2), trouble=trouble(NOW, has_failed=False))), STOCK)
    assert (again.tone, again.text) == (Tone.WARN, "tried again since 02:16: It broke")
    assert line(facts(schedules=[]), STOCK).text == "no schedule"
    paused = {ScheduleName("products"): ScheduleMemory(NOW, NOW)}
    assert line(facts(memories=paused), STOCK).state is StreamState.PAUSED
    assert line(facts(questions=[question()]), PUSH).tone is Tone.ASK


def test_a_filtered_schedule_keeps_no_stream_fresh() -> None:
    """It pulls a part only; a preset never runs by itself."""
    part = schedule("part", STOCK, params={"filters": {"ids": [1]}})
    preset = schedule("preset", STOCK, "")
    assert line(facts(schedules=[part, preset]), STOCK).state is StreamState.UNSCHEDULED
