"""What holds up the daemon although the database answers: locks of others, and that nothing may be changed."""

from daemon.database.pool import Connection
from daemon.database.usage import Blockage

WORTH_SAYING = 3.0  # seconds that a lock may be held before it is somebody's affair

# Touches no table, so that it is answered whatever is locked. A prepared transaction blocks under the process id 0.
FIND = """
SELECT extract(epoch FROM clock_timestamp() - waiting.query_start)::float8 AS seconds,
    nullif(blocking.pid, 0) AS pid, other.usename AS user, other.application_name AS application
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
LEFT JOIN pg_stat_activity AS other ON other.pid = blocking.pid
WHERE waiting.datname = current_database() AND waiting.wait_event_type = 'Lock'
  AND waiting.application_name = current_setting('application_name')
  AND other.application_name IS DISTINCT FROM current_setting('application_name')
  AND clock_timestamp() - waiting.query_start > make_interval(secs => $1)
ORDER BY waiting.query_start LIMIT 1
"""
IS_READ_ONLY = "SELECT current_setting('transaction_read_only')::boolean"


async def find_blockage(connection: Connection) -> Blockage | None:
    """The lock of another session for which this program waits longest; None where it waits for none."""
    row = await connection.fetchrow(FIND, WORTH_SAYING)
    return None if row is None else Blockage(row["seconds"], row["pid"], row["user"] or "", row["application"] or "")


async def is_read_only(connection: Connection) -> bool:
    """Whether nothing may be changed over this connection: its server is a standby, or set to read-only."""
    found: bool = await connection.fetchval(IS_READ_ONLY)
    return found
