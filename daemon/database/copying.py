"""Rows that are new, as nearly all of a first pull are: by COPY, which has nothing to look for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from daemon.database.pool import Connection


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows for a table in the schema of the daemon, each with a value for every one of these columns."""

    table: str
    columns: Sequence[str]
    rows: Iterable[tuple[object, ...]]


async def copy_new(connection: Connection, *tables: NewRows) -> bool:
    """Copy rows that nobody has stored yet, in the caller's transaction; all of them, or none.

    Waits for whoever is about to store one of them. False: he has, so that nothing was copied.
    """
    try:
        async with connection.transaction():
            for new in tables:
                await connection.copy_records_to_table(
                    new.table, schema_name="dongbo", columns=new.columns, records=new.rows
                )
    except asyncpg.UniqueViolationError:
        return False
    return True
