"""What is no HTTP request is refused in the endpoint's own words, and says nothing about itself or about what came."""

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from daemon.logging import forget_secret, register_secret
from tests.integration.status.test_security import TOKEN, _raw

MARK = b"m4rk3d"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ATTACKS = {
    "garbage": MARK + b"\r\n\r\n",
    "bytes": bytes(range(256)) + MARK,
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK + b"\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + MARK,
    "request line without version": b"GET /" + MARK + b"\r\n\r\n",
    "unknown version": b"GET /" + MARK + b" HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "spaces in the address": b"GET /a b " + MARK + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in the address": b"GET /\x00" + MARK + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": GET + b"X: \x00" + MARK + b"\r\n\r\n",
    "address without slash": b"GET " + MARK + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT " + MARK + b":443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "unknown method": b"M4RK3D /" + MARK + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "header without colon": GET + MARK + b"\r\n\r\n",
    "space before the colon": GET + b"X : " + MARK + b"\r\n\r\n",
    "folded header": GET + b"X: a\r\n " + MARK + b"\r\n\r\n",
    "bare line feed": GET + b"X: a\n" + MARK + b": b\r\n\r\n",
    "header of a strange name": GET + b"X(y): " + MARK + b"\r\n\r\n",
    "no Host": b"GET /" + MARK + b" HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two Hosts": GET + b"Host: " + MARK + b"\r\nConnection: close\r\n\r\n",
    "long address": b"GET /" + MARK * 2_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long header": GET + b"X: " + MARK * 2_000 + b"\r\n\r\n",
    "many headers": GET + b"X: m4rk3d\r\n" * 500 + b"\r\n",
    "length that is no number": POST + b"Content-Length: " + MARK + b"\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n" + MARK,
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + MARK,
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + MARK,
    "unknown transfer encoding": POST + b"Transfer-Encoding: " + MARK + b"\r\n\r\n",
    "bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n" + MARK + b"\r\n",
    "chunk too short": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n" + MARK + b"\r\n0\r\n\r\n",
    "packed body": POST + b"Content-Encoding: gzip\r\nContent-Length: 6\r\nConnection: close\r\n\r\n" + MARK,
    "body that unpacks without end": POST
    + b"Content-Encoding: gzip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    + gzip.compress(bytes(50_000_000)),
    "unknown expectation": GET + b"Expect: " + MARK + b"\r\nConnection: close\r\n\r\n",
    "foreign Host": b"GET / HTTP/1.1\r\nHost: " + MARK + b"\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_it_is_refused_as_a_problem(endpoint: Any, attack: str) -> None:
    """4xx with a sentence and the security headers; no echo, no version of anything; the connection is closed."""
    request = ATTACKS[attack]
    if b"%d" in request:
        head, _, body = request.partition(b"\r\n\r\n")
        request = head.replace(b"%d", b"%d" % len(body)) + b"\r\n\r\n" + body
    answer = await _raw_to_the_end(endpoint, request)
    head, _, rest = answer.partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert 400 <= int(head.split(b" ")[1]) < 500, answer
    assert headers[b"Content-Type"] == b"application/problem+json"
    assert headers[b"Server"] == b"dongbo"
    assert headers[b"X-Content-Type-Options"] == b"nosniff"
    assert b"default-src 'none'" in headers[b"Content-Security-Policy"]
    problem = orjson.loads(rest[: int(headers[b"Content-Length"])])
    assert problem["status"] == int(head.split(b" ")[1])
    assert len(problem["detail"]) > 20
    for secret in (MARK, b"aiohttp", b"Python", b"Traceback", b"llhttp"):
        assert secret.lower() not in answer.lower(), answer
    await endpoint.get("/api/jobs")  # the daemon's work goes on


async def test_nobody_has_a_body_unpacked(endpoint: Any) -> None:
    """48 KB can unpack to 50 MB, which kept the loop busy for 140 ms each time, without a token: a body that nobody
    reads stays as it came, and one that is read must not be packed, even if it is as its Content-Encoding says."""
    packed = b"Content-Encoding: gzip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    assert b" 200 " in (await _raw(endpoint, GET + packed % 6 + b"unread"))[:20]
    body = gzip.compress(b"{}")
    answer = await _raw_to_the_end(endpoint, POST + packed % len(body) + body)
    assert b" 415 " in answer[:20]
    assert b"\r\nAccept-Encoding: identity\r\n" in answer


async def test_what_comes_for_tls_or_http2_is_told_so(endpoint: Any) -> None:
    """The two slips that a person makes with proxies."""
    assert b"http:// instead of https://" in await _raw(endpoint, ATTACKS["TLS hello"])
    assert b"HTTP/2 off" in await _raw(endpoint, ATTACKS["HTTP/2 preface"])
    assert b" 431 " in (await _raw(endpoint, ATTACKS["long header"]))[:20]


async def test_what_is_malformed_is_counted(endpoint: Any) -> None:
    """By the metric."""
    for attack in ("garbage", "TLS hello", "long address"):
        await _raw(endpoint, ATTACKS[attack])
    async with endpoint.client.get("/metrics") as response:
        assert 'dongbo_connections_cut_total{reason="malformed"} 3.0' in await response.text()


async def test_nothing_malformed_comes_by_the_token(open_endpoint: Any) -> None:
    """Rubbish behind a refused request does not become a second one."""
    async with open_endpoint(token=TOKEN) as endpoint:
        smuggled = b"POST /api/schedules/other/pause HTTP/1.1\r\nHost: localhost\r\nX-Dongbo-Client: x\r\n\r\n"
        request = POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
        answer = await _raw_to_the_end(endpoint, request)
        assert answer.count(b"Content-Length: ") == 1
        assert all(not state.paused for state in endpoint.parts.scheduler.states())


SALE = {"store": "main", "name": "tet", "percent": 10, "targets": {"all": True}}


def pull(job_type: str = "PULL_NHANH_CUSTOMERS", **params: object) -> dict[str, object]:
    """A pull that is asked for."""
    return {"type": job_type, "store": "main", "params": params}


ECHOES = {
    "path": ("GET", "/m4rk3d", {}),
    "method": ("M4RK3D", "/api/jobs", {}),
    "job": ("GET", "/api/jobs/m4rk3d", {}),
    "schedule": ("POST", "/api/schedules/m4rk3d/run", {}),
    "sale": ("GET", "/api/sales/m4rk3d", {}),
    "file": ("GET", "/page/m4rk3d", {}),
    "name in the query": ("GET", "/api/jobs?m4rk3d=1", {}),
    "value in the query": ("GET", "/api/jobs?status=m4rk3d", {}),
    "id in the query": ("GET", "/api/jobs?parent=m4rk3d", {}),
    "cursor": ("GET", "/api/jobs?cursor=m4rk3d", {}),
    "store in the query": ("GET", "/api/explain?store=m4rk3d&sku=x", {}),
    "store": ("POST", "/api/jobs", {"json": {"type": "NOOP", "store": "m4rk3d"}}),
    "type": ("POST", "/api/jobs", {"json": {"type": "m4rk3d", "store": "main"}}),
    "name in the body": ("POST", "/api/jobs", {"json": {"type": "NOOP", "store": "main", "m4rk3d": 1}}),
    "body that is no JSON": ("POST", "/api/jobs", {"data": b"m4rk3d", "headers": {"Content-Type": "application/json"}}),
    "Content-Type": ("POST", "/api/jobs", {"data": b"{}", "headers": {"Content-Type": "text/m4rk3d"}}),
    "Origin": ("POST", "/api/jobs", {"headers": {"Origin": "http://m4rk3d"}}),
    "Host": ("GET", "/api/jobs", {"headers": {"Host": "m4rk3d"}}),
    "param of a pull": ("POST", "/api/jobs", {"json": pull(m4rk3d=1)}),
    "flag of a pull": ("POST", "/api/jobs", {"json": pull(full="m4rk3d")}),
    "filters": ("POST", "/api/jobs", {"json": pull(filters="m4rk3d")}),
    "name of a filter": ("POST", "/api/jobs", {"json": pull(filters={"m4rk3d": 1})}),
    "number of a filter": ("POST", "/api/jobs", {"json": pull(filters={"type": "m4rk3d"})}),
    "time of a filter": ("POST", "/api/jobs", {"json": pull(filters={"updated_from": "m4rk3d"})}),
    "day of a filter": ("POST", "/api/jobs", {"json": pull(filters={"last_bought_from": "m4rk3d"})}),
    "retried job": ("POST", "/api/jobs", {"json": pull(retry_of="m4rk3d")}),
    "query": ("POST", "/api/jobs", {"json": pull("PULL_SHOPIFY_PRODUCTS", query="(m4rk3d")}),
    "percent of a sale": ("POST", "/api/sales", {"json": SALE | {"percent": "m4rk3d"}}),
    "start of a sale": ("POST", "/api/sales", {"json": SALE | {"starts": "m4rk3d"}}),
}


@pytest.mark.parametrize("what", ECHOES)
async def test_nothing_of_a_refused_request_is_repeated(endpoint: Any, what: str) -> None:
    """Neither in the body nor in a header, and the problem names its own occurrence."""
    method, path, options = ECHOES[what]
    async with endpoint.client.request(method, path, **options) as response:
        text = await response.text()
        assert 400 <= response.status < 500
        assert response.content_type == "application/problem+json"
        assert orjson.loads(text)["instance"].startswith("urn:uuid:")
        assert "m4rk3d" not in (text + str(response.headers)).lower(), text


SECRET = "shpat_0f1e2d3c-\u00e1'\"/?"
QUOTED = {
    "store": {"json": {"type": "NOOP", "store": SECRET}},
    "name of a param": {"json": {"type": "PULL_NHANH_PRODUCTS", "store": "main", "params": {SECRET: 1}}},
    "param": {"json": {"type": "PULL_NHANH_PRODUCTS", "store": "main", "params": {"full": SECRET}}},
    "filters": {"json": {"type": "PULL_NHANH_PRODUCTS", "store": "main", "params": {"filters": SECRET}}},
    "name of a filter": {"json": {"type": "PULL_NHANH_PRODUCTS", "store": "main", "params": {"filters": {SECRET: 1}}}},
    "filter": {"json": {"type": "PULL_NHANH_PRODUCTS", "store": "main", "params": {"filters": {"categoryId": SECRET}}}},
    "query": {"json": {"type": "PULL_SHOPIFY_PRODUCTS", "store": "main", "params": {"query": f"({SECRET}"}}},
}


@pytest.fixture
def secret() -> Iterator[str]:
    """A token that the daemon has been told."""
    register_secret(SECRET)
    yield SECRET
    forget_secret(SECRET)


@pytest.mark.parametrize("what", QUOTED)
async def test_a_secret_in_the_wrong_place_is_not_quoted(endpoint: Any, secret: str, what: str) -> None:
    """Whoever gives a token as a param, say, is told what is wrong with that, and the token stays out of the answer."""
    async with endpoint.client.post("/api/jobs", **QUOTED[what]) as response:
        text = await response.text()
        assert response.status == 422
        assert "0f1e2d3c" not in text, text


async def test_a_secret_as_a_sku_is_not_quoted(endpoint: Any, secret: str) -> None:
    """Nor in the list of what is wrong, which is a member of the problem."""
    decision = {"variant": f"sku:{secret}", "product": f"sku:{secret}"}
    async with endpoint.client.post("/api/mappings", json={"store": "main", "mappings": [decision]}) as response:
        text = await response.text()
        assert response.status == 422
        assert "0f1e2d3c" not in text, text


@pytest.mark.parametrize("body", [b"\xff\xfe", b"9" * 5_000, b'{"type": NaN}', b'{"a": 1, "a": 2}'])
async def test_what_is_no_json_is_told_without_words_of_python(endpoint: Any, body: bytes) -> None:
    """Neither its functions nor its codecs are of use to who sent it."""
    headers = {"Content-Type": "application/json"}
    async with endpoint.client.post("/api/jobs", data=body, headers=headers) as response:
        detail = (await response.json(content_type=None))["detail"]
        assert response.status == 400
        assert detail.startswith("The body is not valid JSON: ")
        assert not any(word in detail for word in ("sys.", "codec", "0x")), detail


async def _raw_to_the_end(endpoint: Any, request: bytes) -> bytes:
    """All that is answered until the endpoint closes the connection."""
    host, port = endpoint.url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
