"""A real PostgreSQL for the tests: one server for a session, a database of its own for each test."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from daemon.database.embedded import embedded_server

T = TypeVar("T")


class TestServer:
    """A PostgreSQL server and an event loop that outlives the loops of the single tests."""

    __test__ = False

    def __init__(self, loop: asyncio.AbstractEventLoop, dsn: str, creation: str = "") -> None:
        self._loop = loop
        self._dsn = dsn
        self._creation = creation
        self._numbers = count(1)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the session's loop and waits for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    def url(self, name: str) -> str:
        """The URL of a database on this server."""
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()

    async def execute(self, sql: str) -> None:
        """Runs a statement in the server's maintenance database."""
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        """A database of its own name; yields the name."""
        name = f"dongbo_test_{os.getpid()}_{next(self._numbers)}"
        self.run(self.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' {self._creation}"))
        try:
            yield name
        finally:
            self.run(self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@contextmanager
def session_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread for the whole session; the server's death signal follows that thread."""
    started: Future[asyncio.AbstractEventLoop] = Future()
    ended = asyncio.Event()

    async def serve() -> None:
        started.set_result(asyncio.get_running_loop())
        await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="session-loop", daemon=True)
    thread.start()
    loop = started.result(timeout=10)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=60)


@contextmanager
def embedded(loop: asyncio.AbstractEventLoop, state_directory: Path) -> Iterator[str]:
    """An embedded server without safety against power cuts."""
    context = embedded_server(state_directory, durable=False)
    server = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(timeout=60)
    try:
        yield server.dsn
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(timeout=60)
