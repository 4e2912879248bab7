"""Listens: on a TCP port, on a Unix socket, or on what the service manager has opened already."""

import asyncio
import errno
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.config.address import ListenAddress, TcpAddress, UnixAddress, plain_ip
from daemon.errors import ConfigError, ListenError

Protocols = Callable[[], asyncio.Protocol]


@dataclass(frozen=True, slots=True)
class Door:
    """What listens, as errors call it.

    Args:
        name: "the status endpoint".
        key: of the configuration, which says where: "[status] listen".
        example: another address for it.
    """

    name: str
    key: str
    example: str


BACKLOG = 1024  # many pages come back at once after a restart
SOCKET_MODE = 0o660


@asynccontextmanager
async def listening(protocols: Protocols, address: ListenAddress, door: Door) -> AsyncIterator[str]:
    """Connections to this address are accepted for as long as it is entered; yields the address to tell people.

    Raises ListenError: it is in use, or can't be bound.
    """
    match address:
        case TcpAddress():
            server, shown = await _listen_on_port(protocols, address, door)
        case UnixAddress():
            server, shown = await _listen_on_path(protocols, address, door)
    try:
        yield shown
    finally:
        server.close()
        if isinstance(address, UnixAddress):
            _remove(address.path)


@asynccontextmanager
async def listening_on(protocols: Protocols, passed: Sequence[socket.socket]) -> AsyncIterator[str]:
    """As `listening`, on sockets that others have opened and keep open; yields the address of the first."""
    async with AsyncExitStack() as stack:
        for one in passed:
            server = await _serve(protocols, one)
            stack.callback(server.close)
        yield _shown(bound_address(passed[0]))


def addresses(configured: ListenAddress, passed: Sequence[socket.socket]) -> Sequence[ListenAddress]:
    """Where the endpoint is reached: passed sockets count, the configured address stands in for none. Raises as
    `bound_address`."""
    return [bound_address(one) for one in passed] or [configured]


def bound_address(bound: socket.socket) -> ListenAddress:
    """The address of a socket. Raises ConfigError where it is neither TCP nor a Unix socket with a path."""
    name = bound.getsockname()
    match bound.family:
        case socket.AF_INET | socket.AF_INET6:
            return TcpAddress(plain_ip(name[0]), name[1])
        case socket.AF_UNIX if isinstance(name, str) and name.startswith("/"):
            return UnixAddress(name)
        case _:
            raise ConfigError(f"the status endpoint can't listen on {name!r}: the socket unit needs a port or a path")


def is_same(passed: ListenAddress, configured: ListenAddress) -> bool:
    """Whether a client that goes by the configuration gets to a socket that was passed."""
    match passed, configured:
        case TcpAddress(), TcpAddress():
            is_same_host = passed.host == plain_ip(configured.host)
            return passed.port == configured.port and (is_same_host or (passed.is_loopback and configured.is_loopback))
        case _:
            return passed == configured


async def _serve(protocols: Protocols, passed: socket.socket) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if passed.family is not socket.AF_UNIX:
        return await loop.create_server(protocols, sock=passed, backlog=BACKLOG)
    options: dict[str, Any] = {}
    # From Python 3.13 on, asyncio's own loop removes the file at the end, to which others still connect.
    if sys.version_info >= (3, 13) and isinstance(loop, asyncio.SelectorEventLoop):
        options["cleanup_socket"] = False
    return await loop.create_unix_server(protocols, sock=passed, backlog=BACKLOG, **options)


async def _listen_on_port(protocols: Protocols, address: TcpAddress, door: Door) -> tuple[asyncio.Server, str]:
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(protocols, address.host, address.port, backlog=BACKLOG)
    except OSError as error:
        raise ListenError(f"{door.name} can't listen on {address}: {_reason(error, door)}") from None
    if address.port == 0:
        address = TcpAddress(*server.sockets[0].getsockname()[:2])
    return server, _shown(address)


async def _listen_on_path(protocols: Protocols, address: UnixAddress, door: Door) -> tuple[asyncio.Server, str]:
    bound = _bind(Path(address.path), door)
    server = await asyncio.get_running_loop().create_unix_server(protocols, sock=bound, backlog=BACKLOG)
    return server, _shown(address)


def _bind(path: Path, door: Door) -> socket.socket:
    _remove_stale(path, door)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(SOCKET_MODE)  # it does not listen yet: nobody comes in before
    except OSError as error:
        bound.close()
        raise ListenError(f"{door.name} can't listen on unix:{path}: {_reason(error, door)}") from None
    return bound


def _remove_stale(path: Path, door: Door) -> None:
    """Remove the socket of a daemon that is gone. Raises ListenError where one answers, or the file is not a socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} already exists and is not a socket: remove it, or set another {door.key}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(os.fspath(path))
    if result not in (errno.ECONNREFUSED, errno.ENOENT):
        raise ListenError(f"unix:{path} is in use by another daemon: stop it, or set another {door.key}")
    path.unlink(missing_ok=True)


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _reason(error: OSError, door: Door) -> str:
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return (
                "the address is in use. Stop the program that uses it (perhaps another dongbo), "
                f'or set another {door.key}, such as "{door.example}"'
            )
        # From Python 3.13 on, asyncio skips addresses that the machine lacks, and complains without a number.
        case OSError(errno=errno.EADDRNOTAVAIL | None):
            return f"this machine has no such address. Set {door.key} to one that it has"
        case PermissionError():
            return f"not permitted. Set {door.key} to a port above 1023, or to a path that this user may write"
        case socket.gaierror():
            return f"the host name is unknown. Set {door.key} to an IP address of this machine"
        case _:
            return f"{error.strerror or error}. Set another {door.key}"


def _shown(address: ListenAddress) -> str:
    return f"http://{address}/" if isinstance(address, TcpAddress) else str(address)
