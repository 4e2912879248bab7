"""Who else on the machine can get at a file that holds a secret."""

import grp
import os
import shlex
import stat
from pathlib import Path

EVERYBODY = stat.S_IROTH | stat.S_IWOTH
GROUP = stat.S_IRGRP | stat.S_IWGRP


def exposure_of(path: Path) -> str | None:
    """Who else can read or change a file with a secret, and what to do about it; None where nobody can.

    The group of a file that somebody else owns is taken for the way by which this process may read it.
    """
    try:
        found = path.stat()
    except OSError:  # it was replaced at this very moment
        return None
    everybody, group = found.st_mode & EVERYBODY, found.st_mode & GROUP
    if everybody:
        others = "everybody on this machine"
    elif group and found.st_uid == os.geteuid():
        others = f"the group {_group_name(found.st_gid)}"
    else:
        return None
    can = "read" if (everybody or group) & (stat.S_IROTH | stat.S_IRGRP) else "change"
    name = shlex.quote(str(path))
    return f"{others} can {can} {path}: chmod 600 {name} (it must belong to the user that the daemon runs as)"


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:  # it has none on this machine
        return str(number)
