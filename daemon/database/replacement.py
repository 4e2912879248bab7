"""New data in the place of the old: made beside it, put in its place in one step, the old kept until it is removed.

<state>/postgres                the data directory
<state>/postgres.replacement/   a state directory of its own, while new data is made
<state>/postgres.old-<time>/    data that has been replaced
<state>/postgres.trial-<any>/   a state directory of its own, for data that is only made to see that it can be

Whatever ends the process at any point leaves one of the two whole under the name of the data directory, and never less
of the old data than there was.
"""

import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from daemon.database.durability import sync_directory
from daemon.database.file_lock import is_abandoned
from daemon.database.ownership import give_to_owner_of
from daemon.database.postgres_data import data_directory
from daemon.database.state_lock import LOCK, state_lock
from daemon.errors import EmbeddedDataInUse, EmbeddedServerError, StateDirectoryError
from daemon.i18n import gettext as _

BUILDING, OLD, TRIAL = ".replacement", ".old-", ".trial-"
INTENT = "replaces"  # in it, once the new data is whole: which data that is, and what the old will be called
AT_FDCWD = -100  # linux/fcntl.h
RENAME_EXCHANGE = 2  # linux/fs.h


class Replacement:
    """Data that is made in `state_directory`, to replace that of another one."""

    def __init__(self, data: Path, state_directory: Path) -> None:
        self.state_directory = state_directory
        self._data = data

    def put_in_place(self) -> Path | None:
        """Let the new data, whose server has ended, take the place of the old; where the old is kept from now on.

        Raises:
            EmbeddedServerError: the file system can't swap two directories.
            StateDirectoryError: it can't be written.
        """
        new = data_directory(self.state_directory)
        try:
            if not self._data.exists():
                new.rename(self._data)
                sync_directory(self._data.parent)
                return None
            kept = self._data.with_name(f"{self._data.name}{OLD}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
            _note_intent(self.state_directory, new, kept)
            _exchange(new, self._data)
            sync_directory(self._data.parent)
            _finish(self._data, self.state_directory)
        except OSError as error:
            raise StateDirectoryError(
                _("{directory} can't be written: {reason}").format(directory=self._data.parent, reason=error.strerror)
            ) from None
        return kept


@contextmanager
def replacement_of(state_directory: Path) -> Iterator[Replacement]:
    """A place beside the data of a state directory, whose lock is held; gone at the end, with what is still in it.

    Raises:
        StateDirectoryError: it can't be made.
    """
    data = _real_data(state_directory)
    building = data.with_name(f"{data.name}{BUILDING}")
    try:
        settle(state_directory)
        building.mkdir(mode=0o700)
        give_to_owner_of(data.parent, building)
    except OSError as error:
        raise StateDirectoryError(
            _("{directory} can't be made: {reason}").format(directory=building, reason=error.strerror)
        ) from None
    try:
        yield Replacement(data, building)
    finally:
        settle(state_directory)


@contextmanager
def trial_beside(state_directory: Path) -> Iterator[Path]:
    """A state directory for a trial, gone at the end; what trials that were killed have left goes, too.

    Raises:
        StateDirectoryError: it can't be made.
    """
    data = _real_data(state_directory)
    prefix = f"{data.name}{TRIAL}"
    try:
        for left in data.parent.glob(f"{prefix}*"):
            if is_abandoned(left / LOCK):
                shutil.rmtree(left)
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=data.parent))
    except OSError as error:
        raise StateDirectoryError(
            _("{directory} can't be written: {reason}").format(directory=data.parent, reason=error.strerror)
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def settle(state_directory: Path) -> None:
    """Bring to its end a replacement that was cut off: the old data is kept, new data that is not in place goes.

    For whoever holds the lock of the state directory. Raises StateDirectoryError: it can't be read or written.
    """
    data = _real_data(state_directory)
    building = data.with_name(f"{data.name}{BUILDING}")
    with _refusals(data.parent):
        if building.exists():
            _finish(data, building)


def settle_unless_in_use(state_directory: Path) -> None:
    """As `settle`, for whoever does not hold the lock: a daemon that runs has done it when it started."""
    data = _real_data(state_directory)
    with _refusals(data.parent):
        is_there = data.exists()
    if is_there:
        with suppress(EmbeddedDataInUse), state_lock(state_directory):
            settle(state_directory)


def replaced_data(state_directory: Path) -> list[Path]:
    """Data that has been replaced and is kept, oldest first. Raises StateDirectoryError: it can't be read."""
    data = _real_data(state_directory)
    name = re.compile(rf"{re.escape(data.name)}{re.escape(OLD)}\d{{8}}T\d{{6}}\.\d{{6}}Z")
    with _refusals(data.parent):
        if not data.parent.exists():
            return []
        return sorted(path for path in data.parent.iterdir() if name.fullmatch(path.name) and path.is_dir())


def remove_replaced(kept: Path) -> None:
    """Delete one of them. Raises StateDirectoryError: it can't be written."""
    with _refusals(kept.parent):
        shutil.rmtree(kept)


@contextmanager
def _refusals(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateDirectoryError(
            _("{directory} can't be read or written: {reason}. Run this as root, or as the user of the daemon").format(
                directory=directory, reason=error.strerror
            )
        ) from None


def _real_data(state_directory: Path) -> Path:
    """The data directory itself, where a link leads to it: what is made beside it is on the same disk."""
    return data_directory(state_directory).resolve()


def _note_intent(building: Path, new: Path, kept: Path) -> None:
    file = building / INTENT
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{new.stat().st_ino} {kept.name}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(building)


def _finish(data: Path, building: Path) -> None:
    """Keeps the old data where it has been replaced, and removes the place where the new data was made."""
    intent, beside = building / INTENT, data_directory(building)
    if intent.exists() and beside.exists() and data.exists():
        inode, _space, kept = intent.read_text().strip().partition(" ")
        if kept and str(data.stat().st_ino) == inode:
            beside.rename(data.with_name(kept))
            sync_directory(data.parent)
    shutil.rmtree(building)


def _exchange(one: Path, other: Path) -> None:
    """Gives each of two directories the name of the other, in one step (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        error = ctypes.get_errno()
        raise EmbeddedServerError(
            _(
                "The file system of {directory} can't swap two directories in one step ({reason}). Put the state "
                "directory on one that can, such as ext4, XFS or Btrfs"
            ).format(directory=other.parent, reason=os.strerror(error))
        )
