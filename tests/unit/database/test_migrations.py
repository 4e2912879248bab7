"""The migration files that the program ships."""

import importlib.resources

from daemon.database.migrate import program_version, shipped_migrations


def test_files_are_numbered_without_gap() -> None:
    """Versions count from 1, each once, so that two branches can't both add the same one unnoticed."""
    assert [migration.version for migration in shipped_migrations()] == list(range(1, program_version() + 1))


def test_every_sql_file_is_a_migration() -> None:
    """No file is left out because of its name."""
    folder = importlib.resources.files("daemon.database") / "migrations"
    names = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
    assert names == {f"{migration.version:04}_{migration.name}.sql" for migration in shipped_migrations()}


def test_checksums_differ_with_the_text() -> None:
    """Each file has a checksum of its own."""
    assert len({migration.checksum for migration in shipped_migrations()}) == len(shipped_migrations())
