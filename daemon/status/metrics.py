"""The daemon's figures for Prometheus. A scrape costs a few small queries; without the database it reports the rest."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from daemon.api.status import Check
from daemon.ids import JobId
from daemon.jobs.model import Counters, Job
from daemon.open_files import open_files
from daemon.status.connections import Connections
from daemon.status.guessing import Guesses
from daemon.status.metric_rows import OF_DATABASE, OF_PROCESS, Scrape
from daemon.status.parts import StatusParts
from daemon.status.sse import EventStreams
from daemon.status.survey import Survey

CONTENT_TYPE = CONTENT_TYPE_LATEST

MOST_JOBS = 10_000  # whose counters are remembered


class RowCounter:
    """Sums up the outcome of rows, from the changes of jobs that the hub reports.

    The counters of jobs only go up, and the hub reports each job's last state, so nothing is missed; what jobs
    had counted before the daemon started is left out.
    """

    def __init__(self, started_at: datetime) -> None:
        self._started_at = started_at
        self._known: OrderedDict[JobId, Counters] = OrderedDict()
        self.totals: dict[tuple[str, str], Counters] = {}  # by store and type

    def count(self, job: Job) -> None:
        """Take in a job's present state."""
        present = Counters(job.created, job.updated, job.skipped, job.failed)
        before = self._known.get(job.id)
        if before is None:
            before = Counters() if job.created_at >= self._started_at else present
        stream = (job.store, job.type)
        self.totals[stream] = self.totals.get(stream, Counters()) + _difference(present, before)
        self._known[job.id] = present
        self._known.move_to_end(job.id)
        if len(self._known) > MOST_JOBS:
            self._known.popitem(last=False)


class Metrics:
    """Answers scrapes."""

    def __init__(self, parts: StatusParts, streams: EventStreams, connections: Connections, guesses: Guesses) -> None:
        self._parts = parts
        self._streams = streams
        self._connections = connections
        self._guesses = guesses
        self._rows = RowCounter(parts.started_at)
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)

    async def follow(self) -> None:
        """Count the rows of jobs, until cancelled."""
        with self._parts.hub.subscribe() as subscription:
            while True:
                for event in await subscription.take():
                    self._rows.count(event.job)

    async def scrape(self, checks: Sequence[Check], survey: Survey | None) -> bytes:
        """All figures in Prometheus' text format; those of the database are left out where there is no survey."""
        scrape = Scrape(
            self._parts,
            self._streams,
            self._connections,
            self._guesses,
            self._rows.totals,
            checks,
            await _loop_lag(),
            open_files(),
            self._parts.conditions.current(),
            self._parts.conditions.storage(),
        )
        families = [family for metric in OF_PROCESS for family in metric.families(scrape)]
        if survey is not None:
            families += [family for metric in OF_DATABASE for family in metric.families(survey)]
        return generate_latest(_Families(self._process, families))


class _Families(Collector):
    """The process's own metrics, then the given ones."""

    def __init__(self, process: CollectorRegistry, families: Sequence[Metric]) -> None:
        self._process = process
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._process.collect()
        yield from self._families


async def _loop_lag() -> float:
    began = time.perf_counter()
    await asyncio.sleep(0)
    return time.perf_counter() - began


def _difference(present: Counters, before: Counters) -> Counters:
    return Counters(
        created=max(present.created - before.created, 0),
        updated=max(present.updated - before.updated, 0),
        skipped=max(present.skipped - before.skipped, 0),
        failed=max(present.failed - before.failed, 0),
    )
