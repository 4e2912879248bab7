"""Bad input to the process: one clear line for each mistake, the documented exit code, no stack trace."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.process import DaemonProcess, running
from tests.support.site import Site

CONFIG, CANT_CREATE, IN_USE = 78, 73, 75
NOBODY = 65534
GOOD = {"name": "a", "kind": "cron", "cron": "0 2 * * *", "store": "main", "job": "NOOP"}


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that nobody comes to see."""
    return SandboxSettings(products=1, customers=1, limits=False)


def complaints(process: DaemonProcess) -> list[str]:
    """The lines that are meant for people: all but the log's."""
    return [line["raw"].rstrip("\n") for line in process.log if "raw" in line]


async def refused(site: Site, code: int, *arguments: str, **environment: str) -> list[str]:
    """Run a command that must fail with an exit code; its complaints."""
    async with site.process(*arguments, environment=environment) as process:
        assert await process.exited(30) == code, process.text
    found = complaints(process)
    assert all(line.startswith("dongbo: ") and len(line) > 30 for line in found), process.text
    return found


async def awaited(site: Site) -> str:
    """What a daemon says of the database that it waits for."""
    async with site.process() as process:
        said: str = (await process.logged("database_awaited"))["error"]
        assert await process.terminate() == 0
    return said


def _cron(expression: str) -> Callable[[dict[str, Any]], None]:
    return lambda settings: settings["schedules"].append({**GOOD, "cron": expression})


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown table": (lambda settings: settings.update(colour="red"), "colour"),
    "unknown key": (lambda settings: settings["jobs"].update(max_atempts=3), "max_attempts"),
    "wrong type": (lambda settings: settings["jobs"].update(max_attempts="three"), "jobs.max_attempts"),
    "bad cron": (_cron("61 * * * *"), "schedules[0].cron"),
    "wrong zone": (lambda settings: settings.update(timezone="Asia/Saigon_City"), "timezone"),
    "unknown store": (lambda settings: settings["schedules"].append({**GOOD, "store": "shop"}), "schedules[0].store"),
    "unknown job": (lambda settings: settings["schedules"].append({**GOOD, "job": "PULL"}), "schedules[0].job"),
    "open to the world": (lambda settings: settings["status"].update(listen="0.0.0.0:0"), "status.listen"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_in_the_file_is_one_line_with_its_place(embedded_site: Site, mistake: str) -> None:
    """Each mistake of the configuration is one line `file:line: key: what is wrong`; the exit code is 78."""
    make, where = MISTAKES[mistake]
    make(embedded_site.settings)
    embedded_site.write()
    (line,) = await refused(embedded_site, CONFIG)
    assert line.startswith(f"dongbo: {embedded_site.config}:")
    assert line.removeprefix(f"dongbo: {embedded_site.config}:").split(":")[0].isdigit()
    assert where in line


async def test_all_mistakes_are_told_at_once(site: Site) -> None:
    """Four mistakes are four lines, in the order of the file; `dongbo check` says the same."""
    for make, _ in list(MISTAKES.values())[:4]:
        make(site.settings)
    site.write()
    lines = await refused(site, CONFIG)
    assert len(lines) == 4
    numbers = [int(line.removeprefix(f"dongbo: {site.config}:").split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
    assert await refused(site, CONFIG, "check") == lines


async def test_no_configuration_file(site: Site) -> None:
    """A file that is not there, and one that is no TOML."""
    site.config.unlink()
    (line,) = await refused(site, CONFIG)
    assert "no such file" in line
    site.config.write_bytes(b"stores = {\xff}")
    (line,) = await refused(site, CONFIG)
    assert f"{site.config}:1" in line


async def test_missing_credentials(site: Site) -> None:
    """Every credential that is missing is named in a line of its own with its key."""
    nhanh, shopify = site.settings["stores"]["main"]["nhanh"], site.settings["stores"]["main"]["shopify"]
    nhanh["access_token"] = {"env": "NO_SUCH_VARIABLE"}
    nhanh["secret_key"] = {"file": str(site.directory / "no-such-file")}
    shopify["access_token"] = {"credential": "no-such-credential"}
    site.write()
    lines = await refused(site, CONFIG)
    assert [line.split(": ")[1] for line in lines] == [
        "stores.main.nhanh.access_token",
        "stores.main.nhanh.secret_key",
        "stores.main.shopify.access_token",
    ]
    assert all(what in line for what, line in zip(("VARIABLE", "no-such-file", "credential"), lines, strict=True))


async def test_an_unreachable_database(site: Site, unused_port: int) -> None:
    """A database that is not there is waited for, and named without its password."""
    site.settings["database"] = {"url": site.secret("url", f"postgresql://me:secr3t-word@127.0.0.1:{unused_port}/shop")}
    site.secrets.append("secr3t-word")
    site.write()
    line = await awaited(site)
    assert f"127.0.0.1:{unused_port}" in line
    assert "Check" in line


async def test_a_database_that_refuses(site: Site) -> None:
    """A schema that is newer than the program; and a database that does not exist, which somebody may be about to
    make."""
    connection = await asyncpg.connect(site.database_url)
    await connection.execute("INSERT INTO dongbo.schema_migrations (version, name, checksum) VALUES (9999, 'new', 'x')")
    await connection.close()
    (line,) = await refused(site, CONFIG)
    assert "9999" in line
    assert "newer" in line
    assert site.database_url is not None
    site.settings["database"] = {"url": site.database_url.replace("dongbo_test_", "no_such_")}
    site.write()
    assert "createdb" in await awaited(site)


async def test_a_port_in_use(site: Site) -> None:
    """A port that somebody else has is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.settings["status"]["listen"] = f"127.0.0.1:{port}"
        site.write()
        (line,) = await refused(site, IN_USE)
    assert f"127.0.0.1:{port}" in line
    assert "[status] listen" in line


async def test_another_daemon_on_the_same_data(embedded_site: Site) -> None:
    """A second daemon on the same embedded data is refused with the first one's process id; the first one goes on."""
    async with embedded_site.daemon() as daemon:
        (line,) = await refused(embedded_site, IN_USE)
        assert str(daemon.process.pid) in line
        assert (await daemon.api.text("/readyz"))[0] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_state_directory_that_cannot_be_written(sandbox: Sandbox) -> None:
    """An ordinary user whose state directory belongs to somebody else gets one line, and exit code 73."""
    # Imported before: the interpreter itself may be where only root can read.
    code = (
        "import os, pkgutil, encodings.utf_8_sig, typer, uvloop, daemon.app; "
        "import daemon.cli.commands.run, daemon.cli.event_loop, daemon.cli.render.output; "
        "[__import__(m.name) for m in pkgutil.walk_packages(typer.__path__, 'typer.') "
        "if not m.name.endswith(('__main__', '_winconsole'))]; "
        f"os.setgid({NOBODY}); os.setuid({NOBODY}); from daemon.cli import main; main()"
    )
    with TemporaryDirectory() as directory:  # not pytest's, which others may not enter
        site = Site(Path(directory), sandbox, None)
        site.directory.chmod(0o755)
        site.state.mkdir(mode=0o755)
        site.settings["stores"] = {}
        site.write()
        async with running(
            *("run", "--config", site.config),
            directory=site.directory,
            environment={"STATE_DIRECTORY": str(site.state)},
            command=(sys.executable, "-c", code),
        ) as process:
            assert await process.exited() == CANT_CREATE, process.text
    (line,) = complaints(process)
    assert str(site.state) in line
    assert "$STATE_DIRECTORY" in line


@pytest.mark.parametrize("where", ["a file", "a directory of the kernel's"])
async def test_a_state_directory_that_cannot_be_made(embedded_site: Site, where: str) -> None:
    """A state directory below something that is no place for it: one line, and exit code 73."""
    state = str(embedded_site.config / "state") if where == "a file" else "/proc/dongbo"
    (line,) = await refused(embedded_site, CANT_CREATE, STATE_DIRECTORY=state)
    assert state in line
