"""Upgrades keep what is there, and leave older programs what they rely on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from daemon.database.migrate import migrate, read_schema, shipped_migrations
from daemon.database.pool import Connection, open_database
from daemon.jobs.queue.driver import install

FIRST_SCHEMA = 4  # of commit b4993e5
ROWS = Path(__file__).with_name("rows_of_0004.sql")
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'dongbo'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations' ORDER BY relname
"""
# What later migrations rewrite, and how.
REWRITTEN = {
    ("shopify_products", "source_updated_at"): None,  # 0007: bundles must be told from others
}
MOVED = {"approval_items"}  # 0013: to approval_changes
MOVED_CHANGES = """
SELECT job_id::text, kind, owner_id, location_id, old_value, new_value
FROM dongbo.approval_changes JOIN dongbo.approvals AS approval ON approval.id = approval_id
"""

COLUMNS = """
SELECT table_name || '.' || column_name AS name, udt_name, numeric_precision, numeric_scale, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'dongbo'
"""
UNIQUE_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indisunique AND indrelid::regclass::text LIKE 'dongbo.%'
"""
CHECKS = """
SELECT conrelid::regclass || '.' || conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE connamespace = 'dongbo'::regnamespace AND contype IN ('c', 'x', 'f')
"""
# Unique indexes in whose place another one says the same, and that no program has gone by.
REPLACED = {  # 0029
    "dongbo.customer_mappings_one_by_phone": "dongbo.customer_mappings_of_nhanh",
    "dongbo.customer_mappings_one_per_customer": "dongbo.customer_mappings_of_shopify",
}
# Checks that a later migration has only widened: what the older program writes still passes.
WIDENED: set[str] = set()


async def test_data_in_every_table_of_the_first_schema_is_there_after_the_upgrade(empty_database_url: str) -> None:
    """Every row, and every value of a column that is still there, but for what a migration rewrites on purpose."""
    async with open_database(empty_database_url) as database:
        await migrate(database, migrations=shipped_migrations()[:FIRST_SCHEMA], then=[install])
        async with database.acquire() as connection:
            await connection.execute(ROWS.read_text("utf-8"))
            before = await _rows(connection)
            assert [table for table, rows in before.items() if not rows] == []
    async with open_database(empty_database_url) as database:
        await migrate(database, then=[install])
        async with database.acquire() as connection:
            after = await _rows(connection)
            moved = [dict(row) for row in await connection.fetch(MOVED_CHANGES)]
    for table in before.keys() - MOVED:
        kept = {column for row in after[table] for column in row}
        expected = [
            {column: REWRITTEN.get((table, column), value) for column, value in row.items() if column in kept}
            for row in before[table]
        ]
        found = [{column: value for column, value in row.items() if column in before[table][0]} for row in after[table]]
        assert _sorted(found) == _sorted(expected), table
        assert before[table][0].keys() <= kept, f"{table} has lost a column"
    assert moved == before["approval_items"]


async def test_what_older_programs_rely_on_is_there(empty_database_url: str) -> None:
    """The oldest program that the schema admits finds its columns, may leave out new ones, and passes constraints."""
    async with open_database(empty_database_url) as database:
        await migrate(database, then=[install])
        async with database.acquire() as connection:
            oldest = (await read_schema(connection)).oldest_program
            now = await _objects(connection)
            await connection.execute("DROP SCHEMA dongbo CASCADE")
        await migrate(database, migrations=shipped_migrations()[:oldest], then=[install])
        async with database.acquire() as connection:
            then = await _objects(connection)
    tables = {name.partition(".")[0] for name in then["columns"]}
    for name, column in then["columns"].items():
        assert now["columns"].get(name) == column, name
    for name in now["columns"].keys() - then["columns"].keys():
        column = now["columns"][name]
        if name.partition(".")[0] in tables:
            assert column["is_nullable"] == "YES" or column["column_default"] is not None, name
    for name, index in then["unique_indexes"].items():
        if name in REPLACED:
            assert REPLACED[name] in now["unique_indexes"]
            continue
        assert now["unique_indexes"].get(name) == index, f"{name}: what ON CONFLICT goes by"
    for name, check in now["checks"].items():
        if name.partition(".")[0].removeprefix("dongbo.") in tables and name not in WIDENED:
            assert then["checks"].get(name) == check, f"{name}: if it is only wider, name it in WIDENED"


async def _rows(connection: Connection) -> Mapping[str, list[dict[str, Any]]]:
    tables = [row["relname"] for row in await connection.fetch(TABLES)]
    return {
        table: [
            orjson.loads(row["row"])
            for row in await connection.fetch(f"SELECT to_jsonb(found)::text AS row FROM dongbo.{table} AS found")
        ]
        for table in tables
    }


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode() for row in rows)


async def _objects(connection: Connection) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    kinds = {"columns": COLUMNS, "unique_indexes": UNIQUE_INDEXES, "checks": CHECKS}
    return {
        kind: {row["name"]: dict(row) for row in await connection.fetch(statement)} for kind, statement in kinds.items()
    }
