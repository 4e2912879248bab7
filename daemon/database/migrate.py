"""Brings the schema up to date: numbered SQL files, each applied once."""

import asyncio
import hashlib
import importlib.resources
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache

import asyncpg
import structlog

from daemon.database.pool import Connection, Database, is_connection_error
from daemon.errors import DatabaseUnavailable, DatabaseUnsuitable

log = structlog.get_logger()

LOCK_KEY = int.from_bytes(b"dongbo\0\1", "big")
LOCK_DEADLINE = 600.0  # seconds that a daemon waits for another one's migrations
LOCK_PAUSE = 0.1
LONGEST_MIGRATION = 3600.0

TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
# Until the pool resets the session. To rewrite a large table may take long.
WITHOUT_HASTE = "SET statement_timeout = 0; SET lock_timeout = '60s'"
IS_PREPARED = "SELECT to_regclass('dongbo.schema_migrations') IS NOT NULL"
HAS_SCHEMA = "SELECT to_regnamespace('dongbo') IS NOT NULL"
MAKE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS dongbo"  # asks for the right to make one even where there is one
PREPARE = """
CREATE TABLE IF NOT EXISTS dongbo.schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""
APPLIED = "SELECT version, name, checksum FROM dongbo.schema_migrations ORDER BY version"
RECORD = "INSERT INTO dongbo.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"
VERSION = "SELECT coalesce(max(version), 0) FROM dongbo.schema_migrations"
# The moment to the microsecond in which the database was first migrated.
LINEAGE = """
SELECT left(md5(extract(epoch FROM applied_at)::text), 8) FROM dongbo.schema_migrations ORDER BY version LIMIT 1
"""

MAY_MAKE_EXTENSION = """
SELECT has_database_privilege(current_database(), 'CREATE') OR EXISTS (
    SELECT FROM pg_extension WHERE extname = 'btree_gist'
)
"""
# To make an extension needs the right to CREATE in the database. Where a daemon has only a schema, its constraint does
# the same by ranges of a single value, which need none; two stores of the same hash would exclude each other.
WITHOUT_EXTENSION = (
    ("CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA dongbo;", ""),
    (
        "EXCLUDE USING gist (store WITH =, variant_id WITH =, ",
        "EXCLUDE USING gist (numrange(hashtextextended(store, 0), hashtextextended(store, 0), '[]') WITH &&, "
        "numrange(variant_id, variant_id, '[]') WITH &&, ",
    ),
)

Hook = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN_name.sql`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def shipped_migrations() -> tuple[Migration, ...]:
    """The migrations of this program, oldest first."""
    folder = importlib.resources.files("daemon.database") / "migrations"
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    migrations = [Migration(int(file.name[:4]), file.name[5:-4], file.read_text("utf-8")) for file in files]
    return tuple(sorted(migrations, key=lambda migration: migration.version))


def program_version() -> int:
    """The schema version that this program works with."""
    return max((migration.version for migration in shipped_migrations()), default=0)


async def schema_version(connection: Connection) -> int:
    """The schema version of the database; 0 for one that was never migrated."""
    version: int = await connection.fetchval(VERSION) if await connection.fetchval(IS_PREPARED) else 0
    return version


async def lineage(connection: Connection) -> str:
    """Eight hex digits that tell this database from others, copies of it apart; "" for one that was never migrated."""
    found: str | None = await connection.fetchval(LINEAGE) if await connection.fetchval(IS_PREPARED) else None
    return found or ""


async def migrate(
    database: Database, *, then: Sequence[Hook] = (), migrations: Sequence[Migration] | None = None
) -> int:
    """Applies the migrations that the database lacks. Any number of daemons may do so at once.

    Args:
        then: called in order with the same connection and under the same lock, for tables that a library makes.
        migrations: those of this program unless others are given.

    Returns:
        The schema version of the database.

    Raises:
        DatabaseUnsuitable: the schema is newer than the program, an applied migration differs, or one fails.
        DatabaseUnavailable: the connection broke, or another daemon holds the lock for too long.
    """
    wanted = shipped_migrations() if migrations is None else migrations
    async with database.acquire() as connection:
        try:
            await _lock(connection)
            await connection.execute(WITHOUT_HASTE)
            if not await connection.fetchval(IS_PREPARED):
                if not await connection.fetchval(HAS_SCHEMA):
                    await connection.execute(MAKE_SCHEMA)
                await connection.execute(PREPARE)
            for migration in await _missing(connection, wanted):
                await _apply(connection, migration)
            for hook in then:
                await hook(connection)
            return await schema_version(connection)
        except asyncpg.InsufficientPrivilegeError as error:
            raise DatabaseUnsuitable(
                f"the database's user may not make the tables ({error}): make it the owner of the database, "
                f"GRANT CREATE ON DATABASE … TO it, or make a schema for it alone: CREATE SCHEMA dongbo AUTHORIZATION …"
            ) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if is_connection_error(error):
                raise DatabaseUnavailable(f"the connection broke during the migration: {error}") from error
            raise


async def _lock(connection: Connection) -> None:
    """Takes the lock that only one daemon can have, until the connection goes back to the pool, which lets go of it.

    Asked for again and again: a statement that waits for a lock holds a snapshot, and another daemon's CREATE INDEX
    CONCURRENTLY waits for all snapshots to end.
    """
    try:
        async with asyncio.timeout(LOCK_DEADLINE):
            while not await connection.fetchval(TRY_LOCK, LOCK_KEY):  # noqa: ASYNC110 -- another process
                await asyncio.sleep(LOCK_PAUSE)
    except TimeoutError:
        raise DatabaseUnavailable(
            f"another daemon has been migrating the database for {LOCK_DEADLINE:.0f} s: look at its log"
        ) from None


async def _missing(connection: Connection, wanted: Sequence[Migration]) -> list[Migration]:
    applied = {row["version"]: row for row in await connection.fetch(APPLIED)}
    newest = max((migration.version for migration in wanted), default=0)
    if applied and max(applied) > newest:
        raise DatabaseUnsuitable(
            f"the database's schema version {max(applied)} is newer than this program's {newest}: "
            f"upgrade dongbo on this machine (pip install --upgrade dongbo)"
        )
    for migration in wanted:
        row = applied.get(migration.version)
        if row is not None and row["checksum"] != migration.checksum:
            raise DatabaseUnsuitable(
                f"migration {migration.version:04}_{migration.name} was applied with another text than this program "
                f"has: the database belongs to another build of dongbo; install that one, or use another database"
            )
    return [migration for migration in wanted if migration.version not in applied]


async def _text(connection: Connection, migration: Migration) -> str:
    """The migration as this user may run it."""
    text = migration.sql
    if "CREATE EXTENSION" in text and not await connection.fetchval(MAY_MAKE_EXTENSION):
        for wanted, instead in WITHOUT_EXTENSION:
            text = text.replace(wanted, instead)
    return text


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(await _text(connection, migration), timeout=LONGEST_MIGRATION)
            await connection.execute(RECORD, migration.version, migration.name, migration.checksum)
    except asyncpg.PostgresError as error:
        if is_connection_error(error) or isinstance(error, asyncpg.InsufficientPrivilegeError):
            raise
        raise DatabaseUnsuitable(
            f"migration {migration.version:04}_{migration.name} failed and left nothing behind: {error}"
        ) from error
    log.info("migration_applied", version=migration.version, name=migration.name)
