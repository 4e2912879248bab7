"""`dongbo database`: what an administrator types, and reads."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import app
from daemon.cli.exits import run_guarded
from daemon.database.migrate import program_version
from daemon.errors import ExitCode
from tests.support.cli_processes import DONGBO, Dongbo, Outcome
from tests.support.databases import JOBS, names_in, value_in
from tests.support.postgres import TestServer

COUNT = "SELECT count(*) FROM dongbo.background_jobs"


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """A configuration that names a migrated database on a server of somebody else's."""
    path = tmp_path / "dongbo.toml"
    path.write_text(f'[database]\nurl = "{database_url}"\n')
    return path


@pytest.fixture
def dongbo(config: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Dongbo]:
    """Runs a command of the group in this process."""

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        command = ["database", arguments[0], "--config", str(config), *arguments[1:]]
        code = run_guarded(lambda: app(command, prog_name="dongbo"))
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


def test_backup_and_restore(dongbo: Dongbo, tmp_path: Path, postgres_server: TestServer, database_url: str) -> None:
    """What is there is overwritten only when told, is kept until it is removed, and each step says the next."""
    file = tmp_path / "dongbo.dump"
    postgres_server.run(value_in(database_url, JOBS, 3))

    made = dongbo("backup", str(file))
    assert made.code == ExitCode.OK, made.err
    assert made.out.startswith(f"{file}: ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = dongbo("backup", str(file))
    assert (again.code, "is there already: name another file, or add --overwrite" in again.err) == (1, True)
    folder = dongbo("backup", str(tmp_path), "--overwrite")
    assert (folder.code, f"{tmp_path} is no file: name one" in folder.err) == (1, True)
    os.mkfifo(tmp_path / "device")
    assert dongbo("backup", str(tmp_path / "device"), "--overwrite").code == 1
    assert (tmp_path / "device").is_fifo()
    document = dongbo("backup", str(file), "--overwrite", "--json").document
    assert (document["file"], document["schema_version"]) == (str(file), program_version())

    postgres_server.run(value_in(database_url, "DELETE FROM dongbo.background_jobs"))
    tried = dongbo("restore", str(file), "--dry-run")
    assert "can be restored" in tried.out
    refused = dongbo("restore", str(file))
    assert (refused.code, "add --overwrite" in refused.err) == (1, True)
    assert postgres_server.run(value_in(database_url, COUNT)) == 0
    restored = dongbo("restore", str(file), "--overwrite")
    assert restored.code == ExitCode.OK, restored.err
    assert "dongbo pull nhanh-products --full" in restored.err
    assert postgres_server.run(value_in(database_url, COUNT)) == 3

    unsure = dongbo("remove-old")
    assert (unsure.code, "there is no terminal to ask at: add --yes" in unsure.err) == (ExitCode.USAGE, True)
    removed = dongbo("remove-old", "--yes", "--json").document["removed"]
    assert len(removed) == 1
    assert dongbo("remove-old").out == "There is nothing that was replaced.\n"


def test_shell_is_psql_on_the_schema(dongbo: Dongbo) -> None:
    """It finds the tables by their names, and its exit code is psql's."""
    asked = dongbo("shell", "--", "-At", "-c", "SELECT max(version) FROM schema_migrations")
    assert (asked.code, asked.out) == (ExitCode.OK, f"{program_version()}\n")
    assert dongbo("shell", "--", "-c", "SELECT nonsense").code == ExitCode.FAILED


def test_server_of_somebody_else_is_not_upgraded(dongbo: Dongbo) -> None:
    """That is its administrator's."""
    refused = dongbo("upgrade")
    assert refused.code == ExitCode.CONFIG
    assert "[database] url names a server of yours" in refused.err


def test_password_shows_nowhere(config: Path, tmp_path: Path, database_url: str) -> None:
    """Neither in the process list while it runs, nor in what it says of a server that refuses it."""
    url = database_url.replace("postgres@", "postgres:tOpSeCrEt@").replace("sslmode=disable", "sslmode=require")
    config.write_text(f'[database]\nurl = "{url}"\n')
    ended = subprocess.run(
        [*DONGBO, "database", "backup", str(tmp_path / "a.dump"), "--config", str(config)],
        capture_output=True,
        text=True,
        env={**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")},
    )
    assert "tOpSeCrEt" not in ended.stdout + ended.stderr


def test_without_data_nothing_is_made(tmp_path: Path) -> None:
    """To ask for a backup before the first start is no reason to make a database."""
    config = tmp_path / "empty.toml"
    config.write_text("")
    ended = subprocess.run(
        [*DONGBO, "database", "backup", "a.dump", "--config", str(config)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")},
    )
    assert ended.returncode == ExitCode.UNAVAILABLE
    assert "the first start of the daemon makes it" in ended.stderr
    assert names_in(tmp_path) == ["empty.toml"]
    assert json.dumps(ended.stdout) == '""'
