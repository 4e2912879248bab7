"""What is wrong, from facts alone: each detector, what explains what, and since when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.api.sales import CampaignState
from daemon.api.status import LeftOut
from daemon.conditions.detectors import detect
from daemon.conditions.facts import Facts, Outage, Remembered, SlowFacts, StoreFacts
from daemon.conditions.scene import LASTING, Scene
from daemon.conditions.streams import OTHERS
from daemon.config import SaleSettings
from daemon.i18n import Language, day_text, spoken
from daemon.ids import CampaignId, SaleName, ScheduleName
from daemon.jobs.types import BOTH, JobType, Source
from daemon.sales.model import Campaign
from daemon.schedules.fires import ScheduleMemory
from daemon.sources.clock import ClockReport
from daemon.sources.credential import ENDS_SOON
from daemon.sources.health import SourceReport
from tests.support.scenes import (
    CHAIN,
    JOB,
    NOW,
    PRODUCT_SYNC,
    STORE,
    ZONE,
    complete,
    credential,
    facts,
    lost,
    minutes,
    question,
    trouble,
    unstored,
)

WARN, BAD = ConditionSeverity.WARN, ConditionSeverity.BAD


def found(known: Facts) -> list[Condition]:
    return detect(Scene.of(known))


def only(known: Facts) -> Condition:
    (condition,) = found(known)
    return condition


def test_where_all_is_well_nothing_holds() -> None:
    """The chain is two minutes old and everything answers."""
    assert found(facts()) == []


def test_a_stream_is_late_since_it_was_expected() -> None:
    """Complete at 01:40, expected at 01:45:20."""
    late = only(facts(complete(JobType.PULL_NHANH_INVENTORY, minutes(36))))
    assert (late.name, late.severity, late.stream) == (ConditionName.LATE, WARN, JobType.PULL_NHANH_INVENTORY)
    assert late.since == NOW - minutes(31) + timedelta(seconds=20)
    assert late.text == "Stock at Nhanh.vn: 30 minutes late"
    assert late.schedule == "products"
    assert late.id == "late:main:PULL_NHANH_INVENTORY"


def test_a_stream_that_is_still_running_says_so() -> None:
    """The cause of its being late."""
    late = only(facts(complete(JobType.PULL_NHANH_INVENTORY, minutes(36), is_running=True)))
    assert late.cause == "Its job is still running"


def test_a_failing_stream_is_not_late_as_well() -> None:
    """One thing, one condition: with the cause and since when."""
    since = NOW - minutes(40)
    condition = only(facts(complete(JobType.SYNC_PRODUCTS, minutes(45), trouble=trouble(since))))
    assert (condition.name, condition.severity, condition.since) == (ConditionName.FAILING, BAD, since)
    assert (condition.cause, condition.job_id, condition.needs_person) == ("It broke", JOB, True)


def test_a_job_that_is_tried_again_is_worth_a_look() -> None:
    """It may still go well, and nobody has to do anything."""
    again = trouble(NOW - minutes(1), has_failed=False)
    condition = only(facts(complete(JobType.SYNC_PRODUCTS, minutes(2), trouble=again)))
    assert (condition.name, condition.severity, condition.needs_person) == (ConditionName.FAILING, WARN, False)


@pytest.mark.parametrize("job_type", OTHERS)
def test_a_job_that_is_no_stream_fails_as_well(job_type: JobType) -> None:
    """Nothing is expected of it by a time, yet it is told, but where its source is lost."""
    since = NOW - minutes(40)
    jobs = complete(job_type, minutes(45), trouble=trouble(since))
    condition = only(facts(jobs))
    assert (condition.id, condition.severity, condition.since) == (f"failing:main:{job_type}", BAD, since)
    assert condition.stream is None
    assert [each.name for each in found(facts(jobs, sources=[lost("shopify", NOW)]))] == [
        ConditionName.SOURCE_UNREACHABLE
    ]


def test_a_chain_fails_with_its_step() -> None:
    """One failure, told where it happened."""
    jobs = [
        complete(each, minutes(2), trouble=trouble(NOW)) for each in (JobType.PRODUCT_CHAIN, JobType.MATCH_PRODUCTS)
    ]
    assert only(facts(*jobs)).id == "failing:main:MATCH_PRODUCTS"


def test_a_source_that_is_lost_explains_what_fails_for_it() -> None:
    """Not five conditions for one cable; what has nothing to do with it is told."""
    since = NOW - minutes(20)
    streams = [
        complete(JobType.PULL_SHOPIFY_PRODUCTS, minutes(40), trouble=trouble(since)),
        complete(JobType.SYNC_PRODUCTS, minutes(40)),
        complete(JobType.PULL_NHANH_PRODUCTS, minutes(40), trouble=trouble(since, "no such business")),
    ]
    conditions = found(facts(*streams, sources=[lost("shopify", since)]))
    assert [each.id for each in conditions] == ["source_unreachable:main:shopify", "failing:main:PULL_NHANH_PRODUCTS"]
    assert conditions[0].since == since
    assert conditions[0].cause == "Connection refused"


def test_a_restart_does_not_make_a_lost_source_young() -> None:
    """Until it is asked again nobody knows better than what is remembered; then what it answers holds."""
    key, since = "source_unreachable:main:shopify", NOW - minutes(300)
    memory = {key: Remembered(STORE, since, "Connection refused")}
    untried = SourceReport(STORE, "shopify", None, None, None)
    assert only(facts(sources=[untried], remembered=memory)).since == since
    assert only(facts(sources=[lost("shopify", NOW)], remembered=memory)).since == since
    assert found(facts(sources=[replace(untried, is_reachable=True)], remembered=memory)) == []
    assert found(facts(sources=[untried])) == []


def test_a_refused_credential_needs_a_person() -> None:
    """What the source says, and since when."""
    since = NOW - minutes(3)
    refused = credential(works=False, refused_since=since, problems=("Shopify refuses the token.",))
    condition = only(facts(credentials=[refused]))
    assert (condition.name, condition.severity, condition.since) == (ConditionName.CREDENTIAL_REFUSED, BAD, since)
    assert condition.cause == "Shopify refuses the token"
    assert condition.needs_person


def test_a_token_that_ends_soon_is_told_from_thirty_days_before() -> None:
    """Its beginning follows from its end."""
    ends = NOW + timedelta(days=10)
    condition = only(facts(credentials=[credential(expires_at=ends)]))
    assert (condition.name, condition.severity) == (ConditionName.CREDENTIAL_EXPIRING, WARN)
    assert condition.since == ends - ENDS_SOON
    assert condition.text.endswith(day_text(ends, ZONE))
    with spoken(Language.VIETNAMESE):
        assert f"{ends.astimezone(ZONE):%-d/%-m/%Y}" in only(facts(credentials=[credential(expires_at=ends)])).text
    assert only(facts(credentials=[credential(expires_at=NOW)])).severity is BAD
    assert found(facts(credentials=[credential(expires_at=NOW + timedelta(days=31))])) == []


def test_missing_scopes_are_named() -> None:
    """What was not granted."""
    condition = only(facts(credentials=[credential(missing_scopes=("write_customers",))]))
    assert condition.name is ConditionName.SCOPES_MISSING
    assert "write_customers" in condition.text


def test_rows_that_failed_are_told_until_something_repairs_them() -> None:
    """How many, why, and since the first."""
    since = NOW - minutes(186)
    rows = complete(JobType.PULL_SHOPIFY_PRODUCTS, minutes(2), unstored=unstored(54, since))
    condition = only(facts(rows))
    assert condition.text == "Products of Shopify: 54 rows can't be stored"
    assert (condition.name, condition.cause, condition.since) == (
        ConditionName.ROWS_FAILING,
        "title is missing",
        since,
    )
    assert condition.needs_person
    assert "then try them again" in condition.next_step


def test_rows_of_a_push_are_not_tried_again_by_hand() -> None:
    """Only a pull has a retry of its rows."""
    rows = complete(JobType.SYNC_PRODUCTS, minutes(2), unstored=unstored(2, NOW))
    assert only(facts(rows)).next_step == "Look at why the rows failed; the next run tries them anew."


def test_a_question_explains_why_its_stream_is_late() -> None:
    """It has its id and its beginning, and the push that waits for it is no second condition."""
    condition = only(facts(complete(JobType.SYNC_PRODUCTS, minutes(60)), questions=[question(12)]))
    assert (condition.name, condition.approval_id) == (ConditionName.APPROVAL_WAITING, 7)
    assert condition.text == "12 changes wait for your approval"
    assert only(facts(questions=[question(None)])).text == "Push to Shopify: waits for your approval"


def test_places_that_were_left_out_are_told_one_by_one() -> None:
    """Each has its own beginning, as remembered."""
    memory = {"location_closed:main:31": Remembered(STORE, NOW - minutes(90), None)}
    names = {STORE: {31: "Kho Hà Nội"}}
    conditions = found(facts(left_out=[LeftOut(STORE, [31, 32], [3])], place_names=names, remembered=memory))
    assert conditions[0].text == "Location Kho Hà Nội (31) of Shopify can receive no stock and is left out"
    assert {each.id: each.since for each in conditions} == {
        "location_closed:main:31": NOW - minutes(90),
        "location_closed:main:32": NOW,
        "depot_hidden:main:3": NOW,
    }


def test_clocks_that_differ() -> None:
    """More than a few seconds is worth a look; from a minute on no sale starts."""
    clock = ClockReport(STORE, "nhanh", -12.0, NOW)
    condition = only(facts(clocks=[clock]))
    assert condition.text == "The clock of Nhanh.vn is 12 s behind this machine's"
    assert condition.severity is WARN
    assert only(facts(slow=SlowFacts(clock_offset=75.0))).severity is BAD
    assert found(facts(clocks=[replace(clock, offset_seconds=-4.0)])) == []


def test_a_paused_schedule_says_since_when() -> None:
    """And its streams are not late."""
    since = NOW - minutes(500)
    memory = {ScheduleName("products"): ScheduleMemory(NOW - minutes(9_000), since)}
    condition = only(facts(complete(JobType.PULL_NHANH_INVENTORY, minutes(500)), memories=memory))
    assert (condition.name, condition.since, condition.schedule) == (ConditionName.SCHEDULE_PAUSED, since, "products")


def test_an_outage_of_the_database_is_all_that_is_known() -> None:
    """Nothing that it said before is claimed."""
    outage = Outage(NOW - minutes(2), "connection refused")
    known = facts(complete(JobType.SYNC_PRODUCTS, minutes(60)), questions=[question()], outage=outage)
    condition = only(known)
    assert (condition.name, condition.severity, condition.since) == (ConditionName.DATABASE_AWAY, BAD, outage.since)


def test_what_was_read_long_ago_says_so_and_nothing_is_late_for_it() -> None:
    """A machine that is too busy to look knows nothing of what came since."""
    known = facts()
    assert known.database is not None
    old = replace(known, database=replace(known.database, read_at=NOW - minutes(10)), now=NOW + minutes(60))
    condition = only(old)
    assert (condition.name, condition.since) == (ConditionName.DATABASE_SLOW, NOW - minutes(10))
    assert condition.text == "The database answers too slowly: what is said here is as of 02:06"


def test_a_new_store_is_told_what_to_do_first() -> None:
    """Nothing pulled: whether a schedule will, or a person has to start it."""
    streams = [replace(complete(job_type, minutes(0)), last=None, newest=None) for job_type in CHAIN]
    waiting = only(facts(*streams, memories={}, started_at=NOW))
    assert (waiting.name, waiting.needs_person) == (ConditionName.NOTHING_PULLED, False)
    assert {each.name for each in found(facts(*streams, schedules=[]))} == {
        ConditionName.NOTHING_PULLED,
        ConditionName.NOTHING_PUSHED,
    }


def test_a_store_of_which_nothing_reaches_shopify_is_told_the_keys() -> None:
    """No table, an empty one, or no schedule; a store with one source has nothing to push."""

    def advice(sync: Any, **changes: Any) -> str:
        store = StoreFacts(STORE, frozenset(BOTH), sync, None)
        return only(facts(stores=[store], **changes)).next_step

    assert "locations, price ([stores.main.product_sync])" in advice(None)
    assert "locations, price" in advice(PRODUCT_SYNC.model_copy(update={"locations": {}, "price": None}))
    never = replace(complete(JobType.SYNC_PRODUCTS, minutes(0)), last=None, newest=None)
    unscheduled = facts(never, schedules=[])
    assert '[[schedules]] kind = "product"' in only(unscheduled).next_step
    alone = StoreFacts(STORE, frozenset({Source.NHANH}), None, None)
    assert found(facts(stores=[alone])) == []


def sale(**changes: Any) -> Any:
    settings = SaleSettings.model_validate({"name": "tet", "store": "main", "percent": 10, "targets": {"skus": ["A"]}})
    known = Campaign(
        id=CampaignId(UUID(int=1)),
        store=STORE,
        name=SaleName("tet"),
        origin="api",
        state=CampaignState.SCHEDULED,
        definition=settings,
        starts_at=NOW + minutes(60),
        ends_at=NOW + minutes(600),
        is_cancelled=False,
        notice=None,
        variants=3,
        prepared_at=None,
        started_at=None,
        ended_at=None,
        closed_at=None,
        created_at=NOW - minutes(60),
        changed_at=NOW - minutes(60),
    )
    return replace(known, **changes)


def test_a_sale_that_did_not_start_or_end() -> None:
    """From a minute on, since its time, with the reason that the clock of the sales gives."""
    start = sale(starts_at=NOW - minutes(5))
    late = only(facts(open_sales=[start], sale_clock_problem="This machine's clock is wrong."))
    assert (late.name, late.severity, late.since, late.sale) == (
        ConditionName.SALE_OVERDUE,
        BAD,
        NOW - minutes(5),
        "tet",
    )
    assert late.text == "Sale tet should have started at 02:11"
    assert late.cause == "This machine's clock is wrong."
    end = sale(state=CampaignState.ACTIVE, started_at=NOW - minutes(90), ends_at=NOW - minutes(2))
    assert only(facts(open_sales=[end])).text == "Sale tet should have ended at 02:14"
    assert found(facts(open_sales=[sale(), replace(start, starts_at=NOW - timedelta(seconds=30))])) == []


def test_a_sale_that_is_over_waits_for_a_decision() -> None:
    """How many prices; it goes on waiting from when that was first seen, whatever changes meanwhile."""
    over = sale(state=CampaignState.NEEDS_ATTENTION, changed_at=NOW - minutes(3), notice="Two prices were changed.")
    memory = {"sale_decision:main:tet": Remembered(STORE, NOW - minutes(80), None)}
    condition = only(facts(open_sales=[over], drifted={over.id: 2}, remembered=memory))
    assert condition.text == "2 prices of sale tet wait for your decision"
    assert (condition.since, condition.needs_person) == (NOW - minutes(80), True)


def test_every_condition_without_a_date_of_its_own_is_remembered() -> None:
    """Those whose beginning is only what the daemon has seen."""
    derived = {
        ConditionName.LATE,
        ConditionName.FAILING,
        ConditionName.CREDENTIAL_EXPIRING,
        ConditionName.ROWS_FAILING,
        ConditionName.APPROVAL_WAITING,
        ConditionName.SALE_OVERDUE,
        ConditionName.SCHEDULE_PAUSED,
        ConditionName.DATABASE_AWAY,  # there is nowhere to remember it
        ConditionName.DATABASE_SLOW,
    }
    assert set(ConditionName) - derived == LASTING
