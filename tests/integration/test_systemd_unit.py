"""The systemd units: accepted by systemd without a word, hardened, and in step with the program."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from daemon.cli.service.unit_files import SHIPPED
from daemon.config.settings import JobSettings, StatusSettings
from daemon.errors import ExitCode

UNITS = Path(__file__).parents[2] / "systemd"
UNIT, TEMPLATE = UNITS / "dongbo.service", UNITS / "dongbo@.service"
SOCKET = UNIT.with_suffix(".socket")
HIGHEST_EXPOSURE = 1.1

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@pytest.fixture(params=[UNIT, TEMPLATE], ids=lambda unit: unit.name)
def installed_unit(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The unit, or the template's for an instance, as it is on a machine where the program is installed."""
    program = tmp_path / "dongbo"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / request.param.name.replace("@", "@shop")
    unit.write_text(re.sub(r"(?m)^(ExecStart|ExecReload)=\S+", rf"\1={program}", request.param.read_text()))
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


def settings(unit: Path = UNIT) -> dict[str, list[str]]:
    """The unit's settings: every value of each key."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_verifies_without_a_word(installed_unit: Path) -> None:
    """systemd finds nothing to say about the unit."""
    assert analyze("verify", installed_unit) == ""


@needs_systemd
def test_the_socket_verifies_without_a_word(installed_unit: Path) -> None:
    """systemd finds nothing to say about the socket beside the unit."""
    socket = installed_unit.with_suffix(".socket")
    shipped = UNITS / socket.name.replace("@shop", "@")
    where = "" if shipped == SOCKET else "ListenStream=127.0.0.1:8766\n"  # an instance's drop-in says so
    socket.write_text(shipped.read_text().replace("[Socket]\n", f"[Socket]\n{where}"))
    assert analyze("verify", socket, installed_unit) == ""


def test_the_socket_is_where_the_configuration_says() -> None:
    """Both have the same default, and a stop of the daemon closes the port, since a probe would start it again."""
    assert settings(SOCKET)["ListenStream"] == [StatusSettings().listen]
    assert settings()["Wants"][-1] == settings()["PropagatesStopTo"][0] == SOCKET.name


@needs_systemd
def test_is_hardly_exposed(installed_unit: Path) -> None:
    """An intruder in the daemon finds next to nothing that it may do."""
    report = analyze("security", "--offline=true", "--no-pager", installed_unit)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure is not None, report
    assert float(exposure[1]) <= HIGHEST_EXPOSURE, report


def test_all_files_are_packaged() -> None:
    """`dongbo install-service` takes them from the package, which a checkout is not needed for."""
    package_data = tomllib.loads((UNITS.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "*"
    ]
    assert {path.name for path in SHIPPED.iterdir()} == {path.name for path in UNITS.iterdir()}
    for path in SHIPPED.iterdir():
        assert path.name == "README.md" or any(path.match(pattern) for pattern in package_data), path.name


def test_a_stop_has_time_for_the_jobs() -> None:
    """systemd kills later than a stop may take: the jobs' grace and the embedded database's shutdown after it."""
    assert int(settings()["TimeoutStopSec"][0]) >= JobSettings().stop_grace_seconds + 30


def test_only_the_daemon_is_asked_to_stop() -> None:
    """The embedded database outlives the jobs, as a signal to both would not let it."""
    assert settings()["KillMode"] == ["mixed"]


def test_no_restart_without_a_prospect() -> None:
    """What does not go away by itself is reported, not retried; everything else is tried for ever."""
    assert settings()["Restart"] == ["on-failure"]
    assert settings()["StartLimitIntervalSec"] == ["0"]
    assert {int(code) for code in settings()["RestartPreventExitStatus"][0].split()} == {
        ExitCode.CONFIG,
        ExitCode.USAGE,
        ExitCode.CANT_CREATE,
    }


def test_the_template_differs_by_the_instance_s_name_alone() -> None:
    """Whoever changes one of the two changes both."""

    def what_counts(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return [re.sub(r"[-/@]%i\b|\s*\(%i\)", "", line) for line in lines]

    assert what_counts(TEMPLATE.read_text()) == what_counts(UNIT.read_text())


def test_a_reload_needs_no_other_program() -> None:
    """A minimal Debian has no `kill` that systemd could run."""
    program = settings()["ExecStart"][0].partition(" ")[0]
    assert settings()["ExecReload"] == [f"{program} reload"]


def test_speaks_the_notify_protocol_of_older_systemd_too() -> None:
    """`notify-reload` needs systemd 253, and 252 would take the unit for a simple one without saying so."""
    assert settings()["Type"] == ["notify"]
    assert int(settings()["WatchdogSec"][0]) > 0
