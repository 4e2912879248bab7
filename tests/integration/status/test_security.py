"""Who may ask, where the endpoint listens, and that no input makes it fail."""

import asyncio
import os
import socket
import stat
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from daemon.errors import ListenError
from daemon.jobs.steering import Role
from daemon.status.access import AccessRules, AccessToken
from daemon.status.routes import OPERATIONS
from daemon.status.security import FOR_ALL_PAGES

TOKEN = "s3cret-tokén"
OPEN = {"/livez", "/readyz", "/healthz", "/metrics", "/", "/page/{file}", "/page/{folder}/{file}"}
LOGGING_IN_AND_OUT = {("POST", "/api/session"), ("DELETE", "/api/session")}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}".encode().decode("latin-1")}


async def _raw(endpoint: Any, request: bytes) -> bytes:
    """The answer to bytes on a connection of their own."""
    host, port = endpoint.url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read(65_536)
    finally:
        writer.close()


async def test_all_but_probes_and_the_empty_page_need_the_token(open_endpoint: Any) -> None:
    """401 with WWW-Authenticate without it, or with a wrong one."""
    async with open_endpoint(token=TOKEN) as endpoint:
        for operation in OPERATIONS:
            path = operation.path.format_map(defaultdict(lambda: "x", folder="views", file="now.js", name="other"))
            async with endpoint.client.request(operation.method, path) as response:
                is_open = operation.path in OPEN or (operation.method, operation.path) in LOGGING_IN_AND_OUT
                assert (response.status == 401) is not is_open, operation.path
                if response.status == 401:
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
                    assert response.content_type == "application/problem+json"
        for headers in (
            _bearer(TOKEN + "x"),
            _bearer(""),
            {"Authorization": "Basic " + TOKEN},
            {"Authorization": "x"},
        ):
            headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
            await endpoint.get("/status", 401, headers=headers)
        await endpoint.get("/nothing", 401)
        await endpoint.get("/api/jobs?token=" + TOKEN, 401)


async def test_the_right_token_opens(open_endpoint: Any) -> None:
    """Also one that is not ASCII, sent as UTF-8."""
    async with open_endpoint(token=TOKEN) as endpoint:
        answer = await _raw(
            endpoint,
            b"GET /api/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode(),
        )
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_token_is_not_shown_by_what_holds_it() -> None:
    """The repr of the rules leaves it out."""
    assert TOKEN not in repr(AccessRules(tokens=[AccessToken("Lan", Role.READ, TOKEN)]))


async def test_foreign_hosts_are_refused(endpoint: Any) -> None:
    """A name that somebody else's DNS points here gets 421: no rebinding."""
    for host in (
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.1.2.3",
        "@",
        "",
    ):
        async with endpoint.client.get("/livez", headers={"Host": host}) as response:
            assert response.status == 421, host
    for host in (
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:9",
        "[::1]:8765",
        "status.example.com",
        "status.example.com:443",
    ):
        async with endpoint.client.get("/livez", headers={"Host": host}) as response:
            assert response.status == 200, host
    assert b" 400 " in (await _raw(endpoint, b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n"))[:20]


async def test_pages_of_other_origins_change_nothing(endpoint: Any) -> None:
    """Origin must be the one that the request was addressed to, or one that is configured, or absent."""
    own = endpoint.url.rstrip("/")
    port = own.rpartition(":")[2]
    foreign = (
        *("https://evil.example", "null", "file://", "http://[", "", "http://127.0.0.1:1", "http://127.0.0.1"),
        *(f"https://127.0.0.1:{port}", f"http://localhost:{port}", f"http://127.0.0.1:{port}@evil.example"),
        *(f"{own}.evil.example", f"{own}/", f"{own}, https://evil.example", f"http://evil.example@127.0.0.1:{port}"),
        *("https://status.example.com:8443", "http://status.example.com:8765", "ftp://status.example.com"),
    )
    for origin in foreign:
        await endpoint.call("POST", "/api/schedules/other/pause", 403, headers={"Origin": origin})
        await endpoint.get("/api/jobs", 403, headers={"Origin": origin})
    for origin in (own, "https://status.example.com", "http://status.example.com", "https://status.example.com:443"):
        await endpoint.call("POST", "/api/schedules/other/pause", 200, headers={"Origin": origin})
        await endpoint.get("/api/jobs", headers={"Origin": origin})
    both = CIMultiDict([("Origin", own), ("Origin", "https://evil.example")])
    await endpoint.call("POST", "/api/schedules/other/pause", 403, headers=both)


async def test_an_allowed_host_may_be_an_origin(open_endpoint: Any) -> None:
    """Then that scheme and port alone; its host may be asked under any port, as a proxy may leave it out."""
    async with open_endpoint(allowed_hosts=["https://shop.example.com:8443"]) as endpoint:
        for host, origin, status in (
            ("shop.example.com:8443", "https://shop.example.com:8443", 200),
            ("shop.example.com", "https://shop.example.com:8443", 200),
            ("127.0.0.1:8765", "https://shop.example.com:8443", 200),
            ("shop.example.com:8443", "https://shop.example.com", 403),
            ("shop.example.com:8443", "https://shop.example.com:9443", 403),
            ("other.example.com", "https://shop.example.com:8443", 421),
        ):
            headers = {"Host": host, "Origin": origin}
            await endpoint.call("POST", "/api/schedules/other/pause", status, headers=headers)


async def test_a_proxy_before_a_unix_socket_brings_pages_too(open_endpoint: Any, tmp_path: Path) -> None:
    """What it speaks to them can't be known: http and https of the Host pass, and no other origin."""
    async with open_endpoint(listen=f"unix:{tmp_path}/status.sock") as endpoint:
        for origin, status in (
            ("https://shop.example.com", 200),
            ("http://shop.example.com", 200),
            ("https://shop.example.com:8443", 403),
            ("https://evil.example", 403),
            ("null", 403),
        ):
            headers = {"Host": "shop.example.com", "Origin": origin}
            await endpoint.call("POST", "/api/schedules/other/pause", status, headers=headers)


async def test_a_change_needs_a_header_that_no_form_sends(endpoint: Any) -> None:
    """Whether it has a body or not; every operation that is no GET."""
    own = {"Host": endpoint.url.removeprefix("http://").rstrip("/")}
    async with aiohttp.ClientSession(endpoint.url) as client:
        for operation in OPERATIONS:
            if operation.method == "GET":
                continue
            path = operation.path.format_map(defaultdict(lambda: "1", id="x", name="other", ref="tet"))
            for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
                options = {"data": b'{"type": "NOOP"}', "headers": own | {"Content-Type": content_type}}
                async with client.request(operation.method, path, **options) as response:
                    assert response.status == 415, path
                    assert "Content-Type: application/json" in (await response.json(content_type=None))["detail"]
            async with client.request(operation.method, path, skip_auto_headers=["Content-Type"]) as response:
                assert response.status == 403, path
                assert (await response.json(content_type=None))["type"].endswith(":unmarked-request")
        assert all(not state.paused for state in endpoint.parts.scheduler.states())
        for headers in ({"Content-Type": "application/json"}, {"X-Dongbo-Client": "curl"}):
            async with client.post("/api/schedules/other/pause", headers=headers) as response:
                assert response.status == 200


async def test_what_a_foreign_page_loads_is_refused(endpoint: Any) -> None:
    """Images, scripts, frames, links and event streams: by Sec-Fetch-Site, where there is no Origin."""
    for operation in OPERATIONS:
        if operation.method != "GET" or operation.path in FOR_ALL_PAGES:
            continue
        path = operation.path.replace("{id}", "x").replace("{ref}", "tet").replace("{variant_id}", "1")
        for site in ("cross-site", "same-site", "Cross-Site", "unheard-of"):
            await endpoint.get(path, 403, headers={"Sec-Fetch-Site": site})
    for site in ("same-origin", "none"):  # our own page, and what a person has typed
        await endpoint.get("/status", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
    async with endpoint.client.get("/", headers={"Sec-Fetch-Site": "cross-site"}) as response:
        assert response.status == 200  # a link to the page works


async def test_a_wrong_method_is_405_with_those_that_are_right(open_endpoint: Any) -> None:
    """On every path, also those that another path's pattern would match; OPTIONS and HEAD answer."""
    async with open_endpoint(token="right") as endpoint:
        by_path: dict[str, set[str]] = {}
        for operation in OPERATIONS:
            by_path.setdefault(operation.path, set()).add(operation.method)
        for template, methods in by_path.items():
            path = template.replace("{file}", "page.js").replace("{", "").replace("}", "")
            wanted = ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "BREW", "M-SEARCH"):
                if method in methods:
                    continue
                async with endpoint.client.request(method, path, headers=_bearer("right")) as response:
                    assert response.status == 405, (method, path)
                    assert response.headers["Allow"] == wanted
                    assert response.content_type == "application/problem+json"
            async with endpoint.client.options(path, headers=_bearer("right")) as response:
                assert (response.status, response.headers["Allow"]) == (204, wanted)
            async with endpoint.client.head(path, headers=_bearer("right")) as response:
                assert (response.status == 405) is ("GET" not in methods)
                assert await response.read() == b""
        for method in ("POST", "BREW"):  # paths that need no token tell it without one
            async with endpoint.client.request(method, "/livez") as response:
                assert response.status == 405
        async with endpoint.client.request("BREW", "/nothing") as response:
            assert response.status == 404


async def test_a_port_in_use_is_told_with_its_remedy(endpoint: Any, open_endpoint: Any) -> None:
    """ListenError names the address and what to do."""
    address = endpoint.url.removeprefix("http://").rstrip("/")
    with pytest.raises(ListenError, match=rf"{address}.*in use.*\[status\] listen"):
        async with open_endpoint(listen=address):
            pass
    with pytest.raises(ListenError, match="no such address"):
        async with open_endpoint(listen="203.0.113.1:0"):
            pass
    with pytest.raises(ListenError, match="name is unknown"):
        async with open_endpoint(listen="no-such-host.invalid:0"):
            pass


async def test_a_unix_socket_is_for_its_group_and_goes_with_the_daemon(open_endpoint: Any, tmp_path: Path) -> None:
    """Mode 0660; any Host will do, since no browser comes here by itself."""
    path = tmp_path / "status.sock"
    async with open_endpoint(listen=f"unix:{path}") as endpoint:
        assert endpoint.url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        await endpoint.get("/status", headers={"Host": "anything"})
        with pytest.raises(ListenError, match="in use by another daemon"):
            async with open_endpoint(listen=f"unix:{path}"):
                pass
        assert path.exists()
    assert not path.exists()


async def test_a_stale_socket_is_replaced_and_other_files_are_not(open_endpoint: Any, tmp_path: Path) -> None:
    """What a killed daemon left is no obstacle."""
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    async with open_endpoint(listen=f"unix:{path}") as endpoint:
        await endpoint.get("/status")
    path.write_text("precious")
    with pytest.raises(ListenError, match="is not a socket"):
        async with open_endpoint(listen=f"unix:{path}"):
            pass
    assert path.read_text() == "precious"
    with pytest.raises(ListenError, match="can't listen"):
        async with open_endpoint(listen=f"unix:{tmp_path}/missing/status.sock"):
            pass


async def test_an_ill_formed_request_is_400(endpoint: Any) -> None:
    """Rubbish on the wire is the client's fault, too."""
    for request in (
        b"rubbish\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nExpect: rubbish\r\nConnection: close\r\n\r\n",
    ):
        status = (await _raw(endpoint, request)).split(b" ")[1]
        assert status.startswith(b"4"), (request[:60], status)


PATHS = st.one_of(
    st.sampled_from([operation.path for operation in OPERATIONS if operation.path != "/api/events"]),
    st.text(max_size=60).map(lambda text: "/" + text),
    st.text(max_size=30).map(lambda text: f"/api/jobs/{text}"),
    st.text(max_size=30).map(lambda text: f"/api/schedules/{text}/run"),
    st.text(max_size=30).map(lambda text: f"/api/sales/{text}/items"),
    st.text(max_size=30).map(lambda text: f"/api/sales/tet/items/{text}"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["NOOP", "PULL_NHANH_CUSTOMERS"]) | VALUES,
            "store": st.just("main") | VALUES,
            "params": st.dictionaries(st.sampled_from(["full", "filters", "query", "x"]), VALUES, max_size=3) | VALUES,
            "failed": st.booleans() | VALUES,
            "older_than_days": st.floats() | st.integers() | VALUES,
            "name": st.just("tet") | VALUES,
            "percent": st.integers() | VALUES,
            "targets": st.just({"all": True}) | VALUES,
            "decision": st.just("keep") | VALUES,
            "variants": st.lists(st.integers(), max_size=3) | VALUES,
        },
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(["Accept", "Origin", "Host", "Last-Event-ID", "X-Dongbo-Client", "Authorization", "Content-Type"]),
    st.sampled_from(
        [
            "application/json",
            "localhost",
            "x",
            "",
            "\xff",
            "Bearer ",
            "http://localhost",
            "🙂".encode().decode("latin-1"),
        ]
    ),
    max_size=4,
)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "cursor", "status", "type", "store", "verbose", "after", "format"]) | st.text(max_size=5),
    st.sampled_from(["1", "500", "RUNNING", "NOOP", "main"]) | st.text(max_size=40),
    max_size=3,
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])


async def test_no_input_makes_the_endpoint_fail(endpoint: Any) -> None:
    """Whatever comes in, nothing is answered with 5xx (a probe's 503 apart, which is an answer)."""
    loop = asyncio.get_running_loop()

    @given(method=METHODS, path=PATHS, query=QUERIES, headers=HEADERS, body=BODIES)
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def attack(method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any) -> None:
        if isinstance(body, dict):
            try:
                body = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
            except TypeError:
                body = repr(body).encode("utf-8", "surrogatepass")
            headers = {"Content-Type": "application/json", **headers}
        target = (
            quote(path.encode("utf-8", "surrogatepass"), safe="/{}%")
            + "?"
            + urlencode(
                {k.encode("utf-8", "surrogatepass"): v.encode("utf-8", "surrogatepass") for k, v in query.items()}
            )
        )
        head = f"{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        for name, value in ({"Host": "localhost"} | headers).items():
            head += f"{name}: {value}\r\n"
        request = head.encode("latin-1") + b"\r\n" + body
        answer = asyncio.run_coroutine_threadsafe(_raw(endpoint, request), loop).result(20)
        status = int(answer.split(b" ", 2)[1])
        assert status < 500, (request, answer)
        if status >= 400 and status != 400:
            assert b"application/problem+json" in answer or method == "HEAD", (request, answer)

    await asyncio.to_thread(attack)
