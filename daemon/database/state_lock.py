"""One daemon per state directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.database.ownership import give_to_owner_of
from daemon.errors import EmbeddedDataInUse, StateDirectoryError

LOCK = "daemon.lock"


@contextmanager
def state_lock(state_directory: Path) -> Iterator[None]:
    """Holds `<state>/daemon.lock`, and makes the directory if need be. The kernel lets go of it when the process ends.

    Raises:
        StateDirectoryError: the directory can't be made or written.
        EmbeddedDataInUse: another process holds it.
    """
    path = state_directory / LOCK
    try:
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner_of(state_directory, descriptor)
    except OSError as error:
        raise StateDirectoryError(
            f"the state directory {state_directory} can't be written ({error.strerror}): give its user the permission, "
            f"or name another one with $STATE_DIRECTORY"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise EmbeddedDataInUse(
                f"another daemon (process {holder}) runs on {state_directory}: stop it first, or name another "
                f"directory with $STATE_DIRECTORY"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
