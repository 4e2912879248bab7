"""The client of the daemon's endpoint: every way in which an answer can be no answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from daemon.api.jobs import JobList
from daemon.api.status import Status
from daemon.cli.client.daemon import DaemonRefused, connect
from daemon.cli.client.target import DaemonTarget
from daemon.errors import DaemonUnreachable, JobNotFound, LiveJobExists, ScheduleNotFound
from daemon.ids import JobId, new_job_id
from daemon.jobs.model import Job
from daemon.jobs.types import JobType
from tests.support.records import record_of

Handler = Callable[[web.Request], web.StreamResponse]


@asynccontextmanager
async def serving(handler: Handler, socket: Path | None = None) -> AsyncIterator[DaemonTarget]:
    """An HTTP server that answers everything by `handler`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        if socket is not None:
            await web.UnixSite(runner, str(socket)).start()
            yield DaemonTarget("http://localhost", str(socket))
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield DaemonTarget(f"http://{host}:{port}")
    finally:
        await runner.cleanup()


def problem(status: int, **members: str) -> Handler:
    body = {
        "type": "about:blank",
        "title": "T",
        "status": status,
        "detail": "said by the daemon",
        "instance": "",
        **members,
    }
    return lambda _request: web.json_response(body, status=status, content_type="application/problem+json")


def answer(record: object) -> web.Response:
    return web.Response(body=orjson.dumps(record), content_type="application/json")


async def test_it_says_who_it_is() -> None:
    """Jobs asked for by the command line carry its name, and the token goes along."""
    seen = {}

    def remember(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return answer(record_of(Job, {}))

    async with serving(remember) as target:
        authorised = DaemonTarget(target.base_url, token=SecretStr("status-token-of-a-length"))
        async with connect(authorised) as client:
            await client.submit(JobType.NOOP, "main", {})
    assert seen["X-Dongbo-Client"] == "cli"
    assert seen["Authorization"] == "Bearer status-token-of-a-length"
    assert seen["Content-Type"] == "application/json"


async def test_a_unix_socket_works_like_a_port(tmp_path: Path) -> None:
    """A daemon on a socket is reached by the socket."""
    async with (
        serving(lambda request: answer(record_of(Status, {"version": request.path})), tmp_path / "s.sock") as target,
        connect(target) as client,
    ):
        assert (await client.status()).version == "/status"


async def test_nobody_there_says_how_to_start_the_daemon(tmp_path: Path) -> None:
    """The message is a command that can be copied."""
    async with serving(problem(500)) as target:
        gone = DaemonTarget(target.base_url, config=Path("config/dongbo.toml"))
    for target in (
        gone,
        DaemonTarget("http://localhost", str(tmp_path / "none.sock"), config=Path("config/dongbo.toml")),
    ):
        async with connect(target) as client:
            with pytest.raises(
                DaemonUnreachable, match=r"no daemon answers at .*dongbo run --config config/dongbo\.toml"
            ):
                await client.status()
            with pytest.raises(DaemonUnreachable, match="no daemon answers at"):
                async with client.events():
                    pass


async def test_a_refused_token_names_the_key() -> None:
    """401 says which key of the configuration to look at; it differs with and without a token."""
    async with serving(problem(401)) as target:
        async with connect(target) as client:
            with pytest.raises(DaemonUnreachable, match=r"requires a token, and no configuration .*DONGBO_TOKEN"):
                await client.jobs()
        with_token = DaemonTarget(target.base_url, token=SecretStr("the-wrong-token-here"))
        async with connect(with_token) as client:
            with pytest.raises(DaemonUnreachable, match=r"refuses the token: \[status\] token") as caught:
                await client.jobs()
    assert "the-wrong-token-here" not in str(caught.value)


async def test_a_live_job_comes_with_its_id() -> None:
    """409 carries the id of the job that stands in the way."""
    live = new_job_id()
    async with serving(problem(409, job_id=str(live))) as target, connect(target) as client:
        with pytest.raises(LiveJobExists, match="said by the daemon") as caught:
            await client.submit(JobType.NOOP, "main", {})
    assert str(caught.value.job_id) == str(live)


@pytest.mark.parametrize("status", [400, 403, 409, 413, 422, 500])
async def test_other_problems_are_told_in_the_daemon_s_words(status: int) -> None:
    """What the daemon says is what a person reads."""
    async with serving(problem(status)) as target, connect(target) as client:
        with pytest.raises(DaemonRefused, match="said by the daemon"):
            await client.submit(JobType.NOOP, "main", {})


async def test_what_is_not_there_is_told_apart() -> None:
    """404 is about a job or a schedule."""
    async with serving(problem(404)) as target, connect(target) as client:
        with pytest.raises(JobNotFound):
            await client.job(JobId(new_job_id()))
        with pytest.raises(ScheduleNotFound):
            await client.pause_schedule("../jobs")


async def test_a_daemon_without_its_database_is_unavailable() -> None:
    """503 is worth another attempt later, and has the exit code that says so."""
    async with serving(problem(503)) as target, connect(target) as client:
        with pytest.raises(DaemonUnreachable, match="said by the daemon"):
            await client.jobs()


@pytest.mark.parametrize("body", ["<html>nginx</html>", "[]", ""])
async def test_something_else_at_the_address_is_no_stack_trace(body: str) -> None:
    """Another program may listen there: success and failure without JSON are both understood."""
    async with serving(lambda _request: web.Response(text=body, status=502)) as target, connect(target) as client:
        with pytest.raises(DaemonRefused, match="HTTP 502"):
            await client.status()
    if body != "[]":
        async with serving(lambda _request: web.Response(text=body)) as target, connect(target) as client:
            with pytest.raises(DaemonUnreachable, match="is not dongbo"):
                await client.status()


async def test_a_daemon_of_another_version_is_told_by_the_member_that_does_not_fit() -> None:
    """A member that is missing, or is something else, is no crash where it is used."""
    older = orjson.loads(orjson.dumps(record_of(Status, {})))
    del older["clocks"]
    async with serving(lambda _request: web.json_response(older)) as target, connect(target) as client:
        with pytest.raises(DaemonRefused, match=r"are of different versions: .* `clocks`.*Restart the daemon"):
            await client.status()


async def test_lists_are_read_page_by_page_up_to_the_limit() -> None:
    """A long list takes several requests, and no more than are needed."""
    asked = []

    def page(request: web.Request) -> web.Response:
        start, size = int(request.query.get("cursor", 0)), int(request.query["limit"])
        asked.append(size)
        rows = [record_of(Job, {"version": number}) for number in range(start, min(start + size, 450))]
        following = str(start + size) if start + size < 450 else None
        return answer(JobList(rows, [], following))

    async with serving(page) as target, connect(target) as client:
        assert len(await client.jobs(limit=300)) == 300
        assert asked == [200, 100]
        assert [job.version for job in await client.jobs(limit=1000)] == list(range(450))
