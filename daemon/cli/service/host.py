"""The machine that a service is installed on: every change to it goes through here, is noted, and may be pretended."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.cli.installation import systemd
from daemon.cli.installation.credential_files import replace_file
from daemon.cli.installation.places import below
from daemon.errors import ServiceError
from daemon.i18n import gettext as _


class Deed(StrEnum):
    """What was done to a file, or that a command was run."""

    WRITTEN = "written"
    KEPT = "kept"
    CLOSED = "closed"  # to others
    REMOVED = "removed"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was done, or would be. `subject` is a path or a command."""

    deed: Deed
    subject: str


class Host:
    """A machine whose files are below `root`. Only where that is `/` is its systemd told anything."""

    def __init__(self, root: Path = Path("/"), *, pretends: bool = False) -> None:
        self.root = root
        self.pretends = pretends
        self.changes: list[Change] = []

    @property
    def is_this_one(self) -> bool:
        """Whether it is the machine that this runs on."""
        return self.root == Path("/")

    def path(self, path: Path) -> Path:
        """Where a file of that machine is found here."""
        return below(self.root, path)

    def write(self, path: Path, text: str, *, mode: int = 0o644) -> None:
        """Make a file say this; one that says so already is left alone."""
        there = self.path(path)
        if _says(there, text):
            self.note(Deed.KEPT, path)
            return
        if not self.pretends:
            try:
                there.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                replace_file(there, text.encode(), mode=mode, like=there.parent)
            except OSError as error:
                raise _failed(path, error) from None
        self.note(Deed.WRITTEN, path)

    def link(self, path: Path, target: Path) -> None:
        """Make a link. What somebody else has put in its place is left alone."""
        there = self.path(path)
        if there.is_symlink() and there.readlink() == target:
            self.note(Deed.KEPT, path)
            return
        if there.exists() and not there.is_symlink():
            self.note(Deed.KEPT, path)
            return
        if not self.pretends:
            try:
                there.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                there.unlink(missing_ok=True)
                there.symlink_to(target)
            except OSError as error:
                raise _failed(path, error) from None
        self.note(Deed.WRITTEN, path)

    def close(self, path: Path, *, mode: int) -> None:
        """Take away what others may do with a file or folder, beyond a mode."""
        there = self.path(path)
        if not there.stat().st_mode & 0o777 & ~mode:
            return
        if not self.pretends:
            try:
                there.chmod(mode)
            except OSError as error:
                raise _failed(path, error) from None
        self.note(Deed.CLOSED, path)

    def remove(self, path: Path) -> None:
        """Remove a file or a folder with all that is in it, where there is one."""
        there = self.path(path)
        if not there.exists() and not there.is_symlink():
            return
        if not self.pretends:
            try:
                if there.is_dir() and not there.is_symlink():
                    shutil.rmtree(there)
                else:
                    there.unlink()
            except OSError as error:
                raise _failed(path, error) from None
        self.note(Deed.REMOVED, path)

    def remove_if_empty(self, folder: Path) -> None:
        """Remove a folder in which nothing is left."""
        with suppress(OSError):
            if not self.pretends:
                self.path(folder).rmdir()

    def run(self, *command: str) -> None:
        """Run a command of systemd's; on another machine it is left out."""
        if not self.is_this_one:
            return
        if not self.pretends:
            systemd.run(*command)
        self.note(Deed.RUN, " ".join(command))

    def note(self, deed: Deed, subject: object) -> None:
        """Note what was done; for what others have done to a file, too."""
        self.changes.append(Change(deed, str(subject)))


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _failed(path: Path, error: OSError) -> ServiceError:
    return ServiceError(_("{path} can't be changed: {error}").format(path=path, error=error.strerror or error))
