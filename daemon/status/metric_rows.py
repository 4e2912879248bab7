"""The daemon's own metrics: name, meaning, labels, and value at a scrape. One row each."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from platform import python_version
from typing import Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from daemon.api.conditions import Condition, StreamReport
from daemon.api.status import Check, Storage
from daemon.conditions.watch import Judgement
from daemon.database.replica import Replica
from daemon.database.usage import ReplicaStanding
from daemon.fleet.members import Member
from daemon.inbox.events import TopicId
from daemon.inbox.topics import TOPICS
from daemon.jobs.model import Counters
from daemon.open_files import OpenFiles
from daemon.roles import DaemonRole, in_order
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
    storage: Storage


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


def _of_replica(value: Callable[[Replica], float | None]) -> Callable[[Scrape], Samples]:
    """A value of the replica, where there is one."""
    return _value(lambda scrape: value(replica) if (replica := scrape.parts.database.replica) is not None else None)


def _replica_reads(scrape: Scrape) -> Samples:
    if (replica := scrape.parts.database.replica) is not None:
        yield ("replica",), replica.reads_here
        yield ("primary",), replica.reads_at_primary


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


def _present(survey: Survey) -> Iterator[Member]:
    """The daemons but for those that have stopped in order."""
    return (member for member in survey.facts.fleet if member.left_at is None)


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


def _of_storage(value: Callable[[Storage], float | None]) -> Callable[[Scrape], Samples]:
    """A figure of where the data is, while it is known."""
    return _value(lambda scrape: value(scrape.storage))


def _timestamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _by_topic(counts: Mapping[TopicId, int]) -> Samples:
    """Of each topic that is understood; the others together, whatever they are called."""
    summed: Counter[tuple[str, str, str]] = Counter()
    for topic, number in counts.items():
        is_understood = (topic.source, topic.name) in TOPICS
        summed[topic.store, topic.source, topic.name if is_understood else "other"] += number
    return summed.items()


def _refused(scrape: Scrape) -> Samples:
    counts = scrape.parts.webhook_counts
    for stream, number in counts.refused.items():
        yield (stream.store, stream.source), number
    yield ("", ""), counts.of_strangers


def _waiting_events(survey: Survey) -> Samples:
    summed: Counter[str] = Counter()
    for waiting in survey.facts.webhooks.waiting:
        summed[waiting.store] += waiting.events
    return (((store,), number) for store, number in summed.items())


def _oldest_waiting(survey: Survey) -> Samples:
    oldest: dict[str, datetime] = {}
    for waiting in survey.facts.webhooks.waiting:
        oldest[waiting.store] = min(waiting.oldest, oldest.get(waiting.store, waiting.oldest))
    return (((store,), (survey.facts.read_at - moment).total_seconds()) for store, moment in oldest.items())


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
        "dongbo_replica_usable",
        "Whether reads of the endpoint are served from the replica.",
        _of_replica(lambda replica: replica.state.standing is ReplicaStanding.KEEPS_UP),
    ),
    MetricDescription(
        "dongbo_replica_lag_seconds",
        "How far the replica was behind at the last look, at most.",
        _of_replica(lambda replica: replica.state.lag_seconds),
    ),
    MetricDescription(
        "dongbo_replica_reads_total",
        "Reads since the start by where they were served: replica, or primary in its place.",
        _replica_reads,
        ("served_by",),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_database_size_bytes",
        "What the database takes up.",
        _of_storage(lambda storage: storage.database_bytes),
    ),
    MetricDescription(
        "dongbo_disk_free_bytes",
        "What is free on the disk with the embedded database.",
        _of_storage(lambda storage: storage.disk_free_bytes),
    ),
    MetricDescription(
        "dongbo_disk_size_bytes",
        "The size of the disk with the embedded database.",
        _of_storage(lambda storage: storage.disk_bytes),
    ),
    MetricDescription(
        "dongbo_oldest_transaction_seconds",
        "How long the oldest transaction in the database has been open; 0 where none is.",
        _of_storage(lambda storage: storage.oldest_transaction_seconds),
    ),
    MetricDescription(
        "dongbo_notification_queue_ratio",
        "The share of the server's queue of notifications that is in use.",
        _of_storage(lambda storage: storage.notification_queue_share),
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
    MetricDescription("dongbo_tasks", "Tasks of the event loop.", lambda _: (((), len(asyncio.all_tasks())),)),
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
        "dongbo_webhooks_received_total",
        "Deliveries of webhooks that this daemon has stored, repeats among them.",
        lambda scrape: _by_topic(scrape.parts.webhook_counts.received),
        ("store", "source", "topic"),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_webhooks_repeated_total",
        "Deliveries of webhooks that were there already.",
        lambda scrape: _by_topic(scrape.parts.webhook_counts.repeated),
        ("store", "source", "topic"),
        is_counter=True,
    ),
    MetricDescription(
        "dongbo_webhooks_refused_total",
        "Deliveries of webhooks with a wrong signature or none; without a store: for one that there is not.",
        _refused,
        ("store", "source"),
        is_counter=True,
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
        "dongbo_fleet_daemons",
        "Daemons on the database that live and do the work of a role.",
        lambda survey: (((role,), sum(member.does(role) for member in survey.facts.fleet)) for role in DaemonRole),
        ("role",),
    ),
    MetricDescription(
        "dongbo_daemon_info",
        "Each daemon on the database that has not stopped in order, and whether it lives; always 1.",
        lambda survey: (
            (
                (
                    member.name,
                    member.host,
                    member.version,
                    ",".join(in_order(member.roles)),
                    str(member.is_live).lower(),
                ),
                1,
            )
            for member in _present(survey)
        ),
        ("daemon", "host", "version", "roles", "live"),
    ),
    MetricDescription(
        "dongbo_daemon_seen_timestamp_seconds",
        "When a daemon on the database has last said that it lives.",
        lambda survey: (((member.name,), member.seen_at.timestamp()) for member in _present(survey)),
        ("daemon",),
    ),
    MetricDescription(
        "dongbo_daemon_running_jobs",
        "Jobs that a daemon on the database runs.",
        lambda survey: (((member.name,), member.running_jobs) for member in _present(survey)),
        ("daemon",),
    ),
    MetricDescription(
        "dongbo_daemon_clock_offset_seconds",
        "How far the clock of a daemon's machine is ahead of the database's, at least.",
        lambda survey: (
            ((member.name,), member.clock_offset)
            for member in _present(survey)
            if member.is_live and member.clock_offset is not None
        ),
        ("daemon",),
    ),
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
        "dongbo_webhook_events_waiting",
        "Events of webhooks that wait for a job.",
        _waiting_events,
        ("store",),
    ),
    MetricDescription(
        "dongbo_webhook_oldest_waiting_seconds",
        "How long the oldest event of webhooks has waited for a job.",
        _oldest_waiting,
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
