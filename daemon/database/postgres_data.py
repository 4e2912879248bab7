"""The data directory of the embedded server."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import structlog

from daemon.database.postgres_binaries import Binaries
from daemon.database.postgres_process import describe_exit, run_postgres_program
from daemon.errors import EmbeddedServerError, StateDirectoryError

log = structlog.get_logger()

UNFINISHED = "postgres.unfinished-"
INITDB_OPTIONS = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums", "--no-instructions")


def data_directory(state_directory: Path) -> Path:
    """Where the data of this state directory is."""
    return state_directory.absolute() / "postgres"


def major_version_of(data: Path) -> int | None:
    """The major version of PostgreSQL that made the data; None where there is none yet.

    Raises:
        EmbeddedServerError: there is something else in its place.
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
    raise EmbeddedServerError(
        f"{data} exists and holds no PostgreSQL data: move it away, or name another directory with $STATE_DIRECTORY"
    )


async def initialize(binaries: Binaries, data: Path) -> None:
    """Makes the data directory under another name and renames it when whole, so that a kill leaves no half of one.

    Raises:
        EmbeddedServerError: initdb failed; with the last lines of what it said.
    """
    log.info("postgres_initializing", version=binaries.version, data=str(data))
    unfinished = _unfinished_directory(data)
    process = await run_postgres_program(
        binaries.initdb,
        ["-D", str(unfinished), *INITDB_OPTIONS],
        data=unfinished,
        output=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        tail = "\n".join(output.decode(errors="replace").strip().splitlines()[-5:])
        raise EmbeddedServerError(f"initdb could not make {data} ({describe_exit(process.returncode)}):\n{tail}")
    _move_into_place(unfinished, data)


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
    parent = os.open(data.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
