"""The tables behind the schedules: one claim per fire, memory of pauses and of what need not be made up."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from daemon.database.pool import Connection, Database
from daemon.ids import ScheduleName, StoreName, WorkerName, new_job_id
from daemon.schedules import fires
from daemon.schedules.model import DueFire, FireOutcome, FireResult, ScheduleSpec
from tests.support.fires import last_fires

ALICE, BOB = WorkerName("alice"), WorkerName("bob")
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def spec(name: str = "nightly", expression: str = "0 2 * * *") -> ScheduleSpec:
    return ScheduleSpec(
        ScheduleName(name), StoreName("main"), "cron", expression, ZoneInfo("Asia/Ho_Chi_Minh"), "once", "NOOP"
    )


async def claim(connection: Connection, wanted: ScheduleSpec, time: datetime, worker: WorkerName) -> bool:
    """Whether one fire could be claimed."""
    return bool(await fires.claim(connection, [DueFire(wanted, time)], worker))


async def situation(database: Database, wanted: ScheduleSpec, due: datetime | None = NOON) -> fires.ScheduleRecord:
    async with database.acquire() as connection:
        (found,) = await fires.read_situations(connection, [wanted], [due])
    return found


async def test_a_fire_is_claimed_once(database: Database):
    """The second claim of a fire is refused; another time of the same schedule is another fire."""
    async with database.acquire() as connection:
        assert await claim(connection, spec(), NOON, ALICE)
        assert not await claim(connection, spec(), NOON, BOB)
        assert await claim(connection, spec(), NOON + HOUR, BOB)


async def test_of_several_fires_those_that_are_free_are_claimed(database: Database):
    """Not those that another daemon has, nor those of a paused schedule; each keeps its own outcome."""
    specs = [spec(name) for name in ("b", "a", "taken", "paused")]
    async with database.acquire() as connection:
        assert await claim(connection, spec("taken"), NOON, BOB)
        await fires.pause(connection, spec("paused").store, ScheduleName("paused"), NOON)
        claimed = await fires.claim(connection, [DueFire(each, NOON) for each in specs], ALICE)
        assert [due.spec.name for due in claimed] == ["b", "a"]
        jobs = [new_job_id() for _ in claimed]
        outcomes = [FireOutcome(FireResult.SUBMITTED, job) for job in jobs]
        await fires.record_outcomes(connection, list(zip(claimed, outcomes, strict=True)))
        assert await fires.claim(connection, [], ALICE) == []
    for due, job in zip(claimed, jobs, strict=True):
        last = (await situation(database, due.spec)).last
        assert last is not None
        assert last.job_id == job


async def test_a_concurrent_claim_waits_for_the_first_to_end(database: Database):
    """While a claim is not committed nobody else has the fire; after its rollback the next one has it."""
    async with database.acquire() as first, database.acquire() as second:
        transaction = first.transaction()
        await transaction.start()
        assert await claim(first, spec(), NOON, ALICE)
        waiting = asyncio.create_task(claim(second, spec(), NOON, BOB), name="claim")
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        await transaction.rollback()
        assert await waiting


async def test_a_paused_schedule_cannot_be_claimed(database: Database):
    """The pause holds in the transaction of the fire, whatever a daemon has in memory."""
    async with database.acquire() as connection:
        await fires.pause(connection, spec().store, spec().name, NOON)
        assert not await claim(connection, spec(), NOON, ALICE)
        assert await claim(connection, spec("other"), NOON, ALICE)
        await fires.resume(connection, spec().store, spec().name, NOON)
        assert await claim(connection, spec(), NOON, ALICE)


async def test_the_outcome_is_read_back_as_written(database: Database):
    """A fire's row tells its job, outcome and detail; the newest comes first."""
    job_id = new_job_id()
    async with database.acquire() as connection:
        for hours in range(3):
            await claim(connection, spec(), NOON + hours * HOUR, ALICE)
        outcome = FireOutcome(FireResult.ALREADY_LIVE, job_id, "runs since noon")
        await fires.record_outcomes(connection, [(DueFire(spec(), NOON + 2 * HOUR), outcome)])
        newest, older = await last_fires(connection, spec().store, spec().name, limit=2)
    assert (newest["fire_time"], newest["outcome"], newest["job_id"]) == (NOON + 2 * HOUR, "already_live", job_id)
    assert (newest["detail"], newest["worker"]) == ("runs since noon", ALICE)
    assert (older["fire_time"], older["outcome"]) == (NOON + HOUR, "submitted")
    found = await situation(database, spec(), NOON)
    assert found.recorded
    assert found.last is not None
    assert asdict(found.last) == dict(newest)


async def test_a_schedule_is_remembered_from_its_first_day(database: Database):
    """A later daemon, or a restart, does not move the time from which fires are made up."""
    assert (await situation(database, spec())).since is None
    async with database.acquire() as connection:
        await fires.remember(connection, [spec(), spec("other")], NOON)
        await fires.remember(connection, [spec()], NOON + HOUR)
    assert (await situation(database, spec())).since == NOON


async def test_another_expression_begins_anew(database: Database):
    """Fires before the change belong to the old expression: none of the new one has been missed."""
    async with database.acquire() as connection:
        await fires.remember(connection, [spec()], NOON)
        await fires.remember(connection, [spec(expression="0 1 * * *")], NOON + HOUR)
    assert (await situation(database, spec())).since == NOON + HOUR


async def test_a_schedule_that_comes_back_begins_anew(database: Database):
    """What would have fired while it was not configured has not been missed; a pause stays."""
    async with database.acquire() as connection:
        await fires.remember(connection, [spec()], NOON)
        await fires.pause(connection, spec().store, spec().name, NOON)
        await fires.forget(connection, [spec()])
        await fires.remember(connection, [spec()], NOON + HOUR)
    found = await situation(database, spec())
    assert (found.since, found.paused) == (NOON + HOUR, True)


async def test_a_clock_that_ran_ahead_is_forgiven(database: Database):
    """A time noted by a wrong clock, years ahead, gives way to the right one."""
    async with database.acquire() as connection:
        await fires.remember(connection, [spec()], NOON.replace(year=2030))
        await fires.pause(connection, spec().store, spec().name, NOON)
        await fires.resume(connection, spec().store, spec().name, NOON.replace(year=2031))
        await fires.remember(connection, [spec()], NOON)
    assert (await situation(database, spec())).since == NOON


async def test_resuming_twice_moves_nothing(database: Database):
    """Only the end of a real pause counts as a new beginning."""
    async with database.acquire() as connection:
        await fires.remember(connection, [spec()], NOON)
        await fires.resume(connection, spec().store, spec().name, NOON + HOUR)
        assert (await situation(database, spec())).since == NOON
        await fires.pause(connection, spec().store, spec().name, NOON + HOUR)
        await fires.pause(connection, spec().store, spec().name, NOON + 2 * HOUR)
        await fires.resume(connection, spec().store, spec().name, NOON + 3 * HOUR)
        await fires.resume(connection, spec().store, spec().name, NOON + 4 * HOUR)
    assert (await situation(database, spec())).since == NOON + 3 * HOUR


async def test_pruning_keeps_the_last_fire_of_each_schedule(database: Database):
    """The last fire stays, however old: a yearly schedule whose fire were gone would seem to have missed it."""
    async with database.acquire() as connection:
        for name, count in (("often", 3), ("yearly", 1)):
            for hours in range(count):
                await claim(connection, spec(name), NOON + hours * HOUR, ALICE)
        assert await fires.prune_fires(connection, HOUR) == 0
        assert await fires.prune_fires(connection, timedelta(0)) == 2
        for name, kept in (("often", NOON + 2 * HOUR), ("yearly", NOON)):
            assert [fire["fire_time"] for fire in await last_fires(connection, spec().store, ScheduleName(name))] == [
                kept
            ]


@pytest.mark.parametrize("due", [None, NOON])
async def test_situations_come_in_the_order_asked(database: Database, due: datetime | None):
    """One statement answers for all schedules, each in its place, also for those that nothing is known of."""
    specs = [spec(f"s{number}") for number in (3, 1, 2)]
    async with database.acquire() as connection:
        await fires.remember(connection, [specs[1]], NOON)
        await claim(connection, specs[2], NOON, ALICE)
        found = await fires.read_situations(connection, specs, [due] * 3)
        assert await fires.read_situations(connection, [], []) == []
    assert [one.since for one in found] == [None, NOON, None]
    assert [one.recorded for one in found] == [False, False, due is not None]
    assert [one.last is not None for one in found] == [False, False, True]
