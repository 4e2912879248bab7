"""The program of a service must be within the reach of its user."""

from pathlib import Path

import pytest

from daemon.cli.service import program
from daemon.errors import ServiceError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in a folder that everybody may enter."""
    path = tmp_path / "opt" / "bin" / "dongbo"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    for part in (path, *path.parents[:2], tmp_path):
        part.chmod(0o755)
    monkeypatch.setattr(program.sys, "executable", str(path))
    monkeypatch.setattr(program.daemon, "__file__", str(path))
    return path


def test_a_program_in_a_home_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ProtectHome= and PrivateTmp= hide it from the service, whatever its mode."""
    monkeypatch.setattr(program, "HIDDEN", (installed.parents[1],))
    with pytest.raises(ServiceError, match=r"dongbo lies where no service can see it; install it elsewhere: .*/opt/"):
        program.check_that_a_service_reaches(installed)


def test_a_program_that_others_may_not_read_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the folder whose mode is in the way."""
    monkeypatch.setattr(program, "HIDDEN", ())
    installed.parent.chmod(0o700)
    with pytest.raises(ServiceError, match=rf"because of the mode of {installed.parent};"):
        program.check_that_a_service_reaches(installed)
