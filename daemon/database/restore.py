"""Restores a backup: into new data of the embedded server, or into a database of another one; whole or not at all."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from daemon.database.archive import RowCounter, clients_for, extensions_in, schema_version_in, script_of
from daemon.database.connection_errors import describe, is_connection_error, next_step, reason
from daemon.database.embedded import embedded_server
from daemon.database.migrate import LOCK_KEY, program_version
from daemon.database.postgres_clients import Clients, address_of, not_allowed, running_client
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.replacement import replacement_of, trial_beside
from daemon.database.state_lock import state_lock
from daemon.errors import BackupError, DatabaseUnavailable, DatabaseUnsuitable, EmbeddedDataInUse
from daemon.i18n import gettext as _
from daemon.i18n import ngettext

CONNECT_TIMEOUT = 10.0  # seconds
STATEMENT_TIMEOUT = 600.0
SINCE_17 = b"SET transaction_timeout = 0;\n"  # of the script; older servers do not know it
OLD_SCHEMA = "dongbo_old_"

HAS_SCHEMA = "SELECT to_regnamespace('dongbo') IS NOT NULL"
DAEMONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dongbo'
"""
OLD_SCHEMAS = r"SELECT nspname FROM pg_namespace WHERE nspname ~ '^dongbo_old_\d{8}t\d{6}z$' ORDER BY nspname"
DROP_SCHEMA = 'DROP SCHEMA "{}" CASCADE'
# A daemon that starts meanwhile waits for this lock before it looks at the schema.
BEGIN = f"SET client_min_messages = warning; BEGIN; SELECT pg_advisory_xact_lock({LOCK_KEY});\n"
# Object by object, and not by renaming the schema: extensions stay where they are. What is restored needs them, they
# must not go when the old goes, and only a superuser could move one to another schema.
KEEP_OLD = """
CREATE SCHEMA {};
DO $$
DECLARE
    object text;
BEGIN
    FOR object IN
        SELECT CASE relkind WHEN 'v' THEN 'VIEW ' WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass
        FROM pg_class
        WHERE relnamespace = 'dongbo'::regnamespace AND relkind IN ('r', 'v', 'S') AND NOT EXISTS (
            SELECT FROM pg_depend -- a sequence goes along with its column
            WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('e', 'a', 'i')
        )
        UNION ALL
        SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'dongbo'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'
        )
        UNION ALL
        SELECT 'TYPE ' || oid::regtype FROM pg_type
        WHERE typnamespace = 'dongbo'::regnamespace AND typtype IN ('e', 'd') AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid AND deptype = 'e'
        )
    LOOP
        EXECUTE 'ALTER ' || object || ' SET SCHEMA {}';
    END LOOP;
END $$;
"""
MAKE_SCHEMA = "CREATE SCHEMA dongbo;\n"
MAKE_EXTENSION = "CREATE EXTENSION IF NOT EXISTS {} SCHEMA {};\n"
EXPECT = """
DO $$ BEGIN
    IF (SELECT count(*) FROM dongbo."{table}") <> {rows} THEN
        RAISE EXCEPTION 'dongbo.{table} has not got its {rows} rows';
    END IF;
END $$;
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Args:
        kept: where what was there before is kept: a directory, or a schema of the database; None where there was none.
    """

    rows: int
    schema_version: int
    kept: str | None


async def restore_embedded(archive: Path, state_directory: Path, *, overwrite: bool, dry_run: bool) -> Restored:
    """Restore a backup as the data of the embedded server.

    Args:
        overwrite: whether data that is there may be replaced; it is kept beside.
        dry_run: make the data, see that it is whole, and throw it away; a daemon may run meanwhile.

    Raises:
        BackupError: the archive can't be restored, or there is data already.
        DatabaseUnsuitable: it is of a newer dongbo.
        EmbeddedDataInUse: a daemon runs on the state directory.
        EmbeddedServerError: the server can't be started.
    """
    clients = await clients_for(archive, local=True)
    version = await _acceptable_version(archive, clients)
    if dry_run:
        with trial_beside(state_directory) as directory:
            async with embedded_server(directory) as server:
                rows = await load(archive, clients, server.dsn)
        return Restored(sum(rows.values()), version, None)
    with state_lock(state_directory):
        if major_version_of(data_directory(state_directory)) is not None and not overwrite:
            raise BackupError(
                _(
                    "There is data in {directory} already: add --overwrite to put the backup in its place; what is "
                    "there now is kept beside it"
                ).format(directory=state_directory)
            )
        with replacement_of(state_directory) as replacement:
            async with embedded_server(replacement.state_directory) as server:
                rows = await load(archive, clients, server.dsn)
            kept = await asyncio.to_thread(replacement.put_in_place)
    return Restored(sum(rows.values()), version, str(kept) if kept is not None else None)


async def restore_into(archive: Path, dsn: str, *, overwrite: bool, dry_run: bool) -> Restored:
    """Restore a backup into a database of a server that is not ours, in one transaction.

    Args:
        overwrite: whether a schema `dongbo` that is there may be replaced; it is kept under another name.
        dry_run: see that it can be restored, and take all of it back.

    Raises:
        BackupError: the archive can't be restored, or there is a schema already.
        DatabaseUnsuitable: it is of a newer dongbo.
        DatabaseUnavailable: there is no connection.
        EmbeddedDataInUse: daemons run on the database.
    """
    clients = await clients_for(archive, local=address_of(dsn).is_local)
    version = await _acceptable_version(archive, clients)
    async with _connected(dsn) as connection:
        if daemons := await connection.fetchval(DAEMONS):
            raise EmbeddedDataInUse(
                ngettext(
                    "{database} is in use ({n} connection of a daemon): stop all daemons first",
                    "{database} is in use ({n} connections of daemons): stop all daemons first",
                    daemons,
                ).format(database=describe(dsn), n=daemons)
            )
        replaces = await connection.fetchval(HAS_SCHEMA)
    if replaces and not (overwrite or dry_run):
        raise BackupError(
            _(
                "There is a schema dongbo in {database} already: add --overwrite to put the backup in its place; what "
                "is there now is kept under another name"
            ).format(database=describe(dsn))
        )
    kept = f"{OLD_SCHEMA}{datetime.now(UTC):%Y%m%dt%H%M%Sz}" if replaces else None
    rows = await load(archive, clients, dsn, keep_old_as=kept, dry_run=dry_run)
    return Restored(sum(rows.values()), version, None if dry_run else kept)


async def load(
    archive: Path, clients: Clients, dsn: str, *, keep_old_as: str | None = None, dry_run: bool = False
) -> Mapping[str, int]:
    """Restore an archive into a database, all of it or nothing; how many rows each table has got.

    Args:
        keep_old_as: the name that the schema which is there gets; None where there is none.
        dry_run: take it back at the end.

    Raises:
        BackupError: the archive can't be read to its end, or the database refuses something in it.
        BackupInterrupted: the connection broke.
        NoRoom: the server's disk is full.
    """
    async with _connected(dsn) as connection:
        knows_transaction_timeout = connection.get_server_version().major >= 17
    beginning = _beginning(await extensions_in(archive, clients), keep_old_as)
    address = address_of(dsn)
    counter = RowCounter()
    async with (
        script_of(archive, clients, "--schema=dongbo") as script,
        running_client(
            clients.psql,
            ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--no-password", f"--dbname={address.url}"],
            environment=address.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        ) as psql,
    ):
        # It ends by itself at the first thing that the server refuses, and says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            psql.stdin.write(beginning.encode())
            await _feed(psql.stdin, script, counter, drop=b"" if knows_transaction_timeout else SINCE_17)
            # Only now is the archive known to be whole: without these words nothing of it stays.
            psql.stdin.write(_end(counter.rows, dry_run=dry_run).encode())
            psql.stdin.close()
            await psql.stdin.wait_closed()
        await psql.ended()
    if not dry_run:
        async with _connected(dsn) as connection:
            await connection.execute("ANALYZE", timeout=STATEMENT_TIMEOUT)
    return counter.rows


async def old_schemas(dsn: str) -> list[str]:
    """Schemas that were replaced and are kept, oldest first. Raises DatabaseUnavailable."""
    async with _connected(dsn) as connection:
        return [row["nspname"] for row in await connection.fetch(OLD_SCHEMAS)]


async def drop_schema(dsn: str, name: str) -> None:
    """Drop a schema that was replaced. Raises DatabaseUnavailable, or BackupError where it belongs to another user."""
    async with _connected(dsn) as connection:
        try:
            await connection.execute(DROP_SCHEMA.format(name), timeout=STATEMENT_TIMEOUT)
        except asyncpg.InsufficientPrivilegeError as error:
            raise not_allowed(str(error)) from None


async def _feed(stdin: asyncio.StreamWriter, script: AsyncIterator[bytes], counter: RowCounter, *, drop: bytes) -> None:
    async for piece in script:
        counter.feed(piece)
        stdin.write(piece.replace(drop, b"", 1) if drop else piece)
        drop = b""  # it stands in the first lines
        await stdin.drain()


def _beginning(extensions: Mapping[str, str], keep_old_as: str | None) -> str:
    """What a script without the schema itself and its extensions needs to be there."""
    schema = MAKE_SCHEMA if keep_old_as is None else KEEP_OLD.format(keep_old_as, keep_old_as)
    return "".join((BEGIN, schema, *(MAKE_EXTENSION.format(*extension) for extension in extensions.items())))


def _end(rows: Mapping[str, int], *, dry_run: bool) -> str:
    expectations = "".join(EXPECT.format(table=table, rows=count) for table, count in rows.items())
    return f"\n{expectations}{'ROLLBACK' if dry_run else 'COMMIT'};\n"


async def _acceptable_version(archive: Path, clients: Clients) -> int:
    version = await schema_version_in(archive, clients)
    if version > program_version():
        raise DatabaseUnsuitable(
            _(
                "{file} is of a newer dongbo: its schema version is {version}, and this program knows those up to "
                "{newest}. Upgrade dongbo on this machine (pip install --upgrade dongbo)"
            ).format(file=archive, version=version, newest=program_version())
        )
    return version


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a few statements, apart from any pool."""
    try:
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, command_timeout=STATEMENT_TIMEOUT, server_settings={"jit": "off"}
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        if isinstance(error, asyncpg.InterfaceError) and not is_connection_error(error):
            raise
        cause = f"{reason(error)}. {next_step(error)}"
        raise DatabaseUnavailable(
            _("no connection to {where}: {error}").format(where=describe(dsn), error=cause)
        ) from None
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT)
