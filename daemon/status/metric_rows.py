"""The daemon's own metrics: name, meaning, labels, and value at a scrape. One row each."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from platform import python_version
from typing import Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from daemon.api.conditions import Condition, StreamReport
from daemon.api.status import Check
from daemon.conditions.watch import Judgement
from daemon.jobs.model import Counters
from daemon.open_files import OpenFiles
from daemon.schedules.model import ScheduleState
from daemon.sources.credential import CredentialReport
from daemon.status.connections import Connections, Cut
from daemon.status.guessing import Guesses
from daemon.status.parts import StatusParts
from daemon.status.sse import EventStreams
from daemon.status.survey import Survey

S = TypeVar("S")

Samples = Iterable[tuple[Sequence[str], float]]
"""The values of the labels, and the metric's value with them."""

OUTCOMES: Final = ("created", "updated", "skipped", "failed")


@dataclass(frozen=True, slots=True)
class Scrape:
    """What the process knows about itself at a scrape.

    Args:
        rows: the outcome of rows since the start, by store and type of job.
        loop_lag: seconds.
    """

    parts: StatusParts
    streams: EventStreams
    connections: Connections
    guesses: Guesses
    rows: Mapping[tuple[str, str], Counters]
    checks: Sequence[Check]
    loop_lag: float
    files: OpenFiles
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class MetricDescription(Generic[S]):
    """A metric.

    Args:
        samples: what it is, by its labels; one without labels that has no value is left out.
        is_counter: whether it only goes up; else it is a gauge.
    """

    name: str
    meaning: str
    samples: Callable[[S], Samples]
    labels: tuple[str, ...] = ()
    is_counter: bool = False

    def families(self, subject: S) -> Iterator[Metric]:
        """The metric as prometheus_client takes it."""
        samples = list(self.samples(subject))
        if not samples and not self.labels:
            return
        family: CounterMetricFamily | GaugeMetricFamily
        if self.is_counter:
            family = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
        else:
            family = GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        yield family


def _value(value: Callable[[S], float | None]) -> Callable[[S], Samples]:
    """The samples of a metric without labels; None: there is no value yet."""
    return lambda subject: () if (present := value(subject)) is None else (((), present),)


def _rows(scrape: Scrape) -> Samples:
    for (store, job_type), counters in scrape.rows.items():
        for outcome in OUTCOMES:
            yield (store, job_type, outcome), getattr(counters, outcome)


def _fires(fire: Callable[[ScheduleState], datetime | None]) -> Callable[[Scrape], Samples]:
    """When each schedule fires, of those that do."""
    return lambda scrape: (
        ((state.spec.store, state.spec.name), moment.timestamp())
        for state in scrape.parts.scheduler.states()
        if (moment := fire(state)) is not None
    )


def _of_credentials(value: Callable[[CredentialReport], float | None]) -> Callable[[Scrape], Samples]:
    """A value of each credential, of those that have one."""
    return lambda scrape: (
        ((report.store, report.source), present)
        for report in scrape.parts.credentials()
        if (present := value(report)) is not None
    )


def _expiry(report: CredentialReport) -> float | None:
    return report.expires_at.timestamp() if report.expires_at is not None else None


def _is_refused(report: CredentialReport) -> bool | None:
    return not report.works if report.works is not None else None


def _missing_scopes(scrape: Scrape) -> Samples:
    for report in scrape.parts.credentials():
        if report.missing_scopes is not None:
            yield (report.store,), len(report.missing_scopes)


def _supported_until(scrape: Scrape) -> Samples:
    for report in scrape.parts.credentials():
        if report.api_version is not None and report.api_supported_until is not None:
            yield (report.store, report.api_version), report.api_supported_until.timestamp()


def _left_out(survey: Survey) -> Samples:
    for places in survey.facts.left_out:
        yield (places.store, "location"), len(places.locations)
        yield (places.store, "depot"), len(places.depots)


def _overdue(survey: Survey) -> Samples:
    for sale in survey.facts.open_sales:
        yield (sale.store, sale.name, "start"), sale.overdue_start(survey.now)
        yield (sale.store, sale.name, "end"), sale.overdue_end(survey.now)


def _drifted(survey: Survey) -> Samples:
    for sale in survey.facts.open_sales:
        if sale.id in survey.facts.drifted:
            yield (sale.store, sale.name), survey.facts.drifted[sale.id]


def _of_conditions(value: Callable[[Condition], float]) -> Callable[[Scrape], Samples]:
    """A value of each condition that holds."""
    return lambda scrape: (
        ((each.name, each.store or "", each.severity, each.id), value(each)) for each in scrape.judgement.conditions
    )


def _of_streams(value: Callable[[StreamReport], float | None]) -> Callable[[Scrape], Samples]:
    """A value of each stream, of those that have one; of none while the database is away."""
    return lambda scrape: (
        ((stream.store, stream.type), present)
        for stream in scrape.judgement.streams or ()
        if (present := value(stream)) is not None
    )


def _timestamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


OF_PROCESS: Final[tuple[MetricDescription[Scrape], ...]] = (
    MetricDescription(
        "dongbo_build_info",
        "The running version; always 1.",
        lambda scrape: (((scrape.parts.version, python_version()), 1),),
        ("version", "python"),
    ),
    MetricDescription(
        "dongbo_ready",
        "Whether all checks of /readyz pass.",
        _value(lambda scrape: all(check.ok for check in scrape.checks)),
    ),
    MetricDescription(
        "dongbo_check",
        "Whether a check of /readyz passes.",
        lambda scrape: (((check.name,), check.ok) for check in scrape.checks),
        ("check",),
    ),
    MetricDescription(
        "dongbo_pool_connections",
        "Connections to the database that are open.",
        _value(lambda scrape: scrape.parts.database.usage().size),
    ),
    MetricDescription(
        "dongbo_pool_connections_in_use",
        "Connections to the database that are in use.",
        _value(lambda scrape: scrape.parts.database.usage().in_use),
    ),
    MetricDescription(
        "dongbo_pool_connections_max",
        "Connections to the database that may be open.",
        _value(lambda scrape: scrape.parts.database.usage().max),
    ),
    MetricDescription(
        "dongbo_hub_listening",
        "Whether changes of jobs are heard at once.",
        _value(lambda scrape: scrape.parts.hub.is_listening),
    ),
    MetricDescription(
        "dongbo_notification_lag_seconds",
        "From sending a notification to hearing it, as last measured.",
        _value(lambda scrape: scrape.parts.hub.notification_lag),
    ),
    MetricDescription("dongbo_event_streams", "Readers of /api/events.", _value(lambda scrape: len(scrape.streams))),
    MetricDescription(
        "dongbo_event_loop_lag_seconds",
        "How long a callback waited for its turn, at this scrape.",
        _value(lambda scrape: scrape.loop_lag),
    ),
    MetricDescription(
        "dongbo_job_rows_total",
        "Rows that jobs have processed since this daemon started, by outcome.",
        _rows,
        ("store", "type", "outcome"),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_connections",
        "Connections to the endpoint, by what they are doing.",
        lambda scrape: (((state,), count) for state, count in scrape.connections.by_state().items()),
        ("state",),
    ),
    MetricDescription(
        "dongbo_connections_max",
        "Connections to the endpoint that may be open.",
        _value(lambda scrape: scrape.connections.most),
    ),
    MetricDescription(
        "dongbo_connections_cut_total",
        "Connections that the endpoint has ended or refused, by reason.",
        lambda scrape: (((cut,), scrape.connections.cuts[cut]) for cut in Cut),
        ("reason",),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_wrong_tokens_total",
        "Wrong tokens that were shown to the endpoint.",
        _value(lambda scrape: scrape.guesses.total),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_open_files",
        "Files that the process has open; connections are files, too.",
        _value(lambda scrape: scrape.files.count),
    ),
    MetricDescription(
        "dongbo_open_files_max", "Files that the process may have open.", _value(lambda scrape: scrape.files.limit)
    ),
    MetricDescription(
        "dongbo_schedule_next_fire_timestamp_seconds",
        "When the schedule fires next.",
        _fires(lambda state: state.next_fire),
        ("store", "schedule"),
    ),
    MetricDescription(
        "dongbo_schedule_last_fire_timestamp_seconds",
        "When the schedule fired last.",
        _fires(lambda state: state.last_fire),
        ("store", "schedule"),
    ),
    MetricDescription(
        "dongbo_schedule_paused",
        "Whether the schedule is paused.",
        lambda scrape: (
            ((state.spec.store, state.spec.name), state.paused) for state in scrape.parts.scheduler.states()
        ),
        ("store", "schedule"),
    ),
    MetricDescription(
        "dongbo_token_expiry_timestamp_seconds",
        "When an access token that a person must renew expires.",
        _of_credentials(_expiry),
        ("store", "source"),
    ),
    MetricDescription(
        "dongbo_credential_refused",
        "Whether a source refuses the token or secret with which a store signs in.",
        _of_credentials(_is_refused),
        ("store", "source"),
    ),
    MetricDescription(
        "dongbo_missing_scopes",
        "Access scopes that the jobs of a store need at Shopify and that are not granted.",
        _missing_scopes,
        ("store",),
    ),
    MetricDescription(
        "dongbo_shopify_api_version_supported_until_timestamp_seconds",
        "Until when Shopify supports the version of its API that is asked for; `served` is the one of its answers.",
        _supported_until,
        ("store", "served"),
    ),
    MetricDescription(
        "dongbo_source_clock_offset_seconds",
        "How far a source's clock is ahead of this machine's, at least.",
        lambda scrape: (((report.store, report.source), report.offset_seconds) for report in scrape.parts.clocks()),
        ("store", "source"),
    ),
    MetricDescription(
        "dongbo_condition",
        "Each condition that holds; always 1.",
        _of_conditions(lambda _condition: 1),
        ("name", "store", "severity", "id"),
    ),
    MetricDescription(
        "dongbo_condition_since_timestamp_seconds",
        "Since when each condition holds.",
        _of_conditions(lambda condition: condition.since.timestamp()),
        ("name", "store", "severity", "id"),
    ),
    MetricDescription(
        "dongbo_stream_complete_to_timestamp_seconds",
        "What was there by then is in.",
        _of_streams(lambda stream: _timestamp(stream.complete_to)),
        ("store", "type"),
    ),
    MetricDescription(
        "dongbo_stream_expected_by_timestamp_seconds",
        "When the stream should be complete again by its schedule.",
        _of_streams(lambda stream: _timestamp(stream.expected_by)),
        ("store", "type"),
    ),
    MetricDescription(
        "dongbo_stream_failed_rows",
        "Rows of the stream that could not be stored or pushed, and that nothing has repaired.",
        _of_streams(lambda stream: stream.failed_rows),
        ("store", "type"),
    ),
)
OF_DATABASE: Final[tuple[MetricDescription[Survey], ...]] = (
    MetricDescription(
        "dongbo_jobs",
        "Jobs that the database keeps, by type and status.",
        lambda survey: (((job_type, status), count) for job_type, status, count in survey.counts),
        ("type", "status"),
    ),
    MetricDescription(
        "dongbo_running_job_processed_rows",
        "Rows that a running job has seen.",
        lambda survey: (((job.store, job.type), job.processed) for job in survey.running),
        ("store", "type"),
    ),
    MetricDescription(
        "dongbo_running_job_rows",
        "Rows that a running job expects, where its source can tell.",
        lambda survey: (((job.store, job.type), job.total) for job in survey.running if job.total is not None),
        ("store", "type"),
    ),
    MetricDescription(
        "dongbo_waiting_approvals",
        "Jobs that wait for a person's approval.",
        lambda survey: (((each.store, each.type), 1) for each in survey.facts.questions),  # one a store and type
        ("store", "type"),
    ),
    MetricDescription(
        "dongbo_pushes_total",
        "Values pushed to Shopify since this daemon started, by any daemon, by kind and result.",
        lambda survey: survey.settled_pushes.items(),
        ("store", "kind", "result"),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_open_pushes",
        "Pushes whose outcome is not known yet.",
        lambda survey: (((store,), count) for store, count in survey.open_pushes),
        ("store",),
    ),
    MetricDescription(
        "dongbo_last_success_timestamp_seconds",
        "When a job of the store and type completed last.",
        lambda survey: (((store, job_type), at.timestamp()) for store, job_type, at in survey.last_completed),
        ("store", "type"),
    ),
    MetricDescription(
        "dongbo_places_left_out",
        "Configured places that the last product sync could push no stock to or from, by kind.",
        _left_out,
        ("store", "kind"),
    ),
    MetricDescription(
        "dongbo_sale_campaigns",
        "Sale campaigns that the database keeps, by state.",
        lambda survey: (((store, state), count) for store, state, count in survey.sales),
        ("store", "state"),
    ),
    MetricDescription(
        "dongbo_sale_overdue_seconds",
        "How long a start or end of an open campaign has been overdue.",
        _overdue,
        ("store", "campaign", "edge"),
    ),
    MetricDescription(
        "dongbo_sale_drifted_variants",
        "Variants of an open campaign whose price somebody else has changed.",
        _drifted,
        ("store", "campaign"),
    ),
)
METRICS: Final = (*OF_PROCESS, *OF_DATABASE)
"""Those of the process come on top (process_…, python_gc_…)."""
