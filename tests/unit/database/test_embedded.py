"""The embedded server is started again, and the log stays readable however often that fails."""

import asyncio
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from daemon.database import embedded
from daemon.database.embedded import EmbeddedServer, Supervisor
from daemon.errors import EmbeddedServerError


class BrokenServer(EmbeddedServer):
    """A server that has ended, and starts only after many attempts."""

    def __init__(self, failures: int) -> None:
        self.attempts = 0
        self.started = asyncio.Event()
        self._failures = failures

    @property
    def pid(self) -> int | None:
        return None

    async def start(self) -> None:
        self.attempts += 1
        if self.attempts <= self._failures:
            raise EmbeddedServerError(f"PostgreSQL did not start (exit code 1):\n12:00:{self.attempts} FATAL: no space")
        self.started.set()

    async def wait_closed(self) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_server_that_does_not_start_is_told_of_once_and_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not at each attempt, though the server's own lines are others each time."""
    monkeypatch.setattr(embedded, "SHORTEST_BACKOFF", 0.0)
    server = BrokenServer(failures=20)
    with capture_logs() as log:
        async with asyncio.timeout(10), Supervisor(server):
            await server.started.wait()
    assert [line["event"] for line in log] == ["postgres_ended", "postgres_recovered"]
    assert log[0]["error"] == "PostgreSQL did not start (exit code 1)"
    assert log[0]["last_lines"] == "12:00:1 FATAL: no space"
    assert log[1]["times"] == 20
