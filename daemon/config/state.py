"""Where the daemon keeps what must survive it."""

import os
from collections.abc import Mapping
from pathlib import Path


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """The directory for the embedded database and its like; it need not exist yet.

    `$STATE_DIRECTORY` as systemd sets it (the first of a list, systemd.exec(5)), else `/var/lib/dongbo` for root, else
    `$XDG_STATE_HOME/dongbo` or `~/.local/state/dongbo` (XDG Base Directory Specification: a relative path is ignored).
    """
    if from_systemd := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(from_systemd)
    if (xdg := Path(environ.get("XDG_STATE_HOME", ""))).is_absolute():
        return xdg / "dongbo"
    if os.geteuid() == 0:
        return Path("/var/lib/dongbo")
    return Path.home() / ".local" / "state" / "dongbo"
