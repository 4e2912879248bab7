"""What the scheduler keeps in memory of one schedule."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from daemon.ids import WorkerName
from daemon.schedules.fires import ScheduleRecord
from daemon.schedules.model import FireOutcome, FireRecord, FireResult, ScheduleSpec, ScheduleState, Timetable

RETRY_PAUSE = 15.0  # seconds after the second failure in a row; the first is tried again by the next sweep
LONGEST_PAUSE = 300.0


@dataclass(slots=True, eq=False)
class ScheduleEntry:
    """A schedule, where the clock stands in its timetable, and what is known of its fires.

    Args:
        since: fires up to this time are not made up.
    """

    spec: ScheduleSpec
    timetable: Timetable
    since: datetime
    due: datetime | None = field(init=False)  # the latest fire time that has come
    upcoming: datetime | None = field(init=False)
    paused: bool = False
    settled: datetime | None = None  # a fire time that needs nothing more from this daemon
    last: FireRecord | None = None
    task: asyncio.Task[None] | None = None  # of the fire that has begun last
    failed: datetime | None = None  # the fire time that did not succeed last
    failures: int = 0  # of that fire time
    retry_at: float = 0.0  # the loop's time before which that fire time is not tried again
    ahead: list[datetime] = field(default_factory=list)  # fire times from `upcoming` on, as far as they were asked for

    def __post_init__(self) -> None:
        self._look_up(self.since)

    def advance(self, now: datetime) -> None:
        """Follow the clock, forward or back. Costs nothing while no fire time is passed."""
        passed = self.upcoming is not None and now >= self.upcoming
        went_back = self.due is not None and now < self.due
        if passed or went_back:
            self._look_up(now)

    def unsettled(self, ticks: float) -> datetime | None:
        """The fire time that has come and still has to be dealt with; None if there is none, or not yet.

        `ticks` is the loop's time in seconds.
        """
        if self.due is None or self.due <= self.since or self.due == self.settled or self.paused:
            return None
        if (self.task is not None and not self.task.done()) or (self.due == self.failed and ticks < self.retry_at):
            return None
        return self.due

    def learn(self, situation: ScheduleRecord, asked: datetime | None) -> None:
        """Take over what the database knew of the fire at the time `asked`, which need not be the due one by now."""
        self.paused = situation.paused
        if situation.since is not None:
            self.since = situation.since
        if situation.recorded and asked == self.due:
            self.settled = asked
        if situation.last and (self.last is None or situation.last.fire_time >= self.last.fire_time):
            self.last = situation.last

    def settle(self, fire_time: datetime, outcome: FireOutcome, worker: WorkerName, now: datetime) -> None:
        """Note that a fire has been dealt with."""
        self.settled = fire_time
        if outcome.result is not FireResult.NOT_CLAIMED:
            spec = self.spec
            self.last = FireRecord(
                spec.store, spec.name, fire_time, outcome.job_id, outcome.result, outcome.detail, worker, now
            )

    def fail(self, fire_time: datetime, ticks: float) -> float:
        """Note that a fire did not succeed; returns after how many seconds to try again at the earliest."""
        self.failures = self.failures + 1 if fire_time == self.failed else 0
        self.failed = fire_time
        seconds = min(RETRY_PAUSE * (2.0**self.failures - 1), LONGEST_PAUSE)
        self.retry_at = ticks + seconds
        return seconds

    def state(self, now: datetime) -> ScheduleState:
        """Where the schedule stands."""
        self.advance(now)
        last = self.last
        return ScheduleState(
            spec=self.spec,
            next_fire=None if self.paused else self.upcoming,
            last_fire=last.fire_time if last else None,
            last_outcome=last.outcome if last else None,
            last_job_id=last.job_id if last else None,
            last_detail=last.detail if last else None,
            paused=self.paused,
        )

    def next_fires(self, now: datetime, most: int) -> list[datetime]:
        """The next fire times; none while it is paused. Costs little where they were asked for before."""
        self.advance(now)
        if self.paused or self.upcoming is None:
            return []
        if self.upcoming in self.ahead:
            self.ahead = self.ahead[self.ahead.index(self.upcoming) :]
        else:
            self.ahead = [self.upcoming]
        while len(self.ahead) < most and (later := self.timetable.next_fire(self.ahead[-1])) is not None:
            self.ahead.append(later)
        return self.ahead[:most]

    def _look_up(self, now: datetime) -> None:
        self.due = self.timetable.previous_fire(now)
        self.upcoming = self.timetable.next_fire(now)
