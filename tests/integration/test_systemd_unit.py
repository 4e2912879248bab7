"""The systemd unit: accepted by systemd without a word, hardened, and in step with the program."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.config.settings import JobSettings
from daemon.errors import ExitCode

UNIT = Path(__file__).parents[2] / "systemd" / "dongbo.service"
HIGHEST_EXPOSURE = 1.1

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """The unit as it is on a machine where the program is installed."""
    program = tmp_path / "dongbo"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text(), flags=re.MULTILINE))
    return unit


def analyze(*arguments: str | Path) -> str:
    """What `systemd-analyze` prints; it must succeed."""
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def settings() -> dict[str, list[str]]:
    """The unit's settings: every value of each key."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_verifies_without_a_word(installed_unit: Path) -> None:
    """systemd finds nothing to say about the unit."""
    assert analyze("verify", installed_unit) == ""


@needs_systemd
def test_verifies_with_credentials(installed_unit: Path) -> None:
    """The credentials that are commented out are right as they stand."""
    installed_unit.write_text(installed_unit.read_text().replace("#LoadCredential=", "LoadCredential="))
    assert installed_unit.read_text().count("\nLoadCredential=") >= 4
    assert analyze("verify", installed_unit) == ""


@needs_systemd
def test_is_hardly_exposed(installed_unit: Path) -> None:
    """An intruder in the daemon finds next to nothing that it may do."""
    report = analyze("security", "--offline=true", "--no-pager", installed_unit)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure is not None, report
    assert float(exposure[1]) <= HIGHEST_EXPOSURE, report


def test_a_stop_has_time_for_the_jobs() -> None:
    """systemd kills later than a stop may take: the jobs' grace and the embedded database's shutdown after it."""
    assert int(settings()["TimeoutStopSec"][0]) >= JobSettings().stop_grace_seconds + 30


def test_only_the_daemon_is_asked_to_stop() -> None:
    """The embedded database outlives the jobs, as a signal to both would not let it."""
    assert settings()["KillMode"] == ["mixed"]


def test_no_restart_without_a_prospect() -> None:
    """A wrong configuration or command line is reported, not retried; everything else is restarted."""
    assert settings()["Restart"] == ["on-failure"]
    assert {int(code) for code in settings()["RestartPreventExitStatus"][0].split()} == {
        ExitCode.CONFIG,
        ExitCode.USAGE,
    }


def test_speaks_the_notify_protocol_of_older_systemd_too() -> None:
    """`notify-reload` needs systemd 253, and 252 would take the unit for a simple one without saying so."""
    assert settings()["Type"] == ["notify"]
    assert settings()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert int(settings()["WatchdogSec"][0]) > 0
