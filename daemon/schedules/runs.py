"""How the last runs of schedules went: one statement for all of them, by the index of a schedule's runs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from uuid import UUID

from asyncpg import Record

from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.jobs.model import JobOutcome
from daemon.schedules.model import ScheduleSpec

RUNS_SHOWN = 10
RUNS_COMPARED = 20  # of which the usual duration is the median
AT_ONCE = 1_000  # rows that are looked through between two turns of the loop: some two milliseconds

NEWEST_RUNS = """
SELECT spec.place, run.id, facet.outcome, run.created_at, run.started_at, run.completed_at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS spec (store, schedule, place)
CROSS JOIN LATERAL (
    SELECT id, facet, created_at, started_at, completed_at FROM dongbo.background_jobs AS job
    WHERE job.store = spec.store AND job.schedule = spec.schedule AND job.parent_id IS NULL
    ORDER BY id DESC LIMIT $3
) AS run
JOIN dongbo.job_facets AS facet ON facet.id = run.facet
ORDER BY spec.place, run.id DESC
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a schedule, on time or by hand."""

    job_id: JobId
    outcome: JobOutcome
    asked_at: datetime
    seconds: float | None  # from its start to its end; None of one that has not completed


@dataclass(frozen=True, slots=True)
class NewestRuns:
    """The newest runs of a schedule, newest first, and how long one usually takes."""

    runs: Sequence[Run]
    usual_seconds: float | None


async def newest_runs(connection: Connection, specs: Sequence[ScheduleSpec]) -> list[NewestRuns]:
    """The newest runs of each schedule, in the order of `specs`."""
    stores, names = [spec.store for spec in specs], [spec.name for spec in specs]
    rows = await connection.fetch(NEWEST_RUNS, stores, names, RUNS_COMPARED)
    runs: list[list[Run]] = [[] for _ in specs]
    for number, row in enumerate(rows, start=1):
        runs[row["place"] - 1].append(_run(row))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return [NewestRuns(of_one[:RUNS_SHOWN], _usual_seconds(of_one)) for of_one in runs]


def _run(row: Record) -> Run:
    outcome = JobOutcome(row["outcome"])
    has_completed = outcome in (JobOutcome.COMPLETED, JobOutcome.COMPLETED_WITH_FAILURES)
    started_at, completed_at = row["started_at"], row["completed_at"]
    seconds = (completed_at - started_at).total_seconds() if has_completed and started_at is not None else None
    return Run(JobId(UUID(int=row["id"].int)), outcome, row["created_at"], seconds)


def _usual_seconds(runs: Sequence[Run]) -> float | None:
    known = [run.seconds for run in runs if run.seconds is not None]
    return round(median(known), 1) if known else None
