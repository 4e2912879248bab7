"""How many files, mostly connections, this process may open: raised at the start to what it may need."""

import errno
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

OWN_FILES: Final = 100  # the program's own: event loop, log and embedded database
DESCRIPTORS: Final = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """Files that are open, and how many may be."""

    count: int
    limit: int


def raise_limit(needed: int) -> int:
    """Raise the limit of open files to `needed`, as far as the hard limit allows; returns the limit that now holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before, limit = _number(soft), min(needed, _number(hard))
    if limit > before:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    limit = max(limit, before)
    log.info("open_files_limit", limit=limit, before=before, needed=needed)
    if limit < needed:
        log.warning(
            "open_files_limit_low",
            limit=limit,
            missing=needed - limit,
            next_step="fewer connections are accepted; raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn)",
        )
    return limit


def open_files() -> OpenFiles:
    """The present figures: to count takes a file, and where none is to be had, all are open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _number(soft)
    try:
        count = sum(1 for _ in DESCRIPTORS.iterdir())
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        count = limit
    return OpenFiles(count, limit)


def _number(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit
