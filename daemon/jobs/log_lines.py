"""The log of each job: the lines that name it, kept in `dongbo.job_log` a moment later.

They are for looking: a line that is lost, such as while the database is away, harms nothing.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog

from daemon.database.connection_errors import is_of_database, reason
from daemon.database.pool import Connection, Database
from daemon.ids import JobId
from daemon.lifecycle import Part
from daemon.logging.job_lines import JobLine, kept_by

log = structlog.get_logger()

INTERVAL = 1.0  # seconds between two looks for lines
MOST_WAITING = 5_000  # lines; of more the oldest go
MOST_KEPT = 500  # lines of a job; of more the oldest go
LAST_TIMEOUT = 2.0  # seconds for the last lines when the daemon stops

INSERT = """
INSERT INTO dongbo.job_log (job_id, at, level, event, fields)
SELECT line.job_id, at, level, event, fields::jsonb
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
    WITH ORDINALITY AS line (job_id, at, level, event, fields, place)
WHERE EXISTS (SELECT FROM dongbo.background_jobs AS job WHERE job.id = line.job_id)
ORDER BY place
"""

TRIM = """
DELETE FROM dongbo.job_log AS line USING (
    SELECT job.id, last.id AS last FROM unnest($1::uuid[]) AS job (id) CROSS JOIN LATERAL (
        SELECT id FROM dongbo.job_log WHERE job_id = job.id ORDER BY id DESC OFFSET $2 LIMIT 1
    ) AS last
) AS superfluous
WHERE line.job_id = superfluous.id AND line.id <= superfluous.last
"""

LIST = """
SELECT id, at, level, event, fields FROM dongbo.job_log WHERE job_id = $1 AND id > $2 ORDER BY id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A row of `dongbo.job_log`."""

    id: int
    at: datetime
    level: str
    event: str
    fields: dict[str, Any]


class JobLog(Part):
    """Keeps what is logged about jobs with them."""

    name = "job-log"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[JobLine] = deque(maxlen=MOST_WAITING)

    async def _run(self) -> None:
        with kept_by(self._waiting.append):
            try:
                while True:
                    await asyncio.sleep(INTERVAL)
                    await self.flush()
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_TIMEOUT):
                        await self.flush()

    async def flush(self) -> None:
        """Keep the lines that wait; those that can't be kept are lost."""
        lines = [line for line in self._take() if _is_id(line.job_id)]
        if not lines:
            return
        try:
            async with self._database.acquire() as connection, connection.transaction():
                await _keep(connection, lines)
        except Exception as error:
            if not is_of_database(error):
                raise
            log.debug("job_lines_lost", lines=len(lines), error=reason(error))

    def _take(self) -> list[JobLine]:
        lines = list(self._waiting)
        self._waiting.clear()
        return lines


async def list_lines(connection: Connection, job_id: JobId, *, after: int = 0, limit: int = 100) -> Sequence[KeptLine]:
    """The log of a job, oldest first; `after` is the last id of the page before."""
    return [
        KeptLine(row["id"], row["at"], row["level"], row["event"], orjson.loads(row["fields"]))
        for row in await connection.fetch(LIST, job_id, after, limit)
    ]


async def _keep(connection: Connection, lines: Sequence[JobLine]) -> None:
    await connection.execute(
        INSERT,
        [UUID(line.job_id) for line in lines],
        [line.at for line in lines],
        [line.level for line in lines],
        [_without_nul(line.event) for line in lines],
        [orjson.dumps(line.fields).decode().replace("\\u0000", "\\ufffd") for line in lines],
    )
    await connection.execute(TRIM, list({UUID(line.job_id) for line in lines}), MOST_KEPT)


def _without_nul(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
