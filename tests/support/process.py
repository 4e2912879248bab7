"""A daemon as people run it: a process of its own, told what to do by signals and over HTTP, watched by its log."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import aiohttp

from tests.support.forks import ForkedProcess, fork

COMMAND = (sys.executable, "-c", "from daemon.cli import main; main()")
KEPT_VARIABLES = ("PATH", "PYTHONPATH")  # the same program as the tests', wherever they run from
START_SECONDS = 30.0
STOP_SECONDS = 20.0
BEYOND_PASSED = 900  # a descriptor beyond any that a test passes
LINE_LIMIT = 2**20  # bytes
ENDED = ("COMPLETED", "FAILED", "CANCELLED")

Job = dict[str, Any]


class DaemonProcess:
    """A running `dongbo`. `log` holds its log so far, one dict a line; lines that are no JSON stand under `raw`."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess) -> None:
        self._process = process
        self._news = asyncio.Event()
        self.log: list[dict[str, Any]] = []
        self.text = ""  # all that it wrote, on either stream
        self.readers = [
            asyncio.create_task(self._read(stream), name="daemon-output") for stream in (process.stdout, process.stderr)
        ]
        for reader in self.readers:
            reader.add_done_callback(lambda _: self._news.set())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    @property
    def has_ended(self) -> bool:
        """Whether it has closed its output."""
        return all(reader.done() for reader in self.readers)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.send(signal.SIGKILL)
        await self.exited()

    async def terminate(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, and its exit code."""
        self.send(signal.SIGTERM)
        return await self.exited(seconds)

    async def exited(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self.readers)
            return await self._process.wait()

    async def logged(
        self, event: str, *, times: int = 1, seconds: float = START_SECONDS, **keys: Any
    ) -> dict[str, Any]:
        """The log line of an event, as soon as it is there for the n-th time."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log if line.get("event") == event and keys.items() <= line.items()]

        try:
            async with asyncio.timeout(seconds):
                while len(found()) < times:
                    assert not self.has_ended, f"ended before {event}:\n{self.text}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {event} {keys} within {seconds} s:\n{self.text}") from None
        return found()[times - 1]

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event so far."""
        return [line for line in self.log if line.get("event") == event]

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while line := (await stream.readline()).decode():
            self.text += line
            try:
                parsed = json.loads(line)
            except json.JSONDecodeError:
                parsed = None
            self.log.append(parsed if isinstance(parsed, dict) else {"raw": line})
            self._news.set()


class Api:
    """A client of one daemon's endpoint."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def get(self, path: str, status: int = 200) -> Any:
        """The JSON that a GET answers."""
        return await self._call("GET", path, status, None)

    async def post(self, path: str, body: object = None, status: int = 202) -> Any:
        """The JSON that a POST answers."""
        return await self._call("POST", path, status, body)

    async def text(self, path: str) -> tuple[int, str]:
        """Status and body of a GET."""
        async with self.session.get(path) as response:
            return response.status, await response.text()

    async def submit(self, job_type: str, *, store: str = "main", **params: Any) -> Job:
        """Ask for a job."""
        job: Job = await self.post("/api/jobs", {"type": job_type, "store": store, "params": params})
        return job

    async def cancel(self, job_id: str) -> Job:
        """Ask a job to stop."""
        job: Job = await self.post(f"/api/jobs/{job_id}/cancel")
        return job

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[Job]]:
        """The states of jobs as the event stream tells them, those of its snapshot first."""
        async with self.session.get("/api/events", timeout=aiohttp.ClientTimeout(total=None)) as response:
            assert response.status == 200, await response.text()
            yield jobs_of(response)

    async def job_when(self, job_id: str, condition: Callable[[Job], bool], seconds: float = 30.0) -> Job:
        """The job as soon as the event stream shows it in the state that is waited for."""
        last: Job | None = None
        try:
            async with asyncio.timeout(seconds), self.stream() as jobs:
                async for job in jobs:
                    if job["id"] == job_id:
                        last = job
                        if condition(job):
                            return job
        except TimeoutError:
            pass
        raise AssertionError(f"the stream ended, or {seconds} s passed, with the job at {last}")

    async def ended(self, job_id: str, seconds: float = 30.0) -> Job:
        """The job as soon as the event stream shows its end."""
        return await self.job_when(job_id, lambda job: job["status"] in ENDED, seconds)

    async def completed(self, job_id: str, seconds: float = 30.0) -> Job:
        """The job when it has ended, which must be with success."""
        job = await self.ended(job_id, seconds)
        assert job["status"] == "COMPLETED", job
        return job

    async def _call(self, method: str, path: str, status: int, body: object) -> Any:
        async with self.session.request(method, path, json=body) as response:
            assert response.status == status, f"{method} {path}: {response.status} {await response.text()}"
            return await response.json(content_type=None)


async def jobs_of(response: aiohttp.ClientResponse) -> AsyncIterator[Job]:
    event = ""
    async for raw in response.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data = json.loads(value)
            for job in data["jobs"] if event == "snapshot" else [data]:
                UUID(job["id"])
                yield job


def passing(sockets: Sequence[socket.socket]) -> Sequence[str]:
    """The command that finds these sockets where sd_listen_fds(3) says, after which it is `dongbo`."""
    numbers = [each.fileno() for each in sockets]
    code = f"""
import os
from fcntl import F_DUPFD_CLOEXEC, fcntl
copies = [fcntl(number, F_DUPFD_CLOEXEC, {BEYOND_PASSED}) for number in {numbers}]
os.closerange(3, {BEYOND_PASSED})
for place, copy in enumerate(copies, start=3):
    os.dup2(copy, place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="{len(numbers)}", LISTEN_FDNAMES="status")
from daemon.cli import main
main()
"""
    return sys.executable, "-c", code


@asynccontextmanager
async def running(
    *arguments: str | Path,
    directory: Path,
    environment: Mapping[str, str],
    command: Sequence[str] = COMMAND,
    forked: bool = False,
    prelude: Callable[[], None] | None = None,
    passed: Sequence[socket.socket] = (),
) -> AsyncIterator[DaemonProcess]:
    """Run `dongbo` with the given arguments; whatever happens, it is gone at the end. `forked`: from a process that has
    loaded the program already, and that calls `prelude` first. `passed`: listening sockets, handed over as systemd
    does."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    variables = {**kept, "HOME": str(directory), **environment}
    process: asyncio.subprocess.Process | ForkedProcess
    if forked:
        process = await fork([str(argument) for argument in arguments], directory, variables, LINE_LIMIT, prelude)
    else:
        process = await asyncio.create_subprocess_exec(
            *(passing(passed) if passed else command),
            *map(str, arguments),
            cwd=directory,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            pass_fds=[each.fileno() for each in passed],
        )
    daemon = DaemonProcess(process)
    try:
        yield daemon
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.wait(daemon.readers, timeout=STOP_SECONDS)


READY = "ready"
OPEN = "status_endpoint_opened"  # maybe before the database is there


class RunningDaemon:
    """A daemon that is ready, and a client of it."""

    def __init__(self, process: DaemonProcess, api: Api, address: str) -> None:
        self.process = process
        self.api = api
        self.address = address

    @classmethod
    @asynccontextmanager
    async def of(cls, process: DaemonProcess, token: str | None = None, once: str = READY) -> AsyncIterator[Self]:
        """Wait until the daemon says that it is ready, or `once` it is `OPEN`."""
        address = (await process.logged(once))["address"]
        headers = {"X-Dongbo-Client": "test"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connector = aiohttp.TCPConnector(limit=200)
        async with aiohttp.ClientSession(
            address, headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(total=20)
        ) as session:
            yield cls(process, Api(session), address)
