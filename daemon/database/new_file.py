"""A file that is there whole or not at all."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daemon.database.durability import sync_directory
from daemon.errors import BackupError, NoRoom
from daemon.i18n import gettext as _

UNFINISHED = ".unfinished"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class NewFile:
    """A file under a name of its own, which becomes that of the whole one by `finish`."""

    def __init__(self, path: Path, unfinished: Path, descriptor: int) -> None:
        self.path = path
        self.unfinished = unfinished
        self.descriptor = descriptor  # holds its lock, in whatever process it is open

    @property
    def size(self) -> int:
        """What is written of it so far, in bytes."""
        return os.fstat(self.descriptor).st_size

    def sync(self) -> None:
        """Wait until all of it is on the disk."""
        os.fsync(self.descriptor)

    def finish(self) -> None:
        """Give it its name, in the place of what has it now."""
        self.unfinished.rename(self.path)
        sync_directory(self.path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A new file that only its owner can read, in the directory of `path`; gone at the end unless it was finished.

    What a process that was killed has left of one goes, too.

    Raises:
        BackupError: it can't be made, or another process is about to make it.
        NoRoom: the disk is full.
    """
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _refusal(path, error) from None
    try:
        # Held by a pg_dump that outlives its daemon, too, for it inherits the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BackupError(_("{file} is being written by another process: wait for its end").format(file=path)) from None
    try:
        os.ftruncate(descriptor, 0)
        yield NewFile(path, unfinished, descriptor)
    except OSError as error:
        raise _refusal(path, error) from None
    finally:
        with suppress(FileNotFoundError):  # finished, and so renamed
            unfinished.unlink()
        os.close(descriptor)


def no_room(path: Path) -> NoRoom:
    """That the disk is too full for a file."""
    return NoRoom(_("There is no room left on the disk for {file}. Make room, and try again").format(file=path))


def _refusal(path: Path, error: OSError) -> BackupError:
    if error.errno in NO_ROOM:
        return no_room(path)
    return BackupError(_("{file} can't be written: {reason}").format(file=path, reason=error.strerror))
