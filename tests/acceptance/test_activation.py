"""The status port belongs to the service manager: a restart of the daemon drops no request."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from daemon.errors import ExitCode
from daemon.sandbox.server import SandboxSettings
from tests.support.prober import Prober
from tests.support.process import RunningDaemon
from tests.support.site import Site

PROBES_AFTERWARDS = 20


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that nobody comes to see."""
    return SandboxSettings(products=1, customers=1, limits=False)


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A port of this machine that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address(listening: socket.socket) -> str:
    """Where it is reached."""
    host, port = listening.getsockname()
    return f"{host}:{port}"


def open_files(pid: int) -> list[str]:
    """What a process has open."""
    return [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115 - no path, but a name


def environment(pid: int) -> bytes:
    """The variables that a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


@asynccontextmanager
async def daemon_on(site: Site, listening: socket.socket) -> AsyncIterator[RunningDaemon]:
    """A daemon to which this socket is passed."""
    async with site.process(passed=[listening]) as process, RunningDaemon.of(process) as daemon:
        yield daemon


async def test_a_restart_drops_no_probe(site: Site, port: socket.socket) -> None:
    """Whoever comes while one process ends and the next one starts waits, and is answered."""
    site.settings["status"]["listen"] = address(port)
    site.write()
    prober = Prober(f"http://{address(port)}")
    async with asyncio.TaskGroup() as tasks:
        probing = tasks.create_task(prober.probe())
        for _ in range(2):
            async with daemon_on(site, port) as daemon:
                await prober.answered(PROBES_AFTERWARDS)
                assert daemon.address == f"http://{address(port)}/"
                assert daemon.process.events("listen_differs") == []
                assert await daemon.process.terminate() == ExitCode.OK
        async with daemon_on(site, port):
            await prober.answered(PROBES_AFTERWARDS)
            probing.cancel()


async def test_no_child_holds_the_port(embedded_site: Site, port: socket.socket) -> None:
    """PostgreSQL knows nothing of the socket, neither by its descriptor nor by the environment."""
    async with daemon_on(embedded_site, port) as daemon:
        postmaster = embedded_site.postmaster()
        assert b"LISTEN_" not in environment(postmaster)
        number = os.fstat(port.fileno()).st_ino
        assert f"socket:[{number}]" in open_files(daemon.process.pid)
        assert f"socket:[{number}]" not in open_files(postmaster)


async def test_the_file_of_a_passed_socket_stays(site: Site) -> None:
    """A Unix socket serves, and its file is still there when the daemon has ended: others may connect."""
    path = site.directory / "status.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        async with site.process(passed=[listening]) as process:
            assert (await process.logged("ready"))["address"] == f"unix:{path}"
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
                session.get("http://localhost/livez") as response,
            ):
                assert response.status == 200
            await process.terminate()
    assert path.is_socket()


async def test_another_address_than_the_configured_one_is_told(site: Site, port: socket.socket) -> None:
    """The socket counts, and the log says that commands look for the daemon elsewhere."""
    site.settings["status"]["listen"] = "127.0.0.1:1"
    site.write()
    async with daemon_on(site, port) as daemon:
        told = await daemon.process.logged("listen_differs")
        assert (told["configured"], told["passed"]) == ("127.0.0.1:1", [address(port)])
        assert (await daemon.api.text("/livez"))[0] == 200


async def test_an_open_door_is_refused(site: Site) -> None:
    """A socket that other machines reach needs a token, whatever the configuration says of its own address, and no
    reload takes it away."""
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        async with site.process(passed=[everywhere]) as process:
            assert await process.exited() == ExitCode.CONFIG
            assert "reachable from other machines" in process.text
        site.settings["status"]["token"] = site.secret("status-token", "a-token-of-the-endpoint")
        site.write()
        async with site.process(passed=[everywhere]) as process:
            await process.logged("ready")
            del site.settings["status"]["token"]
            site.write()
            process.send(signal.SIGHUP)
            assert "open to other machines" in (await process.logged("reload_refused"))["problems"][0]
