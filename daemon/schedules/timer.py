"""The only module that knows APScheduler: wakes the scheduler at the fire times of its schedules."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from daemon.ids import ScheduleName
from daemon.schedules.model import Timetable


class Timer:
    """Calls `wake(name)` in the running loop whenever a fire time of that schedule has come.

    A hint, no more: it says nothing of fire times that passed while the process was stopped or suspended.

    Args:
        ahead: by how much this machine's clock, which APScheduler goes by, is ahead of the one that decides.
    """

    def __init__(
        self, wake: Callable[[ScheduleName], None], ahead: Callable[[], timedelta] = lambda: timedelta(0)
    ) -> None:
        self._ahead = ahead
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": _HandOver(wake)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Begin to wake."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop waking."""
        self._scheduler.remove_all_jobs()
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # APScheduler shuts down in a callback of the loop

    def set(self, name: ScheduleName, timetable: Timetable) -> None:
        """Wake at the fire times of a timetable from now on, in place of any earlier one of that name."""
        self._scheduler.add_job(
            _never_called, _Trigger(timetable, self._ahead), id=name, name=name, replace_existing=True
        )

    def remove(self, name: ScheduleName) -> None:
        """Stop waking for this name."""
        if self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    def realign(self, upcoming: Mapping[ScheduleName, datetime]) -> None:
        """Set the next fire times anew after a jump of a clock: they are waited for on the monotonic one."""
        self._scheduler.pause()  # so that the loop's timer is set once, not once for each schedule
        ahead = self._ahead()
        for name, fire_time in upcoming.items():
            if self._scheduler.get_job(name) is not None:
                self._scheduler.modify_job(name, next_run_time=fire_time + ahead)
        self._scheduler.resume()


class _Trigger(BaseTrigger):  # type: ignore[misc]
    """A timetable as APScheduler's trigger. It coalesces by itself, whatever number of fire times has passed."""

    def __init__(self, timetable: Timetable, ahead: Callable[[], timedelta]) -> None:
        self._timetable = timetable
        self._ahead = ahead

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:  # noqa: ARG002
        """The next fire from now on, both by this machine's clock."""
        ahead = self._ahead()
        fire_time = self._timetable.next_fire(now - ahead)
        return None if fire_time is None else fire_time + ahead


class _HandOver(BaseExecutor):  # type: ignore[misc]
    """Hands what APScheduler finds due to the owner of the timer.

    APScheduler's own executor for asyncio makes tasks that nobody owns, and cancels them in the middle at shutdown.
    """

    def __init__(self, wake: Callable[[ScheduleName], None]) -> None:
        super().__init__()
        self._wake = wake

    def submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:  # noqa: ARG002
        """Wake the owner for the schedule that this job stands for."""
        self._wake(ScheduleName(job.id))

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        raise NotImplementedError("submit_job does not come here")


def _never_called() -> None:
    """APScheduler wants a function for a job; `_HandOver` stands in for it."""
