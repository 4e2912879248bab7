"""The proxies of the documentation, before a real listener: two paths are open, and nothing else."""

import asyncio
import getpass
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from daemon.database.pool import Database
from daemon.inbox import events
from tests.support.hooks import TOKEN, Sender, listening
from tests.support.tls_front import Certificate

DOCUMENT = (Path(__file__).parents[3] / "systemd" / "README.md").read_text("utf-8")
SECTION = DOCUMENT[DOCUMENT.index("### The proxy before it") :]
NGINX_MAIN = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""
CADDY_MAIN = "{{\n    admin off\n    auto_https off\n}}\n{server}"

Program = Callable[[Path, Certificate, int, str], list[str]]
CLOSED = ("/", "/status", "/api/jobs", "/webhooks/", "/webhooks/nhanh/main/x", "/webhooks/nhanh/..%2fstatus")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def documented(language: str) -> str:
    """The configuration that the documentation shows."""
    found = re.search(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None
    return found[1]


def nginx(folder: Path, certificate: Certificate, port: int, listener: str) -> list[str]:
    """The command that runs nginx as documented, on a port of this machine."""
    server = (
        documented("nginx")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("127.0.0.1:8766", listener)
        .replace("/etc/letsencrypt/live/hooks.example.com/fullchain.pem", str(certificate.certificate))
        .replace("/etc/letsencrypt/live/hooks.example.com/privkey.pem", str(certificate.key))
    )
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(user=getpass.getuser(), folder=folder, server=server))
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, certificate: Certificate, port: int, listener: str) -> list[str]:
    """As `nginx`."""
    own = f"https://127.0.0.1:{port} {{\n    tls {certificate.certificate} {certificate.key}\n"
    server = documented("caddy").replace("hooks.example.com {\n", own).replace("127.0.0.1:8766", listener)
    (folder / "Caddyfile").write_text(CADDY_MAIN.format(server=server))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@asynccontextmanager
async def proxy(command: list[str], folder: Path, port: int) -> AsyncIterator[None]:
    """It runs, and has opened its port."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        async with asyncio.timeout(20):
            while True:
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.mark.parametrize("program", [nginx, caddy])
async def test_two_paths_are_open_and_nothing_else(program: Program, database: Database, tmp_path: Path) -> None:
    """Over TLS, a large delivery is passed on whole, with its token; a larger one is refused before it gets here."""
    name = program.__name__
    if shutil.which(name, path="/usr/sbin:/usr/bin:/bin") is None:
        pytest.skip(f"apt-get install {'nginx-light' if name == 'nginx' else name}")
    certificate, port = Certificate.make(tmp_path, "hooks"), free_port()
    trusted = ssl.create_default_context(cafile=str(certificate.certificate))
    async with listening(database) as at_work:
        listener = at_work.address.removeprefix("http://").rstrip("/")
        command = program(tmp_path, certificate, port, listener)
        async with (
            proxy(command, tmp_path, port),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session,
        ):
            sender = Sender(f"https://127.0.0.1:{port}", session)
            products = [{"id": number, "name": "x" * 450} for number in range(1, 2_001)]
            assert await sender.nhanh("inventoryChange", products) == 200
            assert await sender.nhanh("inventoryChange", [{"id": 1}], token="x" * 32) == 401
            assert await sender.shopify("products/update", {"id": 1}) == 200
            assert await sender.send("/webhooks/nhanh/main", b"", {"Authorization": TOKEN}, "GET") == 405
            too_large = [{"name": "x" * 1_100_000}]
            assert await sender.nhanh("inventoryChange", too_large) in (413, 502)  # Caddy notices while it passes it on
            for path in CLOSED:
                assert await sender.send(path, None, {}, "GET") == 404
    async with database.acquire() as connection:
        stored = await events.list_events(connection)
    assert sorted(len(event.subject_ids) for event in stored) == [1, 1_000, 1_000]
