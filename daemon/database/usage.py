"""How much pool, disk and database are used; apart from them, so that a reader of the records needs no driver."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

# Of the disk with the embedded data should be free: a tenth, but on a small disk at least what the write-ahead log may
# yet take (max_wal_size) and a pull of a large shop, and on a large one no more than some years of jobs.
LOW_SHARE: Final = 0.1
LOW_AT_LEAST: Final = 2**30  # bytes
LOW_OF_SMALL: Final = 0.5  # a disk smaller than twice that never had so much
LOW_AT_MOST: Final = 5 * 2**30
NO_SPACE: Final = 256 * 2**20  # bytes: the next large page may be the one that finds none


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How many connections there are: open, idle, at most, lent out."""

    size: int
    idle: int
    max: int
    in_use: int


class ReplicaStanding(StrEnum):
    """How a replica stands; reads are served from it while it keeps up."""

    UNKNOWN = "unknown"  # it has not been looked at yet
    KEEPS_UP = "keeps_up"
    BEHIND = "behind"
    CUT_OFF = "cut_off"  # it receives nothing from its primary
    PRIMARY = "primary"  # none at all, or promoted
    ELSEWHERE = "elsewhere"  # of another database
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What is known of a replica.

    Args:
        error: why it is away.
        lag_seconds: how long it took to come to where its primary was, at most; None where that is not known.
        as_of: when that was seen; None: never yet.
    """

    standing: ReplicaStanding
    error: str | None
    lag_seconds: float | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system that has the embedded data, in bytes; `free` is what is left for whoever is not root."""

    path: Path
    free: int
    size: int

    @property
    def is_low(self) -> bool:
        """Whether somebody should see to it."""
        at_least = min(LOW_AT_LEAST, self.size * LOW_OF_SMALL)
        return self.free < min(max(self.size * LOW_SHARE, at_least), LOW_AT_MOST)

    @property
    def is_out(self) -> bool:
        """Whether PostgreSQL may stop at any time."""
        return self.free < NO_SPACE


@dataclass(frozen=True, slots=True)
class RefusedSpace:
    """That PostgreSQL has refused to write for want of space, first and last by this machine's clock."""

    first_at: datetime
    last_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class OldTransaction:
    """A transaction that is open, since a time by the database's clock.

    Args:
        pid: of the server process; None: the transaction is prepared, and belongs to nobody.
        name: of the application; of a prepared one its identifier.
    """

    since: datetime
    seconds: float
    pid: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Blockage:
    """That a session of somebody else's holds a lock for which the daemon waits.

    Args:
        seconds: for how long, so far.
        pid: of its server process; None: a prepared transaction holds it, which belongs to no session.
        user, application: whose it is, where that may be seen.
    """

    seconds: float
    pid: int | None
    user: str
    application: str


@dataclass(frozen=True, slots=True)
class StorageUsage:
    """What the database says of itself.

    Args:
        size: of the database, in bytes.
        notification_queue: the share of the server's queue of notifications that is in use, 0 to 1.
        oldest: of the open transactions that this user may see.
    """

    size: int
    notification_queue: float
    oldest: OldTransaction | None
