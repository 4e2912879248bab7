"""All SQL on `dongbo.job_attempts`: the runs of a job, from the claim of each to how it ended.

An attempt begins and ends in the very statement that claims its job or lets it go (`daemon/jobs/store.py`).
"""

from collections.abc import Sequence

from daemon.database.pool import Connection
from daemon.ids import JobId
from daemon.jobs.model import AttemptResult, JobAttempt

MOST = 500  # of a job that are read: the newest

LIST = """
SELECT worker, started_at, ended_at, result, error, next_attempt_at,
    row_number() OVER (ORDER BY id) + greatest((SELECT count(*) FROM dongbo.job_attempts WHERE job_id = $1) - $2, 0)
        AS number
FROM (SELECT * FROM dongbo.job_attempts WHERE job_id = $1 ORDER BY id DESC LIMIT $2) AS attempt
ORDER BY id
"""


def begun_by(claim: str, columns: str) -> str:
    """The statement that claims a job, and notes that an attempt begins; one that is still open was lost with its
    daemon.
    """
    return f"""
WITH claimed AS ({claim} RETURNING {columns}),
lost AS (
    UPDATE dongbo.job_attempts AS attempt SET ended_at = clock_timestamp(), result = 'lost'
    FROM claimed WHERE attempt.job_id = claimed.id AND attempt.ended_at IS NULL
),
begun AS (INSERT INTO dongbo.job_attempts (job_id, worker) SELECT id, worker FROM claimed)
SELECT * FROM claimed
"""


def ended_by(update: str, columns: str, result: str, *, error: str = "NULL") -> str:
    """A statement that lets running jobs go, and notes how their attempts ended.

    `result` and `error` are expressions on the jobs' rows, `ended`; a job that was to be cancelled is cancelled.
    """
    return f"""
WITH ended AS ({update} RETURNING *),
noted AS (
    UPDATE dongbo.job_attempts AS attempt
    SET ended_at = clock_timestamp(), error = {error}, next_attempt_at = ended.not_before,
        result = CASE WHEN ended.status = 'CANCELLED' THEN 'cancelled' ELSE {result} END
    FROM ended WHERE attempt.job_id = ended.id AND attempt.ended_at IS NULL
)
SELECT {columns} FROM ended
"""


async def list_attempts(connection: Connection, job_id: JobId) -> Sequence[JobAttempt]:
    """The attempts of a job, oldest first."""
    return [
        JobAttempt(
            number=row["number"],
            worker=row["worker"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            result=AttemptResult(row["result"]),
            error=row["error"],
            next_attempt_at=row["next_attempt_at"],
        )
        for row in await connection.fetch(LIST, job_id, MOST)
    ]
