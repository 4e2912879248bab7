"""Opens the status endpoint, and closes it without waiting for its readers."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from aiohttp import web

from daemon.checks.credentials import STORE_TIMEOUT
from daemon.config.address import ListenAddress, TcpAddress, parse_listen
from daemon.errors import ConfigError
from daemon.serving.listening import Door, Protocols, addresses, bound_address, is_same, listening, listening_on
from daemon.status.again import read_again
from daemon.status.asking import answer_as_asked, note_who_asks
from daemon.status.background import Background, SharedReading
from daemon.status.checks import Checks
from daemon.status.connections import Connection, Connections
from daemon.status.metrics import Metrics
from daemon.status.operations import CHECKS, CREDENTIAL_CHECK, METRICS, PARTS, STREAMS, SURVEYOR
from daemon.status.parts import StatusParts
from daemon.status.problems import answer_problems
from daemon.status.reading import BODY_LIMIT
from daemon.status.routes import add_routes, methods_at, role_needed
from daemon.status.security import GUARD, SESSIONS, Guard, add_headers, guard_requests
from daemon.status.sessions import Sessions
from daemon.status.sse import EventStreams
from daemon.status.starting import answer_by_role, answer_while_starting
from daemon.status.survey import Surveyor

log = structlog.get_logger()

CREDENTIAL_CHECK_TIMEOUT = STORE_TIMEOUT + 5.0  # seconds: the stores are checked side by side
DOOR = Door("the status endpoint", "[status] listen", "127.0.0.1:8767")
SHUTDOWN_TIMEOUT = 3.0  # seconds for requests under way when the endpoint closes


@asynccontextmanager
async def serving(
    parts: StatusParts, listen: ListenAddress | str, passed: Sequence[socket.socket] = ()
) -> AsyncIterator[str]:
    """Answers requests for as long as it is entered; yields the address to tell people.

    Args:
        listen: "host:port" (port 0: any free one), "[IPv6]:port" or "unix:/path", or the same parsed.
        passed: sockets that the service manager has opened; where there are any, they count, and not `listen`.

    Raises:
        ListenError: the address is in use, or can't be bound.
        ConfigError: a socket that was passed is no use, or can be reached from other machines without a token.
    """
    address = parse_listen(listen) if isinstance(listen, str) else listen
    _check_passed(passed, address, has_token=not parts.access.rules.is_open)
    parts.access.is_exposed = not all(each.is_loopback for each in addresses(address, passed))
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
            async with _open(_protocols(runner, connections), address, passed) as shown:
                log.info("status_endpoint_opened", address=shown, passed=len(passed))
                yield shown
            await connections.newcomers_heard()
        finally:
            await runner.cleanup()


def _check_passed(passed: Sequence[socket.socket], configured: ListenAddress, *, has_token: bool) -> None:
    """Refuse an open door as the configuration does, and say what a command line would not find."""
    found = [bound_address(one) for one in passed]
    for address in found:
        if not address.is_loopback and not has_token:
            raise ConfigError(
                f"the service manager listens on {address}, which is reachable from other machines: set [status] token,"
                " or an address of this machine alone as ListenStream= of dongbo.socket"
            )
    if found and not any(is_same(address, configured) for address in found):
        log.warning(
            "listen_differs",
            configured=str(configured),
            passed=[str(address) for address in found],
            next_step="the socket counts: say the same in [status] listen, by which commands find the daemon, and in"
            " ListenStream= of dongbo.socket",
        )


def _open(
    protocols: Protocols, address: ListenAddress, passed: Sequence[socket.socket]
) -> AbstractAsyncContextManager[str]:
    return listening_on(protocols, passed) if passed else listening(protocols, address, DOOR)


def _application(
    parts: StatusParts, address: ListenAddress, background: Background, connections: Connections
) -> web.Application:
    middlewares = [
        answer_as_asked,
        answer_problems,
        guard_requests,
        note_who_asks,
        answer_by_role,
        answer_while_starting,
        read_again,
    ]
    app = web.Application(middlewares=middlewares, client_max_size=BODY_LIMIT)
    listen_host = address.host if isinstance(address, TcpAddress) else None
    app[PARTS] = parts
    sessions = app[SESSIONS] = Sessions(parts.access)
    guard = app[GUARD] = Guard(parts.access, sessions, listen_host, parts.allowed_hosts, role_needed)
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


def _protocols(runner: web.AppRunner, connections: Connections) -> Protocols:
    server, loop, logger = runner.server, asyncio.get_running_loop(), logging.getLogger("daemon.status.http")
    if server is None:
        raise RuntimeError("the runner has not been set up")
    return lambda: Connection(server, connections, loop=loop, logger=logger, access_log=None)
