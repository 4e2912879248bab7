"""What a server whose daemon was killed leaves behind: processes for a moment, and lock files."""

import asyncio
import os
import time
from pathlib import Path

import structlog

from daemon.database.postgres_socket import SOCKET_NAME
from daemon.errors import EmbeddedServerError

log = structlog.get_logger()

WORTH_SAYING = 1.0  # seconds


async def clear_remains(data: Path, deadline: float) -> None:
    """Waits until no process works on the data, then sees to it that the lock files do not stop a new server.

    Call it only with the state directory's lock held: then whatever still runs has lost its daemon.

    Raises:
        EmbeddedServerError: a process is still there after `deadline` seconds.
    """
    await _wait_for_processes(data, deadline)
    _release_pid_file(data / "postmaster.pid")
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):  # its pid, too, may be somebody else's by now
        (data / name).unlink(missing_ok=True)


async def _wait_for_processes(data: Path, deadline: float) -> None:
    began = time.monotonic()
    said = False
    while survivors := processes_in(data):
        waited = time.monotonic() - began
        if waited > deadline:
            raise EmbeddedServerError(
                f"PostgreSQL (process {min(survivors)}) runs on {data} without a daemon: end it with "
                f"`kill -INT {min(survivors)}` and start again"
            )
        if waited > WORTH_SAYING and not said:
            said = True
            log.info("postgres_still_ends", pids=survivors)
        await asyncio.sleep(0.05)


def processes_in(data: Path) -> list[int]:
    """The processes that have their working directory in the data, as all of PostgreSQL's have.

    A process id in a file proves nothing: it may have been given to somebody else since.
    """
    identity = data.stat()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            directory = (entry / "cwd").stat()
            program = (entry / "exe").readlink().name
        except OSError:  # has ended, or is not ours to look into
            continue
        if os.path.samestat(identity, directory) and program.startswith("postgres"):
            found.append(int(entry.name))
    return found


def _release_pid_file(path: Path) -> None:
    """Makes the server take the pid file of a dead one for stale, although its pid may be somebody else's by now.

    Removing it would also remove the number of the shared memory block, by which PostgreSQL notices a process that we
    did not see. So it names this process instead: a server ignores the pid of its own parent.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _, newline, rest = os.read(descriptor, 65536).partition(b"\n")
        if not newline:  # cut off by a crash; PostgreSQL refuses to start on an empty one
            path.unlink()
            return
        content = str(os.getpid()).encode() + newline + rest
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)
