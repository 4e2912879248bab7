"""A machine of its own for a test: a minimal Debian with its systemd, booted in a container on this one's network.

The system is made once by debootstrap and kept in `$DONGBO_MACHINE_CACHE`, else below the user's cache folder. A
machine runs on a copy of it, and is powered off, or killed, and deleted at the end.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Final
from uuid import uuid4

MUST: Final = os.environ.get("DONGBO_MACHINE_TESTS") == "must"
SUITE: Final = "bookworm"  # the oldest that is supported: systemd 252, Python 3.11
PYTHON: Final = "3.11"
PACKAGES: Final = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "ca-certificates")
PROGRAMS: Final = ("debootstrap", "systemd-nspawn", "nsenter")
ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("daemon", "config", "systemd", "pyproject.toml", "README.md", "LICENSE")  # what a wheel is made of

MEMORY: Final = Path("/dev/shm")
ROOM_NEEDED: Final = 6 * 2**30  # bytes, for a machine and what else is in memory

BOOT_SECONDS: Final = 60.0
POWER_OFF_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 120.0
INTERVAL: Final = 0.05  # seconds between two looks at a machine that boots
POWER_OFF: Final = signal.SIGRTMIN + 4  # systemd(1), "SIGNALS"
REBOOTS: Final = 133  # the exit code of a container that has to be started again: systemd-nspawn(1), --keep-unit
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class NoMachine(Exception):
    """No machine can be had here; the text says why."""


class Machine:
    """A machine that can be booted. `root`: its files, as this machine sees them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._name = f"dongbo-{uuid4().hex[:8]}"
        self._container: asyncio.subprocess.Process | None = None
        self._console = root.with_suffix(".console")

    async def boot(self) -> None:
        """Start it, and wait until systemd has started everything. Raises NoMachine where it does not come up."""
        with self._console.open("ab") as console:
            self._container = await asyncio.create_subprocess_exec(
                *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--boot"),
                *(f"--machine={self._name}", f"--directory={self.root}"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C of the tests is for them to deal with
            )
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                while await self.state() not in ("running", "degraded"):
                    if self._container.returncode is not None:
                        raise NoMachine(f"the container has ended:\n{self.console()}")
                    await asyncio.sleep(INTERVAL)
        except TimeoutError:
            raise NoMachine(f"it has not come up within {BOOT_SECONDS:g} s:\n{self.console()}") from None

    async def state(self) -> str:
        """What `systemctl is-system-running` says; nothing while there is no systemd to ask."""
        with suppress(AssertionError):
            return await self.run("systemctl", "is-system-running", check=False)
        return ""

    async def run(
        self, *command: str, check: bool = True, text: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> str:
        """Run a command on it as root; what it prints, on either stream, without the last newline.

        Args:
            check: whether it must succeed.
            text: its standard input.
        """
        inside = ("nsenter", f"--target={self._systemd()}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--")
        process = await asyncio.create_subprocess_exec(
            *inside,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
        )
        try:
            async with asyncio.timeout(seconds):
                printed, _ = await process.communicate(text.encode() if text is not None else b"")
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        said = printed.decode(errors="replace").rstrip("\n")
        assert not check or process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}:\n{said}"
        return said

    def path(self, path: str) -> Path:
        """One of its files, as this machine sees it."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write one of its files, with the folders above it."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        file.chmod(mode)

    def read(self, path: str) -> str:
        """One of its files."""
        return self.path(path).read_text("utf-8")

    async def reboot(self) -> None:
        """As `reboot` typed on it."""
        assert self._container is not None
        await self.run("systemctl", "--no-block", "reboot")
        async with asyncio.timeout(POWER_OFF_SECONDS):
            assert await self._container.wait() == REBOOTS, self.console()
        await self.boot()

    async def power_off(self) -> None:
        """Shut it down in order; whatever has not ended then is killed."""
        if self._container is None or self._container.returncode is not None:
            return
        try:
            os.kill(self._systemd(), POWER_OFF)
            async with asyncio.timeout(POWER_OFF_SECONDS):
                await self._container.wait()
        except (TimeoutError, AssertionError, ProcessLookupError):
            await self.kill()

    async def kill(self) -> None:
        """Pull the plug."""
        if self._container is not None and self._container.returncode is None:
            with suppress(AssertionError, ProcessLookupError):
                os.kill(self._systemd(), signal.SIGKILL)
            with suppress(ProcessLookupError):
                self._container.kill()
            await self._container.wait()

    def console(self) -> str:
        """The last of what came on its console."""
        return self._console.read_text(errors="replace")[-4_000:]

    def forget_console(self) -> None:
        """Delete what came on its console."""
        self._console.unlink(missing_ok=True)

    def _systemd(self) -> int:
        """The process id of its systemd, outside of it."""
        assert self._container is not None
        pid = self._container.pid
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                return int(children[0])
        raise AssertionError("the machine does not run")


@asynccontextmanager
async def booted_machine() -> AsyncIterator[Machine]:
    """A machine that has booted. Raises NoMachine where none can be had."""
    base = await asyncio.to_thread(_base)
    root = Path(mkdtemp(prefix="dongbo-machine-", dir=_fastest_place(base.parent)))
    machine = Machine(root)
    try:
        # The folder gets the rights of the original, too.
        await asyncio.to_thread(_run, "cp", "--archive", "--reflink=auto", f"{base}/.", str(root))
        await machine.boot()
        yield machine
    finally:
        await machine.power_off()
        machine.forget_console()
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


def wheels(directory: Path, *, version: str | None = None) -> Path:
    """Put into a folder what installs the program, embedded PostgreSQL included, without a network; its own wheel.

    Args:
        version: of the wheel, in place of the one that the source has.
    """
    for wheel in _dependencies().glob("*.whl"):
        if not (directory / wheel.name).exists():
            shutil.copy(wheel, directory)
    source = directory / "source"
    source.mkdir()
    try:
        for name in SOURCES:
            original = ROOT / name
            if original.is_dir():
                shutil.copytree(original, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(original, source / name)
        project = source / "pyproject.toml"
        if version is not None:
            current = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
            project.write_text(
                project.read_text("utf-8").replace(f'version = "{current}"', f'version = "{version}"', 1)
            )
        before = set(directory.glob("dongbo-*.whl"))
        _pip("wheel", "--no-deps", f"--wheel-dir={directory}", str(source))
        (made,) = set(directory.glob("dongbo-*.whl")) - before
    finally:
        shutil.rmtree(source)
    return made


def _dependencies() -> Path:
    """A folder with the wheels of everything that the program needs, for the machine's Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    folder = _cache() / f"wheels-{sha256(repr(wanted).encode()).hexdigest()[:12]}"
    with _locked(folder.name):
        if not folder.exists():
            fresh = Path(mkdtemp(dir=folder.parent))
            chosen = () if sys.version_info[:2] == (3, 11) else (f"--python-version={PYTHON}",)
            _pip("download", "--only-binary=:all:", *chosen, f"--dest={fresh}", *wanted)
            fresh.rename(folder)
    return folder


def _base() -> Path:
    """The system that all machines are copies of; made if it is not there yet. Raises NoMachine where it can't be."""
    if reason := _why_not():
        raise NoMachine(reason)
    base = _cache() / SUITE
    with _locked(SUITE):
        if not base.exists():
            fresh = Path(mkdtemp(dir=base.parent))
            fresh.chmod(0o755)
            try:
                include = f"--include={','.join(PACKAGES)}"
                _run("debootstrap", "--variant=minbase", include, SUITE, str(fresh), *_mirror())
            except AssertionError as error:
                shutil.rmtree(fresh, ignore_errors=True)
                raise NoMachine(f"debootstrap has failed: {error}") from None
            (fresh / "etc/machine-id").write_text("")  # each machine gets its own
            (fresh / "var/log/journal").mkdir(exist_ok=True)  # the journal outlives a reboot
            fresh.rename(base)
    return base


def _fastest_place(other: Path) -> Path:
    """Where machines lie: in memory if there is room."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_NEEDED:
        return MEMORY
    return other


def _why_not() -> str | None:
    """Why no machine can be had here; None where one can, as far as this can be told beforehand."""
    if os.geteuid() != 0:
        return "only root can boot a machine"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed (in Debian: apt-get install debootstrap systemd-container)"
    return None


def _mirror() -> Sequence[str]:
    """The mirror that this machine's own packages come from, if it has the suite; else debootstrap knows one."""
    for suites, address in _package_sources():
        if SUITE in suites:
            return (address,)
    return ()


def _package_sources() -> Iterator[tuple[Sequence[str], str]]:
    """Suites and address of each source of packages, in either form: sources.list(5)."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for place in places:
        if not place.is_file():
            continue
        text = place.read_text("utf-8")
        if place.suffix == ".sources":
            for stanza in text.split("\n\n"):
                fields = dict(line.split(":", 1) for line in stanza.splitlines() if ":" in line and line[0] != "#")
                if "deb" in fields.get("Types", "").split() and (addresses := fields.get("URIs", "").split()):
                    yield fields.get("Suites", "").split(), addresses[0]
        else:
            for line in text.splitlines():
                words = [word for word in line.split() if not word.startswith("[") and not word.endswith("]")]
                if words[:1] == ["deb"] and len(words) >= 3:
                    yield [words[2]], words[1]


def _cache() -> Path:
    named = os.environ.get("DONGBO_MACHINE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(named) if named else home / "dongbo" / "machines"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Nobody else makes the same meanwhile."""
    with (_cache() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout[-4_000:]}"
