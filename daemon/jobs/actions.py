"""What people have done: to jobs, schedules, approvals, mappings and sales. All SQL on `dongbo.steering_actions`.

An action is noted in the transaction that carries it out, by the service that does so, and only where a person asked:
the way by which a request came is that of its task (`coming_by`), and what the daemon does by itself came by none.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName


class Way(StrEnum):
    """How a person's request came."""

    PAGE = "page"
    API = "api"
    CLI = "cli"


class ActionKind(StrEnum):
    """What a person did."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    RETRY = "retry"
    RETRY_ROWS = "retry_rows"
    RUN_AGAIN = "run_again"
    APPROVE = "approve"
    REJECT = "reject"
    RUN_SCHEDULE = "run_schedule"
    PAUSE = "pause"
    RESUME = "resume"
    MAP = "map"
    EXCLUDE = "exclude"
    UNMAP = "unmap"  # take a decision back
    CREATE_SALE = "create_sale"
    EDIT_SALE = "edit_sale"
    START_SALE = "start_sale"
    END_SALE = "end_sale"
    CANCEL_SALE = "cancel_sale"
    DECIDE_SALE = "decide_sale"  # about prices that somebody else has set


class SubjectKind(StrEnum):
    """What it was done to."""

    JOB = "job"
    SCHEDULE = "schedule"
    APPROVAL = "approval"
    VARIANT = "variant"
    CUSTOMER = "customer"
    SALE = "sale"


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
    rows = await connection.fetch(LIST, store, subject_kind, str(subject), before, limit)
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
