"""Which PostgreSQL of a machine is used."""

from pathlib import Path

import pytest

from daemon.database import postgres_binaries
from daemon.database.postgres_binaries import find_binaries
from daemon.errors import EmbeddedServerError


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with several versions, in the order in which they would be taken."""
    versions = {
        "ancient": "postgres (PostgreSQL) 9.6.24",
        "empty": "",
        "packaged": "postgres (PostgreSQL) 18.6",
        "debian": "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
        "beta": "postgres (PostgreSQL) 19beta1",
    }
    for name, version in versions.items():
        for program in ("postgres", "initdb"):
            path = tmp_path / name / program
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\necho '{version}'\n")
            path.chmod(0o755)
    (tmp_path / "broken").mkdir()
    for program in ("postgres", "initdb"):
        (tmp_path / "broken" / program).write_text("not a program")
    names = ("absent", "broken", *versions)
    monkeypatch.setattr(postgres_binaries, "binary_directories", lambda: iter([tmp_path / name for name in names]))
    return tmp_path


@pytest.mark.parametrize(
    ("made_by", "name", "version"),
    [(None, "packaged", "18.6"), (18, "packaged", "18.6"), (15, "debian", "15.18"), (19, "beta", "19beta1")],
)
async def test_data_decides(machine: Path, made_by: int | None, name: str, version: str) -> None:
    """New data gets the first version that is new enough and runs; old data gets the version that made it."""
    binaries = await find_binaries(made_by)
    assert (binaries.directory, binaries.version) == (machine / name, version)


async def test_missing_version_is_named(machine: Path) -> None:
    """Data of a version that is not there: the message says which there are, and which to install."""
    with pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL 16, .*18\.6, 15\.18, 19beta1: .*postgresql-16"):
        await find_binaries(16)
