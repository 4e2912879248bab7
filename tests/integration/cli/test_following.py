"""Following jobs over the event stream: nothing is missed, whatever happens to the daemon in between."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from daemon.cli.client.daemon import connect
from daemon.cli.client.target import DaemonTarget
from daemon.cli.jobs import following
from daemon.cli.jobs.following import follow_until_ended, watch
from daemon.errors import DaemonUnreachable, JobNotFound
from daemon.ids import JobId, new_job_id
from daemon.jobs.model import Job
from tests.support.records import record_of

DEADLINE = 20.0


class FakeDaemon:
    """Speaks the routes of jobs and events; `change` tells all streams, `restart` cuts them off."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.streams: set[asyncio.Queue[bytes | None]] = set()
        self.last_event_ids: list[str | None] = []
        self.snapshots_whole = True
        self.connected = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def target(self) -> DaemonTarget:
        return DaemonTarget(f"http://127.0.0.1:{self._port}")

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/jobs/{id}", self._job)
        app.router.add_get("/api/events", self._events)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        assert self._runner is not None
        for stream in self.streams:
            stream.put_nowait(None)
        await self._runner.cleanup()
        self.connected.clear()

    def put(self, job_id: JobId, *, tell: bool = True, **changes: Any) -> None:
        known = self.jobs.get(str(job_id), orjson.loads(orjson.dumps(record_of(Job, {"id": str(job_id)}))))
        version = max((job["version"] for job in self.jobs.values()), default=0) + 1
        self.jobs[str(job_id)] = job = known | changes | {"version": version}
        frame = f"id: {version}\nevent: job\ndata: {json.dumps(job)}\n\n".encode()
        if tell:
            for stream in self.streams:
                stream.put_nowait(frame)

    async def _job(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        return web.json_response({"title": "none"}, status=404) if job is None else web.json_response(job)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.last_event_ids.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        jobs = list(self.jobs.values()) if self.snapshots_whole else []
        snapshot = json.dumps({"version": 0, "jobs": jobs})
        await response.write(f"retry: 1000\n\nid: 1\nevent: snapshot\ndata: {snapshot}\n\n".encode())
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.streams.add(queue)
        self.connected.set()
        try:
            while (frame := await queue.get()) is not None:
                await response.write(frame)
        finally:
            self.streams.discard(queue)
        return response


class Recorder:
    """A view that remembers."""

    interval = 0.01

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.ticks = 0
        self.changed = asyncio.Event()

    def update(self, job: Job) -> None:
        self.seen.append((str(job.id), job.status))
        self.changed.set()

    def forget(self, job_id: JobId) -> None:
        self.seen.append((str(job_id), "gone"))
        self.changed.set()

    def tick(self) -> None:
        self.ticks += 1

    def remark(self, text: str) -> None:
        self.remarks.append(text)
        self.changed.set()

    async def wait_for(self, *states: tuple[str, str]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not set(states) <= set(self.seen):
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def watching(daemon: FakeDaemon, view: Recorder) -> AsyncIterator[None]:
    async with connect(daemon.target) as client:
        task = asyncio.create_task(watch(client, view))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
    assert task.cancelled()


@pytest.fixture
async def daemon(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDaemon]:
    monkeypatch.setattr(following, "RECONNECT_DELAYS", (0.01,))
    fake = FakeDaemon()
    await fake.start()
    yield fake
    await fake.stop()


async def test_a_job_is_followed_to_its_end(daemon: FakeDaemon) -> None:
    """Every state is shown, and the last one is the result."""
    job_id, view = new_job_id(), Recorder()
    daemon.put(job_id)
    async with connect(daemon.target) as client, asyncio.timeout(DEADLINE):
        followed = asyncio.create_task(follow_until_ended(client, [job_id], view))
        await daemon.connected.wait()
        daemon.put(new_job_id(), status="RUNNING")  # somebody else's
        daemon.put(job_id, status="RUNNING")
        await view.wait_for((str(job_id), "RUNNING"))
        daemon.put(job_id, status="COMPLETED")
        (last,) = await followed
    assert last.status == "COMPLETED"
    assert view.seen == [(str(job_id), status) for status in ("PENDING", "RUNNING", "COMPLETED")]
    assert view.ticks > 0


async def test_a_job_that_has_ended_before_is_not_waited_for(daemon: FakeDaemon) -> None:
    """Nothing will be told of it any more."""
    job_id = new_job_id()
    daemon.put(job_id, status="FAILED")
    async with connect(daemon.target) as client, asyncio.timeout(DEADLINE):
        (last,) = await follow_until_ended(client, [job_id], Recorder())
    assert last.status == "FAILED"


async def test_a_restart_of_the_daemon_loses_nothing(daemon: FakeDaemon) -> None:
    """An end that came while nobody listened is found, even where the snapshot does not tell of it."""
    job_id, view = new_job_id(), Recorder()
    daemon.put(job_id, status="RUNNING")
    async with connect(daemon.target) as client, asyncio.timeout(DEADLINE):
        followed = asyncio.create_task(follow_until_ended(client, [job_id], view))
        await daemon.connected.wait()
        daemon.put(job_id, processed=10)
        await view.wait_for((str(job_id), "RUNNING"))
        await daemon.stop()
        daemon.put(job_id, status="COMPLETED", tell=False)
        daemon.snapshots_whole = False
        await daemon.start()
        (last,) = await followed
    assert last.status == "COMPLETED"
    assert daemon.last_event_ids[0] is None
    assert daemon.last_event_ids[-1] is not None
    assert [remark.split(";")[0] for remark in view.remarks] == ["the daemon is gone", "the daemon answers again"]


async def test_an_unknown_job_is_said_at_once(daemon: FakeDaemon) -> None:
    """A wrong id does not wait for ever."""
    async with connect(daemon.target) as client:
        with pytest.raises(JobNotFound):
            await follow_until_ended(client, [new_job_id()], Recorder())


async def test_watching_without_a_daemon_is_an_error(daemon: FakeDaemon) -> None:
    """Only a connection that was there once is waited for."""
    await daemon.stop()
    async with connect(daemon.target) as client:
        with pytest.raises(DaemonUnreachable):
            await watch(client, Recorder())
    await daemon.start()


async def test_watching_shows_live_jobs_and_all_changes(daemon: FakeDaemon) -> None:
    """What ended before is history; what lives or changes is shown, once per change, also after a restart."""
    old, live, new = new_job_id(), new_job_id(), new_job_id()
    daemon.put(old, status="COMPLETED")
    daemon.put(live, status="RUNNING")
    view = Recorder()
    async with watching(daemon, view):
        await view.wait_for((str(live), "RUNNING"))
        daemon.put(new, status="PENDING")
        await view.wait_for((str(new), "PENDING"))
        await daemon.stop()
        daemon.put(live, status="CANCELLED", tell=False)
        await daemon.start()
        await view.wait_for((str(live), "CANCELLED"))
    expected = [(str(live), "RUNNING"), (str(new), "PENDING"), (str(live), "CANCELLED")]
    assert view.seen == expected


async def test_a_live_job_that_is_gone_after_a_break_is_no_longer_shown(daemon: FakeDaemon) -> None:
    """It ended and was pruned while nobody listened; another that ended unseen is shown as ended."""
    gone, ended, view = new_job_id(), new_job_id(), Recorder()
    daemon.put(gone, status="RUNNING")
    daemon.put(ended, status="RUNNING")
    async with watching(daemon, view):
        await view.wait_for((str(gone), "RUNNING"), (str(ended), "RUNNING"))
        await daemon.stop()
        del daemon.jobs[str(gone)]
        daemon.put(ended, tell=False, status="COMPLETED")
        daemon.snapshots_whole = False
        await daemon.start()
        await view.wait_for((str(gone), "gone"), (str(ended), "COMPLETED"))


async def test_what_was_pruned_is_forgotten(daemon: FakeDaemon) -> None:
    """Of the ended jobs only those that are kept are remembered: a terminal that is open for weeks holds no others."""
    jobs, view = [new_job_id() for _ in range(3)], Recorder()
    async with watching(daemon, view):
        await daemon.connected.wait()
        for number, job_id in enumerate(jobs):
            daemon.put(job_id, status="COMPLETED", completed_at=f"2026-01-0{number + 1}T00:00:00+00:00")
        await view.wait_for(*[(str(job_id), "COMPLETED") for job_id in jobs])
        pruning = json.dumps({"version": 9, "ended_until": "2026-01-02T00:00:00+00:00", "kept": [str(jobs[1])]})
        for stream in daemon.streams:
            stream.put_nowait(f"id: 9\nevent: pruned\ndata: {pruning}\n\n".encode())
        view.seen.clear()
        for job_id in jobs:  # told once more, the same again: only what was forgotten is news
            frame = f"id: 9\nevent: job\ndata: {json.dumps(daemon.jobs[str(job_id)])}\n\n".encode()
            for stream in daemon.streams:
                stream.put_nowait(frame)
        daemon.put(new_job := new_job_id(), status="RUNNING")
        await view.wait_for((str(new_job), "RUNNING"))
    assert view.seen == [(str(jobs[0]), "COMPLETED"), (str(new_job), "RUNNING")]
