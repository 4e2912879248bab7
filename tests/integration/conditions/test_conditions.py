"""What is wrong with a shop, since when, and that a restart changes nothing about that."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from asyncpg import DeadlockDetectedError, LockNotAvailableError, QueryCanceledError

from daemon.api.conditions import Condition, ConditionName, StreamReport, StreamState, Verdict
from daemon.conditions import detectors, watch
from daemon.conditions.facts import store_facts
from daemon.conditions.reading import read_database
from daemon.conditions.watch import Conditions
from daemon.database.pool import Connection
from daemon.errors import DatabaseUnavailable
from daemon.ids import ScheduleName, StoreName
from daemon.jobs import store as jobs
from daemon.jobs.model import JobStatus
from daemon.jobs.pausing import pause_store, resume_store
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings
from daemon.tone import Tone
from tests.support.scenes import schedule
from tests.support.shop_memory import product_sync
from tests.support.workshop import STORE, ProductSyncOf, Workshop, running_parts

CHAIN = schedule("products", JobType.PRODUCT_CHAIN)
STEPS = (
    JobType.PULL_NHANH_INVENTORY,
    JobType.PULL_NHANH_PRODUCTS,
    JobType.PULL_SHOPIFY_PRODUCTS,
    JobType.MATCH_PRODUCTS,
    JobType.SYNC_PRODUCTS,
)


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=10, customers=5, limits=False)


@pytest.fixture
def product_sync_of() -> ProductSyncOf:
    """The store pushes stock and prices."""
    return product_sync


@pytest.fixture
async def pushed(workshop: Workshop) -> AsyncIterator[Workshop]:
    """A store of which everything has been pushed once, with the schedule that does so."""
    for job_type in STEPS:
        await workshop.completed(job_type)
    async with workshop.parts.scheduler:
        await workshop.parts.scheduler.apply([CHAIN])
        yield workshop


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def look(self, connection: Connection) -> None:
        """It is right as it is."""


def conditions_of(workshop: Workshop, clock: Now | None = None) -> Conditions:
    """As a daemon that has just started has them."""
    parts = workshop.parts
    return Conditions(parts.database, parts._surroundings(), clock or Now())


async def seen(conditions: Conditions) -> tuple[Verdict, dict[str, Condition]]:
    await conditions.look()
    found = conditions.current()
    return found.verdicts[0], {each.id: each for each in found.conditions}


def unreachable(conditions: Conditions) -> list[str]:
    return [each.id for each in conditions.current().conditions if each.name is ConditionName.SOURCE_UNREACHABLE]


def stream_of(conditions: Conditions, job_type: JobType) -> StreamReport:
    (found,) = [each for each in conditions.current().streams or () if each.type is job_type]
    return found


async def test_a_store_that_is_pushed_by_schedule_is_right(pushed: Workshop) -> None:
    """Nothing holds, and the verdict is green."""
    conditions = conditions_of(pushed)
    verdict, held = await seen(conditions)
    assert held == {}
    assert verdict.tone is Tone.OK
    assert verdict.text.startswith("Shopify matches Nhanh.vn as of ")
    push = stream_of(conditions, JobType.SYNC_PRODUCTS)
    assert (push.state, push.schedule, push.rhythm) == (StreamState.ON_TIME, "products", "every 15 min")


async def test_what_fills_up_is_known_and_an_old_transaction_is_told(
    pushed: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon looks at it again and again; while the database is away, nothing of it is claimed."""
    monkeypatch.setattr(detectors, "OLD_TRANSACTION", timedelta(0))
    conditions = conditions_of(pushed)
    async with pushed.parts.database.acquire() as other, other.transaction():
        await other.fetchval("SELECT 1")
        _verdict, held = await seen(conditions)
        assert [each.name for each in held.values()] == [ConditionName.TRANSACTION_OLD]
        assert "dongbo, process" in next(iter(held.values())).text
        storage = conditions.storage()
        assert storage.database_bytes is not None
        assert storage.database_bytes > 2**20
        assert storage.oldest_transaction_seconds is not None
        assert storage.disk_free_bytes is None  # it is not the embedded one
    _verdict, held = await seen(conditions)
    assert held == {}
    assert conditions.storage().oldest_transaction_seconds == 0
    conditions.lose_database("gone")
    assert conditions.storage().database_bytes is None


async def test_a_push_is_as_of_what_it_was_made_from(pushed: Workshop) -> None:
    """Neither as of its end, nor of what has been pulled since; of a job without that note, as of its start."""
    conditions = conditions_of(pushed)
    drawn_on = await pushed.value("SELECT min(complete_to) FROM dongbo.watermarks")
    for job_type in STEPS[:3]:
        await pushed.completed(job_type)
    await conditions.look()
    assert stream_of(conditions, JobType.SYNC_PRODUCTS).complete_to == drawn_on
    started_at = await pushed.value(
        "UPDATE dongbo.background_jobs SET metadata = metadata - 'complete_to' WHERE type = 'SYNC_PRODUCTS' "
        "RETURNING started_at"
    )
    await conditions.look()
    assert stream_of(conditions, JobType.SYNC_PRODUCTS).complete_to == started_at


async def test_a_stream_becomes_late_as_the_clock_moves(pushed: Workshop) -> None:
    """No job has to run for that: the chain does not come, and every step of it is late."""
    clock = Now()
    conditions = conditions_of(pushed, clock)
    await conditions.look()
    expected = stream_of(conditions, JobType.PULL_NHANH_INVENTORY).expected_by
    assert expected is not None
    clock.ahead = expected + timedelta(minutes=40) - datetime.now(UTC)
    async with pushed.database.acquire() as connection:
        await conditions.observe(connection)
    found = conditions.current()
    late = [each for each in found.conditions if each.name is ConditionName.LATE]
    assert {each.stream for each in late} == set(STEPS) - {JobType.MATCH_PRODUCTS}
    assert next(each for each in late if each.stream is JobType.PULL_NHANH_INVENTORY).since == expected
    assert found.verdicts[0].text.startswith("Stock is 40 minutes late: it is as of ")
    assert found.verdicts[0].tone is Tone.WARN


async def test_both_shops_down_and_a_restart_in_between(pushed: Workshop) -> None:
    """Named with the cause, never green; a daemon that starts meanwhile knows it, and since when; it ends with the
    first answer."""
    first = conditions_of(pushed)
    with pushed.sandbox.faults.answering(503):
        for job_type in (JobType.PULL_NHANH_INVENTORY, JobType.PULL_SHOPIFY_PRODUCTS):
            assert (await pushed.run(job_type)).status is JobStatus.FAILED
        verdict, held = await seen(first)
        assert held.keys() == {"source_unreachable:main:nhanh", "source_unreachable:main:shopify"}
        assert "HTTP 503" in (held["source_unreachable:main:shopify"].cause or "")
        assert verdict.tone is Tone.BAD
        assert verdict.text.startswith("Nhanh.vn and Shopify unreachable since ")
        assert stream_of(first, JobType.PULL_NHANH_INVENTORY).state is StreamState.FAILING
        async with running_parts(pushed.database, pushed.sandbox, product_sync=product_sync) as parts:
            restarted = replace(pushed, parts=parts)
            again = conditions_of(restarted)
            _, after = await seen(again)
            assert {number: each.since for number, each in after.items() if "unreachable" in number} == {
                number: each.since for number, each in held.items()
            }
    async with running_parts(pushed.database, pushed.sandbox, product_sync=product_sync) as parts:
        restarted = replace(pushed, parts=parts)
        async with conditions_of(restarted) as again, asyncio.timeout(10):
            while again.current().streams is None or unreachable(again):
                await asyncio.sleep(0.02)
        verdict, after = await seen(again)
    assert not any("unreachable" in number for number in after)
    assert await pushed.rows("SELECT * FROM dongbo.conditions WHERE id LIKE 'source_unreachable%'") == []


async def test_a_failing_stream_is_told_since_its_first_failure(pushed: Workshop) -> None:
    """Also when later runs fail in other ways; a run that completes ends it."""
    conditions = conditions_of(pushed)
    with pushed.sandbox.faults.answering(400):
        began = datetime.now(UTC)
        first = await pushed.run(JobType.PULL_SHOPIFY_PRODUCTS)
        second = await pushed.run(JobType.PULL_SHOPIFY_PRODUCTS)
    assert (first.status, second.status) == (JobStatus.FAILED, JobStatus.FAILED)
    _, held = await seen(conditions)
    failing = held["failing:main:PULL_SHOPIFY_PRODUCTS"]
    assert failing.job_id == second.id
    assert failing.cause is not None
    assert second.error is not None
    assert failing.cause in second.error
    assert began - timedelta(seconds=1) <= failing.since <= second.created_at
    await pushed.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    _, held = await seen(conditions)
    assert held == {}


async def test_a_retry_does_not_end_a_failure(pushed: Workshop) -> None:
    """It holds since the same time until a run completes, and is tried again; so does the verdict."""
    conditions = conditions_of(pushed)
    with pushed.sandbox.faults.answering(400):
        failed = await pushed.run(JobType.PULL_SHOPIFY_PRODUCTS)
    verdict, before = await seen(conditions)
    async with pushed.database.acquire() as connection:
        assert await jobs.revive(connection, failed.id, 3) is not None
    again, held = await seen(conditions)
    failing = held["failing:main:PULL_SHOPIFY_PRODUCTS"]
    assert failing.since == before[failing.id].since
    assert failing.cause == before[failing.id].cause
    assert (before[failing.id].needs_person, failing.needs_person) == (True, False)
    assert again.text == verdict.text
    assert again.text.startswith("Products of Shopify: failing since ")


async def test_rows_that_fail_hold_until_all_of_them_are_read_again(pushed: Workshop) -> None:
    """A pull of what has changed takes up those that it stores, but tells nothing of rows without a readable id."""
    conditions = conditions_of(pushed)
    pushed.sandbox.faults.bad_rows = 0.5
    await pushed.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    pushed.sandbox.faults.bad_rows = 0.0
    _, held = await seen(conditions)
    rows = held["rows_failing:main:PULL_SHOPIFY_PRODUCTS"]
    failed = stream_of(conditions, JobType.PULL_SHOPIFY_PRODUCTS).failed_rows
    assert failed > 0
    assert rows.text == f"Products of Shopify: {failed} row{'s' if failed != 1 else ''} can't be stored"
    await pushed.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    _, held = await seen(conditions)
    assert "rows_failing:main:PULL_SHOPIFY_PRODUCTS" in held
    assert 0 < stream_of(conditions, JobType.PULL_SHOPIFY_PRODUCTS).failed_rows < failed
    await pushed.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    _, held = await seen(conditions)
    assert held == {}


async def test_parts_and_dry_runs_make_nothing_fresh(pushed: Workshop) -> None:
    """A filtered pull is of some rows, and a dry run pushes nothing."""
    conditions = conditions_of(pushed)
    await conditions.look()
    before = [stream_of(conditions, each).complete_to for each in (STEPS[1], STEPS[-1])]
    await pushed.completed(JobType.PULL_NHANH_PRODUCTS, filters={"ids": [1]})
    await pushed.completed(JobType.SYNC_PRODUCTS, dry_run=True)
    await conditions.look()
    assert [stream_of(conditions, each).complete_to for each in (STEPS[1], STEPS[-1])] == before


async def test_a_sync_of_a_paused_store_makes_nothing_fresh(pushed: Workshop) -> None:
    """It has pushed nothing: Shopify is as the sync before the pause has left it, also once the pause is over."""
    conditions = conditions_of(pushed)
    await conditions.look()
    before = stream_of(conditions, JobType.SYNC_PRODUCTS).complete_to
    await pause_store(pushed.database, STORE, None, "stock-taking")
    for job_type in STEPS:
        await pushed.completed(job_type)
    verdict, held = await seen(conditions)
    assert "late:main:SYNC_PRODUCTS" not in held
    assert verdict.text.startswith("Paused since ")
    await resume_store(pushed.database, STORE)
    await conditions.look()
    assert stream_of(conditions, JobType.SYNC_PRODUCTS).complete_to == before
    await pushed.completed(JobType.SYNC_PRODUCTS)
    await conditions.look()
    assert stream_of(conditions, JobType.SYNC_PRODUCTS).complete_to != before


async def test_a_question_waits_since_it_was_asked_first(pushed: Workshop) -> None:
    """Runs that ask again do not make it younger, and it is one condition."""
    made = product_sync(pushed.sandbox, max_zeroed=0)
    registry = pushed.parts.registry
    stores = {name: replace(store, product_sync_settings=made) for name, store in registry.stores.items()}
    pushed.parts.use_stores(stores, registry.policy)
    async with pushed.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.nhanh_inventory SET available = 0")
    asked = await pushed.run(JobType.SYNC_PRODUCTS)
    assert asked.status is JobStatus.AWAITING_APPROVAL, asked.error
    conditions = conditions_of(pushed)
    verdict, held = await seen(conditions)
    first = held["approval_waiting:main:SYNC_PRODUCTS"]
    assert first.job_id == asked.id
    assert first.approval_id is not None
    assert verdict.tone is Tone.ASK
    assert "wait for you" in verdict.text or "waits for you" in verdict.text
    await pushed.run(JobType.SYNC_PRODUCTS)
    _, held = await seen(conditions)
    assert held["approval_waiting:main:SYNC_PRODUCTS"].since == first.since
    assert held["approval_waiting:main:SYNC_PRODUCTS"].id == first.id


async def test_a_pause_is_a_condition_since_it_was_made(pushed: Workshop) -> None:
    """And it ends with it; meanwhile nothing is expected."""
    conditions = conditions_of(pushed)
    await pushed.parts.scheduler.pause(ScheduleName("products"))
    verdict, held = await seen(conditions)
    paused_at = await pushed.value("SELECT paused_at FROM dongbo.schedule_states WHERE schedule = 'products'")
    assert held["schedule_paused:main:products"].since == paused_at
    assert verdict.tone is Tone.WARN
    assert stream_of(conditions, JobType.SYNC_PRODUCTS).expected_by is None
    await pushed.parts.scheduler.resume(ScheduleName("products"))
    assert (await seen(conditions))[1] == {}


async def test_what_is_only_seen_is_remembered_and_forgotten(workshop: Workshop) -> None:
    """A condition that nothing dates keeps its beginning in the database while it holds."""
    first = conditions_of(workshop)
    _, held = await seen(first)
    since = held["nothing_pulled:main"].since
    _, again = await seen(conditions_of(workshop))
    assert again["nothing_pulled:main"].since == since
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    _, held = await seen(conditions_of(workshop))
    assert "nothing_pulled:main" not in held
    assert await workshop.value("SELECT count(*) FROM dongbo.conditions WHERE id = 'nothing_pulled:main'") == 0


async def test_the_database_that_goes_away_is_a_condition_of_its_own(
    pushed: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since the first look that failed; nothing is claimed of the shop meanwhile, and all is known again afterwards."""
    conditions = conditions_of(pushed)
    monkeypatch.setattr(watch, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(watch, "OUTAGE_INTERVAL", 0.01)

    def fail(*_: object) -> Any:
        raise DatabaseUnavailable("It is away.")

    async with asyncio.timeout(10), conditions:
        with monkeypatch.context() as away:
            away.setattr(pushed.database, "acquire", fail)
            while not any(each.name is ConditionName.DATABASE_AWAY for each in conditions.current().conditions):
                await asyncio.sleep(0.01)
            found = conditions.current()
            assert [each.name for each in found.conditions] == [ConditionName.DATABASE_AWAY]
            assert found.streams is None
            assert found.verdicts[0].tone is Tone.BAD
        while conditions.current().streams is None or conditions.current().conditions:
            await asyncio.sleep(0.01)
    assert conditions.current().verdicts[0].tone is Tone.OK


@pytest.mark.parametrize("error", [QueryCanceledError, DeadlockDetectedError, LockNotAvailableError])
async def test_a_statement_that_fails_is_no_outage(
    pushed: Workshop, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The database answers; what was read last stays, until it is too old."""
    clock = Now()
    conditions = conditions_of(pushed, clock)
    monkeypatch.setattr(watch, "LOOK_INTERVAL", 0.01)
    failed = asyncio.Event()

    async def fail(*_: object) -> Any:
        if next(looks):  # what came of the look before has been judged
            failed.set()
        raise error("It is locked.")

    looks = count()
    await conditions.look()
    monkeypatch.setattr(watch, "read_database", fail)
    async with asyncio.timeout(10), conditions:
        await failed.wait()
        assert conditions.current().conditions == []
        clock.ahead = timedelta(minutes=2)
        names = {each.name for each in conditions.current().conditions}
    assert ConditionName.DATABASE_SLOW in names
    assert ConditionName.DATABASE_AWAY not in names
    assert conditions.current().streams is not None


async def test_stores_of_other_machines_are_their_concern(pushed: Workshop) -> None:
    """A question about one that this configuration does not have is none here."""
    async with pushed.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.nhanh_inventory SET available = 0")
        made = product_sync(pushed.sandbox, max_zeroed=0)
        registry = pushed.parts.registry
        stores = {name: replace(store, product_sync_settings=made) for name, store in registry.stores.items()}
        pushed.parts.use_stores(stores, registry.policy)
        assert (await pushed.run(JobType.SYNC_PRODUCTS)).status is JobStatus.AWAITING_APPROVAL
        ours = store_facts(stores)
        assert len((await read_database(connection, ours, [], Now())).questions) == 1
        theirs = [replace(store, name=StoreName("other")) for store in ours]
        assert (await read_database(connection, theirs, [], Now())).questions == []
