"""Every error that a person may see, as one tree. A message says what failed, where, and what to do next.

    DongboError
    ├── ConfigError                 the configuration file, or a credential it names
    │   └── InvalidCronExpression   a schedule's cron expression
    ├── DatabaseError
    │   ├── DatabaseUnavailable     no connection, or it broke
    │   └── DatabaseUnsuitable      server too old, schema newer than the program
    │       └── DatabaseReadOnly    a standby, or set to read-only: may end by itself
    ├── EmbeddedServerError         the embedded PostgreSQL can't be installed, started or reached
    │   ├── EmbeddedServerUnsuitable  no programs for the data, data that is not ours, a user without a name
    │   └── EmbeddedDataInUse       another daemon runs on the same data
    ├── BackupError                 a backup can't be made, read or restored
    │   ├── BackupInterrupted       the connection broke: worth a retry
    │   └── NoRoom                  the disk is full
    ├── StateDirectoryError         the state directory can't be created or written
    ├── ServiceError                the service of systemd can't be installed or removed
    ├── ListenError                 the status endpoint's address can't be bound
    ├── MissingExtra                a command needs an extra of the distribution that was not installed
    ├── DaemonUnreachable           the CLI found no daemon at the configured address
    ├── SourceError                 Nhanh.vn or Shopify
    │   ├── SourceUnavailable       network, 5xx, rubbish: may resolve itself, worth a retry
    │   │   └── AskedTooMuch        a time-out, an internal fault: worth a retry, and then one for less at a time
    │   ├── RateLimited             asked to wait: worth a retry after `retry_after` seconds
    │   ├── SourceRefused           a missing permission, a wrong request: a person must act
    │   │   ├── CredentialRefused   a bad token or secret, an app that is no longer installed
    │   │   └── CursorRefused       where an interrupted pull would continue: it must start afresh
    │   ├── RowsUnread              some rows can't be had; everything else was done
    │   └── InvalidFilter           an unknown filter of a pull, or one of the wrong type
    ├── DepotsChanged               while a sync ran, what the access token may see changed
    ├── StorePaused                 a person has paused all writing to the store
    ├── ScheduleNotFound            there is no schedule of this name
    ├── InvalidMapping              a variant or product that can't be mapped by hand
    ├── SaleError
    │   ├── SaleNotFound            there is no campaign of this name
    │   ├── InvalidSale             an impossible campaign: no targets, times that have passed
    │   └── SaleConflict            another campaign has the name or the variants, or its state does not allow it
    └── JobError
        ├── JobNotFound
        ├── LiveJobExists           one live job for the same work: store, type and params
        ├── InvalidJobRequest       unknown type or store, bad parameters
        ├── InvalidTransition       such as cancelling a job that has ended
        ├── ApprovalNotFound        there is no question of this id
        └── AskedAnew               a question asks about more than whoever decides has seen

Exit codes follow sysexits.h where it has one, so that systemd and scripts can tell causes apart.
"""

from collections.abc import Iterator
from enum import IntEnum

from daemon.ids import JobId


class ExitCode(IntEnum):
    """The exit codes of `dongbo`; systemd/README.md describes each."""

    OK = 0
    FAILED = 1  # a job failed, or a check or the doctor found something
    USAGE = 2
    UNAVAILABLE = 69  # EX_UNAVAILABLE: database, daemon or address
    SOFTWARE = 70  # EX_SOFTWARE: a bug; the stack trace is in the log
    CANT_CREATE = 73  # EX_CANTCREAT: state directory
    CANT_WRITE = 74  # EX_IOERR: no space left for what is written
    IN_USE = 75  # EX_TEMPFAIL: another daemon has the embedded data or the port
    CONFIG = 78  # EX_CONFIG


class DongboError(Exception):
    """Base of all errors whose text is meant for a person; printed without a stack trace."""

    exit_code: ExitCode = ExitCode.FAILED


class ConfigError(DongboError):
    """The configuration is wrong; `problems` holds one line for each problem, all of them at once."""

    exit_code = ExitCode.CONFIG

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidCronExpression(ConfigError, ValueError):
    """A cron expression is not understood, or never fires. Also a ValueError, which settings models collect."""


class DatabaseError(DongboError):
    """PostgreSQL can't be used."""

    exit_code = ExitCode.UNAVAILABLE


class DatabaseUnavailable(DatabaseError):
    """There is no connection to PostgreSQL, or it broke; `may_pass` is False where waiting alone is no help, such as
    after a wrong password."""

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class DatabaseUnsuitable(DatabaseError):
    """The server is older than PostgreSQL 14, read-only or behind a pooler that shares sessions, or its schema is newer
    than this program."""

    exit_code = ExitCode.CONFIG


class DatabaseReadOnly(DatabaseUnsuitable):
    """The server is a standby, or set to read-only: for good, or until a failover or its maintenance has ended."""


class EmbeddedServerError(DongboError):
    """The embedded PostgreSQL can't be installed, started or reached."""

    exit_code = ExitCode.UNAVAILABLE


class EmbeddedServerUnsuitable(EmbeddedServerError):
    """What is on this machine can't be used: no programs, or none for the data; something else in its place; a user
    whose name can't be looked up. No new start changes that."""

    exit_code = ExitCode.CONFIG


class EmbeddedDataInUse(EmbeddedServerError):
    """Another daemon runs on the same embedded data."""

    exit_code = ExitCode.IN_USE


class BackupError(DongboError):
    """A backup can't be made, read or restored."""


class BackupInterrupted(BackupError):
    """The connection to the database broke while a backup was made: worth a retry."""

    exit_code = ExitCode.UNAVAILABLE


class NoRoom(BackupError):
    """There is no room on the disk for a backup, or for what is restored from one."""

    exit_code = ExitCode.CANT_WRITE


class StateDirectoryError(DongboError):
    """The state directory can't be created or written."""

    exit_code = ExitCode.CANT_CREATE


class ServiceError(DongboError):
    """The service of systemd can't be installed, started or removed here."""


class ListenError(DongboError):
    """The status endpoint's address can't be bound."""

    exit_code = ExitCode.IN_USE


class MissingExtra(DongboError):
    """A command needs libraries of an extra of the distribution that was not installed."""

    exit_code = ExitCode.UNAVAILABLE


class DaemonUnreachable(DongboError):
    """No daemon answers at the configured address."""

    exit_code = ExitCode.UNAVAILABLE


class SourceError(DongboError):
    """A call to Nhanh.vn or Shopify failed."""


class SourceUnavailable(SourceError):
    """The source did not answer, or answered nonsense: worth a retry."""


class AskedTooMuch(SourceUnavailable):
    """The source failed on a call, perhaps because of its size: worth a retry, and then one for less at a time."""


class RateLimited(SourceError):
    """The source asked to wait `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceRefused(SourceError):
    """The source refused for a reason that only a person can fix: no retry."""


class RowsUnread(SourceError):
    """The source could not give some rows even when asked again; the others were dealt with."""


class CredentialRefused(SourceRefused):
    """The source does not accept the token or secret, or not for this shop or business."""


class CursorRefused(SourceRefused):
    """The source does not accept, or no longer accepts, the cursor after which a list should continue."""


class DepotsChanged(DongboError):
    """What the access token of Nhanh.vn may see has changed since a sync began: its stock can't be relied on."""


class StorePaused(DongboError):
    """A person has paused the store: everything is read and planned, and nothing written."""


class ScheduleNotFound(DongboError):
    """There is no schedule of this name in the configuration."""


class InvalidMapping(DongboError):
    """What a person wants to map can't be mapped; `problems` holds one line for each wrong entry, all at once."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SaleError(DongboError):
    """A request about a sale campaign can't be carried out."""


class SaleNotFound(SaleError):
    """There is no campaign of this name."""


class InvalidSale(SaleError):
    """A campaign is not possible as defined."""


class SaleConflict(SaleError):
    """Another campaign has the name or the variants, or the campaign's state does not allow what was asked for."""


class InvalidFilter(SourceError, ValueError):
    """A filter or query of a pull is unknown or of the wrong type; found before anything is sent."""


class JobError(DongboError):
    """A request about a job can't be carried out."""


class JobNotFound(JobError):
    """There is no job with this id."""


class InvalidJobRequest(JobError):
    """The type, store or parameters of a requested job are wrong."""


class InvalidTransition(JobError):
    """The job's status does not allow what was asked for."""


class LiveJobExists(JobError):
    """A live job for the same work exists already; `job_id` is its id."""

    def __init__(self, message: str, job_id: JobId) -> None:
        super().__init__(message)
        self.job_id = job_id


class ApprovalNotFound(JobError):
    """There is no question with this id."""


class AskedAnew(JobError):
    """A question asks about more by now than whoever decides has seen."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The error, or, of a group, all that are in it at any depth."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
