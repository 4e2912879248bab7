"""The daemon's figures for Prometheus. A scrape costs a few small queries; without the database the rest is told."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime
from platform import python_version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from daemon.api.status import Check
from daemon.ids import JobId
from daemon.jobs.model import Counters, Job
from daemon.open_files import open_files
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport
from daemon.status.connections import Connections, Cut
from daemon.status.guessing import Guesses
from daemon.status.parts import StatusParts
from daemon.status.sse import EventStreams
from daemon.status.survey import Survey

CONTENT_TYPE = CONTENT_TYPE_LATEST

METRICS: Final[dict[str, str]] = {
    "dongbo_build_info": "The running version; always 1.",
    "dongbo_ready": "Whether all checks of /readyz pass.",
    "dongbo_check": "Whether a check of /readyz passes.",
    "dongbo_jobs": "Jobs that the database keeps, by type and status.",
    "dongbo_running_job_processed_rows": "Rows that a running job has seen.",
    "dongbo_running_job_rows": "Rows that a running job expects, where its source can tell.",
    "dongbo_job_rows_total": "Rows that jobs have dealt with since this daemon started, by outcome.",
    "dongbo_waiting_approvals": "Jobs that wait for a person's approval.",
    "dongbo_pushes_total": "Values pushed to Shopify since this daemon started, by any daemon, by kind and result.",
    "dongbo_open_pushes": "Pushes of which it is not known yet what became of them.",
    "dongbo_places_left_out": "Configured places that the last product sync could push no stock to or from, by kind.",
    "dongbo_sale_campaigns": "Sale campaigns that the database keeps, by state.",
    "dongbo_sale_overdue_seconds": "For how long a start or end of an open campaign has been due and has not happened.",
    "dongbo_sale_drifted_variants": "Variants of an open campaign whose price somebody else has changed.",
    "dongbo_token_expiry_timestamp_seconds": "When an access token ends that a person must renew.",
    "dongbo_credential_refused": "Whether a source refuses the token or secret with which a store signs in.",
    "dongbo_missing_scopes": "Access scopes that the jobs of a store need at Shopify and that are not granted.",
    "dongbo_shopify_api_version_supported_until_timestamp_seconds": (
        "Until when Shopify supports the version of its API that is asked for; `served` is the one of its answers."
    ),
    "dongbo_source_clock_offset_seconds": "By how much a source's clock is ahead of this machine's, at least.",
    "dongbo_last_success_timestamp_seconds": "When a job of the store and type completed last.",
    "dongbo_schedule_next_fire_timestamp_seconds": "When the schedule fires next.",
    "dongbo_schedule_last_fire_timestamp_seconds": "When the schedule fired last.",
    "dongbo_schedule_paused": "Whether the schedule is paused.",
    "dongbo_pool_connections": "Connections to the database that are open.",
    "dongbo_pool_connections_in_use": "Connections to the database that are lent out.",
    "dongbo_pool_connections_max": "Connections to the database that may be open.",
    "dongbo_hub_listening": "Whether changes of jobs are heard of at once.",
    "dongbo_notification_lag_seconds": "From sending a notification to hearing it, as last measured.",
    "dongbo_event_streams": "Readers of /api/events.",
    "dongbo_connections": "Connections to the endpoint, by what they are doing.",
    "dongbo_connections_max": "Connections to the endpoint that may be open.",
    "dongbo_connections_cut_total": "Connections that the endpoint has ended or refused, by reason.",
    "dongbo_wrong_tokens_total": "Wrong tokens that were shown to the endpoint.",
    "dongbo_open_files": "Files that the process has open; connections are files, too.",
    "dongbo_open_files_max": "Files that the process may have open.",
    "dongbo_event_loop_lag_seconds": "How long a callback waited for its turn, at this scrape.",
}
"""Every metric of ours by its name, with its meaning. Those of the process come on top (process_…, python_gc_…)."""

OUTCOMES = ("created", "updated", "skipped", "failed")
MOST_JOBS = 10_000  # whose counters are remembered


class RowCounter:
    """Sums up what becomes of rows, out of the changes of jobs that the hub tells of.

    The counters of jobs go up only, and the hub tells of each job's last state, so nothing is missed; what jobs
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
        """All figures in Prometheus' text format; those of the table are left out where there is no survey."""
        lag = await _loop_lag()
        families = [
            *self._of_process(checks, lag),
            *self._of_connections(),
            *self._of_schedules(),
            *_of_credentials(self._parts.credentials()),
            _of_clocks(self._parts.clocks()),
            *(self._of_survey(survey) if survey else ()),
        ]
        return generate_latest(_Scrape(self._process, families))

    def _of_process(self, checks: Sequence[Check], loop_lag: float) -> Iterator[Metric]:
        hub, usage = self._parts.hub, self._parts.database.usage()
        build = _gauge("dongbo_build_info", "version", "python")
        build.add_metric([self._parts.version, python_version()], 1)
        yield build
        yield _value("dongbo_ready", all(check.ok for check in checks))
        each = _gauge("dongbo_check", "check")
        for check in checks:
            each.add_metric([check.name], check.ok)
        yield each
        yield _value("dongbo_pool_connections", usage.size)
        yield _value("dongbo_pool_connections_in_use", usage.in_use)
        yield _value("dongbo_pool_connections_max", usage.max)
        yield _value("dongbo_hub_listening", hub.is_listening)
        if hub.notification_lag is not None:
            yield _value("dongbo_notification_lag_seconds", hub.notification_lag)
        yield _value("dongbo_event_streams", len(self._streams))
        yield _value("dongbo_event_loop_lag_seconds", loop_lag)
        rows = CounterMetricFamily(
            "dongbo_job_rows_total", METRICS["dongbo_job_rows_total"], labels=["store", "type", "outcome"]
        )
        for (store, job_type), counters in self._rows.totals.items():
            for outcome in OUTCOMES:
                rows.add_metric([store, job_type, outcome], getattr(counters, outcome))
        yield rows

    def _of_connections(self) -> Iterator[Metric]:
        open_now = _gauge("dongbo_connections", "state")
        for state, count in self._connections.by_state().items():
            open_now.add_metric([state], count)
        yield open_now
        yield _value("dongbo_connections_max", self._connections.most)
        cut = CounterMetricFamily(
            "dongbo_connections_cut_total", METRICS["dongbo_connections_cut_total"], labels=["reason"]
        )
        for reason in Cut:
            cut.add_metric([reason], self._connections.cuts[reason])
        yield cut
        yield CounterMetricFamily(
            "dongbo_wrong_tokens_total", METRICS["dongbo_wrong_tokens_total"], self._guesses.total
        )
        files = open_files()
        yield _value("dongbo_open_files", files.count)
        yield _value("dongbo_open_files_max", files.limit)

    def _of_survey(self, survey: Survey) -> Iterator[Metric]:
        yield from _of_table(survey)
        yield from _of_sales(survey, self._parts.sales.clock())

    def _of_schedules(self) -> Iterator[Metric]:
        next_fire = _gauge("dongbo_schedule_next_fire_timestamp_seconds", "store", "schedule")
        last_fire = _gauge("dongbo_schedule_last_fire_timestamp_seconds", "store", "schedule")
        paused = _gauge("dongbo_schedule_paused", "store", "schedule")
        for state in self._parts.scheduler.states():
            labels = [state.spec.store, state.spec.name]
            paused.add_metric(labels, state.paused)
            for family, fire in ((next_fire, state.next_fire), (last_fire, state.last_fire)):
                if fire is not None:
                    family.add_metric(labels, fire.timestamp())
        yield from (next_fire, last_fire, paused)


class _Scrape(Collector):
    """The process's own metrics, then the given ones."""

    def __init__(self, process: CollectorRegistry, families: Sequence[Metric]) -> None:
        self._process = process
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._process.collect()
        yield from self._families


def _of_table(survey: Survey) -> Iterator[Metric]:
    jobs = _gauge("dongbo_jobs", "type", "status")
    for job_type, status, count in survey.counts:
        jobs.add_metric([job_type, status], count)
    yield jobs
    processed = _gauge("dongbo_running_job_processed_rows", "store", "type")
    expected = _gauge("dongbo_running_job_rows", "store", "type")
    for job in survey.running:
        processed.add_metric([job.store, job.type], job.processed)
        if job.total is not None:
            expected.add_metric([job.store, job.type], job.total)
    yield from (processed, expected)
    waiting = _gauge("dongbo_waiting_approvals", "store", "type")
    for job in survey.waiting:
        waiting.add_metric([job.store, job.type], 1)  # one of a store and type can wait at a time
    yield waiting
    pushed = CounterMetricFamily(
        "dongbo_pushes_total", METRICS["dongbo_pushes_total"], labels=["store", "kind", "result"]
    )
    for key, count in survey.settled_pushes.items():
        pushed.add_metric(key, count)
    under_way = _gauge("dongbo_open_pushes", "store")
    for store, count in survey.open_pushes:
        under_way.add_metric([store], count)
    yield from (pushed, under_way)
    success = _gauge("dongbo_last_success_timestamp_seconds", "store", "type")
    for store, job_type, completed_at in survey.last_completed:
        success.add_metric([store, job_type], completed_at.timestamp())
    yield success
    left_out = _gauge("dongbo_places_left_out", "store", "kind")
    for places in survey.left_out:
        left_out.add_metric([places.store, "location"], len(places.locations))
        left_out.add_metric([places.store, "depot"], len(places.depots))
    yield left_out


def _of_sales(survey: Survey, now: datetime) -> Iterator[Metric]:
    campaigns = _gauge("dongbo_sale_campaigns", "store", "state")
    for store, state, count in survey.sales:
        campaigns.add_metric([store, state], count)
    overdue = _gauge("dongbo_sale_overdue_seconds", "store", "campaign", "edge")
    drifted = _gauge("dongbo_sale_drifted_variants", "store", "campaign")
    for sale in survey.open_sales:
        overdue.add_metric([sale.store, sale.name, "start"], sale.overdue_start(now))
        overdue.add_metric([sale.store, sale.name, "end"], sale.overdue_end(now))
        if sale.id in survey.drifted:
            drifted.add_metric([sale.store, sale.name], survey.drifted[sale.id])
    yield from (campaigns, overdue, drifted)


def _of_credentials(reports: Sequence[CredentialReport]) -> Iterator[Metric]:
    expiry = _gauge("dongbo_token_expiry_timestamp_seconds", "store", "source")
    refused = _gauge("dongbo_credential_refused", "store", "source")
    missing = _gauge("dongbo_missing_scopes", "store")
    version = _gauge("dongbo_shopify_api_version_supported_until_timestamp_seconds", "store", "served")
    for report in reports:
        if report.api_version is not None and report.api_supported_until is not None:
            version.add_metric([report.store, report.api_version], report.api_supported_until.timestamp())
        if report.expires_at is not None:
            expiry.add_metric([report.store, report.source], report.expires_at.timestamp())
        if report.works is not None:
            refused.add_metric([report.store, report.source], not report.works)
        if report.missing_scopes is not None:
            missing.add_metric([report.store], len(report.missing_scopes))
    yield from (expiry, refused, missing, version)


def _of_clocks(reports: Sequence[ClockReport]) -> Metric:
    offset = _gauge("dongbo_source_clock_offset_seconds", "store", "source")
    for report in reports:
        offset.add_metric([report.store, report.source], report.offset_seconds)
    return offset


async def _loop_lag() -> float:
    began = time.perf_counter()
    await asyncio.sleep(0)
    return time.perf_counter() - began


def _gauge(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], labels=labels)


def _value(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], value=value)


def _difference(present: Counters, before: Counters) -> Counters:
    return Counters(
        created=max(present.created - before.created, 0),
        updated=max(present.updated - before.updated, 0),
        skipped=max(present.skipped - before.skipped, 0),
        failed=max(present.failed - before.failed, 0),
    )
