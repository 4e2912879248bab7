"""Every fire exactly once, on time or made up, through restarts, outages, pauses, reloads and jumps of the clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import time_machine

from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import InvalidJobRequest, InvalidTransition, ScheduleNotFound
from daemon.ids import ScheduleName, StoreName, WorkerName, new_job_id
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind, Way, coming_by
from daemon.jobs.model import Job, JobRequest
from daemon.jobs.service import Submission, Wanted
from daemon.schedules import fires, sweeping
from daemon.schedules.firing import Firing
from daemon.schedules.model import DueFire, FireOutcome, FireResult, ScheduleSpec, ScheduleState
from daemon.schedules.scheduler import Scheduler
from tests.support.fires import last_fires, wait_idle

NIGHTLY = ScheduleName("nightly")
HO_CHI_MINH = ZoneInfo("Asia/Ho_Chi_Minh")
TWO_O_CLOCK = datetime(2026, 9, 30, 19, tzinfo=UTC)  # 02:00 on the first of October in Ho Chi Minh City
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WAIT = 10.0  # seconds until a test gives up on an event


def spec(**changes: Any) -> ScheduleSpec:
    nightly = ScheduleSpec(NIGHTLY, StoreName("main"), "cron", "0 2 * * *", HO_CHI_MINH, "once", "NOOP")
    return replace(nightly, **changes)


class Clock:
    """A wall clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    async def look(self, connection: Connection) -> None:
        """It is what the test has set."""


class MachineClock:
    """A clock that differs from the machine's by so much."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self._ahead = ahead

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def look(self, connection: Connection) -> None:
        """It is right as it is."""


class Shop:
    """What the fires of a test come to: one row in a table for each job, in the transaction of the fire."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock(TWO_O_CLOCK - HOUR)
        self.begun = asyncio.Event()  # set by every fire
        self.gate = asyncio.Event()  # closed, it holds up fires in the middle of their transactions
        self.gate.set()
        self.attempts = 0
        self.transactions = 0
        self.broken: set[ScheduleName] = set()  # schedules the jobs of which can't be made
        self.errors: list[Exception] = []  # raised by the next fires, after their claims
        self.manual_runs: list[ScheduleName] = []

    async def submit_in(
        self, connection: Connection, request: JobRequest, schedule: ScheduleName, fire_time: datetime | None = None
    ) -> Submission:
        """Stands for `Jobs`; a run without a fire time is one that a person asked for."""
        job_id = new_job_id()
        if fire_time is None:
            self.manual_runs.append(schedule)
            return Submission(SimpleNamespace(id=job_id), is_new=True)  # type: ignore[arg-type]
        await connection.execute("INSERT INTO jobs VALUES ($1, $2, $3)", job_id, schedule, fire_time)
        self.begun.set()
        await self.gate.wait()
        if schedule in self.broken:
            raise ZeroDivisionError(schedule)
        if self.errors:
            raise self.errors.pop(0)
        return Submission(SimpleNamespace(id=job_id), is_new=True)  # type: ignore[arg-type]

    async def submit_all_in(self, connection: Connection, wanted: Sequence[Wanted]) -> list[Submission]:
        """One after the other."""
        return [
            await self.submit_in(connection, each.request, each.schedule or ScheduleName(""), each.fire_time)
            for each in wanted
        ]

    def announce(self, job: Job) -> None:
        """Nobody reads of it."""

    def scheduler(self, worker: str = "alice", **options: Any) -> Scheduler:
        options = {"clock": self.clock, "sweep_interval": 3600.0} | options
        return Scheduler(self.database, CountedFiring(self, WorkerName(worker)), **options)

    @asynccontextmanager
    async def daemon(self, *specs: ScheduleSpec, worker: str = "alice", **options: Any) -> AsyncIterator[Scheduler]:
        async with self.scheduler(worker, **options) as scheduler:
            await scheduler.apply(specs or [spec()])
            await scheduler.sweep()  # comes after its own first one, which must not see what the test does next
            await wait_idle(scheduler)
            yield scheduler

    async def look(self, scheduler: Scheduler, now: datetime) -> None:
        """Set the clock, sweep, and wait until what that began has ended."""
        self.clock.now = now
        await scheduler.sweep()
        await wait_idle(scheduler)

    async def jobs(self) -> list[datetime]:
        """The fire times of all jobs, also if there are two of one time."""
        async with self.database.acquire() as connection:
            return [row["fire_time"] for row in await connection.fetch("SELECT fire_time FROM jobs ORDER BY fire_time")]

    async def records(self, name: ScheduleName = NIGHTLY) -> list[tuple[datetime, FireResult]]:
        async with self.database.acquire() as connection:
            found = await last_fires(connection, StoreName("main"), name)
        return [(fire["fire_time"], FireResult(fire["outcome"])) for fire in reversed(found)]


class CountedFiring(Firing):
    """Fires into a shop's table."""

    def __init__(self, shop: Shop, worker: WorkerName) -> None:
        super().__init__(shop.database, shop, worker)  # type: ignore[arg-type]
        self.shop = shop

    async def fire(self, due: Sequence[DueFire]) -> list[FireOutcome]:
        """Count them, whether they are this daemon's or not."""
        self.shop.attempts += len(due)
        self.shop.transactions += 1
        return await super().fire(due)


@pytest.fixture
async def shop(database: Database) -> Shop:
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE jobs (id uuid PRIMARY KEY, schedule text, fire_time timestamptz)")
    return Shop(database)


Outage = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def outage(database_url: str, postgres_server: Any) -> Outage:
    """A database that breaks all connections and takes no new ones while inside."""
    name = urlsplit(database_url).path.lstrip("/")

    @asynccontextmanager
    async def away() -> AsyncIterator[None]:
        await postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await postgres_server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        try:
            yield
        finally:
            await postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    return away


def only_state(scheduler: Scheduler) -> ScheduleState:
    (state,) = scheduler.states()
    return state


# -- on time


async def test_fires_on_time(shop: Shop):
    """A fire comes when the wall clock shows its time, and bears that time to the second."""
    with time_machine.travel(TWO_O_CLOCK - timedelta(milliseconds=300), tick=True):
        async with shop.daemon(clock=MachineClock()) as scheduler:
            assert only_state(scheduler).next_fire == TWO_O_CLOCK
            assert not shop.begun.is_set()
            async with asyncio.timeout(WAIT):
                await shop.begun.wait()
            await wait_idle(scheduler)
            assert datetime.now(UTC) - TWO_O_CLOCK < timedelta(seconds=1)
            assert await shop.jobs() == [TWO_O_CLOCK]
            assert only_state(scheduler).next_fire == TWO_O_CLOCK + DAY
            assert only_state(scheduler).last_fire == TWO_O_CLOCK
            assert only_state(scheduler).last_outcome is FireResult.SUBMITTED


async def test_many_fires_of_one_moment_come_in_a_few_transactions(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """So that a thousand stores do not wait for each other's commits."""
    monkeypatch.setattr("daemon.schedules.scheduler.FIRES_AT_ONCE", 60)
    specs = [spec(name=ScheduleName(f"s{number}")) for number in range(121)]
    async with shop.daemon(*specs) as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK)
        assert await shop.jobs() == [TWO_O_CLOCK] * len(specs)
        assert {state.last_outcome for state in scheduler.states()} == {FireResult.SUBMITTED}
        assert (shop.attempts, shop.transactions) == (len(specs), 3)
        await shop.look(scheduler, TWO_O_CLOCK)
        assert shop.transactions == 3


async def test_a_fire_with_a_bug_keeps_no_other_back(shop: Shop):
    """It is tried again later; what it was carried out with is carried out at once."""
    specs = [spec(name=ScheduleName(f"s{number}")) for number in range(4)]
    shop.broken = {ScheduleName("s2")}
    async with shop.daemon(*specs) as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK)
        assert await shop.jobs() == [TWO_O_CLOCK] * 3
        assert [state.last_outcome for state in scheduler.states()] == [
            FireResult.SUBMITTED, FireResult.SUBMITTED, None, FireResult.SUBMITTED,
        ]  # fmt: skip
        shop.broken.clear()
        await shop.look(scheduler, TWO_O_CLOCK + timedelta(minutes=1))
        assert await shop.jobs() == [TWO_O_CLOCK] * 4


async def test_a_fire_that_somebody_else_holds_up_keeps_no_other_back(shop: Shop):
    """As by a daemon that was suspended in the middle of it: the others come soon, and it comes once it can."""
    specs = [spec(name=ScheduleName(f"s{number}")) for number in range(4)]
    async with shop.daemon(*specs) as scheduler, shop.database.acquire() as other:
        held_up = other.transaction()
        await held_up.start()
        assert await fires.claim(other, [DueFire(specs[2], TWO_O_CLOCK)], WorkerName("bob"))
        shop.clock.now = TWO_O_CLOCK
        await scheduler.sweep()
        async with asyncio.timeout(WAIT):
            while len(await shop.jobs()) < 3:
                await asyncio.sleep(0.05)
        await held_up.rollback()
        await wait_idle(scheduler)
        assert await shop.jobs() == [TWO_O_CLOCK] * 4


async def test_two_daemons_submit_one_job(shop: Shop):
    """Of two daemons that find the same fire due at the same time, one submits; both go on."""
    specs = [spec(name=ScheduleName(f"s{number}")) for number in range(20)]
    async with shop.daemon(*specs, worker="alice") as alice, shop.daemon(*specs, worker="bob") as bob:
        shop.clock.now = TWO_O_CLOCK
        await asyncio.gather(alice.sweep(), bob.sweep())
        await asyncio.gather(wait_idle(alice), wait_idle(bob))
        assert await shop.jobs() == [TWO_O_CLOCK] * 20
        outcomes = {state.last_outcome for daemon in (alice, bob) for state in daemon.states()}
        assert outcomes <= {FireResult.SUBMITTED, None}  # None: the other one has it, as the next sweep will tell
        await asyncio.gather(shop.look(alice, TWO_O_CLOCK + DAY), shop.look(bob, TWO_O_CLOCK + DAY))
        assert len(await shop.jobs()) == 40
        await bob.sweep()
        assert {state.last_fire for state in bob.states()} == {TWO_O_CLOCK + DAY}


# -- missed fires


async def test_a_new_schedule_has_missed_nothing(shop: Shop):
    """The fires before a schedule was configured are none of its own."""
    async with shop.daemon() as scheduler:
        assert only_state(scheduler).last_fire is None
    assert await shop.records() == []


async def test_fires_missed_while_stopped_are_made_up_once(shop: Shop):
    """After three missed nights the job runs once, for the last of them, and not again after another restart."""
    async with shop.daemon():
        pass
    shop.clock.now = TWO_O_CLOCK + 3 * DAY + HOUR
    for _ in range(2):
        async with shop.daemon():
            pass
    assert await shop.jobs() == [TWO_O_CLOCK + 3 * DAY]
    assert shop.attempts == 1  # the second start looks it up, without trying


async def test_missed_fires_are_skipped_if_so_configured(shop: Shop):
    """With `misfire = "skip"` a missed fire is recorded as such and submits nothing; the next comes on time."""
    skip = spec(misfire="skip")
    async with shop.daemon(skip):
        pass
    shop.clock.now = TWO_O_CLOCK + DAY + HOUR
    async with shop.daemon(skip) as scheduler:
        assert await shop.records() == [(TWO_O_CLOCK + DAY, FireResult.SKIPPED)]
        assert only_state(scheduler).last_outcome is FireResult.SKIPPED
        await shop.look(scheduler, TWO_O_CLOCK + 2 * DAY)
    assert await shop.jobs() == [TWO_O_CLOCK + 2 * DAY]


async def test_a_fire_is_made_up_after_the_database_was_away(
    shop: Shop, outage: Outage, monkeypatch: pytest.MonkeyPatch
):
    """A fire that falls into an outage of PostgreSQL happens as soon as it is back, without anybody's help."""
    monkeypatch.setattr(sweeping, "RETRY", 0.05)
    async with shop.daemon(sweep_interval=0.05) as scheduler:
        async with outage():
            shop.clock.now = TWO_O_CLOCK
            scheduler._wake(NIGHTLY)
            await wait_idle(scheduler)
            with pytest.raises(Exception) as caught:
                await scheduler.sweep()
            assert is_connection_error(caught.value)
            assert not shop.begun.is_set()
        async with asyncio.timeout(WAIT):
            await shop.begun.wait()
        await wait_idle(scheduler)
        assert await shop.jobs() == [TWO_O_CLOCK]
        assert scheduler.health.is_ok


async def test_schedules_are_taken_up_while_the_database_is_away(shop: Shop, outage: Outage):
    """A reload during an outage succeeds; what the database must know, and must tell, follows when it is back."""
    async with shop.daemon():
        pass
    shop.clock.now = TWO_O_CLOCK + HOUR
    async with shop.scheduler() as scheduler:
        async with outage():
            assert (await scheduler.apply([spec()])).added == (NIGHTLY,)
            assert only_state(scheduler).next_fire == TWO_O_CLOCK + DAY
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
    assert await shop.jobs() == [TWO_O_CLOCK]


async def test_an_outage_shows(shop: Shop, outage: Outage, monkeypatch: pytest.MonkeyPatch):
    """A scheduler that has not reached the database for a while says so, and is well again afterwards."""
    monkeypatch.setattr(sweeping, "UNHEALTHY_AFTER", 0.0)
    async with shop.daemon() as scheduler:
        async with outage():
            await scheduler.apply([spec()])
            assert "could not be compared with the database" in scheduler.health.detail
        monkeypatch.setattr(sweeping, "UNHEALTHY_AFTER", 60.0)
        await scheduler.sweep()
        assert scheduler.health.is_ok


async def test_a_failing_fire_is_tried_again(shop: Shop):
    """A fire that raises has not happened: its transaction is rolled back, and it is tried again, with pauses."""
    shop.errors = [RuntimeError("a bug"), asyncpg.DeadlockDetectedError("deadlock")]
    async with shop.daemon() as scheduler:
        for left in (1, 0, 0):  # the third sweep comes during the pause after the second failure
            await shop.look(scheduler, TWO_O_CLOCK)
            assert (await shop.jobs(), len(shop.errors)) == ([], left)
        scheduler._entries[NIGHTLY].retry_at = 0.0
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
        assert await shop.jobs() == [TWO_O_CLOCK]


async def test_a_failure_does_not_hold_up_the_next_fire(shop: Shop):
    """The pause after failures is that of one fire time."""
    shop.errors = [RuntimeError("a bug"), RuntimeError("a bug")]
    async with shop.daemon() as scheduler:
        for now in (TWO_O_CLOCK, TWO_O_CLOCK, TWO_O_CLOCK + DAY):
            await shop.look(scheduler, now)
        assert await shop.jobs() == [TWO_O_CLOCK + DAY]


async def test_a_refused_job_is_recorded_and_not_tried_again(shop: Shop):
    """What a retry can't mend ends the fire, with the reason in its row."""
    shop.errors = [InvalidJobRequest("there is no store main")]
    async with shop.daemon() as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK)
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
        assert only_state(scheduler).last_detail == "there is no store main"
        assert only_state(scheduler).last_job_id is None
    assert await shop.records() == [(TWO_O_CLOCK, FireResult.FAILED)]
    assert await shop.jobs() == []


# -- the clock jumps


async def test_a_jump_forward_makes_up_what_was_jumped_over(shop: Shop):
    """A suspend or a corrected clock is like an outage: the last fire that was jumped over happens, once."""
    async with shop.daemon() as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK + 10 * DAY + HOUR)
        await shop.look(scheduler, TWO_O_CLOCK + 10 * DAY + 2 * HOUR)
        assert only_state(scheduler).next_fire == TWO_O_CLOCK + 11 * DAY
    assert await shop.jobs() == [TWO_O_CLOCK + 10 * DAY]


async def test_a_jump_back_fires_nothing_twice(shop: Shop):
    """A time that the clock shows a second time has fired already; later times come as ever."""
    async with shop.daemon() as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK)
        await shop.look(scheduler, TWO_O_CLOCK - HOUR)
        assert only_state(scheduler).next_fire == TWO_O_CLOCK
        await shop.look(scheduler, TWO_O_CLOCK)
        await shop.look(scheduler, TWO_O_CLOCK + DAY)
    assert await shop.jobs() == [TWO_O_CLOCK, TWO_O_CLOCK + DAY]


async def test_a_clock_that_was_years_ahead_silences_nothing(shop: Shop):
    """A schedule that was taken up by a wrong clock fires by the right one."""
    right, shop.clock.now = shop.clock.now, shop.clock.now.replace(year=2040)
    async with shop.daemon():
        pass
    shop.clock.now = right
    async with shop.daemon() as scheduler:
        await shop.look(scheduler, right)
        await shop.look(scheduler, TWO_O_CLOCK)
    assert await shop.jobs() == [TWO_O_CLOCK]


async def test_the_timer_follows_a_jump(shop: Shop):
    """After a jump of the clock the timer, which waits by the monotonic clock, is set anew."""
    with time_machine.travel(TWO_O_CLOCK - HOUR, tick=True) as traveller:
        async with shop.daemon(clock=MachineClock()) as scheduler:
            traveller.move_to(TWO_O_CLOCK - timedelta(milliseconds=300))
            await scheduler.sweep()
            async with asyncio.timeout(WAIT):
                await shop.begun.wait()
    assert await shop.jobs() == [TWO_O_CLOCK]


@pytest.mark.parametrize("wrong", [timedelta(minutes=10), -timedelta(minutes=10)], ids=["ahead", "behind"])
async def test_a_machine_with_a_wrong_clock_fires_at_the_time_of_the_others(shop: Shop, wrong: timedelta) -> None:
    """The timer, which goes by the machine's clock, wakes the scheduler when it is time by the one that all share."""
    with time_machine.travel(TWO_O_CLOCK - timedelta(milliseconds=300) + wrong, tick=True):
        clock = MachineClock(-wrong)
        async with shop.daemon(clock=clock), asyncio.timeout(WAIT):
            await shop.begun.wait()
            assert clock() >= TWO_O_CLOCK
    assert await shop.jobs() == [TWO_O_CLOCK]


# -- pauses


async def test_a_pause_survives_a_restart_and_is_not_made_up(shop: Shop):
    """A paused schedule does not fire, also after a restart; once resumed it goes on with its next time."""
    async with shop.daemon() as scheduler:
        await scheduler.pause(NIGHTLY)
        assert only_state(scheduler).paused
        await shop.look(scheduler, TWO_O_CLOCK)
    async with shop.daemon() as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
        assert only_state(scheduler).paused
        assert only_state(scheduler).next_fire is None
        await scheduler.resume(NIGHTLY)
        scheduler._wake(NIGHTLY)
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
        assert await shop.jobs() == []
        assert only_state(scheduler).next_fire == TWO_O_CLOCK + DAY
        await shop.look(scheduler, TWO_O_CLOCK + DAY)
    assert await shop.jobs() == [TWO_O_CLOCK + DAY]


async def test_another_daemons_pause_holds_at_once(shop: Shop):
    """A pause holds for a daemon that does not know of it yet, and shows there after the next sweep."""
    async with shop.daemon(worker="alice") as alice, shop.daemon(worker="bob") as bob:
        await alice.pause(NIGHTLY)
        assert not only_state(bob).paused
        shop.clock.now = TWO_O_CLOCK
        bob._wake(NIGHTLY)
        await wait_idle(bob)
        assert await shop.jobs() == []
        await bob.sweep()
        assert only_state(bob).paused
        await bob.resume(NIGHTLY)
        await shop.look(alice, TWO_O_CLOCK + DAY)
    assert await shop.jobs() == [TWO_O_CLOCK + DAY]


async def test_a_manual_run_is_no_fire(shop: Shop):
    """A person may run a schedule at any time, paused or not; its own fires stay as they are."""
    async with shop.daemon() as scheduler:
        await scheduler.pause(NIGHTLY)
        assert (await scheduler.run_now(NIGHTLY)).result is FireResult.SUBMITTED
        assert shop.manual_runs == [NIGHTLY]
        assert only_state(scheduler).last_fire is None


async def test_what_people_do_is_noted_with_who_and_how(shop: Shop):
    """A run, a pause and a resume that somebody asked for are kept; what the daemon does by itself is not."""
    async with shop.daemon() as scheduler:
        await scheduler.pause(NIGHTLY)
        with coming_by(Way.CLI, "Lan"):
            await scheduler.pause(NIGHTLY)
            await scheduler.resume(NIGHTLY)
            run = await scheduler.run_now(NIGHTLY)
    async with shop.database.acquire() as connection:
        noted = await actions.list_of(connection, StoreName("main"), SubjectKind.SCHEDULE, NIGHTLY)
    assert [(one.way, one.who, one.kind, one.job_id) for one in noted] == [
        (Way.CLI, "Lan", ActionKind.RUN_SCHEDULE, run.job_id),
        (Way.CLI, "Lan", ActionKind.RESUME, None),
        (Way.CLI, "Lan", ActionKind.PAUSE, None),
    ]


async def test_a_preset_only_runs_when_asked(shop: Shop):
    """A schedule without an expression never fires, however long nobody looked; a person can run but not pause it."""
    async with shop.daemon(spec(expression="")) as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK + 365 * DAY)
        assert (only_state(scheduler).next_fire, await shop.jobs()) == (None, [])
        assert (await scheduler.run_now(NIGHTLY)).result is FireResult.SUBMITTED
        for attempt in (scheduler.pause, scheduler.resume):
            with pytest.raises(InvalidTransition, match="it is a preset"):
                await attempt(NIGHTLY)


async def test_a_preset_becomes_a_schedule_by_a_reload(shop: Shop):
    """And has missed nothing until then."""
    async with shop.daemon(spec(expression="")) as scheduler:
        await shop.look(scheduler, TWO_O_CLOCK)
        await scheduler.apply([spec()])
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
        assert await shop.jobs() == []
        await shop.look(scheduler, TWO_O_CLOCK + DAY)
        assert await shop.jobs() == [TWO_O_CLOCK + DAY]


async def test_unknown_names_are_told_with_the_known_ones(shop: Shop):
    """A mistyped name is answered with the names there are."""
    async with shop.daemon() as scheduler:
        for attempt in (scheduler.pause, scheduler.resume, scheduler.run_now):
            with pytest.raises(ScheduleNotFound, match="there are: nightly"):
                await attempt(ScheduleName("nigthly"))


# -- reloads


async def test_a_reload_touches_only_what_changed(shop: Shop):
    """Schedules are compared by name; an unchanged one keeps its timer, one with other parameters its fires."""
    names = [ScheduleName(name) for name in ("kept", "retimed", "refilled", "removed", "added")]
    kept, retimed, refilled, removed, added = (spec(name=name) for name in names)
    async with shop.daemon(kept, retimed, refilled, removed) as scheduler:
        timers = {name: scheduler._timer._scheduler.get_job(name) for name in names}
        retimed, refilled = replace(retimed, expression="0 3 * * *"), replace(refilled, params={"full": True})
        changes = await scheduler.apply([added, kept, retimed, refilled])
        assert (changes.added, changes.removed) == (("added",), ("removed",))
        assert (changes.changed, changes.unchanged) == (("retimed", "refilled"), ("kept",))
        assert [state.spec for state in scheduler.states()] == [added, kept, retimed, refilled]
        now = {name: scheduler._timer._scheduler.get_job(name) for name in names}
        assert [name for name in names if now[name] is timers[name]] == ["kept", "refilled"]
        assert now["removed"] is None
        assert scheduler._entries[ScheduleName("retimed")].upcoming == TWO_O_CLOCK + HOUR


async def test_another_expression_makes_up_nothing_of_its_past(shop: Shop):
    """Neither a reload nor a restart with another expression fires for a time at which it was not in force."""
    for hour in (3, 4):
        shop.clock.now += 12 * HOUR
        async with shop.daemon(spec(expression=f"0 {hour} * * *")) as scheduler:
            await shop.look(scheduler, shop.clock.now)
            await scheduler.apply([spec(expression=f"30 {hour} * * *")])
            await wait_idle(scheduler)
    assert await shop.records() == []


async def test_a_removed_schedule_fires_no_more(shop: Shop):
    """Once removed it does not fire, and when it comes back it has missed nothing."""
    async with shop.daemon() as scheduler:
        await scheduler.apply([])
        await shop.look(scheduler, TWO_O_CLOCK + HOUR)
        await scheduler.apply([spec()])
        await wait_idle(scheduler)
        assert await shop.records() == []
        await shop.look(scheduler, TWO_O_CLOCK + DAY)
    assert await shop.jobs() == [TWO_O_CLOCK + DAY]


async def test_equal_names_are_refused(shop: Shop):
    """Two schedules of one name would share their fires."""
    async with shop.daemon() as scheduler:
        with pytest.raises(ValueError, match="same name"):
            await scheduler.apply([spec(), spec(expression="0 3 * * *")])


# -- starting and stopping


async def test_stopping_waits_for_the_fire_that_has_begun(shop: Shop):
    """A fire in the middle of its transaction is finished, not cut off; nothing begins after it."""
    shop.gate.clear()
    scheduler = shop.scheduler()
    async with scheduler:
        await scheduler.apply([spec()])
        shop.clock.now = TWO_O_CLOCK
        await scheduler.sweep()
        await shop.begun.wait()
        scheduler.stop()
        stop = asyncio.create_task(scheduler.wait(), name="stop")
        done, _ = await asyncio.wait([stop], timeout=0.1)
        assert not done
        shop.gate.set()
        await stop
    assert await shop.records() == [(TWO_O_CLOCK, FireResult.SUBMITTED)]


async def test_a_stop_cut_short_loses_nothing(shop: Shop):
    """A fire cut off in the middle leaves no trace, and is made up after the next start."""
    shop.gate.clear()
    scheduler = shop.scheduler()
    scheduler.start()
    await scheduler.apply([spec()])
    shop.clock.now = TWO_O_CLOCK
    await scheduler.sweep()
    await shop.begun.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            scheduler.stop()
            await scheduler.wait()
    assert await shop.jobs() == []
    shop.gate.set()
    async with shop.daemon():
        pass
    assert await shop.jobs() == [TWO_O_CLOCK]


async def test_start_and_stop_in_any_order(shop: Shop):
    """Stopping is safe before the start and twice; the parts of the scheduler end with it; it starts again."""
    scheduler = shop.scheduler()
    scheduler.stop()
    await scheduler.wait()
    assert not scheduler.health.is_ok
    with pytest.raises(RuntimeError, match="has not been started"):
        await scheduler.apply([spec()])
    for _ in range(2):
        scheduler.start()
        with pytest.raises(RuntimeError, match="started already"):
            scheduler.start()
        await scheduler.apply([spec()])
        assert scheduler.is_running
        assert scheduler.health.is_ok
        for _ in range(2):
            scheduler.stop()
            await scheduler.wait()
        assert not scheduler.is_running
        assert asyncio.all_tasks() == {asyncio.current_task()}
