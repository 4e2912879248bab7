"""How each stream stands against its schedules: judged once, without words, for conditions, verdicts and reports."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Final
from zoneinfo import ZoneInfo

from daemon.api.conditions import StreamState
from daemon.conditions.expectation import Expectation, earliest, expect
from daemon.conditions.facts import DatabaseFacts, Facts, OpenQuestion, StoreFacts, StreamFacts, StreamKey
from daemon.ids import StoreName
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.kept import kept_for_same
from daemon.schedules.interval import make_timetable
from daemon.schedules.model import ScheduleSpec
from daemon.tasks.product_chain import steps_of

PRODUCT_PULLS: Final = (JobType.PULL_NHANH_INVENTORY, JobType.PULL_NHANH_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS)
CUSTOMER_PULLS: Final = (JobType.PULL_NHANH_CUSTOMERS, JobType.PULL_SHOPIFY_CUSTOMERS)
PULLS: Final = (*PRODUCT_PULLS, *CUSTOMER_PULLS)
PUSHES: Final = (JobType.SYNC_PRODUCTS, JobType.SYNC_CUSTOMERS)
# In the order in which they are shown.
STREAMS: Final = (
    *PRODUCT_PULLS,
    JobType.SYNC_PRODUCTS,
    *CUSTOMER_PULLS,
    JobType.SYNC_CUSTOMERS,
    JobType.BACKUP_DATABASE,
)
# What fails like a stream, though nothing is expected of it by a time: the chain, too, where none of its steps does.
OTHERS: Final = (
    JobType.MATCH_PRODUCTS,
    JobType.MATCH_CUSTOMERS,
    JobType.SYNC_CHANGED_PRODUCTS,
    JobType.SYNC_CHANGED_CUSTOMERS,
    JobType.PRODUCT_CHAIN,
    JobType.PREPARE_SALE,
    JobType.APPLY_SALE,
    JobType.REVERT_SALE,
)
CHAINED: Final = (*PRODUCT_PULLS, JobType.MATCH_PRODUCTS, JobType.SYNC_PRODUCTS)

# A job with one of these makes no stream fresh.
NARROWING: Final = ("filters", "query", "dry_run", "ids", "customers", "skus", "variants")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream stands.

    Args:
        schedules: that keep it fresh, paused ones included.
        expectation: of those that are not paused; None where there are none, or none that fires.
        question: what a person is asked before it goes on.
        unreachable: those of its sources that do not answer, or refuse the credential: why it can't be fresh.
    """

    facts: StreamFacts
    schedules: Sequence[ScheduleSpec]
    expectation: Expectation | None
    state: StreamState
    late_since: datetime | None
    question: OpenQuestion | None
    unreachable: Sequence[str]

    @property
    def key(self) -> StreamKey:
        """Which stream it is."""
        return self.facts.key

    @property
    def is_late(self) -> bool:
        """Whether it should have been complete by now, whatever the cause."""
        return self.late_since is not None

    @property
    def complete_to(self) -> datetime | None:
        """What was there by then is in."""
        return self.facts.last.complete_to if self.facts.last is not None else None


@kept_for_same
def possible_streams(stores: Collection[StoreFacts]) -> Sequence[StreamKey]:
    """What the configured stores could have."""
    return [StreamKey(store.name, job_type) for store in stores for job_type in STREAMS if _can_run(store, job_type)]


@kept_for_same
def watched_jobs(stores: Collection[StoreFacts]) -> Sequence[StreamKey]:
    """Those, and the other types of jobs of which it is told that they fail."""
    others = [StreamKey(store.name, job_type) for store in stores for job_type in OTHERS if _can_run(store, job_type)]
    return [*possible_streams(stores), *others]


def other_troubles(
    stores: Collection[StoreFacts], database: DatabaseFacts, unreachable: Mapping[StoreName, Collection[str]]
) -> list[StreamFacts]:
    """Jobs that are no stream, and fail though their sources answer."""
    failing = {key for key, jobs in database.streams.items() if jobs.trouble is not None}
    chains_told = {
        StreamKey(store.name, JobType.PRODUCT_CHAIN)
        for store in stores
        if any(StreamKey(store.name, step) in failing for step in CHAINED)
    }
    return [
        database.streams[key]
        for key in (StreamKey(store.name, job_type) for store in stores for job_type in OTHERS)
        if key in failing - chains_told and not _lost_sources(key.type, unreachable.get(key.store, ()))
    ]


def standings(
    facts: Facts, database: DatabaseFacts, unreachable: Mapping[StoreName, Collection[str]]
) -> list[Standing]:
    """How the streams stand that a schedule, a job or the configuration of a push makes streams of."""
    covering = _covering(facts.schedules)
    questions = {StreamKey(question.store, question.type): question for question in database.questions}
    stores = {store.name: store for store in facts.stores}
    return [
        _standing(
            database.streams[key],
            covering.get(key, ()),
            facts,
            database,
            questions.get(key),
            unreachable.get(key.store, ()),
        )
        for key in possible_streams(facts.stores)
        if key in database.streams
        and (key in covering or database.streams[key].newest is not None or _is_push(stores[key.store], key.type))
    ]


def covered_by(schedule: ScheduleSpec) -> tuple[JobType, ...]:
    """The types of jobs that a schedule runs for the whole of what they are for."""
    job_type = JobType(schedule.job_type)
    if job_type is JobType.PRODUCT_CHAIN:
        return steps_of(schedule.params)
    return () if any(schedule.params.get(name) for name in NARROWING) else (job_type,)


def _covering(schedules: Collection[ScheduleSpec]) -> dict[StreamKey, list[ScheduleSpec]]:
    found: dict[StreamKey, list[ScheduleSpec]] = {}
    for schedule in schedules:
        if schedule.is_preset:  # only a person starts it
            continue
        for job_type in covered_by(schedule):
            found.setdefault(StreamKey(schedule.store, job_type), []).append(schedule)
    return found


def _standing(
    stream: StreamFacts,
    schedules: Sequence[ScheduleSpec],
    facts: Facts,
    database: DatabaseFacts,
    question: OpenQuestion | None,
    unreachable: Collection[str],
) -> Standing:
    active = [schedule for schedule in schedules if not _is_paused(schedule, database)]
    expectation = earliest(_expectation(stream, schedule, facts, database) for schedule in active)
    late_since = expectation.by if expectation is not None and facts.judged_at > expectation.late_from else None
    concerned = _lost_sources(stream.key.type, unreachable)
    state = _state(stream, schedules, active, late_since)
    return Standing(stream, schedules, expectation, state, late_since, question, concerned)


def _state(
    stream: StreamFacts, schedules: Collection[object], active: Collection[object], late_since: datetime | None
) -> StreamState:
    if stream.trouble is not None:
        return StreamState.FAILING
    if stream.last is None:
        return StreamState.NEVER
    if late_since is not None:
        return StreamState.LATE
    if not schedules:
        return StreamState.UNSCHEDULED
    return StreamState.ON_TIME if active else StreamState.PAUSED


def _expectation(
    stream: StreamFacts, schedule: ScheduleSpec, facts: Facts, database: DatabaseFacts
) -> Expectation | None:
    memory = database.schedules.get(schedule.name)
    last = stream.last
    return expect(
        schedule,
        partial(next_fire, schedule),
        completed_at=last.completed_at if last is not None else None,
        known_since=memory.since if memory is not None else facts.started_at,
        usual=timedelta(seconds=last.usual_seconds) if last is not None else None,
    )


def next_fire(schedule: ScheduleSpec, after: datetime) -> datetime | None:
    """The first fire of a schedule after a time; None where there is none."""
    return _next_fire(schedule.expression, schedule.zone, after)


@lru_cache(maxsize=10_000)  # it is asked for again and again, until a stream is complete again
def _next_fire(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    return make_timetable(expression, zone).next_fire(after)


def _is_paused(schedule: ScheduleSpec, database: DatabaseFacts) -> bool:
    memory = database.schedules.get(schedule.name)
    return memory is not None and memory.paused_at is not None


def _lost_sources(job_type: JobType, unreachable: Collection[str]) -> list[str]:
    return [source.value for source in JOB_TYPES[job_type].sources if source.value in unreachable]


def _can_run(store: StoreFacts, job_type: JobType) -> bool:
    spec = JOB_TYPES[job_type]
    return store.sources.issuperset(spec.sources) and (spec.section is None or _is_push(store, job_type))


def _is_push(store: StoreFacts, job_type: JobType) -> bool:
    match job_type:
        case JobType.SYNC_PRODUCTS | JobType.SYNC_CHANGED_PRODUCTS:
            return store.product_sync is not None
        case JobType.SYNC_CUSTOMERS | JobType.SYNC_CHANGED_CUSTOMERS:
            return store.customer_sync is not None
        case _:
            return False
