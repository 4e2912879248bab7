"""Fires the configured schedules: on time by a timer, and by a sweep whatever the timer can't know of.

The timer only wakes the scheduler; what is due follows from the clock and `dongbo.schedule_fires`. So a fire whose
transaction failed, or that fell into a stop, an outage, a suspend or a jump of the clock, is found by the next sweep.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import InvalidTransition, ScheduleNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId, ScheduleName
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.lifecycle import Health, Part
from daemon.schedules import fires
from daemon.schedules.entry import ScheduleEntry
from daemon.schedules.firing import Firing
from daemon.schedules.interval import make_timetable
from daemon.schedules.model import AppliedChanges, FireOutcome, FireResult, ScheduleSpec, ScheduleState, Timetable
from daemon.schedules.sweeping import INTERVAL, Sweeps, describe
from daemon.schedules.timer import Timer

log = structlog.get_logger()

TIMETABLES: Final[Mapping[str, Callable[[ScheduleSpec], Timetable]]] = {
    "cron": lambda spec: make_timetable(spec.expression, spec.zone),
    "product": lambda spec: make_timetable(spec.expression, spec.zone),
}
"""What each kind of schedule makes its timetable of: a new kind is one file with a `Timetable`, and a line here."""

SWEEP_TIMEOUT = 20.0  # seconds for a sweep's statements
FIRE_TIMEOUT = 30.0  # seconds for the transaction of one fire
CONCURRENT_FIRES = 2  # connections that fires may hold at once, whatever number of schedules is due at the same minute
MISFIRE_GRACE = timedelta(seconds=60)  # a fire that is later than this has been missed, an earlier one is only late
NAMES_IN_LOG = 20
CLOCK_JUMP = timedelta(seconds=2)  # more than this between the wall clock and the monotonic one is not mere slewing


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Scheduler(Part):
    """Fires the schedules that `apply` has brought.

    Args:
        database: lends at most CONCURRENT_FIRES + 1 connections at a time.
        clock: tells the present time, aware UTC.
        sweep_interval: seconds between two sweeps.
    """

    name = "scheduler"

    def __init__(
        self,
        database: Database,
        firing: Firing,
        *,
        clock: Callable[[], datetime] = utc_now,
        sweep_interval: float = INTERVAL,
    ) -> None:
        self._database = database
        self._firing = firing
        self._clock = clock
        self._sweep_interval = sweep_interval
        self._entries: dict[ScheduleName, ScheduleEntry] = {}
        self._to_remember: dict[ScheduleName, ScheduleSpec] = {}
        self._to_forget: list[ScheduleSpec] = []
        self._lock = asyncio.Lock()  # held by whatever reads the database's picture into the entries, or changes both
        self._slots = asyncio.Semaphore(CONCURRENT_FIRES)
        self._stopping = asyncio.Event()
        self._sweeps = Sweeps(self._sweep, failed="sweep_failed", recovered="sweep_recovered")

    def start(self) -> None:
        """Start the timer and the sweeps; schedules come by `apply`."""
        if not self.is_running:
            self._entries.clear()
            self._stopping.clear()
            self._sweeps.begin()
            self._checked_ticks = asyncio.get_running_loop().time()
            self._checked_at = self._clock()
            self._timer = Timer(self._wake)
            self._timer.start()
            self._group = asyncio.TaskGroup()
        super().start()

    def stop(self) -> None:
        """Begin no more fires, and end once those that have begun have ended.

        Those that are cut off roll back their transactions, and are made up after the next start.
        """
        self._stopping.set()

    @property
    def health(self) -> Health:
        """Whether schedules fire."""
        if not self.is_running:
            return Health(False, _("the scheduler does not run: restart the daemon"))
        if (trouble := self._sweeps.trouble) is not None:
            return Health(
                False, _("the schedules could not be compared with the database {trouble}").format(trouble=trouble)
            )
        return Health(True, _("fires schedules"))

    async def apply(self, specs: Sequence[ScheduleSpec]) -> AppliedChanges:
        """Make these the schedules, at the start and on a reload; touches only what differs, by name.

        A database that is away is not an error: the sweeps catch up with it.
        """
        if not self.is_running:
            raise RuntimeError("the scheduler has not been started")
        wanted = {spec.name: spec for spec in specs}
        if len(wanted) < len(specs):
            raise ValueError("two schedules have the same name")
        async with self._lock:
            present = {name: entry.spec for name, entry in self._entries.items()}
            changes = AppliedChanges(
                added=tuple(name for name in wanted if name not in present),
                changed=tuple(name for name in wanted if name in present and wanted[name] != present[name]),
                removed=tuple(name for name in present if name not in wanted),
                unchanged=tuple(name for name in wanted if wanted[name] == present.get(name)),
            )
            for name in changes.removed:
                self._remove(name)
            for name in changes.changed:
                self._change(wanted[name])
            for name in changes.added:
                self._add(wanted[name])
            self._entries = {name: self._entries[name] for name in wanted}
        log.info(
            "schedules_applied",
            **{kind: len(names) for kind, names in asdict(changes).items()},
            names=[*changes.added, *changes.changed, *changes.removed][:NAMES_IN_LOG],
        )
        await self._sweeps.attempt()
        return changes

    async def pause(self, name: ScheduleName) -> None:
        """Keep a schedule from firing, here, on other daemons and after a restart, until `resume`.

        Raises `ScheduleNotFound`, `InvalidTransition` for a preset, and what the database raises.
        """
        entry = self._firing_entry(name)
        async with self._lock, self._database.acquire() as connection:
            async with connection.transaction():
                await fires.pause(connection, entry.spec.store, name, self._clock())
                await self._note(connection, ActionKind.PAUSE, entry.spec)
            entry.paused = True
        log.info("schedule_paused", schedule=name, store=entry.spec.store)

    async def resume(self, name: ScheduleName) -> None:
        """Let a paused schedule fire again; what it missed meanwhile is not made up. Raises as `pause` does."""
        entry = self._firing_entry(name)
        async with self._lock, self._database.acquire() as connection:
            now = self._clock()
            async with connection.transaction():
                await fires.resume(connection, entry.spec.store, name, now)
                await self._note(connection, ActionKind.RESUME, entry.spec)
            if entry.paused:
                entry.paused, entry.since = False, now
        log.info("schedule_resumed", schedule=name, store=entry.spec.store)

    async def run_now(self, name: ScheduleName) -> FireOutcome:
        """Submit a schedule's job at a person's request, also of a paused one. It counts as no fire of the schedule.

        Raises `ScheduleNotFound`, and what `Jobs.submit` raises.
        """
        spec = self._entry(name).spec
        outcome = await self._firing.run_now(spec)
        log.info("schedule_run", schedule=name, store=spec.store, outcome=outcome.result, job_id=_text(outcome.job_id))
        return outcome

    def state(self, name: ScheduleName) -> ScheduleState:
        """Where a schedule stands, as `states` does. Raises `ScheduleNotFound`."""
        return self._entry(name).state(self._clock())

    def next_fires(self, name: ScheduleName, most: int) -> list[datetime]:
        """The next fire times of a schedule; none while it is paused. Raises `ScheduleNotFound`."""
        return self._entry(name).next_fires(self._clock(), most)

    def states(self) -> list[ScheduleState]:
        """Where each schedule stands, in the order of the configuration, as of the last sweep or later."""
        now = self._clock()
        return [entry.state(now) for entry in self._entries.values()]

    async def sweep(self) -> None:
        """Compare the schedules with the database, and begin the fires that are due and have not happened.

        Raises what the database raises.
        """
        async with asyncio.timeout(SWEEP_TIMEOUT), self._lock:
            now = self._clock()
            entries = list(self._entries.values())
            for entry in entries:
                entry.advance(now)
            self._notice_clock_jump(now)
            if entries or self._to_forget:
                async with self._database.acquire() as connection:
                    await self._write_memory(connection, now)
                    specs, due = [entry.spec for entry in entries], [entry.due for entry in entries]
                    situations = await fires.read_situations(connection, specs, due)
                for entry, asked, situation in zip(entries, due, situations, strict=True):
                    entry.learn(situation, asked)
                    if situation.since is None or entry.since > now + timedelta(minutes=1):
                        self._to_remember[entry.spec.name] = entry.spec
            for entry in entries:
                self._begin_if_due(entry)

    async def _run(self) -> None:
        async with self._group:
            sweeps = self._group.create_task(self._sweeps.run_for_ever(), name="schedule-sweeps")
            try:
                await self._stopping.wait()
            finally:
                sweeps.cancel()
                await self._timer.stop()

    async def _sweep(self) -> float:
        await self.sweep()
        return self._sweep_interval

    async def _write_memory(self, connection: Connection, now: datetime) -> None:
        if self._to_forget:
            await fires.forget(connection, self._to_forget)
            self._to_forget.clear()
        if self._to_remember:
            await fires.remember(connection, list(self._to_remember.values()), now)
            self._to_remember.clear()

    def _wake(self, name: ScheduleName) -> None:
        entry = self._entries.get(name)
        if entry is not None:
            entry.advance(self._clock())
            self._begin_if_due(entry)

    def _begin_if_due(self, entry: ScheduleEntry) -> None:
        fire_time = entry.unsettled(asyncio.get_running_loop().time())
        if fire_time is None or self._stopping.is_set():
            return
        name = f"fire {entry.spec.name} {fire_time:%Y-%m-%dT%H:%MZ}"
        entry.task = self._group.create_task(self._settle(entry, fire_time), name=name)

    async def _settle(self, entry: ScheduleEntry, fire_time: datetime) -> None:
        spec = entry.spec
        about = {"schedule": spec.name, "store": spec.store, "fire_time": fire_time.isoformat()}
        try:
            async with self._slots, asyncio.timeout(FIRE_TIMEOUT):
                late = self._clock() - fire_time
                outcome = await self._carry_out(spec, fire_time, late)
        except Exception as error:  # whatever it is, the fire must be tried again
            if is_connection_error(error):  # no pause: the sweep that succeeds next knows that the database is back
                log.warning("fire_failed", **about, error=describe(error))
            else:
                seconds = entry.fail(fire_time, asyncio.get_running_loop().time())
                log.exception("fire_failed", **about, error=describe(error), retry_after=seconds)
            return
        entry.settle(fire_time, outcome, self._firing.worker, self._clock())
        if outcome.result is not FireResult.NOT_CLAIMED:
            log.info(
                "schedule_fired",
                **about,
                outcome=outcome.result,
                job_id=_text(outcome.job_id),
                detail=outcome.detail,
                late_seconds=round(late.total_seconds(), 3),
            )

    async def _carry_out(self, spec: ScheduleSpec, fire_time: datetime, late: timedelta) -> FireOutcome:
        if spec.misfire == "skip" and late > MISFIRE_GRACE:
            reason = _("missed by {n} s, and this schedule does not make up missed fires").format(
                n=round(late.total_seconds())
            )
            return await self._firing.skip(spec, fire_time, reason)
        return await self._firing.fire(spec, fire_time)

    def _entry(self, name: ScheduleName) -> ScheduleEntry:
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self._entries) or _("none")
            raise ScheduleNotFound(
                _("there is no such schedule in the configuration; there are: {known}").format(known=known)
            ) from None

    def _firing_entry(self, name: ScheduleName) -> ScheduleEntry:
        entry = self._entry(name)
        if entry.spec.is_preset:
            raise InvalidTransition(
                _("{name} never fires by itself: it is a preset, which only a person starts").format(name=name)
            )
        return entry

    @staticmethod
    async def _note(connection: Connection, kind: ActionKind, spec: ScheduleSpec) -> None:
        await actions.note(connection, kind, spec.store, SubjectKind.SCHEDULE, spec.name)

    def _add(self, spec: ScheduleSpec) -> None:
        timetable = TIMETABLES[spec.kind](spec)
        self._entries[spec.name] = ScheduleEntry(spec, timetable, self._clock())
        self._to_remember[spec.name] = spec
        self._timer.set(spec.name, timetable)

    def _change(self, spec: ScheduleSpec) -> None:
        entry = self._entries[spec.name]
        if (spec.store, spec.timetable_key) == (entry.spec.store, entry.spec.timetable_key):
            entry.spec = spec
            return
        if spec.store != entry.spec.store:
            self._remove(spec.name)
        self._add(spec)
        if spec.store == entry.spec.store:
            self._entries[spec.name].paused, self._entries[spec.name].last = entry.paused, entry.last

    def _remove(self, name: ScheduleName) -> None:
        self._to_forget.append(self._entries.pop(name).spec)
        self._to_remember.pop(name, None)
        self._timer.remove(name)

    def _notice_clock_jump(self, now: datetime) -> None:
        ticks = asyncio.get_running_loop().time()
        jump = now - self._checked_at - timedelta(seconds=ticks - self._checked_ticks)
        self._checked_at, self._checked_ticks = now, ticks
        if abs(jump) < CLOCK_JUMP:
            return
        log.warning("clock_jumped", seconds=round(jump.total_seconds(), 1))
        self._timer.realign({name: entry.upcoming for name, entry in self._entries.items() if entry.upcoming})


def _text(job_id: JobId | None) -> str | None:
    return None if job_id is None else str(job_id)
