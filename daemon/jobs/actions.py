"""What people have done: to jobs, schedules, approvals, mappings and sales. All SQL on `dongbo.steering_actions`.

An action is noted in the transaction that carries it out, by the service that does so, and only where a person asked:
who asked, and by which way, is known of the request's task (`coming_by`); the daemon itself asks by none.
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
    """What a person did.

    Args:
        who: the name under which they are known; None where there is none.
        subject: the id or name of what it was done to.
        job_id: the job that came of it.
    """

    id: int
    at: datetime
    way: Way
    who: str | None
    kind: ActionKind
    store: StoreName
    subject_kind: SubjectKind
    subject: str
    job_id: UUID | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asker:
    """The person who asks: by which way, and under which name, where one is known."""

    way: Way
    who: str | None


_asker: ContextVar[Asker | None] = ContextVar("asker", default=None)

COLUMNS = "id, at, way, who, kind, store, subject_kind, subject, job_id, detail"

INSERT = """
INSERT INTO dongbo.steering_actions (way, who, kind, store, subject_kind, subject, job_id, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

LIST = f"""
SELECT {COLUMNS} FROM dongbo.steering_actions
WHERE store = $1 AND subject_kind = $2 AND subject = $3 AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5
"""

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

# What was done to a job that was there already says nothing of who asked for it.
LIST_ASKERS = """
SELECT DISTINCT ON (job_id) job_id, who FROM dongbo.steering_actions
WHERE job_id = ANY ($1::uuid[]) AND kind <> ALL ($2::text[]) ORDER BY job_id, id
"""
OF_THOSE_THERE = (ActionKind.CANCEL, ActionKind.RETRY, ActionKind.APPROVE, ActionKind.REJECT)

PRUNE = """
DELETE FROM dongbo.steering_actions WHERE id IN (
    SELECT id FROM dongbo.steering_actions WHERE at < statement_timestamp() - $1::interval ORDER BY at LIMIT $2
)
"""


@contextmanager
def coming_by(way: Way, who: str | None = None) -> Iterator[None]:
    """What is done within, in this task, is done because a person asked for it by this way, under this name."""
    token = _asker.set(Asker(way, who))
    try:
        yield
    finally:
        _asker.reset(token)


def asker() -> Asker | None:
    """Who asked for what this task carries out; None where nobody has."""
    return _asker.get()


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
    asker = _asker.get()
    if asker is None:
        return
    text = orjson.dumps(detail or {}).decode()
    await connection.execute(INSERT, asker.way, asker.who, kind, store, subject_kind, str(subject), job_id, text)


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


async def askers_of(connection: Connection, job_ids: Sequence[JobId]) -> Mapping[JobId, str | None]:
    """Who asked for these jobs, by job, as far as people did; None where a name is not known."""
    rows = await connection.fetch(LIST_ASKERS, job_ids, OF_THOSE_THERE)
    return {JobId(UUID(int=row["job_id"].int)): row["who"] for row in rows}


async def prune(connection: Connection, older_than: timedelta, limit: int = 5_000) -> None:
    """Delete at most `limit` actions that are older."""
    await connection.execute(PRUNE, older_than, limit)


def _actions(rows: Sequence[Record]) -> Sequence[Action]:
    return [
        Action(
            id=row["id"],
            at=row["at"],
            way=Way(row["way"]),
            who=row["who"],
            kind=ActionKind(row["kind"]),
            store=StoreName(row["store"]),
            subject_kind=SubjectKind(row["subject_kind"]),
            subject=row["subject"],
            job_id=None if row["job_id"] is None else UUID(int=row["job_id"].int),
            detail=orjson.loads(row["detail"]),
        )
        for row in rows
    ]
