"""What people have done: to jobs, schedules, approvals, mappings and sales. All SQL on `dongbo.steering_actions`.

An action is noted in the transaction that carries it out, by the service that does so, and only where a person asked:
the way by which a request came is that of its task (`coming_by`), and what the daemon does by itself came by none.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.steering import ActionKind, SubjectKind, Way

__all__ = ["Action", "ActionKind", "SubjectKind", "Way"]


@dataclass(frozen=True, slots=True)
class Action:
    """What a person did. `subject` is the id or name of what it was done to, `job_id` the job that came of it."""

    id: int
    at: datetime
    way: Way
    kind: ActionKind
    store: StoreName
    subject_kind: SubjectKind
    subject: str
    job_id: UUID | None
    detail: Mapping[str, Any]


_way: ContextVar[Way | None] = ContextVar("way_of_request", default=None)

INSERT = """
INSERT INTO dongbo.steering_actions (way, kind, store, subject_kind, subject, job_id, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

LIST = """
SELECT id, at, way, kind, store, subject_kind, subject, job_id, detail FROM dongbo.steering_actions
WHERE store = $1 AND subject_kind = $2 AND subject = $3 AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5
"""


COLUMNS = "id, at, way, kind, store, subject_kind, subject, job_id, detail"

LIST_RECENT = f"""
SELECT {COLUMNS} FROM dongbo.steering_actions
WHERE ($1::text IS NULL OR store = $1) AND ($2::text IS NULL OR subject_kind = $2)
  AND ($3::text IS NULL OR subject = $3) AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5
"""

# What was done to a job, and what it came of.
LIST_OF_JOB = f"""
SELECT {COLUMNS} FROM (
    SELECT {COLUMNS} FROM dongbo.steering_actions
    WHERE store = $1 AND subject_kind = 'job' AND subject = ($2::uuid)::text
    UNION
    SELECT {COLUMNS} FROM dongbo.steering_actions WHERE job_id = $2::uuid
) AS action
ORDER BY id DESC LIMIT $3
"""

PRUNE = """
DELETE FROM dongbo.steering_actions WHERE id IN (
    SELECT id FROM dongbo.steering_actions WHERE at < statement_timestamp() - $1::interval ORDER BY at LIMIT $2
)
"""


@contextmanager
def coming_by(way: Way) -> Iterator[None]:
    """What is done within, in this task, is done because a person asked for it by this way."""
    token = _way.set(way)
    try:
        yield
    finally:
        _way.reset(token)


def way() -> Way | None:
    """How the request came that this task carries out; None where nobody has asked."""
    return _way.get()


async def note(
    connection: Connection,
    kind: ActionKind,
    store: StoreName,
    subject_kind: SubjectKind,
    subject: object,
    *,
    job_id: JobId | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note what is done in the caller's transaction; nothing where no person asked for it."""
    way = _way.get()
    if way is not None:
        await connection.execute(
            INSERT, way, kind, store, subject_kind, str(subject), job_id, orjson.dumps(detail or {}).decode()
        )


async def list_of(
    connection: Connection,
    store: StoreName,
    subject_kind: SubjectKind,
    subject: object,
    *,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Action]:
    """What was done to something, newest first; `before` is the last id of the page before."""
    return _actions(await connection.fetch(LIST, store, subject_kind, str(subject), before, limit))


async def list_recent(
    connection: Connection,
    *,
    store: StoreName | None = None,
    subject_kind: SubjectKind | None = None,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Action]:
    """What was done, newest first, to whatever has these properties."""
    return _actions(await connection.fetch(LIST_RECENT, store, subject_kind, subject, before, limit))


async def list_of_job(connection: Connection, store: StoreName, job_id: JobId, limit: int = 100) -> Sequence[Action]:
    """What was done to a job of a store, and what it came of; newest first."""
    return _actions(await connection.fetch(LIST_OF_JOB, store, job_id, limit))


async def prune(connection: Connection, older_than: timedelta, limit: int = 5_000) -> None:
    """Delete at most `limit` actions that are older."""
    await connection.execute(PRUNE, older_than, limit)


def _actions(rows: Sequence[Record]) -> Sequence[Action]:
    return [
        Action(
            id=row["id"],
            at=row["at"],
            way=Way(row["way"]),
            kind=ActionKind(row["kind"]),
            store=StoreName(row["store"]),
            subject_kind=SubjectKind(row["subject_kind"]),
            subject=row["subject"],
            job_id=None if row["job_id"] is None else UUID(int=row["job_id"].int),
            detail=orjson.loads(row["detail"]),
        )
        for row in rows
    ]
