"""The migration files that the program ships."""

import importlib.resources
import re

import pytest

from daemon.database.migrate import Migration, program_version, shipped_migrations


def test_each_number_is_given_once() -> None:
    """Two branches can't both add the same one unnoticed; the last one is what the program works with."""
    versions = [migration.version for migration in shipped_migrations()]
    assert versions == sorted(set(versions))
    assert (versions[0], versions[-1]) == (1, program_version())


def test_every_sql_file_is_a_migration() -> None:
    """No file is left out because of its name."""
    folder = importlib.resources.files("daemon.database") / "migrations"
    names = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
    assert names == {f"{migration.version:04}_{migration.name}.sql" for migration in shipped_migrations()}


def test_checksums_differ_with_the_text() -> None:
    """Each file has a checksum of its own."""
    assert len({migration.checksum for migration in shipped_migrations()}) == len(shipped_migrations())


# What takes something away that an older program may use. An index is none of it, unless ON CONFLICT goes by it:
# whether those are all there is asked in tests/integration/database/test_schema_upgrade.py.
CONTRACTING = re.compile(
    r"\bDROP\s+(?:TABLE|COLUMN|VIEW|SEQUENCE|FUNCTION|TYPE|DEFAULT)\b|\bRENAME\b|\bSET\s+NOT\s+NULL\b"
    r"|\bALTER\s+COLUMN\s+\w+\s+(?:SET\s+DATA\s+)?TYPE\b",
    re.IGNORECASE,
)
FIRST_THAT_SAYS = 17


@pytest.mark.parametrize(
    "migration",
    [migration for migration in shipped_migrations() if migration.version >= FIRST_THAT_SAYS],
    ids=lambda migration: f"{migration.version:04}_{migration.name}",
)
def test_a_migration_says_which_programs_work_on_and_takes_nothing_from_them(migration: Migration) -> None:
    """Expand, then contract: whoever drops something says, deliberately, that programs of before can't go on."""
    assert migration.sql.startswith("-- oldest-program: ")
    assert FIRST_THAT_SAYS - 1 <= migration.oldest_program <= migration.version
    statements = re.sub(r"--[^\n]*", "", migration.sql)
    if migration.oldest_program < migration.version:
        assert not CONTRACTING.findall(statements)
        added = re.findall(r"ADD COLUMN[^,;]*", statements)
        assert all("NOT NULL" not in column or "DEFAULT" in column for column in added)


def test_without_a_word_only_the_program_that_brings_a_migration_works_on() -> None:
    """The first line alone counts, as it is written in CONTRIBUTING."""
    assert Migration(17, "a", "-- oldest-program: 16\nSELECT 1").oldest_program == 16
    assert Migration(17, "a", "-- Something.\n-- oldest-program: 16\n").oldest_program == 17
