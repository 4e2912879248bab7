"""All SQL on `dongbo.pushes`: every value pushed to Shopify, its intent before the call and its result after it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record

from daemon.api.pushes import PushGroup, PushKind, PushResult
from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.model import GROUPED_BY


@dataclass(frozen=True, slots=True)
class IntendedPush:
    """A value that is to be pushed.

    Args:
        owner_id: the variant; of metafields and tags the customer.
        item_id: the variant's inventory item, of stock and activation.
        name: of a metafield, "custom.total_spent"; of stock, "on_hand" where it is not what is available.
        rule: the names of the rules of the configuration that have decided.
        old_value, new_value: as text; None where there is none.
        reason: why, in words for people.
    """

    kind: PushKind
    owner_id: int
    old_value: str | None
    new_value: str | None
    reason: str
    item_id: int | None = None
    location_id: int | None = None
    name: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedPush:
    """A row of `dongbo.pushes`. Times are aware UTC."""

    id: int
    job_id: JobId
    push: IntendedPush
    call_key: UUID
    result: PushResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None


# What no two jobs push at once: of stock an inventory item and a location; else a variant or customer, and 0.
Value = tuple[int, int]


@dataclass(frozen=True, slots=True)
class OpenPush:
    """What some job is pushing; `is_run`: whether it runs, and will say itself what has come of it."""

    kind: PushKind
    value: Value
    is_run: bool


MOST_GROUPED = 50_000  # pushes of a job that are looked at for their kinds and reasons
MOST_GROUPS = 200
NOTHING_ELSE: Mapping[int, str] = {}  # made the run look at something
SETTLING = timedelta(seconds=10)  # no transaction that settles pushes takes longer

COLUMNS = """id, job_id, kind, owner_id, item_id, location_id, name, old_value, new_value, reason, rule, call_key,
    result, detail, intended_at, settled_at"""

# The rows get their ids in the order of the arrays.
RECORD = """
INSERT INTO dongbo.pushes
    (store, job_id, call_key, kind, owner_id, item_id, location_id, name, old_value, new_value, reason, rule)
SELECT $1, $2, $3, kind, owner_id, item_id, location_id, name, old_value, new_value, reason, rule
FROM unnest(
    $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]
) WITH ORDINALITY AS push (kind, owner_id, item_id, location_id, name, old_value, new_value, reason, rule, place)
ORDER BY place
RETURNING id
"""

SETTLE = """
UPDATE dongbo.pushes SET result = outcome.result, detail = outcome.detail, settled_at = clock_timestamp()
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS outcome (id, result, detail)
WHERE pushes.id = outcome.id AND pushes.result = 'intended'
"""

NOTE_MADE = """
UPDATE dongbo.pushes SET made_value = made.value
FROM unnest($1::bigint[], $2::text[]) AS made (id, value) WHERE pushes.id = made.id
"""

IS_RUN = "EXISTS (SELECT FROM dongbo.background_jobs WHERE id = push.job_id AND status = 'RUNNING')"

# What another job that runs is pushing is its own to settle.
LIST_OPEN = f"""
SELECT {COLUMNS} FROM dongbo.pushes AS push
WHERE store = $1 AND result = 'intended' AND kind = ANY ($2) AND (job_id = $3 OR NOT {IS_RUN})
ORDER BY id LIMIT $4
"""

LIST_OF_OTHERS = f"""
SELECT kind, coalesce(item_id, owner_id) AS subject, coalesce(location_id, 0) AS location_id, {IS_RUN} AS is_run
FROM dongbo.pushes AS push
WHERE store = $1 AND result = 'intended' AND kind = ANY ($2) AND job_id <> $3 AND coalesce(item_id, owner_id) = ANY ($4)
"""

LIST_OF_OWNERS = f"""
SELECT {COLUMNS} FROM (
    SELECT *, row_number() OVER (
        PARTITION BY owner_id, kind, coalesce(location_id, 0), coalesce(name, '') ORDER BY id DESC
    ) AS place
    FROM dongbo.pushes WHERE store = $1 AND owner_id = ANY ($2) AND kind = ANY ($3)
) AS ranked
WHERE place <= $4 ORDER BY id DESC
"""

LIST_OF_JOB = f"""
SELECT {COLUMNS} FROM dongbo.pushes
WHERE job_id = $1 AND id > $2 AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR result = $5)
  AND ($6::text IS NULL OR left(detail, {GROUPED_BY}) = $6)
ORDER BY id LIMIT $3
"""

LIST_GROUPS = """
SELECT kind, result, detail, count(*) AS pushes
FROM (SELECT kind, result, detail FROM dongbo.pushes WHERE job_id = $1 ORDER BY id LIMIT $2) AS push
GROUP BY kind, result, detail ORDER BY pushes DESC, kind, result, detail LIMIT $3
"""

# Up to a moment after which no transaction that settles pushes is still under way, so that each is counted once.
COUNT_SETTLED = """
WITH horizon AS (SELECT greatest($1::timestamptz, clock_timestamp() - $2::interval) AS time)
SELECT horizon.time AS counted_to, store, kind, result, count(id) AS pushes
FROM horizon LEFT JOIN dongbo.pushes ON settled_at > $1 AND settled_at <= horizon.time
GROUP BY horizon.time, store, kind, result
"""

COUNT_APPLIED_OF_JOB = "SELECT count(*) FROM dongbo.pushes WHERE job_id = $1 AND result = 'applied'"

COUNT_APPLIED_BY_KIND = """
SELECT kind, count(*) AS pushes FROM dongbo.pushes WHERE job_id = $1 AND result = 'applied' GROUP BY kind
"""

COUNT_APPLIED_BY_OWNER = f"""
SELECT owner_id, count(*) AS pushes FROM (
    SELECT owner_id FROM dongbo.pushes WHERE job_id = $1 AND result = 'applied' ORDER BY id LIMIT {MOST_GROUPED}
) AS push GROUP BY owner_id
"""

COUNT_OPEN = "SELECT store, count(*) AS pushes FROM dongbo.pushes WHERE result = 'intended' GROUP BY store"

# The last push of each value stays, the last that was applied, and what is still open: they explain why Shopify says
# what it says.
PRUNE = """
DELETE FROM dongbo.pushes WHERE id IN (
    SELECT id FROM dongbo.pushes AS push
    WHERE settled_at < clock_timestamp() - $1::interval AND EXISTS (
        SELECT FROM dongbo.pushes AS later
        WHERE later.store = push.store AND later.owner_id = push.owner_id AND later.kind = push.kind
          AND later.location_id IS NOT DISTINCT FROM push.location_id AND later.name IS NOT DISTINCT FROM push.name
          AND later.id > push.id AND (push.result <> 'applied' OR later.result = 'applied')
    )
    ORDER BY settled_at LIMIT $2
)
"""


async def record(
    connection: Connection,
    store: StoreName,
    job_id: JobId,
    call_key: UUID,
    pushes: Sequence[IntendedPush],
    because: Mapping[int, str] = NOTHING_ELSE,
) -> list[int]:
    """Note what the call of this key is about to push, to be committed before it; the ids, in the same order.

    `because`: {owner: what made the run look at it now}, a clause that is put after the reasons of the owner's pushes.
    """
    rows = await connection.fetch(
        RECORD,
        store,
        job_id,
        call_key,
        [push.kind for push in pushes],
        [push.owner_id for push in pushes],
        [push.item_id for push in pushes],
        [push.location_id for push in pushes],
        [push.name for push in pushes],
        [push.old_value for push in pushes],
        [push.new_value for push in pushes],
        [_with_occasion(push.reason, because.get(push.owner_id)) for push in pushes],
        [push.rule for push in pushes],
    )
    return [row["id"] for row in rows]


async def settle(connection: Connection, outcomes: Mapping[int, tuple[PushResult, str | None]]) -> None:
    """Record the outcome of pushes, {id: (result, detail)}; those already settled stay as they are."""
    if outcomes:
        results, details = [result for result, _ in outcomes.values()], [detail for _, detail in outcomes.values()]
        await connection.execute(SETTLE, list(outcomes), results, details)


async def note_made(connection: Connection, made: Mapping[int, str | None]) -> None:
    """Note of applied pushes what Shopify has made of their values, {id: value}: not what was sent."""
    if made:
        await connection.execute(NOTE_MADE, list(made), [value or "" for value in made.values()])


async def list_open(
    connection: Connection, store: StoreName, kinds: Sequence[PushKind], job_id: JobId, *, limit: int = 250
) -> list[RecordedPush]:
    """Pushes whose outcome nobody knows, oldest first: those of this job, and those of jobs that do not run."""
    return [_recorded(row) for row in await connection.fetch(LIST_OPEN, store, kinds, job_id, limit)]


async def list_of_others(
    connection: Connection, store: StoreName, kinds: Collection[PushKind], job_id: JobId, subjects: Sequence[int]
) -> list[OpenPush]:
    """What other jobs than this one are pushing to these variants or customers; of stock, to these inventory items."""
    return [
        OpenPush(PushKind(row["kind"]), (row["subject"], row["location_id"]), row["is_run"])
        for row in await connection.fetch(LIST_OF_OTHERS, store, kinds, job_id, subjects)
    ]


async def list_of_owners(
    connection: Connection, store: StoreName, owner_ids: Sequence[int], kinds: Sequence[PushKind], *, limit: int = 10
) -> list[RecordedPush]:
    """The last pushes of each value of variants or customers, newest first."""
    return [_recorded(row) for row in await connection.fetch(LIST_OF_OWNERS, store, owner_ids, kinds, limit)]


async def list_of_job(
    connection: Connection,
    job_id: JobId,
    *,
    kind: PushKind | None = None,
    result: PushResult | None = None,
    detail: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[RecordedPush]:
    """What a job has pushed, oldest first; `after` is the last id of the previous page."""
    rows = await connection.fetch(LIST_OF_JOB, job_id, after, limit, kind, result, detail)
    return [_recorded(row) for row in rows]


async def list_groups(connection: Connection, job_id: JobId) -> list[PushGroup]:
    """The pushes of a job by kind, result and detail, the most frequent first, among the first MOST_GROUPED of them."""
    rows = await connection.fetch(LIST_GROUPS, job_id, MOST_GROUPED, MOST_GROUPS)
    return [PushGroup(PushKind(row["kind"]), PushResult(row["result"]), row["detail"], row["pushes"]) for row in rows]


async def count_settled(
    connection: Connection, since: datetime
) -> tuple[datetime, dict[tuple[StoreName, PushKind, PushResult], int]]:
    """How many pushes were settled after `since`, and the time up to which they are counted, a little ago."""
    rows = await connection.fetch(COUNT_SETTLED, since, SETTLING)
    counts = {
        (StoreName(row["store"]), PushKind(row["kind"]), PushResult(row["result"])): row["pushes"]
        for row in rows
        if row["pushes"]
    }
    return rows[0]["counted_to"], counts


async def count_applied(connection: Connection, job_id: JobId) -> int:
    """How many values a job has pushed."""
    count: int = await connection.fetchval(COUNT_APPLIED_OF_JOB, job_id)
    return count


async def count_applied_by_kind(connection: Connection, job_id: JobId) -> dict[PushKind, int]:
    """How many values of each kind a job has pushed."""
    rows = await connection.fetch(COUNT_APPLIED_BY_KIND, job_id)
    return {PushKind(row["kind"]): row["pushes"] for row in rows}


async def count_applied_by_owner(connection: Connection, job_id: JobId) -> dict[int, int]:
    """{variant or customer: values} that a job has pushed, among its first MOST_GROUPED pushes."""
    rows = await connection.fetch(COUNT_APPLIED_BY_OWNER, job_id)
    return {row["owner_id"]: row["pushes"] for row in rows}


async def count_open(connection: Connection) -> list[tuple[StoreName, int]]:
    """How many pushes of each store are open."""
    return [(StoreName(row["store"]), row["pushes"]) for row in await connection.fetch(COUNT_OPEN)]


async def prune(connection: Connection, older_than: timedelta, limit: int = 5_000) -> int:
    """Delete old pushes of values that were pushed again later, at most `limit` at a time; how many were deleted."""
    deleted = 0
    while True:
        tag: str = await connection.execute(PRUNE, older_than, limit)
        portion = int(tag.rpartition(" ")[2])
        deleted += portion
        if portion < limit:
            return deleted


def _with_occasion(reason: str, because: str | None) -> str:
    return reason if because is None else f"{reason}; {because}"


def _recorded(row: Record) -> RecordedPush:
    columns: dict[str, Any] = dict(row)
    columns["kind"] = PushKind(columns["kind"])
    push = IntendedPush(**{name: columns[name] for name in IntendedPush.__slots__})
    return RecordedPush(
        id=columns["id"],
        job_id=JobId(UUID(int=columns["job_id"].int)),
        push=push,
        call_key=UUID(int=columns["call_key"].int),
        result=PushResult(columns["result"]),
        detail=columns["detail"],
        intended_at=columns["intended_at"],
        settled_at=columns["settled_at"],
    )
