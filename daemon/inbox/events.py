"""All SQL on `dongbo.webhook_events` and `dongbo.webhook_topics`: what webhooks have told, and how much of what.

An event waits, is taken by a job, and is settled in the job's last transaction. What a job had taken that has ended
without settling it is there for the next one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.inbox.topics import Concern, EventState, Subject
from daemon.jobs.types import Source

CHANNEL = "dongbo_webhooks"  # of notifications that something has arrived; the payload is the store
MOST_TAKEN = 2_000  # events of one round of a job
MOST_WHOLE = 100  # of them about whole products of Shopify, which are read slowly: stock does not wait for more
MOST_COUNTED = 10_000  # events of a store that wait; more are counted as so many


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one delivery says of one kind of thing.

    Args:
        event_id: Shopify's id of the delivery, the same when it is repeated; None of Nhanh.vn.
        subject_ids: of what it is about, as its source numbers them.
        hint: figures that may save a read; nothing is ever written to a shop because of them alone.
        body: the beginning of a body that is not understood.
        triggered_at: when it happened, by the source's clock.
        state: WAITING, or NOTED where no job is needed.
        outcome: why none is needed.
        is_first: whether it is the first, or only, row of its delivery.
    """

    store: StoreName
    source: Source
    event_id: str | None
    topic: str
    subject: Subject
    subject_ids: tuple[int, ...] = ()
    hint: Mapping[str, Any] | None = None
    body: str | None = None
    triggered_at: datetime | None = None
    state: EventState = EventState.WAITING
    outcome: str | None = None
    is_first: bool = True


class TopicId(NamedTuple):
    """A topic of one side of a store, in the source's words."""

    store: StoreName
    source: Source
    name: str


@dataclass(frozen=True, slots=True)
class InsertedCounts:
    """What came of arrivals: how many rows are new, and deliveries that were there already, by topic."""

    inserted: int
    repeats: Mapping[TopicId, int]

    @property
    def repeated(self) -> int:
        """Deliveries that were there already."""
        return sum(self.repeats.values())


@dataclass(frozen=True, slots=True)
class TakenEvent:
    """An event that a job has taken; `attempts` jobs have by now, this one included. Times are aware UTC."""

    id: int
    source: Source
    topic: str
    subject: Subject
    subject_ids: tuple[int, ...]
    hint: Mapping[str, Any] | None
    triggered_at: datetime | None
    received_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event as people see it. Times are aware UTC."""

    id: int
    store: StoreName
    source: Source
    event_id: str | None
    topic: str
    subject: Subject
    subject_ids: tuple[int, ...]
    triggered_at: datetime | None
    received_at: datetime
    state: EventState
    job_id: JobId | None
    attempts: int
    outcome: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingEvents:
    """What waits for jobs of one kind in a store: `events`, up to MOST_COUNTED of them, the oldest since `oldest`."""

    store: StoreName
    concern: Concern
    events: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class TopicCount:
    """How often a topic has been received, repeats included, and when last."""

    store: StoreName
    source: Source
    topic: str
    received: int
    repeated: int
    last_received_at: datetime


# In the order of the unique index, so that two daemons that are told the same never wait for each other in a circle.
INSERT = """
WITH arrived AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::timestamptz[], $11::text[], $12::text[], $13::boolean[]
    ) AS arrival (
        store, source, event_id, topic, subject, subject_ids, concern, hint, body, triggered_at, state, outcome,
        is_first
    )
), inserted AS (
    INSERT INTO dongbo.webhook_events (
        store, source, event_id, topic, subject, subject_ids, concern, hint, body, triggered_at, state, outcome,
        settled_at
    )
    SELECT store, source, event_id, topic, subject, subject_ids::bigint[], concern, hint::jsonb, body, triggered_at,
        state, outcome, CASE WHEN state = 'NOTED' THEN clock_timestamp() END
    FROM arrived ORDER BY store, source, event_id, subject
    ON CONFLICT DO NOTHING
    RETURNING store, source, topic, event_id
), told AS (
    SELECT store, source, topic, count(*) FILTER (WHERE is_first) AS deliveries, count(event_id) AS with_id
    FROM arrived GROUP BY store, source, topic
), fresh AS (
    SELECT store, source, topic, count(*) AS rows, count(event_id) AS with_id FROM inserted
    GROUP BY store, source, topic
), outcome AS (
    SELECT store, source, topic, deliveries, told.with_id - coalesce(fresh.with_id, 0) AS repeats,
        coalesce(fresh.rows, 0) AS inserted
    FROM told LEFT JOIN fresh USING (store, source, topic)
), counted AS (
    INSERT INTO dongbo.webhook_topics AS known (store, source, topic, received, repeated)
    SELECT store, source, topic, deliveries, repeats FROM outcome ORDER BY store, source, topic
    ON CONFLICT (store, source, topic) DO UPDATE SET
        received = known.received + excluded.received,
        repeated = known.repeated + excluded.repeated,
        last_received_at = excluded.last_received_at
)
SELECT store, source, topic, repeats, inserted FROM outcome
"""

# What a job had taken that has ended, or is gone, comes before what has only just arrived.
TAKE = """
WITH abandoned AS (
    SELECT id FROM dongbo.webhook_events AS event
    WHERE store = $1 AND concern = $2 AND state = 'TAKEN' AND (
        job_id = $3 OR NOT EXISTS (
            SELECT FROM dongbo.background_jobs AS job
            WHERE job.id = event.job_id AND job.status IN ('PENDING', 'RUNNING', 'AWAITING_APPROVAL')
        )
    )
    ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
), waiting AS (
    SELECT id FROM dongbo.webhook_events
    WHERE store = $1 AND concern = $2 AND state = 'WAITING' AND subject <> 'shopify_product'
    ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
), waiting_whole AS (
    SELECT id FROM dongbo.webhook_events
    WHERE store = $1 AND concern = $2 AND state = 'WAITING' AND subject = 'shopify_product'
    ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT id FROM (
        SELECT id, 0 AS place FROM abandoned
        UNION ALL SELECT id, 1 FROM waiting
        UNION ALL SELECT id, 2 FROM waiting_whole
    ) AS open ORDER BY place, id LIMIT $4
)
UPDATE dongbo.webhook_events AS event
SET state = 'TAKEN', job_id = $3, attempts = attempts + (job_id IS DISTINCT FROM $3)::integer
FROM chosen WHERE event.id = chosen.id
RETURNING event.id, source, topic, subject, subject_ids, hint, triggered_at, received_at, attempts
"""

LIST_TAKEN = """
SELECT id, source, topic, subject, subject_ids, hint, triggered_at, received_at, attempts
FROM dongbo.webhook_events WHERE job_id = $1 AND state = 'TAKEN' ORDER BY id LIMIT $2
"""

SETTLE = """
UPDATE dongbo.webhook_events AS event
SET state = settled.state, outcome = settled.outcome, settled_at = clock_timestamp()
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS settled (id, state, outcome)
WHERE event.id = settled.id AND event.state IN ('WAITING', 'TAKEN')
"""

RELEASE = """
UPDATE dongbo.webhook_events SET state = 'WAITING', job_id = NULL WHERE id = ANY ($1) AND state = 'TAKEN'
"""

# What a job that has ended had taken and not settled waits again; what as many jobs as that have taken is given up.
GIVE_BACK = """
WITH left_behind AS (
    SELECT event.id, job.error,
        event.attempts >= $1 AND event.received_at <= clock_timestamp() - $4::interval AS is_last
    FROM dongbo.webhook_events AS event LEFT JOIN dongbo.background_jobs AS job ON job.id = event.job_id
    WHERE event.state = 'TAKEN' AND (job.id IS NULL OR job.status IN ('COMPLETED', 'FAILED', 'CANCELLED'))
    ORDER BY event.id LIMIT $3 FOR UPDATE OF event SKIP LOCKED
)
UPDATE dongbo.webhook_events AS event
SET state = CASE WHEN is_last THEN 'FAILED' ELSE 'WAITING' END,
    job_id = CASE WHEN is_last THEN job_id END,
    outcome = CASE WHEN is_last THEN coalesce(left_behind.error, $2) END,
    settled_at = CASE WHEN is_last THEN clock_timestamp() END
FROM left_behind WHERE event.id = left_behind.id AND event.state = 'TAKEN'
"""

NOTE_WAITING = """
UPDATE dongbo.webhook_events SET state = 'NOTED', outcome = $3, settled_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM dongbo.webhook_events WHERE store = $1 AND concern = $2 AND state = 'WAITING'
    ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
)
"""

LIST_HINTED = """
SELECT id, source, topic, subject, subject_ids, hint, triggered_at, received_at, attempts
FROM dongbo.webhook_events
WHERE store = $1 AND concern = $2 AND state = 'WAITING' AND hint IS NOT NULL ORDER BY id LIMIT $3
FOR UPDATE SKIP LOCKED
"""

# Among the last of what needs no job.
ENDED_OPERATIONS = """
SELECT DISTINCT number FROM (
    SELECT subject, subject_ids FROM dongbo.webhook_events
    WHERE store = $1 AND state = 'NOTED' ORDER BY id DESC LIMIT $3
) AS recent CROSS JOIN unnest(subject_ids) AS number
WHERE subject = 'bulk_operation' AND number = ANY ($2)
"""

COUNT_WAITING = f"""
SELECT known.store, wanted.concern, events, oldest
FROM (SELECT DISTINCT store FROM dongbo.webhook_topics) AS known
CROSS JOIN unnest(ARRAY['products', 'customers']) AS wanted (concern)
CROSS JOIN LATERAL (
    SELECT count(*) AS events, min(received_at) AS oldest FROM (
        SELECT received_at FROM dongbo.webhook_events AS event
        WHERE event.store = known.store AND event.concern = wanted.concern AND state = 'WAITING'
        ORDER BY id LIMIT {MOST_COUNTED}
    ) AS waiting
) AS counted
WHERE events > 0 ORDER BY oldest
"""

COLUMNS = """id, store, source, event_id, topic, subject, subject_ids, triggered_at, received_at, state, job_id,
    attempts, outcome, settled_at"""

LIST = f"""
SELECT {COLUMNS} FROM dongbo.webhook_events WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
"""

LIST_OF = f"""
SELECT event.* FROM (
    SELECT store FROM dongbo.webhook_topics WHERE $1::text IS NULL OR store = $1 GROUP BY store
) AS known
CROSS JOIN unnest($2::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM dongbo.webhook_events
    WHERE store = known.store AND state = wanted.state AND ($3::bigint IS NULL OR id < $3)
    ORDER BY id DESC LIMIT $4
) AS event
ORDER BY id DESC LIMIT $4
"""

LIST_OF_JOB = f"SELECT {COLUMNS} FROM dongbo.webhook_events WHERE job_id = $1 ORDER BY id LIMIT $2"

LIST_TOPICS = """
SELECT store, source, topic, received, repeated, last_received_at FROM dongbo.webhook_topics
ORDER BY store, source, topic LIMIT $1
"""
MOST_TOPICS = 5_000

PRUNE = """
DELETE FROM dongbo.webhook_events WHERE id IN (
    SELECT id FROM dongbo.webhook_events WHERE settled_at < clock_timestamp() - $1::interval
    ORDER BY settled_at LIMIT $2
)
"""


async def insert(connection: Connection, arrivals: Sequence[Arrival]) -> InsertedCounts:
    """Store what has arrived, by one statement; a delivery that is there already is only counted."""
    rows = await connection.fetch(
        INSERT,
        [arrival.store for arrival in arrivals],
        [arrival.source for arrival in arrivals],
        [arrival.event_id for arrival in arrivals],
        [arrival.topic for arrival in arrivals],
        [arrival.subject for arrival in arrivals],
        [_ids_text(arrival.subject_ids) for arrival in arrivals],
        [arrival.subject.concern for arrival in arrivals],
        [None if arrival.hint is None else orjson.dumps(arrival.hint).decode() for arrival in arrivals],
        [arrival.body for arrival in arrivals],
        [arrival.triggered_at for arrival in arrivals],
        [arrival.state for arrival in arrivals],
        [arrival.outcome for arrival in arrivals],
        [arrival.is_first for arrival in arrivals],
    )
    return InsertedCounts(
        sum(row["inserted"] for row in rows),
        {
            TopicId(StoreName(row["store"]), Source(row["source"]), row["topic"]): row["repeats"]
            for row in rows
            if row["repeats"]
        },
    )


async def take(
    connection: Connection, store: StoreName, concern: Concern, job_id: JobId, limit: int = MOST_TAKEN
) -> list[TakenEvent]:
    """Take for this job what waits, oldest first, what it has taken already, and what ended jobs have left behind.

    Of whole products of Shopify only MOST_WHOLE that wait: the job after it takes the next.
    """
    rows = await connection.fetch(TAKE, store, concern, job_id, limit, MOST_WHOLE)
    return sorted(map(_taken, rows), key=lambda event: event.id)


async def taken_by(connection: Connection, job_id: JobId, limit: int = MOST_TAKEN) -> list[TakenEvent]:
    """What a job has taken and not settled, oldest first."""
    return [_taken(row) for row in await connection.fetch(LIST_TAKEN, job_id, limit)]


async def settle(connection: Connection, outcomes: Mapping[int, tuple[EventState, str | None]]) -> None:
    """Note what came of events, by id: DONE, FAILED or NOTED, and why."""
    states = [state for state, _ in outcomes.values()]
    await connection.execute(SETTLE, list(outcomes), states, [outcome for _, outcome in outcomes.values()])


async def release(connection: Connection, ids: Collection[int]) -> None:
    """Let events that were taken wait again."""
    await connection.execute(RELEASE, list(ids))


async def give_back(connection: Connection, most_attempts: int, patience: timedelta, otherwise: str) -> None:
    """Let events wait again that jobs have left behind which have ended, with FAILED or by being cancelled.

    What `most_attempts` jobs have taken, and came longer than `patience` ago, is given up, with the last one's error;
    `otherwise`: where it has none.
    """
    await connection.execute(GIVE_BACK, most_attempts, otherwise, MOST_TAKEN, patience)


async def note_waiting(connection: Connection, store: StoreName, concern: Concern, outcome: str) -> None:
    """Settle what waits as something that needs no job, and say why; MOST_TAKEN of it."""
    await connection.execute(NOTE_WAITING, store, concern, outcome, MOST_TAKEN)


async def list_hinted(connection: Connection, store: StoreName, concern: Concern) -> list[TakenEvent]:
    """What waits and comes with figures, oldest first, MOST_TAKEN of it; nobody else takes it before the caller's
    transaction has ended."""
    return [_taken(row) for row in await connection.fetch(LIST_HINTED, store, concern, MOST_TAKEN)]


async def ended_operations(connection: Connection, store: StoreName, awaited: Collection[int]) -> list[int]:
    """Those of these bulk operations of Shopify of which a webhook has lately said that they have ended."""
    return [row["number"] for row in await connection.fetch(ENDED_OPERATIONS, store, list(awaited), MOST_TAKEN)]


async def waiting(connection: Connection) -> list[WaitingEvents]:
    """What waits, by store and kind of job; that which waits longest first."""
    return [
        WaitingEvents(StoreName(row["store"]), Concern(row["concern"]), row["events"], row["oldest"])
        for row in await connection.fetch(COUNT_WAITING)
    ]


async def list_events(
    connection: Connection,
    *,
    store: StoreName | None = None,
    state: EventState | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[WebhookEvent]:
    """Events, newest first; `before` is the last id of the page before."""
    if store is None and state is None:
        rows = await connection.fetch(LIST, before, limit)
    else:
        rows = await connection.fetch(LIST_OF, store, [state] if state else list(EventState), before, limit)
    return [_event(row) for row in rows]


async def of_job(connection: Connection, job_id: JobId, limit: int = MOST_TAKEN) -> list[WebhookEvent]:
    """The events that a job has taken, oldest first."""
    return [_event(row) for row in await connection.fetch(LIST_OF_JOB, job_id, limit)]


async def topic_counts(connection: Connection) -> list[TopicCount]:
    """What has come of each topic, by store and source."""
    return [
        TopicCount(
            StoreName(row["store"]),
            Source(row["source"]),
            row["topic"],
            row["received"],
            row["repeated"],
            row["last_received_at"],
        )
        for row in await connection.fetch(LIST_TOPICS, MOST_TOPICS)
    ]


async def prune(connection: Connection, older_than: timedelta, limit: int = 10_000) -> int:
    """Delete at most `limit` events that were settled longer ago; how many there were."""
    deleted: str = await connection.execute(PRUNE, older_than, limit)
    return int(deleted.removeprefix("DELETE "))


def _ids_text(ids: Collection[int]) -> str:
    """As PostgreSQL writes an array: arrays of arrays of different lengths are no parameter."""
    return f"{{{','.join(map(str, ids))}}}"


def _taken(row: Record) -> TakenEvent:
    return TakenEvent(
        id=row["id"],
        source=Source(row["source"]),
        topic=row["topic"],
        subject=Subject(row["subject"]),
        subject_ids=tuple(row["subject_ids"]),
        hint=None if row["hint"] is None else orjson.loads(row["hint"]),
        triggered_at=row["triggered_at"],
        received_at=row["received_at"],
        attempts=row["attempts"],
    )


def _event(row: Record) -> WebhookEvent:
    return WebhookEvent(
        id=row["id"],
        store=StoreName(row["store"]),
        source=Source(row["source"]),
        event_id=row["event_id"],
        topic=row["topic"],
        subject=Subject(row["subject"]),
        subject_ids=tuple(row["subject_ids"]),
        triggered_at=row["triggered_at"],
        received_at=row["received_at"],
        state=EventState(row["state"]),
        job_id=None if row["job_id"] is None else JobId(UUID(int=row["job_id"].int)),
        attempts=row["attempts"],
        outcome=row["outcome"],
        settled_at=row["settled_at"],
    )
