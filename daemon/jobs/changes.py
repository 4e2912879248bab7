"""What changes of jobs are made of on their way to readers, a reader's mailbox, and the changes of late.

All of it is bounded: a reader that would need more than MOST_CHANGES learns so (`News.is_overrun`, None) and starts
again with a snapshot.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import orjson

from daemon.ids import JobId
from daemon.jobs.model import Job

MOST_CHANGES = 500  # jobs
MOST_BYTES = 4 * 2**20  # of their JSON
# A version is taken in the last statement before its commit, and a session that is idle in its transaction is ended
# within a minute (`idle_in_transaction_session_timeout`): no version becomes visible later than this.
LATE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job's row at one version, encoded once for all readers."""

    job: Job
    data: bytes  # JSON of the job as the endpoint shows it


@dataclass(frozen=True, slots=True)
class Pruning:
    """Of the jobs that ended at `ended_until` or before, only those in `kept` are still there."""

    version: int  # from the sequence of the jobs' versions
    ended_until: datetime
    kept: Sequence[JobId]
    data: bytes  # JSON of all this, encoded once for all readers

    @classmethod
    def of(cls, version: int, ended_until: datetime, kept: Sequence[JobId]) -> Self:
        """The pruning, encoded."""
        data = orjson.dumps({"version": version, "ended_until": ended_until, "kept": kept})
        return cls(version, ended_until, kept, data)


@dataclass(frozen=True, slots=True)
class News:
    """What a mailbox held."""

    events: list[JobEvent]  # oldest first
    pruning: Pruning | None  # later than the events
    is_overrun: bool  # there was more than a mailbox holds: only a snapshot tells the present state


class Subscription:
    """One reader's mailbox: holds the latest state of each job, so that a slow reader misses steps but no state.

    Args:
        most: how many jobs it holds at most; None for readers within the daemon, which are never slow.
        position: of the first change that can be in it (see `RecentChanges`).
    """

    def __init__(self, most: int | None = None, position: int = 0) -> None:
        self.position = position
        self._most = most
        self._latest: dict[JobId, JobEvent] = {}
        self._pruning: Pruning | None = None
        self._is_overrun = False
        self._wakeup = asyncio.Event()

    def put(self, event: JobEvent) -> None:
        """Leave an event; an older one of the same job is replaced."""
        if self._is_overrun:
            return
        self._latest.pop(event.job.id, None)
        self._latest[event.job.id] = event
        if self._most is not None and len(self._latest) > self._most:
            self.overrun()
        self._wakeup.set()

    def put_pruning(self, pruning: Pruning) -> None:
        """Leave word of jobs that are gone; a later pruning says all that an earlier one did."""
        self._pruning = pruning
        self._wakeup.set()

    def overrun(self) -> None:
        """Leave word that the reader has to begin anew."""
        self.clear()
        self._is_overrun = True
        self._wakeup.set()

    def clear(self) -> None:
        """Forget what the reader has got in another way."""
        self._latest.clear()
        self._pruning = None
        self._is_overrun = False
        self._wakeup.clear()

    async def take_news(self) -> News:
        """Wait for news and take all that there are."""
        await self._wakeup.wait()
        news = News(list(self._latest.values()), self._pruning, self._is_overrun)
        self.clear()
        return news

    async def take(self) -> list[JobEvent]:
        """Wait for events and take all that there are, oldest first."""
        while True:
            news = await self.take_news()
            if news.events:
                return news.events


class RecentChanges:
    """The last states of the jobs that changed last, in the order in which they were published.

    Each publication has a position. A reader that begins with something read at a position needs what comes after it.
    """

    def __init__(self) -> None:
        self.position = 0
        self._events: OrderedDict[JobId, tuple[int, JobEvent]] = OrderedDict()
        self._by_version: list[JobEvent] | None = None  # made when it is asked for
        self._bytes = 0
        self._latest_version = 0
        self.is_complete = False  # from some version on: since the hub caught up for the first time
        # Of what may be missing here, the greatest:
        self._missing_position = 0
        self._missing_version = 0
        self._missing_time: datetime | None = None

    def __len__(self) -> int:
        return len(self._events)

    def start(self, floor: int, latest: int, at: datetime) -> None:
        """All changes after the version `floor` are here from now on; `latest` had been given out at the time `at`."""
        oldest = min((event.job.updated_at for _, event in self._events.values()), default=at)
        self.is_complete = True
        self._latest_version = max(self._latest_version, latest)
        if floor > 0:
            self._missing_version = max(self._missing_version, floor)
            self._missing_time = max(self._missing_time or oldest, oldest)

    def put(self, event: JobEvent) -> None:
        """Take in a job's latest state."""
        self.position += 1
        self._by_version = None
        self._remove(event.job.id)
        self._events[event.job.id] = (self.position, event)
        self._bytes += len(event.data)
        self._latest_version = max(self._latest_version, event.job.version)
        while len(self._events) > MOST_CHANGES or (self._bytes > MOST_BYTES and len(self._events) > 1):
            position, dropped = self._events[next(iter(self._events))]
            self._remove(dropped.job.id)
            self._missing_position = position
            self._missing_version = max(self._missing_version, dropped.job.version)
            self._missing_time = max(self._missing_time or dropped.job.updated_at, dropped.job.updated_at)

    def prune(self, pruning: Pruning) -> None:
        """Forget jobs that are gone. A reader from before the pruning may show more of them than are here."""
        kept = frozenset(pruning.kept)
        for _, event in list(self._events.values()):
            ended = event.job.completed_at
            if ended is not None and ended <= pruning.ended_until and event.job.id not in kept:
                self._remove(event.job.id)
        self.position += 1
        self._by_version = None
        self._missing_position = self.position  # what was read before may hold what is gone
        self._latest_version = max(self._latest_version, pruning.version)
        self._missing_version = max(self._missing_version, pruning.version)

    def reaches(self, position: int) -> bool:
        """Whether all that was published after a position is still here."""
        return position >= self._missing_position

    def after(self, position: int) -> list[JobEvent] | None:
        """What was published after a position, oldest first; None if some of it is no longer here."""
        if not self.reaches(position):
            return None
        found = []
        for at, event in reversed(self._events.values()):
            if at <= position:
                break
            found.append(event)
        return found[::-1]

    def since(self, version: int) -> list[JobEvent] | None:
        """What somebody may lack who has got everything up to `version`, by version; None if that is not known.

        That is what has a later version, and what has an earlier one that may have become visible later.
        """
        if not self.is_complete or not self._missing_version <= version <= self._latest_version:
            return None
        if self._by_version is None:  # who comes back at the same time shares it
            self._by_version = sorted((event for _, event in self._events.values()), key=_version)
        events = self._by_version
        first_newer = bisect_right(events, version, key=_version)
        known = max((event.job.updated_at for event in events[:first_newer]), default=None)
        horizon = known - LATE if known else None  # what changed before has been visible to the reader
        if self._missing_time is not None and (horizon is None or horizon < self._missing_time):
            return None
        late = [event for event in events[:first_newer] if horizon is not None and event.job.updated_at > horizon]
        return late + events[first_newer:]

    def _remove(self, job_id: JobId) -> None:
        found = self._events.pop(job_id, None)
        if found is not None:
            self._bytes -= len(found[1].data)


def _version(event: JobEvent) -> int:
    return event.job.version
