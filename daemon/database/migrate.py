"""Brings the schema up to date: numbered SQL files, each applied once.

Migrations expand first and contract later, so that daemons of two versions can work on one database. A file says in
its first line with which programs its schema still works, `-- oldest-program: 16`: those whose newest migration is that
one or a later one. The database keeps it, and an older program asks there whether it may work.
"""

import asyncio
import hashlib
import importlib.resources
import re
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
HAS_OLDEST_PROGRAM = """
SELECT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = 'dongbo.schema_migrations'::regclass AND attname = 'oldest_program'
)
"""
ADD_OLDEST_PROGRAM = "ALTER TABLE dongbo.schema_migrations ADD COLUMN oldest_program integer"
APPLIED = "SELECT version, name, checksum FROM dongbo.schema_migrations ORDER BY version"
RECORD = """
INSERT INTO dongbo.schema_migrations (version, name, checksum, oldest_program) VALUES ($1, $2, $3, $4)
"""
# By way of JSON: the column is not there where no program has migrated that knows of it.
SCHEMA = """
SELECT coalesce(max(version), 0) AS version,
    coalesce(max(coalesce((to_jsonb(applied) ->> 'oldest_program')::integer, version)), 0) AS oldest_program
FROM dongbo.schema_migrations AS applied
"""
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
    ("store WITH =", "numrange(hashtextextended(store, 0), hashtextextended(store, 0), '[]') WITH &&"),
    ("variant_id WITH =", "numrange(variant_id, variant_id, '[]') WITH &&"),
)

ATTEMPTS = 5  # at a migration that others hold up
PASSED_ON = (asyncpg.InsufficientPrivilegeError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)

OLDEST_PROGRAM = re.compile(r"-- oldest-program: ([0-9]+)\n")

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

    @property
    def oldest_program(self) -> int:
        """The oldest program that works on after it; without such a line it is the one that brings it."""
        said = OLDEST_PROGRAM.match(self.sql)
        return int(said[1]) if said is not None else self.version


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database has been migrated to.

    Args:
        version: the newest migration that was applied; 0 for a database that was never migrated.
        oldest_program: the program, by its newest migration, that one must have at least to work with it.
    """

    version: int
    oldest_program: int

    def suits(self, program: int) -> bool:
        """Whether a program with this newest migration can work on it, once it has applied what is missing."""
        return self.oldest_program <= program


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


async def read_schema(connection: Connection) -> Schema:
    """What the database has been migrated to."""
    if not await connection.fetchval(IS_PREPARED):
        return Schema(0, 0)
    return Schema(*await connection.fetchrow(SCHEMA))


async def lineage(connection: Connection) -> str:
    """Eight hex digits that tell this database from others, copies of it apart; "" for one that was never migrated."""
    found: str | None = await connection.fetchval(LINEAGE) if await connection.fetchval(IS_PREPARED) else None
    return found or ""


async def migrate(
    database: Database, *, then: Sequence[Hook] = (), migrations: Sequence[Migration] | None = None
) -> int:
    """Applies the migrations that the database lacks. Any number of daemons may do so at once.

    Args:
        then: called in order with the same connection and under the same lock, for tables that a library makes; not
            on a newer schema, whose program has made them.
        migrations: those of this program unless others are given.

    Returns:
        The newest migration of this program. The database may have newer ones that the program works with.

    Raises:
        DatabaseUnsuitable: the schema is too new for the program, an applied migration differs, or one fails.
        DatabaseUnavailable: the connection broke, or another daemon holds the lock for too long.
    """
    wanted = shipped_migrations() if migrations is None else migrations
    program = max((migration.version for migration in wanted), default=0)
    async with database.acquire() as connection:
        try:
            await _lock(connection)
            await connection.execute(WITHOUT_HASTE)
            if not await connection.fetchval(IS_PREPARED):
                if not await connection.fetchval(HAS_SCHEMA):
                    await connection.execute(MAKE_SCHEMA)
                await connection.execute(PREPARE)
            if not await connection.fetchval(HAS_OLDEST_PROGRAM):
                await connection.execute(ADD_OLDEST_PROGRAM)
            if await _is_newer(connection, program):
                then = ()
            for migration in await _missing(connection, wanted):
                await _apply(connection, migration)
            for hook in then:
                await hook(connection)
            return program
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


async def _is_newer(connection: Connection, program: int) -> bool:
    """Whether a newer program has migrated the database; raises DatabaseUnsuitable where this one can't work on it."""
    schema = await read_schema(connection)
    if not schema.suits(program):
        raise DatabaseUnsuitable(
            f"the database's schema version {schema.version} is newer than this program's {program}, and needs a "
            f"program of version {schema.oldest_program} at least: "
            f"upgrade dongbo on this machine (pip install --upgrade dongbo)"
        )
    if schema.version > program:
        log.warning("schema_newer", found=schema.version, program=program, next_step="upgrade dongbo on this machine")
    return schema.version > program


async def _missing(connection: Connection, wanted: Sequence[Migration]) -> list[Migration]:
    applied = {row["version"]: row for row in await connection.fetch(APPLIED)}
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
    """Others may work on meanwhile, and hold what it needs: then it is tried again."""
    for _attempt in range(ATTEMPTS):
        try:
            return await _apply_once(connection, migration)
        except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError) as error:
            log.warning("migration_held_up", version=migration.version, name=migration.name, error=str(error))
            held_up_by = error
    raise DatabaseUnavailable(
        f"migration {migration.version:04}_{migration.name} was held up by another session each time, and left nothing "
        f"behind: {held_up_by}"
    )


async def _apply_once(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(await _text(connection, migration), timeout=LONGEST_MIGRATION)
            await connection.execute(
                RECORD, migration.version, migration.name, migration.checksum, migration.oldest_program
            )
    except asyncpg.PostgresError as error:
        if is_connection_error(error) or isinstance(error, PASSED_ON):
            raise
        raise DatabaseUnsuitable(
            f"migration {migration.version:04}_{migration.name} failed and left nothing behind: {error}"
        ) from error
    log.info("migration_applied", version=migration.version, name=migration.name)
