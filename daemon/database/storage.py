"""What fills up: the disk with the embedded data, the database, and what old transactions keep from being cleaned."""

import os
from pathlib import Path

from daemon.database.pool import Connection
from daemon.database.usage import DiskSpace, OldTransaction, StorageUsage

# A transaction holds back the cleaning of all tables of its database, whoever runs it. Those of other users are seen by
# members of pg_read_all_stats alone; prepared ones by everybody.
READ = """
SELECT pg_database_size(current_database()) AS size, pg_notification_queue_usage() AS notification_queue,
    oldest.since, oldest.pid, oldest.name, extract(epoch FROM clock_timestamp() - oldest.since)::float8 AS seconds
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT since, pid, name FROM (
        SELECT xact_start AS since, pid, application_name AS name FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        UNION ALL
        SELECT prepared, NULL, gid FROM pg_prepared_xacts WHERE database = current_database()
    ) AS open WHERE since IS NOT NULL ORDER BY since LIMIT 1
) AS oldest ON true
"""


async def read_storage(connection: Connection) -> StorageUsage:
    """What the database says of itself. Raises what the database raises."""
    row = await connection.fetchrow(READ)
    oldest = None
    if row["since"] is not None:
        oldest = OldTransaction(row["since"], max(row["seconds"], 0.0), row["pid"], row["name"] or "")
    return StorageUsage(row["size"], row["notification_queue"], oldest)


def disk_space(path: Path) -> DiskSpace | None:
    """The file system that has a directory; None where that is not there."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return DiskSpace(path, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
