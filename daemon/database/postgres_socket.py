"""The way to the embedded server: a socket in its data directory, which is its user's alone, whatever it is called."""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from daemon.database.postgres_data import data_directory
from daemon.errors import EmbeddedServerError

SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 107  # bytes; `sun_path` of struct sockaddr_un is 108 with the final NUL
PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./-]+")
CONNECT_TIMEOUT = 2.0


def server_dsn(host: str, database: str) -> str:
    """The URL of a database of the embedded server. It names the port because $PGPORT would count otherwise."""
    return f"postgresql://postgres@/{database}?host={quote(host, safe='/')}&port=5432&sslmode=disable"


@contextmanager
def socket_host(state_directory: Path) -> Iterator[str]:
    """The socket's directory by a name that every client takes. Good for this process, within the context.

    The path itself where it is plain and short enough. Else the way through a descriptor of this process: always short,
    without commas or blanks. A second place for sockets, such as /tmp, could be taken by others first, would be emptied
    by those who tidy it, and is another one for a service with a /tmp of its own.
    """
    host, descriptor = _open(data_directory(state_directory))
    try:
        yield host
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def running_server_dsn(state_directory: Path) -> str | None:
    """The URL of the embedded server that a daemon runs on this state directory; None where none runs.

    For a command, to be called once: what the URL needs stays open as long as the process.

    Raises:
        EmbeddedServerError: one may run, but only another user may reach it.
    """
    try:
        host, _ = _open(data_directory(state_directory))
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_unix_connection(f"{host}/{SOCKET_NAME}")
        writer.close()
        await writer.wait_closed()
    except PermissionError:
        raise EmbeddedServerError(
            f"the database under {state_directory} belongs to another user: run this command as the user of the daemon "
            f"(for instance with sudo)"
        ) from None
    except OSError:  # no such file, nobody listens, no answer in time
        return None
    return server_dsn(host, "dongbo")


def _open(directory: Path) -> tuple[str, int | None]:
    path = str(directory)
    if PLAIN_PATH.fullmatch(path) and len(path) + 1 + len(SOCKET_NAME) <= LONGEST_SOCKET_PATH:
        return path, None
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    return f"/proc/self/fd/{descriptor}", descriptor
