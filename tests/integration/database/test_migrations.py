"""Migrations: once, in order, by one daemon at a time, and never backwards."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.database.migrate import Migration, Schema, migrate, program_version, read_schema, shipped_migrations
from daemon.database.pool import Connection, open_database
from daemon.errors import DatabaseUnsuitable
from daemon.jobs.queue.driver import install
from tests.support.postgres import TestServer

FIRST = Migration(1, "first", "CREATE TABLE dongbo.colours (name text PRIMARY KEY);")
SECOND = Migration(2, "second", "INSERT INTO dongbo.colours VALUES ('xanh'); INSERT INTO dongbo.colours VALUES ('đỏ');")
BROKEN = Migration(3, "broken", "INSERT INTO dongbo.colours VALUES ('vàng'); INSERT INTO dongbo.absent VALUES (1);")

EXPANDS = Migration(3, "expands", "-- oldest-program: 2\nALTER TABLE dongbo.colours ADD COLUMN code text;")
CONTRACTS = Migration(4, "contracts", "-- oldest-program: 3\nALTER TABLE dongbo.colours DROP COLUMN code;")

CAMPAIGNS = """
INSERT INTO dongbo.sale_campaigns (id, store, name, origin, state, definition)
SELECT gen_random_uuid(), 'main', 'sale-' || number, 'api', 'DRAFT', '{}' FROM generate_series(1, 3) AS number
"""
HOLD = """
INSERT INTO dongbo.sale_items (campaign_id, variant_id, product_id, store, state, held, before_price, base_price)
SELECT id, $3, 1, $1, 'PLANNED', '[2026-01-01, 2026-01-02)', 1, 1
FROM dongbo.sale_campaigns WHERE name = 'sale-' || $2::text
"""
# Ten of each outcome, with and without a schedule, some of them steps of a chain or tests of `dongbo doctor`.
JOBS = """
INSERT INTO dongbo.background_jobs (
    id, store, type, lane, status, trigger, schedule, max_attempts, processed, failed, error, run_token, completed_at,
    params
)
SELECT gen_random_uuid(), 'main', CASE number % 5 WHEN 0 THEN 'NOOP' ELSE 'SYNC_PRODUCTS' END, 'sync', made.status,
    'schedule', CASE number % 2 WHEN 0 THEN 'nightly' END, 3, made.failed, made.failed, made.error,
    CASE made.status WHEN 'RUNNING' THEN gen_random_uuid() END,
    CASE WHEN made.status IN ('COMPLETED', 'FAILED', 'CANCELLED') THEN now() END,
    to_jsonb(ARRAY[number::text, made.status, made.error])
FROM generate_series(1, 10) AS number, (VALUES
    ('PENDING', 0, NULL), ('PENDING', 0, 'no answer'), ('RUNNING', 0, NULL), ('COMPLETED', 0, NULL),
    ('COMPLETED', 2, NULL), ('FAILED', 0, 'no answer'), ('CANCELLED', 0, NULL)
) AS made (status, failed, error);
UPDATE dongbo.background_jobs SET parent_id = id WHERE (params ->> 0)::integer % 3 = 0
"""
FACETS = """
SELECT job.id, facet.* FROM dongbo.background_jobs AS job JOIN dongbo.job_facets AS facet ON facet.id = job.facet
ORDER BY job.id
"""
CALLS = "SELECT calls FROM pg_stat_user_functions WHERE funcname = 'set_job_facet'"
FLUSH = "SELECT pg_stat_force_next_flush()"
COLOURS = "SELECT count(*) FROM dongbo.colours"


async def test_shipped_migrations_build_the_schema(empty_database_url: str) -> None:
    """The program's own migrations run on an empty database, and a second time do nothing."""
    async with open_database(empty_database_url) as database:
        assert await migrate(database) == program_version()
        assert await migrate(database) == program_version()


async def test_missing_migrations_are_applied_once_and_in_order(empty_database_url: str) -> None:
    """A database gets what it lacks; what it has is left alone."""
    async with open_database(empty_database_url) as database:
        async with database.acquire() as connection:
            assert await read_schema(connection) == Schema(0, 0)
        assert await migrate(database, migrations=[FIRST]) == 1
        assert await migrate(database, migrations=[FIRST, SECOND]) == 2
        assert await migrate(database, migrations=[FIRST, SECOND]) == 2
        async with database.acquire() as connection:
            assert await connection.fetchval(COLOURS) == 2


async def test_many_daemons_may_start_at_once(empty_database_url: str) -> None:
    """Daemons that start together all succeed, and the migrations and hooks run one after the other."""
    inside = 0

    async def hook(connection: Connection) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1, "two daemons are under the lock at once"
        await connection.execute("SELECT pg_sleep(0.05)")
        inside -= 1

    async def start() -> int:
        async with open_database(empty_database_url) as database:
            return await migrate(database, then=[hook], migrations=[FIRST, SECOND])

    assert await asyncio.gather(*(start() for _ in range(4))) == [2, 2, 2, 2]


async def test_failed_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    """A file is applied as a whole or not at all; the ones before it stay, and the lock is free again."""
    async with open_database(empty_database_url) as database:
        with pytest.raises(DatabaseUnsuitable, match=r"0003_broken.*absent"):
            await migrate(database, migrations=[FIRST, SECOND, BROKEN])
        async with database.acquire() as connection:
            assert await connection.fetchval(COLOURS) == 2
            assert await read_schema(connection) == Schema(2, 2)
        async with open_database(empty_database_url) as other:
            assert await migrate(other, migrations=[FIRST, SECOND]) == 2


async def test_newer_schema_is_refused(empty_database_url: str) -> None:
    """An old program keeps off a database that a newer one has migrated, and says to upgrade."""
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=[FIRST, SECOND])
        with pytest.raises(DatabaseUnsuitable, match=r"schema version 2 is newer than .* 1, .*: upgrade dongbo"):
            await migrate(database, migrations=[FIRST])


async def test_an_older_program_works_on_what_only_expands(empty_database_url: str) -> None:
    """It starts on a newer schema that says so, changes nothing there, and is refused once that contracts."""
    hooked = []

    async def hook(_connection: Connection) -> None:
        hooked.append("hooked")

    async with open_database(empty_database_url) as database, database.acquire() as connection:
        await migrate(database, migrations=[FIRST, SECOND, EXPANDS])
        assert await read_schema(connection) == Schema(3, 2)
        assert await migrate(database, migrations=[FIRST, SECOND], then=[hook]) == 2
        assert hooked == []
        with pytest.raises(DatabaseUnsuitable, match="needs a program of version 2 at least"):
            await migrate(database, migrations=[FIRST])
        await migrate(database, migrations=[FIRST, SECOND, EXPANDS, CONTRACTS])
        assert await read_schema(connection) == Schema(4, 3)
        with pytest.raises(DatabaseUnsuitable, match="needs a program of version 3 at least"):
            await migrate(database, migrations=[FIRST, SECOND])
        assert await migrate(database, migrations=[FIRST, SECOND, EXPANDS]) == 3


async def test_a_database_of_before_says_nothing_of_older_programs(empty_database_url: str) -> None:
    """What was migrated by a program that did not keep it is for programs of its version, and is kept from then on."""
    async with open_database(empty_database_url) as database, database.acquire() as connection:
        await migrate(database, migrations=[FIRST])
        await connection.execute("ALTER TABLE dongbo.schema_migrations DROP COLUMN oldest_program")
        assert await read_schema(connection) == Schema(1, 1)
        await migrate(database, migrations=[FIRST, SECOND, EXPANDS])
        assert await read_schema(connection) == Schema(3, 2)


async def test_changed_migration_is_refused(empty_database_url: str) -> None:
    """A migration that was applied with another text is noticed."""
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=[FIRST])
        with pytest.raises(DatabaseUnsuitable, match="0001_first was applied with another text"):
            await migrate(database, migrations=[replace(FIRST, sql=FIRST.sql + " "), SECOND])


async def test_sessions_keep_their_time_outs_after_a_migration(empty_database_url: str) -> None:
    """The long time-outs of a migration are its connection's only, and only for its time."""
    async with open_database(empty_database_url, max_connections=4) as database:
        await migrate(database, migrations=[FIRST])
        async with database.acquire() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "30s"
            assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_missing_privilege_is_said_plainly(postgres_server, empty_database_url: str) -> None:
    """A database user who may not make tables is told what to grant."""
    role = empty_database_url.partition("?")[0].rpartition("/")[2] + "_reader"
    postgres_server.run(postgres_server.execute(f"CREATE ROLE {role}"))
    try:
        async with open_database(empty_database_url) as database:

            async def lose_privileges(connection: Connection) -> None:
                await connection.execute(f"SET ROLE {role}; CREATE TABLE dongbo.mine (id int)")

            with pytest.raises(DatabaseUnsuitable, match="GRANT CREATE"):
                await migrate(database, then=[lose_privileges], migrations=[FIRST])
    finally:
        postgres_server.run(postgres_server.execute(f"DROP ROLE {role}"))


async def test_rows_of_before_an_upgrade_are_searched_and_get_their_keys_anew(empty_database_url: str) -> None:
    """What was mirrored by an older program is found without accents, and its keys count as those of older rules."""
    shipped = shipped_migrations()
    number = next(migration.version for migration in shipped if migration.name == "matching")
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=shipped[: number - 1])
        async with database.acquire() as connection:
            await connection.execute(
                "INSERT INTO dongbo.nhanh_products (store, id, code, name, document, digest) "
                "VALUES ('main', 1, 'ÁO-01', 'Áo dài ĐỎ', '{}', '')"
            )
        await migrate(database)
        async with database.acquire() as connection:
            assert await connection.fetchval("SELECT text FROM dongbo.item_texts") == "|ao-01||aodaido"
            assert [tuple(row) for row in await connection.fetch("SELECT * FROM dongbo.key_rules")] == [
                ("main", "nhanh", "1")
            ]


async def test_a_schema_that_was_made_for_the_daemon_is_enough(
    postgres_server: TestServer, empty_database_url: str
) -> None:
    """Case 12: a role that may not CREATE in the database runs in the schema that somebody has made for it."""
    role = empty_database_url.partition("?")[0].rpartition("/")[2] + "_owner"
    postgres_server.run(postgres_server.execute(f"CREATE ROLE {role} LOGIN"))
    url = urlsplit(empty_database_url)
    of_role = url._replace(netloc=f"{role}@{url.netloc.rpartition('@')[2]}").geturl()
    of_role = of_role.replace("user=postgres", f"user={role}")
    try:
        async with open_database(empty_database_url) as database, database.acquire() as connection:
            await connection.execute(f"CREATE SCHEMA dongbo AUTHORIZATION {role}")
        async with open_database(of_role) as database:
            assert await migrate(database, then=[install]) == program_version()
            async with database.acquire() as connection:
                assert await connection.fetchval("SELECT current_user") == role
                assert not await connection.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
                await connection.execute(CAMPAIGNS)
                await connection.execute(HOLD, "main", "1", 7)
                await connection.execute(HOLD, "other", "2", 7)
                with pytest.raises(asyncpg.ExclusionViolationError):
                    await connection.execute(HOLD, "main", "3", 7)
    finally:
        postgres_server.run(postgres_server.execute(f"DROP DATABASE {url.path.lstrip('/')} WITH (FORCE)"))
        postgres_server.run(postgres_server.execute(f"DROP ROLE {role}"))


async def test_jobs_of_before_have_the_facets_that_the_trigger_gives(empty_database_url: str) -> None:
    """An upgrade counts jobs as if this program had written them, and runs no trigger for each: that takes minutes."""
    shipped = shipped_migrations()
    number = next(migration.version for migration in shipped if migration.name == "history")
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=shipped[: number - 1])
        async with database.acquire() as connection:
            await connection.execute(JOBS)
            name = await connection.fetchval("SELECT current_database()")
            await connection.execute(f"ALTER DATABASE {name} SET track_functions = 'pl'")
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=shipped[:number])
        async with database.acquire() as connection:
            given = [dict(row) for row in await connection.fetch(FACETS)]
            assert len(given) == 70
            counted = await connection.fetch("SELECT facet, jobs FROM dongbo.job_counts ORDER BY facet")
            assert sum(row["jobs"] for row in counted) == 70
            await connection.execute(FLUSH)
            assert not await connection.fetchval(CALLS)
            await connection.execute("UPDATE dongbo.background_jobs SET status = status")
            assert [dict(row) for row in await connection.fetch(FACETS)] == given
            await connection.execute(FLUSH)
            assert await connection.fetchval(CALLS) == 70


async def test_a_migration_that_crosses_another_session_is_tried_again(empty_database_url: str) -> None:
    """Each has what the other one needs: whichever PostgreSQL ends, the migration is applied in the end."""
    crossing = Migration(3, "crossing", "LOCK TABLE dongbo.shapes; LOCK TABLE dongbo.colours;")
    made = [FIRST, replace(SECOND, sql="CREATE TABLE dongbo.shapes (name text);")]
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=made)
        async with database.acquire() as other, asyncio.TaskGroup() as tasks, asyncio.timeout(20):
            transaction = other.transaction()
            await transaction.start()
            await other.execute("LOCK TABLE dongbo.colours")
            migrating = tasks.create_task(migrate(database, migrations=[*made, crossing]), name="migrate")
            waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'dongbo.colours'::regclass)"
            while not await other.fetchval(waits):
                await asyncio.sleep(0.01)
            with suppress(asyncpg.DeadlockDetectedError):
                await other.execute("LOCK TABLE dongbo.shapes")
            await transaction.rollback()
            await migrating
            assert (await read_schema(other)).version == 3
