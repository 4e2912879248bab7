"""What a check says of an embedded database that does not run, perhaps because it can't."""

from pathlib import Path

import pytest

from daemon.api.findings import Severity
from daemon.cli.checks import database
from daemon.config import ResolvedSecrets
from daemon.database.usage import DiskSpace

GIB = 2**30


@pytest.mark.parametrize(
    ("free", "severity"), [(20 * GIB, Severity.OK), (2 * GIB, Severity.WARNING), (2**20, Severity.FAILED)]
)
async def test_the_disk_is_looked_at_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, severity: Severity
) -> None:
    """A server that finds no space does not start, and nobody else would say why."""
    monkeypatch.setattr(database, "disk_space", lambda path: DiskSpace(path, free, 40 * GIB))
    *_, disk = await database.check_database(ResolvedSecrets(None, None, {}), tmp_path)
    assert (disk.subject, disk.level) == ("disk", severity)
    assert disk.detail.endswith("of 40.0 GiB are free on the disk with the database")
    assert (disk.advice or "").count(str(tmp_path)) == (severity is not Severity.OK)


def test_state_directory_that_is_named_wins_over_that_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore must not replace other data than the daemon would start with."""
    (tmp_path / "daemon.lock").touch()
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert database.database_directory(tmp_path / "dongbo.toml") == tmp_path
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "named"))
    assert database.database_directory(tmp_path / "dongbo.toml") == tmp_path / "named"
