"""A PgBouncer before the server of the tests."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

POOLER = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = {mode}
logfile =
pidfile =
{more}
"""
# What is told to do with PgBouncer and asyncpg: then it lets our settings of a session pass without having an effect.
LENIENT = (
    "ignore_startup_parameters = application_name,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,"
    "timezone,jit,plan_cache_mode"
)


@asynccontextmanager
async def relay(database_url: str) -> AsyncIterator[int]:
    """A port before the server's socket, which is open to its own user only."""
    url = urlsplit(database_url)
    host = parse_qs(url.query).get("host", [url.hostname or ""])[0]

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if host.startswith("/"):
            server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{url.port or 5432}")
        else:
            server = await asyncio.open_connection(host, url.port or 5432)
        await asyncio.gather(pass_on(reader, server[1]), pass_on(server[0], writer))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


@asynccontextmanager
async def pooler(database_url: str, directory: Path, mode: str, more: str = "") -> AsyncIterator[str]:
    """A PgBouncer before the server; its URL."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    url = urlsplit(database_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = directory / "pgbouncer.ini"
    user: tuple[str, ...] = ()
    if os.geteuid() == 0:  # as which PgBouncer does not run
        user = ("-u", "nobody")
        for part in (directory, *directory.parents[:3]):
            part.chmod(0o755)
    async with relay(database_url) as server_port:
        server = f"host=127.0.0.1 port={server_port} user={url.username or 'postgres'}"
        if url.password:
            server += f" password={url.password}"
        config.write_text(POOLER.format(server=server, port=port, mode=mode, more=more))
        process = await asyncio.create_subprocess_exec(program, "-q", *user, str(config))
        try:
            async with asyncio.timeout(10):
                while True:
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        break
                    await asyncio.sleep(0.02)  # it tells nobody when it listens
            yield f"postgresql://postgres@127.0.0.1:{port}{url.path}"
        finally:
            process.terminate()
            await process.wait()
