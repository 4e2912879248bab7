"""Opens the status endpoint on a TCP port or a Unix socket, and closes it without waiting for its readers."""

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from daemon.checks.credentials import STORE_TIMEOUT
from daemon.config.address import ListenAddress, TcpAddress, UnixAddress, parse_listen
from daemon.errors import ListenError
from daemon.status.asking import answer_as_asked
from daemon.status.background import Background, SharedReading
from daemon.status.checks import Checks
from daemon.status.connections import Connection, Connections
from daemon.status.metrics import Metrics
from daemon.status.operations import CHECKS, CREDENTIAL_CHECK, METRICS, PARTS, STREAMS, SURVEYOR
from daemon.status.parts import StatusParts
from daemon.status.problems import answer_problems
from daemon.status.reading import BODY_LIMIT
from daemon.status.routes import OPEN_PATHS, add_routes, methods_at
from daemon.status.security import GUARD, Guard, add_headers, guard_requests
from daemon.status.sse import EventStreams
from daemon.status.survey import Surveyor

log = structlog.get_logger()

Protocols = Callable[[], asyncio.Protocol]

CREDENTIAL_CHECK_TIMEOUT = STORE_TIMEOUT + 5.0  # seconds: the stores are checked side by side
BACKLOG = 1024  # many pages come back at once after a restart
SHUTDOWN_TIMEOUT = 3.0  # seconds for requests under way when the endpoint closes
SOCKET_MODE = 0o660


@asynccontextmanager
async def serving(parts: StatusParts, listen: ListenAddress | str) -> AsyncIterator[str]:
    """Answers requests for as long as it is entered; yields the address to tell people.

    Args:
        listen: "host:port" (port 0: any free one), "[IPv6]:port" or "unix:/path", or the same parsed.

    Raises:
        ListenError: the address is in use, or can't be bound.
    """
    address = parse_listen(listen) if isinstance(listen, str) else listen
    connections = Connections(parts.most_connections, asyncio.get_running_loop().time, methods_at)
    async with Background() as background:
        background.start(connections.watch(), "connection-watch")
        runner = web.AppRunner(
            _application(parts, address, background, connections),
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
        )
        await runner.setup()
        try:
            async with _bound(_protocols(runner, connections), address) as shown:
                log.info("status_endpoint_opened", address=shown)
                yield shown
        finally:
            await runner.cleanup()


def _application(
    parts: StatusParts, address: ListenAddress, background: Background, connections: Connections
) -> web.Application:
    app = web.Application(middlewares=[answer_as_asked, answer_problems, guard_requests], client_max_size=BODY_LIMIT)
    listen_host = address.host if isinstance(address, TcpAddress) else None
    app[PARTS] = parts
    guard = app[GUARD] = Guard(parts.token, listen_host, parts.allowed_hosts, OPEN_PATHS)
    app[CHECKS] = Checks(parts, background)
    app[SURVEYOR] = Surveyor(parts, background)
    app[CREDENTIAL_CHECK] = SharedReading(
        background, "credential-check", parts.check_credentials, CREDENTIAL_CHECK_TIMEOUT
    )
    connections.tallies.append(guard.guesses.tally)
    streams = app[STREAMS] = EventStreams(parts, background)
    metrics = app[METRICS] = Metrics(parts, streams, connections, guard.guesses)
    add_routes(app)
    background.start(metrics.follow(), "row-counter")

    async def stop_streams(_app: web.Application) -> None:
        streams.stop()

    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(stop_streams)
    return app


@asynccontextmanager
async def _bound(protocols: Protocols, address: ListenAddress) -> AsyncIterator[str]:
    match address:
        case TcpAddress():
            server, shown = await _listen_on_port(protocols, address)
        case UnixAddress():
            server, shown = await _listen_on_path(protocols, address)
    try:
        yield shown
    finally:
        server.close()
        if isinstance(address, UnixAddress):
            _remove(address.path)


async def _listen_on_port(protocols: Protocols, address: TcpAddress) -> tuple[asyncio.Server, str]:
    where = _netloc(address.host, address.port)
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(protocols, address.host, address.port, backlog=BACKLOG)
    except OSError as error:
        raise ListenError(f"the status endpoint can't listen on {where}: {_reason(error)}") from None
    if address.port == 0:
        host, port = server.sockets[0].getsockname()[:2]
        where = _netloc(host, port)
    return server, f"http://{where}/"


async def _listen_on_path(protocols: Protocols, address: UnixAddress) -> tuple[asyncio.Server, str]:
    path = Path(address.path)
    bound = _bind(path)
    server = await asyncio.get_running_loop().create_unix_server(protocols, sock=bound, backlog=BACKLOG)
    return server, f"unix:{path}"


def _bind(path: Path) -> socket.socket:
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(SOCKET_MODE)  # it does not listen yet: nobody comes in before
    except OSError as error:
        bound.close()
        raise ListenError(f"the status endpoint can't listen on unix:{path}: {_reason(error)}") from None
    return bound


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that is gone. Raises ListenError where one answers, or the file is not a socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} already exists and is not a socket: remove it, or set another [status] listen")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(os.fspath(path))
    if result not in (errno.ECONNREFUSED, errno.ENOENT):
        raise ListenError(f"unix:{path} is in use by another daemon: stop it, or set another [status] listen")
    path.unlink(missing_ok=True)


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _protocols(runner: web.AppRunner, connections: Connections) -> Protocols:
    server, loop, logger = runner.server, asyncio.get_running_loop(), logging.getLogger("daemon.status.http")
    if server is None:
        raise RuntimeError("the runner has not been set up")
    return lambda: Connection(server, connections, loop=loop, logger=logger, access_log=None)


def _reason(error: OSError) -> str:
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return (
                "the address is in use. Stop the program that uses it (perhaps another dongbo), "
                'or set another [status] listen, such as "127.0.0.1:8766"'
            )
        # From Python 3.13 on, asyncio skips addresses that the machine lacks, and complains without a number.
        case OSError(errno=errno.EADDRNOTAVAIL | None):
            return "this machine has no such address. Set [status] listen to one that it has"
        case PermissionError():
            return "not permitted. Set [status] listen to a port above 1023, or to a path that this user may write"
        case socket.gaierror():
            return "the host name is unknown. Set [status] listen to an IP address of this machine"
        case _:
            return f"{error.strerror or error}. Set another [status] listen"


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
