"""What is wrong, from facts alone: each detector, what explains what, and since when."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.api.sales import CampaignState
from daemon.api.status import LeftOut
from daemon.conditions.detectors import detect
from daemon.conditions.facts import (
    ChannelReport,
    Facts,
    Outage,
    Remembered,
    SlowFacts,
    StoreFacts,
    UntoldChanges,
    WebhookFacts,
)
from daemon.conditions.scene import LASTING, Scene
from daemon.conditions.streams import OTHERS
from daemon.conditions.verdicts import judge
from daemon.config import CustomerSyncSettings, SaleSettings
from daemon.database.usage import DiskSpace, OldTransaction, RefusedSpace, StorageUsage
from daemon.i18n import Language, day_text, spoken
from daemon.ids import CampaignId, SaleName, ScheduleName, StoreName
from daemon.inbox.events import TopicCount, WaitingEvents
from daemon.inbox.streams import StreamId, WebhookStream
from daemon.inbox.topics import TEST_TOPIC, Concern
from daemon.jobs.pauses import StorePause
from daemon.jobs.types import BOTH, JobType, Source
from daemon.roles import DaemonRole
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
    member,
    minutes,
    question,
    schedule,
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


def test_a_backup_that_is_not_made_is_told() -> None:
    """One that fails, and one that a schedule should have made; where none was ever asked for, nothing is expected."""
    nightly = schedule("backup", JobType.BACKUP_DATABASE, "0 1 * * *")
    memories = {each: ScheduleMemory(NOW - minutes(10_000), None) for each in (ScheduleName("products"), nightly.name)}
    made = complete(JobType.BACKUP_DATABASE, minutes(25 * 60))
    known = facts(made, schedules=[*facts().schedules, nightly], memories=memories)
    late = only(known)
    assert (late.id, late.severity) == ("late:main:BACKUP_DATABASE", WARN)
    assert late.text == "Backup of the database: 75 minutes late"
    scene = Scene.of(known)
    assert "backup of the database late by 75 minutes" in judge(scene.facts.stores[0], scene, [late]).detail
    failing = only(facts(replace(made, trouble=trouble(NOW - minutes(40), "There is no room left on the disk."))))
    assert (failing.id, failing.cause) == ("failing:main:BACKUP_DATABASE", "There is no room left on the disk")


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
    assert "restart" not in condition.next_step


def test_a_refused_credential_that_only_a_restart_renews_says_so() -> None:
    """As a variable, or a credential that systemd does not copy again, which no file that changes makes known."""
    refused = credential(works=False, refused_since=NOW, problems=("Shopify refuses the token.",))
    kept = replace(facts(credentials=[refused]), kept_secrets={(refused.store, refused.source)})
    assert "systemctl restart dongbo" in only(kept).next_step


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
    assert only(facts(clocks=[replace(clock, offset_seconds=75.0)])).severity is BAD
    assert found(facts(clocks=[replace(clock, offset_seconds=-4.0)])) == []


def test_a_paused_schedule_says_since_when() -> None:
    """And its streams are not late."""
    since = NOW - minutes(500)
    memory = {ScheduleName("products"): ScheduleMemory(NOW - minutes(9_000), since)}
    condition = only(facts(complete(JobType.PULL_NHANH_INVENTORY, minutes(500)), memories=memory))
    assert (condition.name, condition.since, condition.schedule) == (ConditionName.SCHEDULE_PAUSED, since, "products")


def test_a_paused_store_says_until_when_by_whom_and_what_waits() -> None:
    """It comes first in the verdict, and ends by itself at its time."""
    pause = StorePause(STORE, NOW - minutes(30), NOW + minutes(60), "stock-taking", "Lan")
    waiting = sale(state=CampaignState.APPLYING)
    known = facts(pauses=[pause], open_sales=[waiting])
    condition = next(each for each in found(known) if each.name is ConditionName.STORE_PAUSED)
    assert (condition.since, condition.needs_person) == (pause.since, False)
    assert "until 03:16" in condition.text
    assert condition.cause == f"paused by Lan; stock-taking; sales that wait: {waiting.name}"
    assert "`dongbo sync resume main`" in condition.next_step
    scene = Scene.of(known)
    assert judge(known.stores[0], scene, detect(scene)).text.startswith("Paused since 01:46")
    assert found(facts(pauses=[replace(pause, until=NOW)])) == []
    assert only(facts(pauses=[replace(pause, until=None, who=None, reason=None)])).needs_person


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


GIB = 2**30


@pytest.mark.parametrize(
    ("size", "free", "severity"),
    [
        (700 * 2**20, 577 * 2**20, None),
        (700 * 2**20, 340 * 2**20, WARN),
        (40 * GIB, 5 * GIB, None),
        (40 * GIB, 3 * GIB, WARN),
        (1000 * GIB, 6 * GIB, None),
        (1000 * GIB, 4 * GIB, WARN),
        (8 * GIB, GIB + 1, None),
        (8 * GIB, GIB - 1, WARN),
        (8 * GIB, 255 * 2**20, BAD),
    ],
)
def test_a_disk_that_fills_is_told_before_it_is_full(size: int, free: int, severity: ConditionSeverity | None) -> None:
    """A tenth, but at least a GiB and at most five: neither too late on a small disk nor too early on a large one."""
    conditions = found(facts(disk=DiskSpace(Path("/var/lib/dongbo"), free, size)))
    assert [each.severity for each in conditions] == ([] if severity is None else [severity])
    assert all(each.id == "disk_filling" and "/var/lib/dongbo" in each.next_step for each in conditions)


def test_a_disk_is_told_of_in_sizes_that_people_know() -> None:
    """And how much of it the database takes, also while that is away."""
    known = facts(
        disk=DiskSpace(Path("/data"), 900 * 2**20, 40 * GIB),
        slow=SlowFacts(storage=StorageUsage(3 * GIB // 2, 0.0, None)),
        outage=Outage(NOW, "no answer"),
    )
    (condition,) = [each for each in found(known) if each.name is ConditionName.DISK_FILLING]
    assert condition.text == "900 MiB of 40.0 GiB are free on the disk with the database"
    assert condition.cause == "The database takes up 1.5 GiB"
    with spoken(Language.VIETNAMESE):
        (condition,) = [each for each in found(known) if each.name is ConditionName.DISK_FILLING]
    assert "40,0 GiB" in condition.text


def test_a_full_disk_elsewhere_is_known_by_what_the_server_refuses() -> None:
    """Of a database that is not the embedded one nobody sees the disk; since it refused first."""
    refused = RefusedSpace(NOW - minutes(20), NOW - minutes(1), "could not extend file: No space left on device")
    condition = only(facts(refused_space=refused))
    assert (condition.severity, condition.since) == (BAD, NOW - minutes(20))
    assert condition.text == "PostgreSQL has no space left to write, last at 02:15"
    assert condition.cause == refused.reason


def test_an_old_transaction_is_named() -> None:
    """With what to do about it; one of less than an hour is nobody's concern, and what is not known is not claimed."""
    old = OldTransaction(NOW - minutes(90), 90 * 60.0, 4711, "psql")
    condition = only(facts(slow=SlowFacts(storage=StorageUsage(GIB, 0.0, old))))
    assert (condition.id, condition.severity, condition.since) == ("transaction_old:4711", WARN, NOW - minutes(90))
    assert condition.text == "A transaction in the database has been open for 90 minutes: psql, process 4711"
    assert "pg_terminate_backend(4711)" in condition.next_step
    prepared = replace(old, pid=None, name="two-phase")
    assert (
        "ROLLBACK PREPARED 'two-phase'"
        in only(facts(slow=SlowFacts(storage=StorageUsage(GIB, 0.0, prepared)))).next_step
    )
    young = replace(old, seconds=3500.0)
    assert found(facts(slow=SlowFacts(storage=StorageUsage(GIB, 0.0, young)))) == []
    away = facts(slow=SlowFacts(storage=StorageUsage(GIB, 0.0, old)), outage=Outage(NOW, "no answer"))
    assert [each.name for each in found(away)] == [ConditionName.DATABASE_AWAY]


@pytest.mark.parametrize(("share", "severity"), [(0.09, None), (0.1, WARN), (0.5, BAD)])
def test_a_queue_of_notifications_that_fills_is_told(share: float, severity: ConditionSeverity | None) -> None:
    """Long before NOTIFY fails, and every commit with it."""
    conditions = found(facts(slow=SlowFacts(storage=StorageUsage(GIB, share, None))))
    assert [each.severity for each in conditions] == ([] if severity is None else [severity])


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
        ConditionName.STORE_PAUSED,
        ConditionName.DATABASE_AWAY,  # there is nowhere to remember it
        ConditionName.DATABASE_SLOW,
        ConditionName.TRANSACTION_OLD,
        ConditionName.WEBHOOKS_SILENT,
        ConditionName.WEBHOOKS_WAITING,
        ConditionName.APP_UNINSTALLED,
        ConditionName.ROLE_UNCOVERED,
        ConditionName.DAEMON_GONE,
    }
    assert set(ConditionName) - derived == LASTING


class TestFleet:
    """The daemons on one database."""

    def test_a_role_that_nobody_has_is_told_after_a_while(self) -> None:
        """Since the last one that had it was there; one that is started again within seconds is no news."""
        worker = member("web2", roles={DaemonRole.WORKER}, silent=20.0)
        rest = member("web1", roles={DaemonRole.SCHEDULES, DaemonRole.STATUS})
        assert found(facts(fleet=[rest, worker])) == []
        left = replace(worker, left_at=NOW - minutes(2), seen_at=NOW - minutes(2))
        condition = only(facts(fleet=[rest, left]))
        assert (condition.id, condition.severity) == ("role_uncovered:worker", BAD)
        assert (condition.since, condition.text) == (NOW - minutes(2), "No daemon takes jobs")
        assert "dongbo run --roles worker" in condition.next_step

    def test_a_role_that_nobody_ever_had_is_missing_since_the_others_are_there(self) -> None:
        """And one that a daemon has done is covered, whoever else is gone."""
        worker = member("web1", roles={DaemonRole.WORKER})
        condition = only(facts(fleet=[worker]))
        assert (condition.id, condition.since) == ("role_uncovered:schedules", worker.started_at)
        assert found(facts(fleet=[worker, member("web1-schedules", roles={DaemonRole.SCHEDULES})])) == []

    def test_a_worker_that_takes_no_jobs_covers_nothing(self) -> None:
        """Its machine is up and says so, and no job runs."""
        condition = only(facts(fleet=[replace(member("web1"), takes_no_jobs_since=NOW - minutes(1))]))
        assert (condition.id, condition.since) == ("role_uncovered:worker", NOW - minutes(1))
        assert condition.cause == "web1 should, and can't"

    def test_a_daemon_that_is_gone_without_a_word_is_told_for_an_hour(self) -> None:
        """One that has stopped in order is not missed, and neither is one of yesterday."""
        condition = only(facts(fleet=[member("web1"), member("web2", silent=45.0)]))
        assert (condition.id, condition.severity) == ("daemon_gone:web2", WARN)
        assert condition.since == NOW - timedelta(seconds=45)
        assert "jobs" not in condition.next_step  # it may have run none, and there may be nobody else who takes them
        for other in (
            member("web2", silent=20.0),
            member("web2", silent=3_700.0),
            replace(member("web2", silent=45.0), left_at=NOW - timedelta(seconds=44)),
        ):
            assert found(facts(fleet=[member("web1"), other])) == []

    def test_a_clock_that_is_off_is_told_by_all(self) -> None:
        """By the database's; of one that is gone nobody knows it."""
        condition = only(facts(fleet=[member("web1"), replace(member("web2"), clock_offset=-600.4)]))
        assert (condition.id, condition.severity) == ("daemon_clock_off:web2", BAD)
        assert condition.text == "The clock of daemon web2 is 600 s behind the database's"
        assert only(facts(fleet=[replace(member("web1"), clock_offset=7.0)])).severity is WARN
        gone = replace(member("web2", silent=20.0), clock_offset=-600.4)
        assert found(facts(fleet=[member("web1"), gone])) == []


class TestAlertUndelivered:
    """A channel, or the heartbeat, that does not get through."""

    def test_a_channel_that_fails_is_named(self) -> None:
        """Since its first failure, with the service's answer."""
        condition = only(facts(channels=[ChannelReport("phone", False, NOW - minutes(3), "HTTP 403.")]))
        assert (condition.id, condition.severity) == ("alert_undelivered:phone", WARN)
        assert (condition.since, condition.cause) == (NOW - minutes(3), "HTTP 403")
        assert "dongbo alerts test phone" in condition.next_step
        assert condition.name in LASTING

    def test_a_restart_makes_it_neither_better_nor_younger(self) -> None:
        """Until a message has gone out, nobody knows better."""
        known = {"alert_undelivered:phone": Remembered(None, NOW - minutes(90), "HTTP 403")}
        untried = only(facts(channels=[ChannelReport("phone")], remembered=known))
        assert (untried.since, untried.cause) == (NOW - minutes(90), "HTTP 403")
        failed = only(facts(channels=[ChannelReport("phone", False, NOW, "HTTP 500")], remembered=known))
        assert (failed.since, failed.cause) == (NOW - minutes(90), "HTTP 500")
        assert found(facts(channels=[ChannelReport("phone", True)], remembered=known)) == []

    def test_one_that_is_not_tried_yet_is_well(self) -> None:
        """And so is one that is no longer configured."""
        assert found(facts(channels=[ChannelReport("phone")])) == []
        assert found(facts(remembered={"alert_undelivered:phone": Remembered(None, NOW, None)})) == []

    def test_the_heartbeat_goes_on_by_itself(self) -> None:
        """Nobody has to do anything if its service comes back."""
        condition = only(facts(channels=[ChannelReport("heartbeat", False, NOW, "HTTP 500")]))
        assert condition.text == "The heartbeat does not reach its address"
        assert not condition.needs_person


NHANH, SHOPIFY = StreamId(STORE, Source.NHANH), StreamId(STORE, Source.SHOPIFY)


def stream(stream_id: StreamId = NHANH, **changes: Any) -> WebhookStream:
    """A stream that somebody listens to."""
    return replace(WebhookStream(stream_id, NOW, 0, None, 0, None, None), **changes)


def topic(name: str, ago: timedelta, source: Source = Source.NHANH) -> TopicCount:
    """A topic that came last so long ago."""
    return TopicCount(STORE, source, name, 5, 1, NOW - ago)


def with_webhooks(**known: Any) -> Facts:
    """A store where all is well but for webhooks."""
    return facts(webhooks=WebhookFacts(**known))


def test_webhooks_that_stopped_coming_are_told() -> None:
    """A pull has brought what they should have told of; while nobody listens, that is no wonder."""
    untold = [UntoldChanges(NHANH, JOB, NOW - minutes(20))]
    topics = [topic("orderAdd", minutes(200)), topic("inventoryChange", minutes(90))]
    condition = only(with_webhooks(streams=[stream()], topics=topics, untold=untold))
    assert (condition.id, condition.severity) == ("webhooks_silent:main:nhanh", WARN)
    assert (condition.since, condition.job_id) == (NOW - minutes(20), JOB)
    assert condition.text == "Nhanh.vn sends no webhooks"
    assert condition.cause is not None
    assert condition.cause.endswith("the last one came 00:46")
    gone = stream(listened_until=NOW - minutes(6))
    assert found(with_webhooks(streams=[gone], topics=topics, untold=untold)) == []


def test_a_store_that_pushes_no_products_expects_no_webhooks_of_them() -> None:
    """It is subscribed to what tells of customers alone."""
    of_customers = [StoreFacts(STORE, frozenset(BOTH), None, CustomerSyncSettings())]
    untold = [UntoldChanges(NHANH, JOB, NOW - minutes(20))]
    topics = [topic("orderAdd", minutes(90))]
    known = replace(with_webhooks(streams=[stream()], topics=topics, untold=untold), stores=of_customers)
    assert ConditionName.WEBHOOKS_SILENT not in [condition.name for condition in found(known)]


def test_refused_webhooks_are_told_while_they_come() -> None:
    """Since the first of them, as far as that is remembered; each side has another secret to look at."""
    fresh = [stream(last_refused_at=NOW - minutes(2)), stream(SHOPIFY, last_refused_at=NOW - minutes(3))]
    nhanh, shopify = found(with_webhooks(streams=fresh))
    assert (nhanh.id, shopify.id) == ("webhooks_refused:main:nhanh", "webhooks_refused:main:shopify")
    assert (nhanh.since, shopify.since) == (NOW - minutes(2), NOW - minutes(3))
    assert "webhook_token" in nhanh.next_step
    assert "client_secret" in shopify.next_step
    remembered = {nhanh.id: Remembered(STORE, NOW - minutes(50), None)}
    again = found(replace(with_webhooks(streams=fresh[:1]), remembered=remembered))
    assert [each.since for each in again] == [NOW - minutes(50)]
    assert found(with_webhooks(streams=[stream(last_refused_at=NOW - minutes(16))])) == []


def test_events_that_no_job_deals_with_are_told() -> None:
    """From five minutes on; those of stores that this configuration lacks are others' affair."""
    waiting = [
        WaitingEvents(STORE, Concern.PRODUCTS, 1_200, NOW - minutes(6)),
        WaitingEvents(STORE, Concern.CUSTOMERS, 3, NOW - minutes(4)),
        WaitingEvents(StoreName("other"), Concern.PRODUCTS, 3, NOW - minutes(60)),
    ]
    condition = only(with_webhooks(waiting=waiting))
    assert (condition.id, condition.since) == ("webhooks_waiting:main:products", NOW - minutes(6))
    assert condition.text == "1,200 events of webhooks wait for a job"


def test_an_app_that_was_removed_is_told() -> None:
    """Until something comes of it again, or its credential is accepted for good."""
    goodbye = topic("app/uninstalled", minutes(10), Source.SHOPIFY)
    known = with_webhooks(streams=[stream(SHOPIFY)], topics=[goodbye])
    condition = only(known)
    assert (condition.id, condition.severity) == ("app_uninstalled:main:shopify", BAD)
    assert condition.since == NOW - minutes(10)
    tried = topic(TEST_TOPIC, minutes(1), Source.SHOPIFY)
    assert only(with_webhooks(streams=[stream(SHOPIFY)], topics=[goodbye, tried])) == condition
    back = topic("products/update", minutes(5), Source.SHOPIFY)
    assert found(with_webhooks(streams=[stream(SHOPIFY)], topics=[goodbye, back])) == []
    long_ago = topic("app/uninstalled", minutes(61), Source.SHOPIFY)
    assert found(with_webhooks(topics=[long_ago])) == []
    refused = [credential(works=False, refused_since=NOW - minutes(60), problems=("No.",))]
    assert "app_uninstalled:main:shopify" in [
        each.id for each in found(replace(with_webhooks(topics=[long_ago]), credentials=refused))
    ]


def test_a_test_of_the_address_is_no_sign_of_life() -> None:
    """Whoever tries whether webhooks get through must not silence what made them do so."""
    known = WebhookFacts(topics=[topic("inventoryChange", minutes(90)), topic("webhooksEnabled", minutes(1))])
    assert known.last_of(NHANH) == known.topics[0]
    assert WebhookFacts(topics=known.topics[1:]).last_of(NHANH) == known.topics[1]
