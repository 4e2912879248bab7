"""What is known at one moment, from which everything else in this package follows: no sentence, no judgement."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from daemon.api.conditions import ConditionName
from daemon.api.status import LeftOut
from daemon.config import CustomerSyncSettings, ProductSyncSettings
from daemon.database.usage import Blockage, DiskSpace, RefusedSpace, StorageUsage
from daemon.fleet.members import Member
from daemon.ids import CampaignId, JobId, ScheduleName, StoreName
from daemon.inbox.events import TopicCount, WaitingEvents
from daemon.inbox.streams import StreamId, WebhookStream
from daemon.inbox.topics import TOPICS
from daemon.jobs.pauses import StorePause
from daemon.jobs.types import JobType, Source
from daemon.kept import kept_for_same
from daemon.sales.model import Campaign
from daemon.schedules.fires import ScheduleMemory
from daemon.schedules.model import ScheduleSpec
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport
from daemon.sources.health import SourceReport
from daemon.sync.products.question import PlanQuestion
from daemon.tasks.registry import Store

STALE_AFTER: Final = timedelta(seconds=60)  # the database is read every few seconds


class StreamKey(NamedTuple):
    """One stream of data: the jobs of one type of a store."""

    store: StoreName
    type: JobType


@dataclass(frozen=True, slots=True)
class CompleteRun:
    """The newest run after which a stream was complete.

    Args:
        complete_to: what was at the source by then is in.
        usual_seconds: the median of the recent ones, from their fire to their end.
    """

    job_id: JobId
    complete_to: datetime
    completed_at: datetime
    usual_seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """That the jobs of a stream fail, or are tried again, without a complete run since.

    Args:
        since: when the first attempt of them failed.
        cause: of the last failure.
        has_failed: whether one of them has failed for good.
        is_tried_again: whether the newest of them is, by itself or because a person has asked for it.
        next_attempt_at: when the newest is tried again; None: it is being tried, or has failed for good.
    """

    job_id: JobId
    since: datetime
    cause: str
    has_failed: bool
    is_tried_again: bool
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnstoredRows:
    """Dead letters that nothing has repaired. `rows` is at most MOST_COUNTED_ROWS; `job_id` has the newest of them."""

    rows: int
    since: datetime
    reason: str
    job_id: JobId


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the jobs say of a stream. `newest` is its newest job, whatever came of it."""

    key: StreamKey
    last: CompleteRun | None = None
    newest: JobId | None = None
    is_running: bool = False
    trouble: Trouble | None = None
    unstored: UnstoredRows | None = None


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """What a person is asked before a job goes on. `changes` is how many values it is about, where that is known.

    `reason` is in the language of the configuration; of a product sync, `asked` says it in any.
    """

    store: StoreName
    type: JobType
    since: datetime
    reason: str
    changes: int | None
    job_id: JobId
    approval_id: int
    asked: PlanQuestion | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the database keeps of a condition that nothing else dates."""

    store: StoreName | None
    since: datetime
    cause: str | None


class ConditionKey(NamedTuple):
    """What makes a condition the same one from one look to the next."""

    store: StoreName | None
    name: ConditionName
    subject: str

    def __str__(self) -> str:
        return ":".join(part for part in (self.name, self.store, self.subject) if part)


@dataclass(frozen=True, slots=True)
class UntoldChanges:
    """That a pull has brought changes of one side of a store that no webhook has told of."""

    stream: StreamId
    job_id: JobId
    since: datetime


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """What is known of webhooks.

    Args:
        untold: of streams that were not silent before.
    """

    streams: Sequence[WebhookStream] = ()
    topics: Sequence[TopicCount] = ()
    waiting: Sequence[WaitingEvents] = ()
    untold: Sequence[UntoldChanges] = ()

    def last_of(self, stream: StreamId) -> TopicCount | None:
        """What has come of a stream last; None: nothing ever. A test says nothing of the shop: it counts where nothing
        else has come."""
        return max(
            self.counts_of(stream), key=lambda count: (not _is_test(count), count.last_received_at), default=None
        )

    def counts_of(self, stream: StreamId) -> Sequence[TopicCount]:
        """What has come of each topic of a stream."""
        return [count for count in self.topics if (count.store, count.source) == (stream.store, stream.source)]


def _is_test(count: TopicCount) -> bool:
    topic = TOPICS.get((count.source, count.topic))
    return topic is not None and topic.is_test


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the database said at one moment, `read_at`, by its own clock.

    Args:
        streams: those that a schedule or a job makes one.
        drifted: variants of open campaigns with a price that somebody else has set.
        left_out: of the stores of which a product sync has looked at the places.
        place_names: what those that were left out are called.
        pauses: of the stores to which nothing is written.
        fleet: the daemons on this database, those of the last day among them.
    """

    read_at: datetime
    streams: Mapping[StreamKey, StreamFacts]
    schedules: Mapping[ScheduleName, ScheduleMemory]
    questions: Sequence[OpenQuestion]
    open_sales: Sequence[Campaign]
    drifted: Mapping[CampaignId, int]
    left_out: Sequence[LeftOut]
    place_names: Mapping[StoreName, Mapping[int, str]]
    pauses: Sequence[StorePause] = ()
    webhooks: WebhookFacts = field(default_factory=WebhookFacts)
    fleet: Sequence[Member] = ()


@dataclass(frozen=True, slots=True)
class SlowFacts:
    """What changes seldom, and so is read at each look of the daemon alone.

    Args:
        mapped: variants that match a product, by store, as of the last product match.
        remembered: since when conditions hold that nothing else dates, by their ids.
        storage: how much the database takes up.
        is_read_only: whether the database lets nothing be changed.
    """

    mapped: Mapping[StoreName, int] = field(default_factory=dict)
    remembered: Mapping[str, Remembered] = field(default_factory=dict)
    storage: StorageUsage | None = None
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the configuration says of a store."""

    name: StoreName
    sources: frozenset[Source]
    product_sync: ProductSyncSettings | None
    customer_sync: CustomerSyncSettings | None


@kept_for_same
def store_facts(stores: Mapping[StoreName, Store]) -> Sequence[StoreFacts]:
    """What is configured of each store, by name."""
    return [
        StoreFacts(
            name,
            frozenset(source for source in Source if store.has(source)),
            store.product_sync_settings,
            store.customer_sync_settings,
        )
        for name, store in sorted(stores.items())
    ]


@dataclass(frozen=True, slots=True)
class Outage:
    """That the database can't be read."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """Whether what is to reach a person gets through: by a channel of `[[alerts]]`, or the `[heartbeat]`.

    Args:
        channel: its name.
        works: whether the last message or call went out; None: none has been tried yet.
        failing_since: when they began not to.
        problem: why the last one did not.
    """

    channel: str
    works: bool | None = None
    failing_since: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known now.

    Args:
        database: what it said last; None: nothing yet.
        outage: that it is away; what it said last is of the past then.
        remembered: as `SlowFacts.remembered`, with what has been seen since that was read.
        disk: that has the embedded data; None: the database is elsewhere.
        blockage: the lock of another session for which the daemon waits.
        refused_space: that the database has lately refused to write for want of space.
        kept_secrets: the stores' sources for which a new secret takes effect with a restart only.
    """

    now: datetime
    zone: ZoneInfo
    started_at: datetime
    stores: Sequence[StoreFacts]
    schedules: Sequence[ScheduleSpec]
    sources: Sequence[SourceReport]
    credentials: Sequence[CredentialReport]
    clocks: Sequence[ClockReport]
    sale_clock_problem: str | None
    database: DatabaseFacts | None
    outage: Outage | None
    remembered: Mapping[str, Remembered]
    slow: SlowFacts
    channels: Sequence[ChannelReport] = ()
    disk: DiskSpace | None = None
    refused_space: RefusedSpace | None = None
    blockage: Blockage | None = None
    kept_secrets: Collection[tuple[StoreName, str]] = ()

    @property
    def judged_at(self) -> datetime:
        """The present, or soon after the database was read where that was long ago: what came since is not known."""
        return self.now if self.database is None else min(self.now, self.database.read_at + STALE_AFTER)
