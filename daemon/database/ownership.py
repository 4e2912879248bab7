"""What root makes in the state directory of another user, such as that of the service, belongs to that user."""

import os
from pathlib import Path


def give_to_owner_of(directory: Path, made: Path | int) -> None:
    """Gives what this process has made in a directory, a tree or an open file, to the owner of the directory.

    Does nothing unless this is root, and where the directory is root's own.
    """
    owner = directory.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    if isinstance(made, int):
        os.fchown(made, owner.st_uid, owner.st_gid)
        return
    for folder, folders, files in os.walk(made, topdown=False):
        for name in (*folders, *files):
            os.lchown(Path(folder, name), owner.st_uid, owner.st_gid)
    os.chown(made, owner.st_uid, owner.st_gid)
