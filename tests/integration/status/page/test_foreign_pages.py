"""Web pages of others, in a real browser: whatever they try, nothing changes and nothing can be read.

The attacker is a page that another program of this machine serves on another port of 127.0.0.1, and a page whose name
its owner points at this machine (DNS rebinding). The endpoint asks for no token, as is its default.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from tests.support.browser import REBOUND, Visitor

PAUSE = "api/schedules/other/pause"
JOB = '{"type": "NOOP", "store": "main", "params": {}}'

# Bodies of async functions of `url` (the endpoint's, with a slash at its end), which tell what they could read.
CHANGES = {
    "fetch without CORS": "await fetch(url + PAUSE, {method: 'POST', mode: 'no-cors'})",
    "fetch of text/plain": "await fetch(url + 'api/jobs', {method: 'POST', mode: 'no-cors', body: JOB,"
    " headers: {'Content-Type': 'text/plain'}})",
    "fetch with JSON in disguise": "await fetch(url + 'api/jobs', {method: 'POST', mode: 'no-cors', body: JOB,"
    " headers: {'Content-Type': 'application/json'}})",
    "fetch with CORS": "await fetch(url + 'api/jobs', {method: 'POST', body: JOB,"
    " headers: {'Content-Type': 'application/json'}})",
    "fetch with our header": "await fetch(url + PAUSE, {method: 'POST', headers: {'X-Dongbo-Client': 'page'}})",
    "fetch with credentials and keepalive": "await fetch(url + PAUSE, {method: 'POST', mode: 'no-cors',"
    " credentials: 'include', keepalive: true})",
    "fetch without referrer": "await fetch(url + PAUSE, {method: 'POST', mode: 'no-cors',"
    " referrerPolicy: 'no-referrer'})",
    "beacon": "navigator.sendBeacon(url + PAUSE)",
    "beacon of text": "navigator.sendBeacon(url + 'api/jobs', JOB)",
    "beacon of JSON": "navigator.sendBeacon(url + 'api/jobs', new Blob([JOB], {type: 'application/json'}))",
    "form": "await submitted(url + PAUSE, '')",
    "form as text": "await submitted(url + 'api/jobs', 'text/plain')",
    "form as multipart": "await submitted(url + 'api/jobs', 'multipart/form-data')",
    "form of a page without origin": "await submitted(url + PAUSE, '', true)",
    "XMLHttpRequest": "await new Promise((done) => { const request = new XMLHttpRequest();"
    " request.onloadend = () => done(request.responseText); request.open('POST', url + PAUSE); request.send() })",
}
READS = {
    "fetch": "return await (await fetch(url + 'api/jobs')).text()",
    "fetch without CORS": "return await (await fetch(url + 'api/jobs', {mode: 'no-cors'})).text()",
    "fetch of the page": "return await (await fetch(url)).text()",
    "fetch of metrics": "return await (await fetch(url + 'metrics')).text()",
    "event stream": "return await new Promise((done) => { const stream = new EventSource(url + 'api/events');"
    " stream.onopen = () => done('open'); stream.addEventListener('snapshot', () => done('snapshot'));"
    " stream.onerror = () => { stream.close(); done('') } })",
    "WebSocket": "return await new Promise((done) => { const socket = new WebSocket(url.replace('http', 'ws')"
    " + 'api/events'); socket.onopen = () => done('open'); socket.onerror = () => done('') })",
    "image": "return await new Promise((done) => { const image = new Image(); image.onload = () => done('loaded');"
    " image.onerror = () => done(''); image.src = url + 'page/icon.svg' })",
    "script": "return await new Promise((done) => { const script = document.createElement('script');"
    " script.onload = () => done('loaded'); script.onerror = () => done(''); script.src = url + 'page/api.js';"
    " document.head.append(script) })",
    "frame": "const frame = document.createElement('iframe'); const loaded = new Promise((done) => {"
    " frame.onload = done }); frame.src = url + 'status'; document.body.append(frame); await loaded;"
    " return frame.contentDocument?.body?.innerText ?? ''",
}
SCRIPT = """
async (url) => {
  const PAUSE = %r, JOB = %r;
  const submitted = (action, enctype, sandboxed) => new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = "target";
    document.body.append(frame);
    const form = `<form method="post" action="${action}" enctype="${enctype || "application/x-www-form-urlencoded"}"
      ${sandboxed ? "" : "target=target"}><input name='${JOB.slice(0, -1)},"x":"' value='"}'></form>`;
    if (sandboxed) {
      frame.sandbox = "allow-scripts allow-forms";
      frame.srcdoc = form + "<script>document.forms[0].submit()</scr" + "ipt>";
      let loads = 0;
      frame.onload = () => { loads += 1; if (loads === 2) done(); };
    } else {
      document.body.insertAdjacentHTML("beforeend", form);
      frame.onload = () => done();
      document.forms[0].submit();
    }
    setTimeout(done, 3000);
  });
  try { BODY } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return "";
    throw error;
  }
}
"""


@asynccontextmanager
async def serving_a_page() -> AsyncIterator[str]:
    """Another program of this machine, with a page of its own."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>elsewhere</title><body></body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(visitor: Visitor) -> Page:
    """An empty tab, whose console may say what the browser refuses."""
    visitor.expect_complaint("")
    return await visitor.open("about:blank")


async def attempted(tab: Page, url: str, body: str) -> Any:
    """What a script could read."""
    return await tab.evaluate(SCRIPT.replace("BODY", body) % (PAUSE, JOB), url)


async def is_untouched(endpoint: Any) -> bool:
    """Nothing was paused and no job was made."""
    jobs = await endpoint.get("/api/jobs")
    return not jobs["jobs"] and not any(state.paused for state in endpoint.parts.scheduler.states())


async def test_a_page_on_another_port_changes_nothing(endpoint: Any, tab: Page) -> None:
    """Nor does it learn whether it could have."""
    async with serving_a_page() as elsewhere:
        for name, body in CHANGES.items():
            await tab.goto(elsewhere)
            assert not await attempted(tab, endpoint.url, body), name
            assert await is_untouched(endpoint), name


async def test_a_page_on_another_port_reads_nothing(endpoint: Any, tab: Page) -> None:
    """By no means that a browser has."""
    async with serving_a_page() as elsewhere:
        await tab.goto(elsewhere)
        for name, body in READS.items():
            assert not await attempted(tab, endpoint.url, body), name
    async with endpoint.client.get("/metrics") as response:
        assert "dongbo_event_streams 0.0" in await response.text()


async def test_a_page_of_a_rebound_name_gets_nothing(endpoint: Any, tab: Page) -> None:
    """Its name is none of the endpoint's, though the browser holds it for the page's own origin."""
    rebound = endpoint.url.replace("127.0.0.1", REBOUND)
    await tab.goto(rebound)  # what the endpoint has to say to that name
    await expect(tab.locator("body")).to_contain_text("allowed_hosts")
    for name, body in CHANGES.items():
        await attempted(tab, rebound, body)
        assert await is_untouched(endpoint), name
    for path in ("api/jobs", "status", "page/page.js", "api/events"):
        assert await tab.evaluate(f"fetch('/{path}').then((answer) => answer.status)") == 421


async def test_the_endpoints_own_page_may_do_all_that(endpoint: Any, tab: Page) -> None:
    """The same requests with the page's header pass from its own origin, so that the attacks above mean something."""
    await tab.goto(endpoint.url)
    assert "jobs" in await attempted(tab, endpoint.url, READS["fetch"])
    assert await attempted(tab, endpoint.url, READS["event stream"]) in ("open", "snapshot")
    assert await is_untouched(endpoint)
    await attempted(tab, endpoint.url, CHANGES["fetch without CORS"])
    assert await is_untouched(endpoint)  # not without the header, even so
    await attempted(tab, endpoint.url, CHANGES["fetch with our header"])
    await attempted(tab, endpoint.url, CHANGES["fetch with CORS"])
    assert any(state.paused for state in endpoint.parts.scheduler.states())
    assert (await endpoint.get("/api/jobs"))["jobs"]


async def test_an_address_that_a_person_types_works(endpoint: Any, tab: Page) -> None:
    """And so does a link to the page on somebody else's, but none to what costs more."""
    await tab.goto(endpoint.url + "status")
    await expect(tab.locator("body")).to_contain_text("uptime_seconds")
    async with serving_a_page() as elsewhere:
        for path, text in (("", "dongbo"), ("status", "Pages of other origins")):
            await tab.goto(elsewhere)
            await tab.evaluate(f"location.href = {endpoint.url + path!r}")
            await expect(tab.locator("body")).to_contain_text(text)
