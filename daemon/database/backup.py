"""Backs up the database while it is in use: all of one moment, into a file that is read back before it counts."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from daemon.database.archive import rows_in
from daemon.database.migrate import read_schema
from daemon.database.new_file import NewFile, new_file
from daemon.database.pool import Connection, Database
from daemon.database.postgres_clients import Address, Clients, address_of, find_clients, not_allowed, running_client
from daemon.errors import BackupError
from daemon.i18n import gettext as _

PROGRESS_INTERVAL = 1.0  # seconds
LONGEST_COUNT = 3600.0  # seconds

# Until the end of the transaction: to copy and count large tables takes longer than any other statement may.
WITHOUT_HASTE = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
SNAPSHOT = "SELECT pg_export_snapshot()"
# What a bulk operation has found is left out: it is gathered again, and is dropped while others are copied.
LEFT_OUT = "dongbo.bulk_lines_*"
TABLES = r"""
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = to_regnamespace('dongbo') AND c.relkind = 'r' AND c.relname NOT LIKE 'bulk\_lines\_%'
ORDER BY 1
"""
EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname IN ('btree_gist', 'pg_trgm')"  # those of our migrations
COUNT = 'SELECT count(*) FROM dongbo."{}"'

Progress = Callable[[int], Awaitable[None]]
"""Is told from time to time how many bytes there are."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and read back."""

    file: Path
    bytes: int
    rows: int
    tables: int
    schema_version: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the database, which other connections can see as long as it is held."""

    connection: Connection
    name: str
    tables: Sequence[str]
    extensions: Sequence[str]
    schema_version: int


async def back_up(
    database: Database, path: Path, *, clients: Clients | None = None, progress: Progress | None = None
) -> Backup:
    """Write a backup to `path`, in the place of a file that is there.

    Under way it has another name, so that whatever ends this leaves no half of one under its own. It counts as soon as
    each table, read back from the disk, has as many rows as the database had in that moment.

    Args:
        database: one connection of its pool is in use until all is copied; pg_dump opens another one.
        clients: the programs to make it with, unless those that fit the server.
        progress: what it raises ends the backup.

    Raises:
        BackupError: it can't be made, or was not whole when it was read back.
        DatabaseUnavailable: there is no connection.
    """
    began = time.monotonic()
    address = address_of(database.dsn)
    with new_file(path) as file:
        try:
            async with _snapshot(database) as snapshot:
                server = snapshot.connection.get_server_version()
                clients = clients or await find_clients(server.major, local=address.is_local)
                rows = await _copy(snapshot, clients, address, file, progress)
        except asyncpg.InsufficientPrivilegeError as error:
            raise not_allowed(str(error)) from None
        await asyncio.to_thread(file.sync)
        _compare(path, rows, await rows_in(file.unfinished, clients))
        size = file.size
        await asyncio.to_thread(file.finish)
    return Backup(path, size, sum(rows.values()), len(rows), snapshot.schema_version, time.monotonic() - began)


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[Snapshot]:
    async with (
        database.acquire_for_work() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(WITHOUT_HASTE)
        name: str = await connection.fetchval(SNAPSHOT)
        version = (await read_schema(connection)).version
        if version == 0:
            raise BackupError(_("There is nothing to back up yet: the first start of the daemon makes the tables"))
        tables = [row["relname"] for row in await connection.fetch(TABLES)]
        extensions = [row["extname"] for row in await connection.fetch(EXTENSIONS)]
        yield Snapshot(connection, name, tables, extensions, version)


async def _copy(
    snapshot: Snapshot, clients: Clients, address: Address, file: NewFile, progress: Progress | None
) -> Mapping[str, int]:
    """Copies the database to the file; how many rows each of its tables has."""
    counting = asyncio.create_task(_count(snapshot), name="backup-count")
    dumping = asyncio.create_task(_dump(snapshot, clients, address, file), name="backup-dump")
    try:
        while not dumping.done():
            await asyncio.wait({dumping}, timeout=PROGRESS_INTERVAL)
            if progress is not None:
                await progress(file.size)
        await dumping
        return await counting
    finally:
        for task in (dumping, counting):
            task.cancel()
        await asyncio.gather(dumping, counting, return_exceptions=True)


async def _dump(snapshot: Snapshot, clients: Clients, address: Address, file: NewFile) -> None:
    arguments = [
        "--format=custom",
        "--schema=dongbo",
        f"--exclude-table={LEFT_OUT}",
        *(f"--extension={name}" for name in snapshot.extensions),
        f"--snapshot={snapshot.name}",
        "--lock-wait-timeout=60s",
        "--no-password",
        f"--dbname={address.url}",
        # By its name: to what it inherits it would append, also where it means to go back and write over.
        f"--file={file.unfinished}",
    ]
    async with running_client(
        clients.pg_dump,
        arguments,
        environment=address.environment,
        stdout=file.descriptor,  # for its lock
    ) as pg_dump:
        await pg_dump.ended()


async def _count(snapshot: Snapshot) -> Mapping[str, int]:
    rows = {}
    for table in snapshot.tables:
        rows[table] = await snapshot.connection.fetchval(COUNT.format(table), timeout=LONGEST_COUNT)
    return rows


def _compare(path: Path, expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    for table, rows in expected.items():
        if found.get(table, 0) != rows:
            raise BackupError(
                _(
                    "The backup {file} was not whole when it was read back ({found} of {rows} rows of {table}) and is "
                    "not kept: look for errors of the disk, and try again"
                ).format(file=path, found=found.get(table, 0), rows=rows, table=table)
            )
