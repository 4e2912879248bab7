"""Whose process is gone: the kernel lets go of its locks, whatever has ended it."""

import fcntl
import os
from pathlib import Path


def is_abandoned(file: Path) -> bool:
    """Whether a file is there and no process holds its lock (flock(2)): nobody works with it any more."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
