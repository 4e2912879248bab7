"""What systemd on this machine is asked and told."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from daemon.errors import ServiceError
from daemon.i18n import gettext as _

OLDEST = 252  # the oldest systemd that this is tested with
BOOTED = Path("/run/systemd/system")  # sd_booted(3)
TIMEOUT = 180.0  # seconds; a start waits until the daemon is ready, a stop for its jobs


def is_running() -> bool:
    """Whether systemd runs this machine."""
    return BOOTED.is_dir()


def version() -> int:
    """Its version, such as 252. Raises ServiceError where there is none, or one that is too old."""
    said = run("systemctl", "--version")
    found = re.match(r"systemd (\d+)", said)
    number = int(found[1]) if found else 0
    if number < OLDEST:
        raise ServiceError(
            _("systemd {oldest} or newer is needed, and this machine has: {version}").format(
                oldest=OLDEST, version=said.partition("\n")[0]
            )
        )
    return number


def is_active(unit: str) -> bool:
    """Whether a unit runs."""
    return _run(["systemctl", "is-active", "--quiet", unit]).returncode == 0


def reload_units() -> bool:
    """Make systemd read its units again. Returns whether it could be told."""
    try:
        run("systemctl", "daemon-reload")
    except ServiceError:
        return False
    return True


def run(*command: str) -> str:
    """What a command of systemd prints. Raises ServiceError with what it said where it fails."""
    done = _run(command)
    if done.returncode != 0:
        raise ServiceError(
            _("`{command}` failed: {said}").format(
                command=" ".join(command), said=done.stdout.strip() or done.returncode
            )
        )
    return done.stdout


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0])
    if program is None:
        raise ServiceError(_("{program} is not on this machine: systemd is needed").format(program=command[0]))
    try:
        return subprocess.run(  # noqa: S603 - the programs are systemd's
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(
            _("`{command}` was not done after {n} s: see `journalctl -u dongbo`").format(
                command=" ".join(command), n=round(TIMEOUT)
            )
        ) from None
