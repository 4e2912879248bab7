"""The program that the service runs: the one that runs right now, if the service can get at it."""

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import daemon
from daemon.errors import ServiceError
from daemon.i18n import gettext as _

# What the unit hides from the service by ProtectHome= and PrivateTmp=.
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - nothing is put there
COMPLETIONS = {  # where each shell looks for those of programs in /usr/local
    "bash": Path("/usr/local/share/bash-completion/completions/dongbo"),
    "zsh": Path("/usr/local/share/zsh/site-functions/_dongbo"),
    "fish": Path("/usr/local/share/fish/vendor_completions.d/dongbo.fish"),
}


def own_program() -> Path:
    """The `dongbo` of the environment that this runs in. Raises ServiceError where there is none."""
    program = Path(sys.prefix, "bin", "dongbo")
    if not program.exists():
        raise ServiceError(
            _("There is no {program}: install dongbo into a virtual environment, and run its own `dongbo`").format(
                program=program
            )
        )
    return program


def check_that_a_service_reaches(program: Path) -> None:
    """Raise ServiceError where the user of a service could not run this program: it, its Python or its modules."""
    for path in (program, Path(sys.executable), Path(daemon.__file__)):
        _check(path.resolve())


def _check(path: Path) -> None:
    advice = _("install it elsewhere: python3 -m venv /opt/dongbo && /opt/dongbo/bin/pip install 'dongbo[embedded]'")
    if any(path.is_relative_to(place) for place in HIDDEN):
        problem = _("{path} lies where no service can see it").format(path=path)
        raise ServiceError(f"{problem}; {advice}")
    for part in (path, *path.parents):
        mode = part.stat().st_mode
        needed = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        if not mode & needed:
            problem = _("{path} is not readable for the service's user, because of the mode of {part}").format(
                path=path, part=part
            )
            remedy = _("allow it: chmod -R o+rX {part}").format(part=part)
            raise ServiceError(f"{problem}; {remedy}")


def completion(program: Path, shell: str) -> str:
    """The script that completes the commands in a shell. Raises ServiceError where the program does not write it."""
    command: Sequence[str] = [str(program)]
    environment = {**os.environ, "_DONGBO_COMPLETE": f"source_{shell}"}
    try:
        return subprocess.run(  # noqa: S603 - it is this very program
            command, env=environment, capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(_("{program} does not run: {error}").format(program=program, error=error)) from None
