"""What the tables of jobs and dead letters say of streams: statements that cost the same at any number of jobs.

Each goes by an index and reads a bounded number of rows a stream.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from daemon.conditions.facts import (
    CompleteRun,
    OpenQuestion,
    StreamFacts,
    StreamKey,
    Trouble,
    UnstoredRows,
    UntoldChanges,
)
from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.inbox.streams import StreamId
from daemon.jobs import approvals
from daemon.jobs.store import IS_WHOLE
from daemon.jobs.types import JobType, Source
from daemon.sync.products.question import PlanQuestion

MOST_COUNTED_ROWS = 5_000  # dead letters of a stream
MOST_QUESTIONS = 5_000  # of all stores; one has no more than one of each type of job

IS_WANTED = "job.store = wanted.store AND job.type = wanted.type"

# Compared as rows and in their order, so that the planner has no way but along the index background_jobs_wide: by the
# id alone it might pass by all jobs, where most are of other types.
LOWEST, HIGHEST = "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"
TO_ITS_LAST = f"(job.store, job.type, job.id) <= (wanted.store, wanted.type, {HIGHEST})"

# As that index has it: neither of some rows only, nor dry.
IS_BROAD = "NOT params ?| ARRAY['filters', 'query', 'dry_run', 'ids', 'customers', 'skus', 'variants']"
# Somebody has named what it was about, and was told what became of it; a typing error is not a row of the shop.
IS_NAMED = "params ?| ARRAY['customers', 'skus', 'variants']"

# Attempts that failed, with no whole run since. Those of a job that a person has retried count, as long as it has not
# completed: its row knows of none.
FAILED_ATTEMPTS = """dongbo.job_attempts AS attempt
    WHERE attempt.job_id = job.id AND attempt.error IS NOT NULL
      AND attempt.ended_at > coalesce(last.completed_at, '-infinity')"""
FAILS = f"""(status = 'FAILED' AND repaired_by IS NULL AND completed_at > coalesce(last.completed_at, '-infinity')
    OR status IN ('PENDING', 'RUNNING')
        AND (error IS NOT NULL OR attempt > 1 OR EXISTS (SELECT FROM {FAILED_ATTEMPTS})))"""

# Until when a stream is complete, `watermark` tells of a pull, and a sync says itself what it drew on; a run that has
# not said so knows of nothing that came after its start. `watermark` tells, too, when all of it was read last: what
# could not be stored before that has been read again. Everything else than a pull always looks at the whole.
STREAMS = f"""
SELECT wanted.store, wanted.type, newest.id AS newest_id,
    last.id AS last_id, last.completed_at,
    least(coalesce(watermark.complete_to, last.drawn_on_to, last.began_at), last.completed_at) AS complete_to,
    usual.seconds AS usual_seconds,
    EXISTS (SELECT FROM dongbo.background_jobs AS job WHERE {IS_WANTED} AND status = 'RUNNING') AS is_running,
    failing.id AS failing_id, failing.status AS failing_status, failing.cause, failing.not_before,
    failing.status = 'FAILED' OR coalesce(first.has_failed, false) AS has_failed,
    coalesce(first.failing_since, failing.started_at, failing.created_at) AS failing_since,
    unstored.rows AS unstored_rows, unstored.since AS unstored_since, unstored.reason AS unstored_reason,
    unstored.job_id AS unstored_job
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (store, type, place)
LEFT JOIN dongbo.watermarks AS watermark
    ON watermark.store = wanted.store AND watermark.stream = lower(replace(wanted.type, 'PULL_', ''))
LEFT JOIN LATERAL (
    SELECT id FROM dongbo.background_jobs AS job WHERE {IS_WANTED} ORDER BY id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT id, completed_at, (metadata ->> 'complete_to')::timestamptz AS drawn_on_to,
        coalesce(started_at, created_at) AS began_at
    FROM dongbo.background_jobs AS job
    WHERE {IS_WANTED} AND {IS_WHOLE} ORDER BY completed_at DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM took)) AS seconds FROM (
        SELECT job.completed_at - coalesce(parent.created_at, job.created_at) AS took
        FROM dongbo.background_jobs AS job LEFT JOIN dongbo.background_jobs AS parent ON parent.id = job.parent_id
        WHERE {IS_WANTED} AND {IS_WHOLE}
        ORDER BY job.completed_at DESC LIMIT 9
    ) AS recent
) AS usual ON true
LEFT JOIN LATERAL (
    SELECT id, status, not_before, started_at, created_at,
        coalesce(error, (SELECT attempt.error FROM {FAILED_ATTEMPTS} ORDER BY attempt.id DESC LIMIT 1)) AS cause
    FROM (
        SELECT * FROM dongbo.background_jobs AS job
        WHERE (job.store, job.type, job.id) >= (wanted.store, wanted.type, {LOWEST}) AND {TO_ITS_LAST} AND {IS_BROAD}
        ORDER BY job.store DESC, job.type DESC, job.id DESC LIMIT 50
    ) AS job WHERE {FAILS} ORDER BY id DESC LIMIT 1
) AS failing ON true
LEFT JOIN LATERAL (
    SELECT min(coalesce((SELECT min(attempt.ended_at) FROM {FAILED_ATTEMPTS}), started_at)) AS failing_since,
        bool_or(status = 'FAILED' OR EXISTS (SELECT FROM {FAILED_ATTEMPTS} AND attempt.result = 'failed')) AS has_failed
    FROM (
        SELECT * FROM dongbo.background_jobs AS job
        WHERE (job.store, job.type, job.id) > (wanted.store, wanted.type, coalesce(last.id, {LOWEST}))
          AND {TO_ITS_LAST} AND {IS_BROAD}
        ORDER BY job.store, job.type, job.id LIMIT 50
    ) AS job WHERE {FAILS}
) AS first ON true
LEFT JOIN LATERAL (
    SELECT count(DISTINCT coalesce(source_id, id::text)) AS rows, min(created_at) AS since,
        mode() WITHIN GROUP (ORDER BY reason) AS reason, (array_agg(job_id ORDER BY id DESC))[1] AS job_id
    FROM (
        SELECT letter.* FROM (
            SELECT id FROM dongbo.background_jobs AS job
            WHERE {IS_WANTED} AND status = 'COMPLETED' AND failed > 0 AND NOT {IS_NAMED}
              AND completed_at >= coalesce(watermark.full_pull_at, last.completed_at, '-infinity')
            ORDER BY completed_at DESC LIMIT 50
        ) AS run JOIN dongbo.job_failures AS letter ON letter.job_id = run.id AND letter.resolved_at IS NULL
        LIMIT {MOST_COUNTED_ROWS}
    ) AS letter
) AS unstored ON true
ORDER BY wanted.place
"""


# What a pull finds may have changed ever since the one before it. So only pulls count that follow another one after the
# webhooks have fallen silent: the first still brings what they have told of, and what was pushed just before. A full
# pull, or one of named rows, also brings what is no event anywhere, such as figures that are computed.
LIST_UNTOLD = f"""
SELECT wanted.store, wanted.source, job.id, job.completed_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS wanted (store, source, type, since)
CROSS JOIN LATERAL (
    SELECT id, completed_at FROM (
        SELECT *, lag(created_at) OVER (ORDER BY created_at) AS previous FROM (
            SELECT * FROM dongbo.background_jobs AS job WHERE {IS_WANTED} ORDER BY id DESC LIMIT 50
        ) AS job WHERE {IS_WHOLE}
    ) AS pull
    WHERE previous > wanted.since AND updated > 0 AND trigger <> 'webhook' AND NOT params ? 'full'
    ORDER BY created_at LIMIT 1
) AS job
"""
TELLING_PULLS = {Source.NHANH: JobType.PULL_NHANH_INVENTORY, Source.SHOPIFY: JobType.PULL_SHOPIFY_PRODUCTS}


async def list_untold(connection: Connection, told: Mapping[StreamId, datetime]) -> list[UntoldChanges]:
    """Changes that pulls have brought after these moments, up to which each stream has told of what changes."""
    rows = await connection.fetch(
        LIST_UNTOLD,
        [stream.store for stream in told],
        [stream.source for stream in told],
        [TELLING_PULLS[stream.source] for stream in told],
        list(told.values()),
    )
    return [
        UntoldChanges(StreamId(StoreName(row["store"]), Source(row["source"])), _job_id(row["id"]), row["completed_at"])
        for row in rows
    ]


async def read_streams(connection: Connection, wanted: Collection[StreamKey]) -> dict[StreamKey, StreamFacts]:
    """What the jobs say of these streams."""
    stores, types = [key.store for key in wanted], [str(key.type) for key in wanted]
    return {(facts := _stream(row)).key: facts for row in await connection.fetch(STREAMS, stores, types)}


def _stream(row: Record) -> StreamFacts:
    return StreamFacts(
        key=StreamKey(StoreName(row["store"]), JobType(row["type"])),
        last=_last(row),
        newest=_id(row["newest_id"]),
        is_running=row["is_running"],
        trouble=_trouble(row),
        unstored=_unstored(row),
    )


def _last(row: Record) -> CompleteRun | None:
    if row["last_id"] is None:
        return None
    usual_seconds = float(row["usual_seconds"])
    return CompleteRun(_job_id(row["last_id"]), row["complete_to"], row["completed_at"], usual_seconds)


def _trouble(row: Record) -> Trouble | None:
    if row["failing_id"] is None:
        return None
    return Trouble(
        job_id=_job_id(row["failing_id"]),
        since=row["failing_since"],
        cause=row["cause"] or "",
        has_failed=row["has_failed"],
        is_tried_again=row["failing_status"] != "FAILED",
        next_attempt_at=row["not_before"] if row["failing_status"] == "PENDING" else None,
    )


def _unstored(row: Record) -> UnstoredRows | None:
    if not row["unstored_rows"]:
        return None
    return UnstoredRows(
        row["unstored_rows"], row["unstored_since"], row["unstored_reason"], _job_id(row["unstored_job"])
    )


async def list_questions(connection: Connection, stores: Collection[StoreName]) -> list[OpenQuestion]:
    """What people are asked about these stores."""
    return [
        OpenQuestion(
            store=asked.store,
            type=asked.type,
            since=asked.since,
            reason=asked.reason,
            changes=asked.asked_changes or None,
            job_id=asked.job_id,
            approval_id=asked.id,
            asked=PlanQuestion.from_json(asked.facts) if asked.facts else None,
        )
        for asked in await approvals.list_open_of_stores(connection, list(stores), limit=MOST_QUESTIONS)
    ]


def _id(value: UUID | None) -> JobId | None:
    return None if value is None else _job_id(value)


def _job_id(value: UUID) -> JobId:
    return JobId(UUID(int=value.int))  # asyncpg's own kind of UUID is unknown to JSON encoders
