"""The data directory of the embedded server."""

import asyncio
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import structlog

from daemon.database.durability import sync_directory
from daemon.database.ownership import give_to_owner_of
from daemon.database.postgres_binaries import Binaries
from daemon.database.postgres_process import describe_exit, run_postgres_program
from daemon.errors import EmbeddedServerError, EmbeddedServerUnsuitable, StateDirectoryError
from daemon.i18n import gettext as _

log = structlog.get_logger()

UNFINISHED = "postgres.unfinished-"
INITDB_OPTIONS = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums", "--no-instructions")


def data_directory(state_directory: Path) -> Path:
    """Where the data of this state directory is."""
    return state_directory.absolute() / "postgres"


def major_version_of(data: Path) -> int | None:
    """The major version of PostgreSQL that made the data; None where there is none yet.

    Raises:
        EmbeddedServerUnsuitable: there is something else in its place.
        StateDirectoryError: it can't be read.
    """
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        if not data.exists():
            return None
    except ValueError:
        pass
    except OSError as error:
        raise StateDirectoryError(
            f"{data} can't be read ({error.strerror}): run this as the user whose daemon made it"
        ) from None
    raise EmbeddedServerUnsuitable(
        f"{data} exists and holds no PostgreSQL data: move it away, or name another directory with $STATE_DIRECTORY"
    )


async def initialize(binaries: Binaries, data: Path) -> None:
    """Makes the data directory under another name and renames it when whole, so that a kill leaves no half of one.

    Raises:
        EmbeddedServerUnsuitable: the user of this process has no name, which initdb insists on.
        EmbeddedServerError: initdb failed; with the last lines of what it said.
    """
    _require_a_name()
    log.info("postgres_initializing", version=binaries.version, data=str(data))
    unfinished = _unfinished_directory(data)
    process = await run_postgres_program(
        binaries.initdb,
        ["-D", str(unfinished), *INITDB_OPTIONS],
        data=unfinished,
        output=asyncio.subprocess.PIPE,
    )
    try:
        output, _nothing = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        tail = "\n".join(output.decode(errors="replace").strip().splitlines()[-5:])
        raise EmbeddedServerError(f"initdb could not make {data} ({describe_exit(process.returncode)}):\n{tail}")
    give_to_owner_of(data.parent, unfinished)
    _move_into_place(unfinished, data)


def _require_a_name() -> None:
    """A dynamic user of systemd has a name only where libnss-systemd tells it, which a minimal Debian lacks."""
    user = os.geteuid()
    try:
        pwd.getpwuid(user)
    except KeyError:
        raise EmbeddedServerUnsuitable(
            _(
                "The user {user}, as whom this runs, has no name on this machine, and PostgreSQL's initdb insists on "
                "one. Under systemd, run `dongbo install-service`, which makes a user of its own, or install "
                "libnss-systemd; elsewhere start dongbo as a user that exists"
            ).format(user=user)
        ) from None


def _unfinished_directory(data: Path) -> Path:
    # A new name each time: the initdb of a daemon that was killed a moment ago still removes what it has made.
    try:
        for left in data.parent.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=data.parent))
    except OSError as error:
        raise StateDirectoryError(f"{data.parent} can't be written: {error.strerror}") from None


def _move_into_place(finished: Path, data: Path) -> None:
    finished.rename(data)  # initdb has synced what is in it
    sync_directory(data.parent)
