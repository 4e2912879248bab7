"""All SQL on `dongbo.job_facets`, the combinations of what jobs are listed by, and on how many jobs each has.

Triggers keep both (migration 0012): a job's facet is that of its row, and every change of it adds to the counts.
"""

from daemon.database.pool import Connection
from daemon.ids import ScheduleName, StoreName
from daemon.jobs.model import JobOutcome, JobStatus, JobTrigger
from daemon.jobs.types import JobType

MOST_CHANGES = 1_000  # that are added up by whoever counts, before they are summed up

FIND = """
SELECT id FROM dongbo.job_facets
WHERE ($1::text IS NULL OR store = $1) AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR status = $3)
  AND ($4::text IS NULL OR outcome = $4) AND ($5::text IS NULL OR trigger = $5)
  AND ($6::text IS NULL OR schedule = $6) AND (NOT $7 OR is_run)
"""

ALL_COUNTS = """
(SELECT facet, jobs FROM dongbo.job_counts UNION ALL SELECT facet, change FROM dongbo.job_count_changes)
"""

COUNT = f"SELECT coalesce(sum(jobs), 0)::bigint FROM {ALL_COUNTS} AS counted WHERE facet = ANY ($1)"

COUNT_BY_STATUS = f"""
SELECT type, status, sum(jobs)::bigint AS jobs FROM {ALL_COUNTS} AS counted
JOIN dongbo.job_facets AS facet ON facet.id = counted.facet
GROUP BY type, status HAVING sum(jobs) > 0
"""

HAS_MANY_CHANGES = "SELECT count(*) > $1 FROM (SELECT FROM dongbo.job_count_changes LIMIT $1 + 1) AS change"

SUM_UP = """
WITH changes AS (DELETE FROM dongbo.job_count_changes RETURNING facet, change),
sums AS (SELECT facet, sum(change)::bigint AS jobs FROM changes GROUP BY facet ORDER BY facet)
INSERT INTO dongbo.job_counts AS counted (facet, jobs) SELECT facet, jobs FROM sums
ON CONFLICT (facet) DO UPDATE SET jobs = counted.jobs + excluded.jobs
"""


async def find(
    connection: Connection,
    *,
    store: StoreName | None = None,
    job_type: JobType | None = None,
    status: JobStatus | None = None,
    outcome: JobOutcome | None = None,
    trigger: JobTrigger | None = None,
    schedule: ScheduleName | None = None,
    only_runs: bool = False,
) -> list[int]:
    """The facets of the jobs with all of these properties."""
    rows = await connection.fetch(FIND, store, job_type, status, outcome, trigger, schedule, only_runs)
    return [row["id"] for row in rows]


async def count(connection: Connection, facets: list[int]) -> int:
    """How many jobs have one of these facets."""
    jobs: int = await connection.fetchval(COUNT, facets)
    return jobs


async def count_by_status(connection: Connection) -> list[tuple[str, str, int]]:
    """(type, status, jobs) of all jobs that there are; where much has been added to the counts, sums it up first."""
    if await connection.fetchval(HAS_MANY_CHANGES, MOST_CHANGES):
        await sum_up(connection)
    return [(row["type"], row["status"], row["jobs"]) for row in await connection.fetch(COUNT_BY_STATUS)]


async def sum_up(connection: Connection) -> None:
    """Take what has been added to the counts into them."""
    await connection.execute(SUM_UP)
