"""The directory of backups that are made by a schedule: how they are called, and which of them are kept."""

import re
from datetime import UTC, datetime
from pathlib import Path

from daemon.database.file_lock import is_abandoned
from daemon.database.new_file import UNFINISHED
from daemon.errors import BackupError
from daemon.i18n import gettext as _

# Nothing of another name is ever touched.
OURS = re.compile(r"dongbo-\d{8}T\d{6}Z\.dump")
OURS_UNFINISHED = re.compile(rf"\.{OURS.pattern}{re.escape(UNFINISHED)}")


def new_backup_in(directory: Path) -> Path:
    """What a backup that is made now is called; makes the directory if need be.

    Raises:
        BackupError: it can't be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupError(
            _(
                "The directory of backups {directory} can't be made: {reason}. Under systemd, a directory outside of "
                "the state directory must be there, belong to the daemon's user and be named in ReadWritePaths="
            ).format(directory=directory, reason=error.strerror)
        ) from None
    return directory / f"dongbo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"


def prune_backups(directory: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups of a directory, and what was left unfinished; those that have gone.

    Raises:
        BackupError: one can't be deleted.
    """
    names = [path.name for path in directory.iterdir() if path.is_file() and not path.is_symlink()]
    surplus = sorted(name for name in names if OURS.fullmatch(name))[:-keep]
    left = [name for name in names if OURS_UNFINISHED.fullmatch(name) and is_abandoned(directory / name)]
    try:
        for name in (*surplus, *left):
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise BackupError(
            _("An old backup can't be deleted from {directory}: {reason}").format(
                directory=directory, reason=error.strerror
            )
        ) from None
    return [directory / name for name in surplus]
