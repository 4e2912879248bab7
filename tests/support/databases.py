"""What tests ask of databases and their directories when these are backed up, restored and replaced."""

from pathlib import Path
from typing import Any

import asyncpg

JOBS = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, max_attempts, completed_at)
SELECT gen_random_uuid(), 'main', 'NOOP', 'main', 'COMPLETED', 'api', 1, now() FROM generate_series(1, $1::integer)
"""
NOISE = """
CREATE TABLE dongbo.noise AS
SELECT string_agg(md5(random()::text), '') AS text
FROM generate_series(1, {rows}) AS row, generate_series(1, 1000) GROUP BY row
"""
"""Data that can't be compressed, 32 KB a row."""

# Statements that wait for a row or a table. Whoever notifies waits for whoever notifies, for a moment: not meant here.
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event <> 'object'
"""


async def value_in(dsn: str, sql: str, *arguments: Any) -> Any:
    """The one value of a query."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "test"})
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


def names_in(directory: Path) -> list[str]:
    """What is in a directory."""
    return sorted(path.name for path in directory.iterdir())
