"""What the acceptance tests work with: a sandbox in this process, and sites from which real daemons are started."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from daemon.database.postgres_data import data_directory
from daemon.database.postgres_socket import server_dsn
from daemon.sandbox.server import Sandbox
from tests.support.process import COMMAND, READY, DaemonProcess, RunningDaemon, running

JOBS = {
    "retry_backoff_seconds": 0.1,
    "retry_backoff_max_seconds": 1.0,
    "event_interval_milliseconds": 50,
    "stop_grace_seconds": 10,
}
SHORTEST_SECRET = 6


class Site:
    """A directory with a configuration, its secrets and a state directory: what one daemon, or several, run on.

    `settings` are the tables of the configuration; change them and `write` anew. Without `database_url` each daemon
    brings its embedded server.
    """

    def __init__(self, directory: Path, sandbox: Sandbox, database_url: str | None) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.config = directory / "dongbo.toml"
        self.sandbox = sandbox
        self.database_url = database_url
        self.secrets: list[str] = []
        self.status_token: str | None = None
        self.settings: dict[str, Any] = {
            "timezone": "Asia/Ho_Chi_Minh",
            "status": {"listen": "127.0.0.1:0"},
            "jobs": dict(JOBS),
            "log": {"level": "info", "format": "json"},
            "stores": {"main": self.store()},
            "schedules": [],
        }
        if database_url is not None:
            self.settings["database"] = {"url": self.secret("database-url", database_url)}
        self.write()

    def store(self) -> dict[str, Any]:
        """The tables of a store that has the whole sandbox."""
        nhanh, shopify = self.sandbox.nhanh, self.sandbox.shopify
        return {
            "nhanh": {
                "app_id": nhanh.app_id,
                "business_id": nhanh.business_id,
                "access_token": self.secret("nhanh-token", nhanh.token),
                "secret_key": self.secret("nhanh-key", nhanh.secret_key),
                "base_url": self.sandbox.nhanh_url,
            },
            "shopify": {
                "shop": shopify.shop,
                "access_token": self.secret("shopify-token", shopify.token),
                "base_url": self.sandbox.shopify_url,
            },
        }

    def secret(self, name: str, value: str) -> dict[str, str]:
        """Keep a secret in a file; what the configuration says of it."""
        file = self.directory / name
        file.write_text(f"{value}\n")
        file.chmod(0o600)
        if name != "database-url":  # only its password is secret
            self.secrets.append(value)
        return {"file": str(file)}

    def write(self) -> None:
        """Write the configuration file, at one go: a daemon may be about to read it."""
        new = self.config.with_suffix(".new")
        new.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in self.settings.items()))
        new.replace(self.config)

    @asynccontextmanager
    async def process(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        forked: bool = False,
        prelude: Callable[[], None] | None = None,
        command: Sequence[str] = COMMAND,
        passed: Sequence[socket.socket] = (),
    ) -> AsyncIterator[DaemonProcess]:
        """Run a command of `dongbo` (`run` unless told otherwise), and look through what it wrote at the end."""
        variables = {"STATE_DIRECTORY": str(self.state), **(environment or {})}
        asked = (*(arguments or ("run",)), "--config", str(self.config))
        async with running(
            *asked,
            directory=self.directory,
            environment=variables,
            command=command,
            forked=forked,
            prelude=prelude,
            passed=passed,
        ) as process:
            yield process
        check_output(process, self.secrets)

    @asynccontextmanager
    async def daemon(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        forked: bool = True,
        prelude: Callable[[], None] | None = None,
        command: Sequence[str] = COMMAND,
        once: str = READY,
    ) -> AsyncIterator[RunningDaemon]:
        """A daemon that is ready, or has got as far as `once`; not `forked`: started by its command line, as by people,
        or by `command`."""
        async with (
            self.process(environment=environment, forked=forked, prelude=prelude, command=command) as process,
            RunningDaemon.of(process, self.status_token, once) as daemon,
        ):
            yield daemon

    def postmaster(self) -> int:
        """The process id of the embedded server."""
        return int((data_directory(self.state) / "postmaster.pid").read_text().split()[0])

    def has_pid_file(self) -> bool:
        """Whether the embedded server runs, or has not ended in order."""
        return (data_directory(self.state) / "postmaster.pid").exists()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the test's own to the database."""
        dsn = self.database_url or server_dsn(str(data_directory(self.state)), "dongbo")
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "test"})
        try:
            yield connection
        finally:
            connection.terminate()  # a server that was killed hears no goodbye


def check_output(process: DaemonProcess, secrets: Sequence[str]) -> None:
    """No stack trace, no warning of Python's, no exception and no secret in what a daemon wrote."""
    assert "Traceback" not in process.text, process.text
    assert not [line for line in process.log if "exception" in line], process.text
    assert not [line for line in process.log if line.get("logger") in ("asyncio", "py.warnings")], process.text
    for secret in secrets:
        assert len(secret) < SHORTEST_SECRET or secret not in process.text, f"{secret} is in:\n{process.text}"


async def eventually(
    condition: Callable[[], Awaitable[Any]], seconds: float = 20.0, interval: float = 0.02, what: str = ""
) -> Any:
    """The first true value that `condition` gives; an AssertionError if there is none in time."""
    value = None
    try:
        async with asyncio.timeout(seconds):
            while not (value := await condition()):
                await asyncio.sleep(interval)
    except TimeoutError:
        raise AssertionError(f"{what or condition} was not true within {seconds} s; last: {value!r}") from None
    return value


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id."""
    return Path(f"/proc/{pid}").exists()


async def gone(pid: int, seconds: float = 10.0) -> None:
    """Wait until a process that is not ours has ended."""

    async def ended() -> bool:
        return not is_alive(pid)

    await eventually(ended, seconds, what=f"the end of process {pid}")


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
        case list():
            return "[\n" + "".join(f"    {_toml(item)},\n" for item in value) + "]"
        case _:
            return json.dumps(value)
