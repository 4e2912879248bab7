"""Fires the configured schedules: on time by a timer, and by a sweep whatever the timer can't know of.

The timer only wakes the scheduler; what is due follows from the clock and `dongbo.schedule_fires`. So a fire whose
transaction failed, or that fell into a stop, an outage, a suspend or a jump of the clock, is found by the next sweep.

The clock is the database's, which each sweep looks at: a machine whose own clock is wrong fires when the others do.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import structlog

from daemon.database.clock import DatabaseClock, SharedClock
from daemon.database.connection_errors import is_outage, may_pass
from daemon.database.pool import Connection, Database
from daemon.errors import InvalidTransition, ScheduleNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId, ScheduleName
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.lifecycle import Health, Part
from daemon.logging.faults import Fault
from daemon.schedules import fires
from daemon.schedules.entry import ScheduleEntry
from daemon.schedules.firing import Firing
from daemon.schedules.interval import make_timetable
from daemon.schedules.model import (
    AppliedChanges,
    DueFire,
    FireOutcome,
    FireResult,
    ScheduleSpec,
    ScheduleState,
    Timetable,
)
from daemon.schedules.sweeping import INTERVAL, Sweeps, describe
from daemon.schedules.timer import Timer

log = structlog.get_logger()

TIMETABLES: Final[Mapping[str, Callable[[ScheduleSpec], Timetable]]] = {
    "cron": lambda spec: make_timetable(spec.expression, spec.zone),
    "product": lambda spec: make_timetable(spec.expression, spec.zone),
}
"""What each kind of schedule makes its timetable of: a new kind is one file with a `Timetable`, and a line here."""

SWEEP_TIMEOUT = 20.0  # seconds for a sweep's statements
FIRE_TIMEOUT = 30.0  # seconds for the transaction of some fires
FIRES_AT_ONCE = 500  # in one transaction: jobs that run meanwhile would delay those that are not there yet
CONCURRENT_FIRES = 2  # connections that fires may hold at once, whatever number of schedules is due at the same minute
MISFIRE_GRACE = timedelta(seconds=60)  # a fire that is later than this has been missed, an earlier one is only late
LINES_AT_ONCE = 50  # of the log, without a break: some milliseconds
NAMES_IN_LOG = 20
CLOCK_JUMP = timedelta(seconds=2)  # more than this between a clock and the monotonic one is not mere slewing


class Scheduler(Part):
    """Fires the schedules that `apply` has brought.

    Args:
        database: lends at most CONCURRENT_FIRES + 1 connections at a time.
        clock: tells the present time; None: the database's.
        sweep_interval: seconds between two sweeps.
        fires_schedules: False: other daemons do, and this one only follows when they have and when they will.
    """

    name = "scheduler"

    def __init__(
        self,
        database: Database,
        firing: Firing,
        *,
        clock: SharedClock | None = None,
        sweep_interval: float = INTERVAL,
        fires_schedules: bool = True,
    ) -> None:
        self._database = database
        self._firing = firing
        self._fires_schedules = fires_schedules
        self._clock = clock or DatabaseClock()
        self._sweep_interval = sweep_interval
        self._entries: dict[ScheduleName, ScheduleEntry] = {}
        self._to_remember: dict[ScheduleName, ScheduleSpec] = {}
        self._to_forget: list[ScheduleSpec] = []
        self._lock = asyncio.Lock()  # held by whatever reads the database's picture into the entries, or changes both
        self._slots = asyncio.Semaphore(CONCURRENT_FIRES)
        self._stopping = asyncio.Event()
        self._woken: list[ScheduleName] = []  # by the timer, in this round of the loop
        self._sweeps = Sweeps(self._sweep, Fault(log, "sweep_failed", over="sweep_recovered"))
        self._unfired = Fault(log, "fire_failed", next_step="fired once the database is back")

    def start(self) -> None:
        """Start the timer and the sweeps; schedules come by `apply`."""
        if not self.is_running:
            self._entries.clear()
            self._stopping.clear()
            self._sweeps.begin()
            self._checked: _Clocks | None = None
            self._timer = Timer(self._wake, self._ahead)
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
            entries = list(self._entries.values())
            if not (entries or self._to_forget):
                return
            async with self._database.acquire() as connection:
                await self._clock.look(connection)
                now = self._clock()
                for entry in entries:
                    entry.advance(now)
                self._notice_clock_jump(now)
                await self._write_memory(connection, now)
                specs, due = [entry.spec for entry in entries], [entry.due for entry in entries]
                situations = await fires.read_situations(connection, specs, due)
            for entry, asked, situation in zip(entries, due, situations, strict=True):
                entry.learn(situation, asked)
                if situation.since is None or entry.since > now + timedelta(minutes=1):
                    self._to_remember[entry.spec.name] = entry.spec
            self._begin_due(entries)

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
        """Those that fire the schedules remember them."""
        if not self._fires_schedules:
            self._to_forget.clear()
            self._to_remember.clear()
        if self._to_forget:
            await fires.forget(connection, self._to_forget)
            self._to_forget.clear()
        if self._to_remember:
            await fires.remember(connection, list(self._to_remember.values()), now)
            self._to_remember.clear()

    def _wake(self, name: ScheduleName) -> None:
        """Look at a schedule as soon as the timer has told of all whose time has come."""
        if not self._woken:
            asyncio.get_running_loop().call_soon(self._begin_woken)
        self._woken.append(name)

    def _begin_woken(self) -> None:
        woken = [self._entries[name] for name in self._woken if name in self._entries]
        self._woken.clear()
        for entry in woken:
            entry.advance(self._clock())
        self._begin_due(woken)

    def _begin_due(self, entries: Sequence[ScheduleEntry]) -> None:
        """Begin the fires that are due, in an order of its own: no store is always the last, and several daemons begin
        with different ones."""
        if self._stopping.is_set() or not self._fires_schedules:
            return
        ticks = asyncio.get_running_loop().time()
        due = [
            _Due(entry, fire_time)
            for entry in random.sample(entries, len(entries))
            if (fire_time := entry.unsettled(ticks)) is not None
        ]
        for start in range(0, len(due), FIRES_AT_ONCE):
            self._begin(due[start : start + FIRES_AT_ONCE])

    def _begin(self, due: Sequence["_Due"]) -> None:
        task = self._group.create_task(self._settle(due), name=_task_name(due))
        for each in due:
            each.entry.task = task

    async def _settle(self, due: Sequence["_Due"]) -> None:
        """Let fires come to something; one that has a bug, or is held up, does not keep the others from it."""
        try:
            async with self._slots, asyncio.timeout(FIRE_TIMEOUT):
                now = self._clock()
                outcomes = await self._carry_out(due, now)
        except Exception as error:  # whatever it is, the fires must be tried again
            if is_outage(error):  # no pause: the sweep that succeeds next knows that the database is back
                self._unfired.happened(describe(error), **due[0].about)
            elif len(due) > 1:
                for each in due if not self._stopping.is_set() else ():
                    self._begin([each])
            else:
                (only,) = due
                seconds = only.entry.fail(only.time, asyncio.get_running_loop().time())
                log.error(
                    "fire_failed",
                    **only.about,
                    error=describe(error),
                    retry_after=seconds,
                    exc_info=not may_pass(error),
                )
            return
        self._unfired.passed()
        for number, (each, outcome) in enumerate(zip(due, outcomes, strict=True)):
            if number % LINES_AT_ONCE == LINES_AT_ONCE - 1:
                await asyncio.sleep(0)
            each.entry.settle(each.time, outcome, self._firing.worker, self._clock())
            if outcome.result is not FireResult.NOT_CLAIMED:
                log.info(
                    "schedule_fired",
                    **each.about,
                    outcome=outcome.result,
                    job_id=_text(outcome.job_id),
                    detail=outcome.detail,
                    late_seconds=round((now - each.time).total_seconds(), 3),
                )

    async def _carry_out(self, due: Sequence["_Due"], now: datetime) -> list[FireOutcome]:
        outcomes: dict[ScheduleName, FireOutcome] = {}
        fired = []
        for each in due:
            spec, late = each.entry.spec, now - each.time
            if spec.misfire == "skip" and late > MISFIRE_GRACE:
                reason = _("missed by {n} s, and this schedule does not make up missed fires").format(
                    n=round(late.total_seconds())
                )
                outcomes[spec.name] = await self._firing.skip(DueFire(spec, each.time), reason)
            else:
                fired.append(DueFire(spec, each.time))
        if fired:
            found = await self._firing.fire(fired)
            outcomes |= {each.spec.name: outcome for each, outcome in zip(fired, found, strict=True)}
        return [outcomes[each.entry.spec.name] for each in due]

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

    def _ahead(self) -> timedelta:
        """By how much this machine's clock is ahead of the one that decides."""
        return datetime.now(UTC) - self._clock()

    def _notice_clock_jump(self, now: datetime) -> None:
        before, seen = self._checked, _Clocks(now, self._ahead(), asyncio.get_running_loop().time())
        self._checked = seen
        jump = seen.jump_since(before) if before is not None else None
        if jump is not None and abs(jump) < CLOCK_JUMP:
            return
        if jump is not None:
            log.warning("clock_jumped", seconds=round(jump.total_seconds(), 1))
        self._timer.realign({name: entry.upcoming for name, entry in self._entries.items() if entry.upcoming})


class _Due(NamedTuple):
    """A schedule, the time of a fire of which has come."""

    entry: ScheduleEntry
    time: datetime

    @property
    def about(self) -> dict[str, Any]:
        """What a line of the log names."""
        spec = self.entry.spec
        return {"schedule": spec.name, "store": spec.store, "fire_time": self.time.isoformat()}


@dataclass(frozen=True, slots=True)
class _Clocks:
    """What clocks said at one moment.

    Args:
        now: the one that decides.
        ahead: by how much this machine's was ahead of that.
        ticks: the loop's, seconds.
    """

    now: datetime
    ahead: timedelta
    ticks: float

    def jump_since(self, before: "_Clocks") -> timedelta:
        """By how much more than time has passed one of the two has moved since, whichever has moved further."""
        passed = timedelta(seconds=self.ticks - before.ticks)
        jumps = self.now - before.now - passed, self.now + self.ahead - before.now - before.ahead - passed
        return max(jumps, key=abs)


def _task_name(due: Sequence[_Due]) -> str:
    first, others = due[0], f" and {len(due) - 1} more" if len(due) > 1 else ""
    return f"fire {first.entry.spec.name} {first.time:%Y-%m-%dT%H:%MZ}{others}"


def _text(job_id: JobId | None) -> str | None:
    return None if job_id is None else str(job_id)
