"""Who asks and what they may: by token, as user of a trusted proxy, in a session of the page; what is kept of it."""

import asyncio
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from daemon.jobs.steering import Role
from daemon.jobs.types import JobType
from daemon.status import sse
from daemon.status.access import AccessRules, AccessToken
from daemon.status.routes import OPERATIONS

LAN = AccessToken("Lan", Role.OPERATE, "the-token-of-lan-0123")
WALL = AccessToken("wall display", Role.READ, "the-token-of-the-wall")
NOBODY = AccessToken(None, Role.OPERATE, "the-token-of-nobody-0")
TOKENS = AccessRules(tokens=[NOBODY, LAN, WALL])
PROXY = AccessRules(
    tokens=[LAN],
    user_header="X-Remote-User",
    proxies=[ip_network("127.0.0.0/8"), ip_network("::1")],
    operators=["lan@example.com"],
)
ELSEWHERE = AccessRules(tokens=[LAN], user_header="X-Remote-User", proxies=[ip_network("192.0.2.0/24")])


def bearer(token: AccessToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.secret}"}


def user(name: str) -> dict[str, str]:
    return {"X-Remote-User": name}


def place_of(path: str) -> str:
    """An address of the path, where there is most likely nothing."""
    values = {"id": "0199c3b0-5d3c-7000-8000-000000000001", "folder": "views", "file": "now.js"}
    return re.sub(r"{(\w+)}", lambda found: values.get(found[1], "1"), path)


async def log_in(endpoint: Any, token: AccessToken, **headers: str) -> str:
    """The name and value of the cookie that a login gives."""
    body = {"token": token.secret}
    async with endpoint.client.post("/api/session", json=body, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        return answer.headers["Set-Cookie"].split(";")[0]


@pytest.fixture
async def api(open_endpoint: Any) -> Any:
    """An endpoint with tokens, and a client that keeps no cookies by itself."""
    async with (
        open_endpoint(access=TOKENS) as endpoint,
        aiohttp.ClientSession(
            endpoint.url, headers=dict(endpoint.client.headers), cookie_jar=aiohttp.DummyCookieJar()
        ) as client,
    ):
        await endpoint.client.close()
        endpoint.client = client
        yield endpoint


async def test_each_operation_asks_for_its_role(api: Any) -> None:
    """Whoever may read gets 403 where something would change; nobody else is told that their role does not do."""
    for operation in OPERATIONS:
        refused = []
        for token in (WALL, LAN, NOBODY):
            path = place_of(operation.path)
            async with api.client.request(operation.method, path, headers=bearer(token)) as answer:
                assert answer.status != 401
                if answer.status == 403:
                    problem = await answer.json(content_type=None)
                    assert problem["type"] == "urn:dongbo:problem:role-needed"
                    assert problem["detail"].startswith("This needs the role operate, and wall display has the role re")
                    refused.append(token)
        changes = operation.role is Role.OPERATE and not operation.is_open
        assert refused == ([WALL] if changes else []), operation.path


def test_what_only_computes_needs_no_more_than_reading() -> None:
    """All others that are not GET change something."""
    computing = {
        operation.path for operation in OPERATIONS if operation.method != "GET" and operation.role is Role.READ
    }
    assert computing == {"/api/checks/credentials", "/api/mappings/resolve", "/api/sales/preview"}
    assert all(operation.role is Role.READ for operation in OPERATIONS if operation.method == "GET")


async def test_it_is_told_who_asks(api: Any, open_endpoint: Any) -> None:
    """By name, role and proof; where nobody is asked, everybody may do everything."""
    told = await api.get("/api/session", headers=bearer(WALL))
    assert told == {"name": "wall display", "role": "read", "known_by": "token", "session_ends_at": None}
    told = await api.get("/api/session", headers=bearer(NOBODY))
    assert (told["name"], told["role"]) == (None, "operate")
    await api.get("/api/session", 401)
    async with open_endpoint() as endpoint:
        told = await endpoint.get("/api/session")
        assert (told["name"], told["role"], told["known_by"]) == (None, "operate", "nothing")


async def test_what_people_do_carries_their_name(api: Any) -> None:
    """In the history of the job, in the list of actions, in the table to be saved, with a decision, and in the log."""
    body = {"type": "PULL_NHANH_CUSTOMERS", "store": "main"}
    with capture_logs(processors=[merge_contextvars]) as logged:
        job = await api.call("POST", "/api/jobs", 202, json=body, headers=bearer(LAN))
    story = await api.get(f"/api/jobs/{job['id']}/story", headers=bearer(WALL))
    assert [(one["who"], one["text"]) for one in story["actions"]] == [("Lan", "started by Lan over the API")]
    (line,) = [line for line in logged if line["event"] == "job_submitted"]
    assert (line["who"], line["way"]) == ("Lan", "api")
    asking = await api.asking()
    await api.call("POST", f"/api/jobs/{asking.id}/approve", 202, headers=bearer(LAN) | {"X-Dongbo-Client": "cli"})
    (question,) = (await api.get("/api/approvals", headers=bearer(WALL)))["approvals"]
    assert (question["decided_way"], question["decided_by"]) == ("cli", "Lan")
    await api.call("POST", "/api/schedules/other/pause", 200, headers=bearer(NOBODY))
    actions = (await api.get("/api/actions", headers=bearer(WALL)))["actions"]
    assert [one["text"] for one in actions] == [
        "paused over the API",
        "approved by Lan in the terminal",
        "started by Lan over the API",
    ]
    async with api.client.get("/api/jobs.csv", headers=bearer(WALL)) as answer:
        lines = (await answer.text(encoding="utf-8-sig")).splitlines()
    assert "asked_by" in lines[0].split(",")
    assert sum(line.endswith(",Lan") for line in lines) == 1


async def test_one_can_log_in_while_the_database_is_away(open_endpoint: Any) -> None:
    """And learns what the daemon waits for; nobody else does."""
    async with open_endpoint(access=TOKENS, obstacle=lambda: "the connection is refused") as endpoint:
        assert (await endpoint.get("/api/session", headers=bearer(LAN)))["name"] == "Lan"
        cookie = {"Cookie": await log_in(endpoint, LAN)}
        assert "the connection is refused" in (await endpoint.get("/api/jobs", 503, headers=cookie))["detail"]
        await endpoint.client.close()
        async with aiohttp.ClientSession(endpoint.url) as stranger, stranger.get("/api/jobs") as answer:
            assert answer.status == 401


# ── Users of a proxy ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_trusted_proxy_names_its_user(open_endpoint: Any) -> None:
    """Those named in the configuration may operate, others read; its word comes before any token."""
    async with open_endpoint(access=PROXY) as endpoint:
        told = await endpoint.get("/api/session", headers=user("lan@example.com"))
        assert told == {"name": "lan@example.com", "role": "operate", "known_by": "proxy", "session_ends_at": None}
        await endpoint.call("POST", "/api/schedules/other/pause", 200, headers=user("lan@example.com"))
        (action,) = (await endpoint.get("/api/actions", headers=user("minh")))["actions"]
        assert action["who"] == "lan@example.com"
        await endpoint.call("POST", "/api/schedules/other/resume", 403, headers=user("minh"))
        await endpoint.call("POST", "/api/schedules/other/resume", 403, headers=user("minh") | bearer(LAN))
        for nobody in ({}, user("")):
            await endpoint.get("/api/jobs", 401, headers=nobody)
            assert (await endpoint.get("/api/session", headers=nobody | bearer(LAN)))["name"] == "Lan"


async def test_a_name_that_can_not_be_shown_is_refused(open_endpoint: Any) -> None:
    """And so are two of them: the proxy has passed on what its client sent."""
    twice = CIMultiDict([("X-Remote-User", "lan@example.com"), ("X-Remote-User", "minh")])
    async with open_endpoint(access=PROXY) as endpoint:
        for headers in (user("x" * 101), user("\u202elan"), twice):
            problem = await endpoint.get("/api/jobs", 400, headers=headers)
            assert "have the proxy replace" in problem["detail"]


async def test_a_stranger_can_not_claim_to_be_somebody(open_endpoint: Any, tmp_path: Path) -> None:
    """From another address than the proxy's, or by the socket, the header counts for nothing."""
    for listen in ("127.0.0.1:0", f"unix:{tmp_path}/status.sock"):
        async with open_endpoint(access=ELSEWHERE, listen=listen) as endpoint:
            await endpoint.get("/api/jobs", 401, headers=user("lan@example.com"))
            told = await endpoint.get("/api/session", headers=user("somebody else") | bearer(LAN))
            assert told["name"] == "Lan"


async def test_whoever_may_open_the_socket_can_be_the_proxy(open_endpoint: Any, tmp_path: Path) -> None:
    """`trusted_proxies = ["unix"]`; on a port the same rules believe nobody."""
    rules = AccessRules(user_header="X-Remote-User", trusts_unix=True, operators=["*"])
    async with open_endpoint(access=rules, listen=f"unix:{tmp_path}/status.sock") as endpoint:
        assert (await endpoint.get("/api/session", headers=user("minh")))["role"] == "operate"
        await endpoint.get("/api/jobs", 401)
    async with open_endpoint(access=rules) as endpoint:
        await endpoint.get("/api/jobs", 401, headers=user("minh"))


# ── Sessions of the page ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_login_gives_a_cookie_that_no_script_reads(api: Any) -> None:
    """HttpOnly, SameSite=Strict, named by its port; Secure and of this host alone where the page speaks TLS."""
    async with api.client.post("/api/session", json={"token": LAN.secret}) as answer:
        assert (answer.status, (await answer.json())["name"]) == (201, "Lan")
        (cookie,) = answer.headers.getall("Set-Cookie")
    port = api.url.rstrip("/").rpartition(":")[2]
    pair, *attributes = cookie.split("; ")
    assert pair.startswith(f"dongbo-{port}=")
    assert set(attributes) == {"Path=/", "Max-Age=259200", "HttpOnly", "SameSite=Strict"}
    assert LAN.secret not in cookie
    tls = {"Origin": "https://status.example.com", "Host": "status.example.com"}
    async with api.client.post("/api/session", json={"token": LAN.secret}, headers=tls) as answer:
        (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("__Host-dongbo=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "Max-Age=259200", "HttpOnly", "SameSite=Strict", "Secure"}
    told = await api.get("/api/session", headers={"Cookie": cookie.split(";")[0], "Host": "status.example.com"})
    assert (told["name"], told["known_by"]) == ("Lan", "session")


async def test_a_session_may_do_what_its_token_may(api: Any) -> None:
    """By its cookie alone; a token that is shown beside it counts for more, right or wrong."""
    lan, wall = await log_in(api, LAN), await log_in(api, WALL)
    await api.call("POST", "/api/schedules/other/pause", 200, headers={"Cookie": lan})
    await api.call("POST", "/api/schedules/other/pause", 403, headers={"Cookie": wall})
    await api.get("/api/jobs", headers={"Cookie": wall})
    assert (await api.get("/api/session", headers={"Cookie": lan} | bearer(WALL)))["name"] == "wall display"
    await api.get("/api/jobs", 401, headers={"Cookie": lan, "Authorization": "Bearer wrong"})


async def test_a_cookie_is_of_no_use_to_pages_of_others(api: Any) -> None:
    """The browser may send it along: origin, fetch metadata and the mark are asked for all the same."""
    cookie = {"Cookie": await log_in(api, LAN)}
    for foreign in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        await api.get("/api/jobs", 403, headers=cookie | foreign)
        await api.call("POST", "/api/schedules/other/pause", 403, headers=cookie | foreign)
        await api.call("POST", "/api/session", 403, json={"token": LAN.secret}, headers=foreign)
        await api.call("DELETE", "/api/session", 403, headers=cookie | foreign)
    async with aiohttp.ClientSession(api.url, headers=cookie) as unmarked:
        for method, path in (("POST", "/api/schedules/other/pause"), ("DELETE", "/api/session")):
            async with unmarked.request(method, path) as answer:
                assert answer.status in (403, 415)
    await api.get("/api/jobs", headers=cookie)


async def test_whoever_logs_out_is_out(api: Any) -> None:
    """The browser forgets the cookie, and the daemon takes it no more; another session of the same token goes on."""
    mine, other = await log_in(api, LAN), await log_in(api, LAN)
    async with api.client.delete("/api/session", headers={"Cookie": mine}) as answer:
        assert answer.status == 204
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
    problem = await api.get("/api/jobs", 401, headers={"Cookie": mine})
    assert problem["type"] == "urn:dongbo:problem:session-ended"
    await api.get("/api/jobs", headers={"Cookie": other})
    await api.client.delete("/api/session")  # there is none to end


async def test_a_session_ends_with_its_token(api: Any) -> None:
    """At once, also its event stream; those of others go on, and a new role counts from then on."""
    lan, wall = await log_in(api, LAN), await log_in(api, WALL)
    renewed = AccessToken("Lan", Role.OPERATE, "another-token-of-lan-1")
    api.parts.access.use(AccessRules(tokens=[renewed, AccessToken("wall display", Role.OPERATE, WALL.secret)]))
    assert (await api.get("/api/jobs", 401, headers={"Cookie": lan}))["type"] == "urn:dongbo:problem:session-ended"
    await api.get("/api/jobs", 401, headers=bearer(LAN))
    await api.get("/api/jobs", headers=bearer(renewed))
    await api.call("POST", "/api/schedules/other/pause", 200, headers={"Cookie": wall})


async def test_an_event_stream_ends_when_its_reader_may_read_no_more(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at whenever a silent stream says something."""
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.05)
    async with api.client.get("/api/events", headers={"Cookie": await log_in(api, LAN)}) as stream:
        await stream.content.readuntil(b": still here\n\n")
        api.parts.access.use(AccessRules(tokens=[WALL]))
        async with asyncio.timeout(10):
            while await stream.content.readany():
                pass


async def test_no_cookie_is_as_good_as_one(api: Any) -> None:
    """Rubbish, a code of another token, times that were changed: none of them opens anything, or is a guess."""
    name, _, value = (await log_in(api, LAN)).partition("=")
    forged = (value[:-4] + "AAAA", "A" * len(value), value[:40], value + "AA", "é", "", "x" * 5_000, f'"{value}"x')
    for cookie in forged:
        await api.get("/api/jobs", 401, headers={"Cookie": f"{name}={cookie}"})
    async with api.client.get("/metrics") as answer:
        assert "dongbo_wrong_tokens_total 0.0" in await answer.text()


async def test_logging_in_is_guessing_where_the_token_is_wrong(api: Any) -> None:
    """It is counted and slowed as in any other request, and nothing of the token is logged."""
    with capture_logs() as logged:
        problem = await api.call("POST", "/api/session", 401, json={"token": "gu3ssed-token-0123"})
        await log_in(api, LAN)
    assert "wrong" in problem["detail"]
    assert [(line["event"], line.get("who")) for line in logged] == [("wrong_tokens", None), ("session_began", "Lan")]
    assert "gu3ssed" not in str(logged)
    assert LAN.secret not in str(logged)
    async with api.client.get("/metrics") as answer:
        assert "dongbo_wrong_tokens_total 1.0" in await answer.text()


async def test_there_is_nothing_to_log_in_to_without_tokens(endpoint: Any) -> None:
    """It says so, instead of taking any."""
    problem = await endpoint.call("POST", "/api/session", 409, json={"token": "any"})
    assert problem["type"] == "urn:dongbo:problem:no-token"
    await endpoint.submit(JobType.NOOP)
