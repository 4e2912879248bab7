"""The Nhanh client against the sandbox, and against servers that misbehave in ways of their own."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from daemon.errors import CursorRefused, InvalidFilter, RateLimited, SourceRefused, SourceUnavailable
from daemon.sandbox.faults import Fault, Faults
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.nhanh.lists import CUSTOMERS, INVENTORY, PRODUCTS
from daemon.sources.page import Page

Answer = bytes | Callable[[web.Request], Awaitable[web.StreamResponse]]

QUICK = Backoff(attempts=4, initial=0.01, maximum=0.02)
TOKEN = "raw-token-that-nobody-may-see"
UNLIMITED = LimiterRegistry(nhanh_requests=None)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server on a free port that answers everything with the handler."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


class Script:
    """Answers in turn, the last one for ever, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[Any] = []
        self.requests: list[web.Request] = []
        self._answers = deque(answers)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.asked.append(orjson.loads(await request.read()))
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        return web.Response(body=answer) if isinstance(answer, bytes) else await answer(request)


def trouble(status: int, **headers: str) -> Answer:
    """An answer with this status and a web page."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>", headers=headers)

    return answer


def client(
    session: aiohttp.ClientSession, url: str, *, token: str = TOKEN, secret: str | None = None, **options: Any
) -> NhanhClient:
    options = {"limits": UNLIMITED, "backoff": QUICK} | options
    return NhanhClient(
        session, app_id=1, business_id=2, credential=NhanhCredential(token, secret), base_url=url, **options
    )


def of_sandbox(session: aiohttp.ClientSession, sandbox: Sandbox, **options: Any) -> NhanhClient:
    nhanh = sandbox.nhanh
    options = {"limits": UNLIMITED, "backoff": QUICK} | options
    return NhanhClient(
        session,
        app_id=nhanh.app_id,
        business_id=nhanh.business_id,
        credential=NhanhCredential(nhanh.token, nhanh.secret_key),
        base_url=sandbox.nhanh_url,
        **options,
    )


async def collect(pages: AsyncIterator[Page[Any]]) -> list[Page[Any]]:
    return [page async for page in pages]


def ids(pages: list[Page[Any]]) -> list[int]:
    return [row.value.id for page in pages for row in page.rows]


async def test_all_customers_arrive_in_order(session: aiohttp.ClientSession) -> None:
    """Short pages, empty pages and cursors of changing shape notwithstanding, every customer arrives once, by id."""
    async with running_sandbox(SandboxSettings(customers=1500, products=10, limits=False)) as sandbox:
        meter = CallMeter()
        pages = await collect(of_sandbox(session, sandbox).rows(CUSTOMERS, {}, after=None, meter=meter))
        assert ids(pages) == sorted(sandbox.nhanh.customers)
        assert not [bad for page in pages for bad in page.bad]
        assert [page.next is None for page in pages] == [False] * (len(pages) - 1) + [True]
        assert (meter.api_calls, meter.retries) == (len(pages), 0)
        assert meter.bytes_received > 100_000


async def test_a_pull_goes_on_behind_any_page(session: aiohttp.ClientSession) -> None:
    """`next` of a page, carried through JSON as a checkpoint is, continues the list exactly there."""
    async with running_sandbox(SandboxSettings(customers=700, products=10, limits=False)) as sandbox:
        nhanh = of_sandbox(session, sandbox)
        pages = await collect(nhanh.rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
        for number, page in enumerate(pages[:-1]):
            after = orjson.loads(orjson.dumps(page.next))
            rest = await collect(nhanh.rows(CUSTOMERS, {}, after=after, meter=CallMeter()))
            assert ids(rest) == ids(pages[number + 1 :])


async def test_products_of_every_status_come_with_their_stock(session: aiohttp.ClientSession) -> None:
    """The whole catalogue is asked for, stopped products included, with the stock of each depot."""
    async with running_sandbox(SandboxSettings(customers=10, products=80, limits=False)) as sandbox:
        nhanh = of_sandbox(session, sandbox)
        pages = await collect(nhanh.rows(PRODUCTS, {}, after=None, meter=CallMeter()))
        assert ids(pages) == sorted(sandbox.nhanh.products)
        for row in (row.value for page in pages for row in page.rows):
            original = sandbox.nhanh.products[row.id]
            assert (row.code, row.name, row.status) == (original.code or None, original.name, original.status)
            assert row.prices is not None
            assert row.prices.retail == original.price
            if row.inventory is not None and row.inventory.depots:
                stock = {depot.depot_id: depot.available for depot in row.inventory.depots}
                assert stock == {depot: pieces for depot, pieces in original.stock.items() if depot in stock}
        stopped = await collect(nhanh.rows(PRODUCTS, {"status": [3]}, after=None, meter=CallMeter()))
        assert {row.value.status for page in stopped for row in page.rows} <= {3}
        stock = await collect(nhanh.rows(INVENTORY, {}, after=None, meter=CallMeter()))
        found = [row.value.product_id for page in stock for row in page.rows]
        assert found == sorted(found)
        assert set(found) <= set(sandbox.nhanh.products)


async def test_filters_reach_the_server(session: aiohttp.ClientSession) -> None:
    """Our filters are translated to the API's names and forms."""
    script = Script(b'{"code":1,"data":[]}')
    async with served(script) as url:
        nhanh = client(session, url)
        filters = {"type": "2", "last_bought_from": "2026-01-01", "updated_from": "2026-10-01T07:00:00+07:00"}
        await collect(nhanh.rows(CUSTOMERS, filters, after=None, meter=CallMeter(), page_size=50))
        await collect(nhanh.rows(PRODUCTS, {"ids": [3, 1]}, after=None, meter=CallMeter()))
    assert script.asked[0] == {
        "filters": {"type": 2, "lastBoughtDateFrom": "2026-01-01", "updatedAtFrom": 1790812800},
        "paginator": {"size": 50, "sort": {"id": "asc"}},
    }
    assert script.asked[1]["filters"] == {"status": [1, 2, 3, 4], "ids": [1, 3]}
    assert script.requests[0].path_qs == "/v3.0/customer/list?appId=1&businessId=2"
    assert script.requests[0].headers["Authorization"] == TOKEN


async def test_an_unknown_filter_is_refused_before_anything_is_sent(session: aiohttp.ClientSession) -> None:
    """A wrong filter is an error at once, in a plain sentence."""
    nhanh = client(session, "http://127.0.0.1:9")
    with pytest.raises(InvalidFilter, match="Unknown filter for customers of Nhanh"):
        nhanh.rows(CUSTOMERS, {"colour": "red"}, after=None, meter=CallMeter())


@pytest.mark.parametrize(
    "cursor", [b'{"id":123}', b'["x",1.50,{"b":1,"a":2}]', b'"abc"', b'{"z":1,"a":12345678901234567890}', b"17"]
)
async def test_next_is_passed_back_verbatim(session: aiohttp.ClientSession, cursor: bytes) -> None:
    """Whatever shape `next` has, the following request carries the very same JSON."""
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        more = b',"paginator":{"next":%b}' % cursor if len(bodies) == 1 else b',"paginator":[]'
        return web.Response(body=b'{"code":1,"data":[]%b}' % more)

    async with served(answer) as url:
        await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert b'"next":' + cursor + b"}" in bodies[1]


async def test_a_list_that_never_ends_is_given_up(session: aiohttp.ClientSession) -> None:
    """The same `next` with nothing new, again and again, is an error and not an endless pull."""
    for data in (b"[]", b'[{"id":1}]'):
        script = Script(b'{"code":1,"data":%b,"paginator":{"next":{"id":5}}}' % data)
        async with served(script) as url:
            with pytest.raises(SourceUnavailable, match="keeps naming the same next page"):
                await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
        assert len(script.asked) < 20


async def test_bad_rows_do_not_harm_the_others(session: aiohttp.ClientSession) -> None:
    """Every row is either delivered or a dead letter with a reason; good rows arrive whole."""
    settings = SandboxSettings(customers=600, products=100, limits=False, faults=Faults(bad_rows=0.1, seed=3))
    async with running_sandbox(settings) as sandbox:
        nhanh = of_sandbox(session, sandbox)
        customers = await collect(nhanh.rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
        products = await collect(nhanh.rows(PRODUCTS, {}, after=None, meter=CallMeter()))
        for pages, source in ((customers, sandbox.nhanh.customers), (products, sandbox.nhanh.products)):
            bad = [row for page in pages for row in page.bad]
            assert len(ids(pages)) + len(bad) == len(source)
            assert len(bad) > 10
            assert all(row.reason.endswith(".") and row.payload for row in bad)


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.NONSENSE, Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF])
async def test_passing_faults_are_retried(session: aiohttp.ClientSession, fault: Fault) -> None:
    """A server in trouble, a web page, a reset and a truncated answer cost retries, and no row."""
    async with running_sandbox(SandboxSettings(customers=300, products=10, limits=False)) as sandbox:
        sandbox.faults.next(fault, path="customer/list", times=2)
        meter = CallMeter()
        pages = await collect(of_sandbox(session, sandbox).rows(CUSTOMERS, {}, after=None, meter=meter))
        assert ids(pages) == sorted(sandbox.nhanh.customers)
        assert (meter.retries, meter.retry_budget) == (2, 98)
        assert meter.retry_wait_seconds > 0


async def test_failures_end_when_attempts_or_budget_are_used_up(session: aiohttp.ClientSession) -> None:
    """A server that stays broken fails the call, and a job can't retry without end."""
    async with served(Script(trouble(502))) as url:
        with pytest.raises(SourceUnavailable, match=r"in trouble \(HTTP 502\)"):
            await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
        meter = CallMeter(retry_budget=1)
        with pytest.raises(SourceUnavailable, match="has used up its retries"):
            await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=meter))
        assert meter.api_calls == 2


async def test_an_unreachable_server_is_unavailable(session: aiohttp.ClientSession) -> None:
    """A refused connection is worth a retry and has a plain text."""
    meter = CallMeter()
    with pytest.raises(SourceUnavailable, match=r"Nhanh.vn \(app 1, business 2\) can't be reached"):
        await collect(client(session, "http://127.0.0.1:9").rows(CUSTOMERS, {}, after=None, meter=meter))
    assert meter.api_calls == 4


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            b'{"code":0,"errorCode":"ERR_INVALID_ACCESS_TOKEN","messages":"Invalid"}',
            "dongbo connect nhanh",
        ),
        (b'{"code":0,"errorCode":"ERR_INVALID_BUSINESS_ID","messages":["a","b"]}', "business_id .*a; b"),
        (b'{"code":0,"errorCode":"ERR_403","messages":{"x":"y"}}', "lacks the permission .*x: y"),
        (b'{"code":"0","errorCode":"ERR_NEW","messages":{"x":["y",{"z":"w"}]}}', "ERR_NEW: x: y; x: z: w"),
        (b'{"code":0,"errorCode":"ERR_403","messages":"token raw-token-that-nobody-may-see"}', r"token \*\*\*"),
    ],
)
async def test_a_refusal_says_what_to_do(session: aiohttp.ClientSession, answer: bytes, says: str) -> None:
    """An error that only a person can mend is not retried, names the remedy, and shows no secret."""
    script = Script(answer)
    async with served(script) as url:
        with pytest.raises(SourceRefused, match=says) as caught:
            await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert len(script.asked) == 1
    assert TOKEN not in str(caught.value)


async def test_a_redirect_is_not_followed(session: aiohttp.ClientSession) -> None:
    """A token never travels to an address that nobody configured."""
    script = Script(trouble(302, Location="http://127.0.0.1:9/"))
    async with served(script) as url:
        with pytest.raises(SourceRefused, match="redirect"):
            await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))


async def test_a_slow_answer_times_out(session: aiohttp.ClientSession) -> None:
    """No answer within the time-out is a failure that is retried."""
    release = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with (
        served(Script(hang, b'{"code":1,"data":[]}')) as url,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as impatient,
    ):
        meter = CallMeter()
        await collect(client(impatient, url).rows(CUSTOMERS, {}, after=None, meter=meter))
        release.set()
    assert meter.retries == 1


async def test_a_locked_account_is_left_alone_by_all_jobs(session: aiohttp.ClientSession) -> None:
    """After ERR_429 no job calls this URL before it is unlocked; then all go on, and the wait is counted."""
    arrivals: list[float] = []
    unlocked_at = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal unlocked_at
        await request.read()
        arrivals.append(time.time())
        if len(arrivals) == 1:
            unlocked_at = int(time.time()) + 2
            lock = {"lockedSeconds": 1, "unlockedAt": unlocked_at}
            return web.json_response({"code": 0, "errorCode": "ERR_429", "message": "Too many", "data": lock})
        return web.Response(body=b'{"code":1,"data":[]}')

    async with served(answer) as url:
        nhanh = client(session, url, limits=LimiterRegistry())
        meters = [CallMeter() for _ in range(3)]

        async def job(meter: CallMeter) -> None:
            await collect(nhanh.rows(CUSTOMERS, {}, after=None, meter=meter))

        await job(meters[0])  # alone, so that nothing else is under way when the lock comes
        assert arrivals[1] >= unlocked_at
        assert arrivals[1] < unlocked_at + 1
        async with asyncio.TaskGroup() as group:
            for meter in meters[1:]:
                group.create_task(job(meter))
    assert meters[0].rate_limited == meters[0].retries == 1
    assert meters[0].retry_budget == 100
    assert meters[0].rate_limit_wait_seconds > 0.5


async def test_rate_limits_end_sometime(session: aiohttp.ClientSession) -> None:
    """An account that stays locked fails the call at last."""
    answer = {"code": 0, "errorCode": "ERR_EXCEEDED_RATE_LIMIT", "data": {"lockedSeconds": 0.01}}
    script = Script(orjson.dumps(answer))
    async with served(script) as url:
        nhanh = client(session, url, backoff=Backoff(rate_limited_attempts=3))
        with pytest.raises(RateLimited, match="rate limit"):
            await collect(nhanh.rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert len(script.asked) == 3


async def test_the_limit_is_kept_and_used_on_real_sockets(session: aiohttp.ClientSession) -> None:
    """Several jobs on one account never exceed the window at the server, and use nearly all of it."""
    allowed, window, duration = 30, 0.5, 3.0
    arrivals: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        arrivals.append(time.monotonic())
        return web.Response(body=b'{"code":1,"data":[],"paginator":{"next":%d}}' % len(arrivals))

    async with served(answer) as url:
        nhanh = client(session, url, limits=LimiterRegistry(nhanh_requests=allowed, nhanh_window_seconds=window))

        async def job() -> None:
            async for _ in nhanh.rows(CUSTOMERS, {}, after=None, meter=CallMeter()):
                pass

        tasks = [asyncio.create_task(job(), name=f"job-{number}") for number in range(3)]
        await asyncio.sleep(duration)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    most = max(sum(start <= at < start + window for at in arrivals) for start in arrivals)
    assert most <= allowed
    # The margin of 50 ms is a tenth of this short window; of the real one it is a six-hundredth.
    assert len(arrivals) >= 0.8 * allowed * duration / window


async def test_rows_by_id(session: aiohttp.ClientSession) -> None:
    """Any number of ids may be asked for; those that don't exist are missing."""
    async with running_sandbox(SandboxSettings(customers=300, products=120, limits=False)) as sandbox:
        nhanh = of_sandbox(session, sandbox)
        wanted = sorted(sandbox.nhanh.customers)[:250]
        page = await nhanh.rows_by_ids(CUSTOMERS, [*wanted, 1, *wanted[:3]], meter=CallMeter())
        assert sorted(row.value.id for row in page.rows) == wanted
        products = sorted(sandbox.nhanh.products)[:5]
        page_of_products = await nhanh.rows_by_ids(PRODUCTS, products, meter=CallMeter())
        assert sorted(row.value.id for row in page_of_products.rows) == products
        assert (await nhanh.rows_by_ids(CUSTOMERS, [], meter=CallMeter())).rows == []


async def test_the_access_token_is_examined(session: aiohttp.ClientSession) -> None:
    """Expiry, depots and permissions are read; a client without the secret key says so."""
    async with running_sandbox(SandboxSettings(customers=10, products=10)) as sandbox:
        access = await of_sandbox(session, sandbox).check_access_token()
        assert access.business_id == sandbox.nhanh.business_id
        assert int(access.expires_at.timestamp()) == sandbox.nhanh.expires_at
        assert access.depot_ids == []
        assert "customer/list" in access.permissions
        depots = await of_sandbox(session, sandbox).depots()
        assert [depot.name for depot in depots] == [depot.name for depot in sandbox.nhanh.depots]
    with pytest.raises(SourceRefused, match="needs secret_key"):
        await client(session, "http://127.0.0.1:9").check_access_token()
    for answer, expected in (('"All"', []), ('["5",6]', [5, 6])):
        body = (
            f'{{"code":1,"data":{{"expiredAt":"1785603599","businessId":2,"depotIds":{answer},"permissions":"a, b"}}}}'
        )
        async with served(Script(body.encode())) as url:
            access = await client(session, url, secret="key").check_access_token()
        assert (access.depot_ids, access.permissions) == (expected, ["a", "b"])


async def test_a_warning_is_logged_once(session: aiohttp.ClientSession) -> None:
    """What Nhanh warns of in a success is said once, not with every page."""
    script = Script(b'{"code":1,"warning":["orderPrivateId is deprecated"],"data":[]}')
    async with served(script) as url:
        nhanh = client(session, url)
        with capture_logs() as logs:
            for _ in range(3):
                await collect(nhanh.rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert [entry["warning"] for entry in logs if entry["event"] == "source_warned"] == ["orderPrivateId is deprecated"]


async def test_secrets_never_show(session: aiohttp.ClientSession) -> None:
    """Neither the client's repr, nor its logs, nor its errors hold the token or the key."""
    script = Script(
        web.Response(status=500), b'{"code":0,"errorCode":"ERR_X","messages":"raw-token-that-nobody-may-see"}'
    )
    async with served(script) as url:
        nhanh = client(session, url, secret="another-secret")
        with capture_logs() as logs, pytest.raises(SourceRefused) as caught:
            await collect(nhanh.rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    shown = f"{nhanh!r} {logs} {caught.value} {caught.value!r}"
    assert logs
    assert TOKEN not in shown
    assert "another-secret" not in shown


async def test_a_broken_row_costs_only_itself(session: aiohttp.ClientSession) -> None:
    """Half a surrogate pair or broken UTF-8 in one row leaves the other rows of the page alone."""
    rows = b'{"id":1,"name":"a"},{"id":2,"name":"\\ud800 x"},{"id":3,"name":"\xff"},{"id":4,"name":"\\ud83d\\ude00"}'
    async with served(Script(b'{"code":1,"data":[%b]}' % rows)) as url:
        (page,) = await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert [row.value.id for row in page.rows] == [1, 4]
    assert [row.source_id for row in page.bad] == ["2", "3"]


async def test_an_answer_without_data_is_asked_for_again(session: aiohttp.ClientSession) -> None:
    """The lack of a list is no empty list: whatever it does not hold would be deleted."""
    script = Script(b'{"code":1}', b'{"code":1,"data":[],"paginator":{}}')
    async with served(script) as url:
        (page,) = await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert (page.rows, page.next, len(script.asked)) == ([], None, 2)


@pytest.mark.parametrize("nothing", ["null", '""', "false", "0", '{"message":"busy"}'])
@pytest.mark.parametrize("following", ["", ',"paginator":{"next":null}', ',"paginator":{"next":[7]}'])
async def test_what_is_no_list_is_asked_for_again(session: aiohttp.ClientSession, nothing: str, following: str) -> None:
    """In the middle of a list and at its end: it is neither an empty page nor the end."""
    first = b'{"code":1,"data":[{"id":1,"name":"An"}],"paginator":{"next":[1]}}'
    last = b'{"code":1,"data":[{"id":2,"name":"B"}]}'
    broken = f'{{"code":1,"data":{nothing}{following}}}'.encode()
    script = Script(first, broken, last)
    async with served(script) as url:
        pages = await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert [row.value.id for page in pages for row in page.rows] == [1, 2]
    assert script.asked[1] == script.asked[2]
    async with served(Script(first, broken)) as url:
        with pytest.raises(SourceUnavailable, match="answered customer/list without a list of rows"):
            await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))


@pytest.mark.parametrize("nothing", ["[]", "{}"])
async def test_an_empty_list_is_one(session: aiohttp.ClientSession, nothing: str) -> None:
    """However PHP spells it."""
    async with served(Script(f'{{"code":1,"data":{nothing}}}'.encode())) as url:
        (page,) = await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
    assert (page.rows, page.next) == ([], None)


async def test_depots_are_read_to_the_end(session: aiohttp.ClientSession) -> None:
    """Half of them would hide the others, which would look like no stock."""
    first = b'{"code":1,"data":[{"id":1,"name":"A"}],"paginator":{"next":{"page":2}}}'
    script = Script(first, b'{"code":1,"data":[{"id":2,"name":"B"}],"paginator":{}}')
    async with served(script) as url:
        depots = await client(session, url).depots()
    assert [depot.id for depot in depots] == [1, 2]
    assert script.asked == [{"filters": {"ids": []}}, {"filters": {"ids": []}, "paginator": {"next": {"page": 2}}}]


async def test_an_unreadable_next_is_not_the_end(session: aiohttp.ClientSession) -> None:
    """A list ends where there is no next page, not where it can't be read whether there is one."""
    async with served(Script(b'{"code":1,"data":[],"paginator":"?"}')) as url:
        with pytest.raises(SourceUnavailable, match="unreadable position for the next page"):
            await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))


async def test_stock_that_is_missing_once_is_asked_for_again(session: aiohttp.ClientSession) -> None:
    """A product without a row has no stock, and would be zero at Shopify: so it must be said twice."""
    empty = b'{"code":1,"data":[],"paginator":{}}'
    row = b'{"code":1,"data":[{"productId":7,"inventory":{"depots":[]}}],"paginator":{}}'
    script = Script(empty, row)
    async with served(script) as url:
        page = await client(session, url).rows_by_ids(INVENTORY, [7], meter=CallMeter())
    assert [found.value.id for found in page.rows] == [7]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"code":0,"errorCode":"ERR_INVALID_DATA","messages":"No"}',
        b'{"code":0,"messages":"Invalid paginator.next"}',
    ],
)
async def test_a_cursor_that_is_not_taken_is_told_apart(session: aiohttp.ClientSession, answer: bytes) -> None:
    """A pull that goes on behind a page begins afresh then; one that has just begun has something else wrong."""
    script = Script(answer)
    async with served(script) as url:
        with pytest.raises(CursorRefused):
            await collect(client(session, url).rows(CUSTOMERS, {}, after="[1]", meter=CallMeter()))
    assert len(script.asked) == 1


async def test_a_failure_without_a_code_is_tried_again(session: aiohttp.ClientSession) -> None:
    """So is a fault inside Nhanh.vn; neither is a refusal."""
    well = b'{"code":1,"data":[],"paginator":{}}'
    for answer in (b'{"code":0}', b'{"code":0,"messages":["busy"]}', b'{"code":0,"errorCode":"ERR_500"}'):
        script = Script(answer, well)
        async with served(script) as url:
            assert await collect(client(session, url).rows(CUSTOMERS, {}, after=None, meter=CallMeter()))
        assert len(script.asked) == 2
