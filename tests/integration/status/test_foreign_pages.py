"""Web pages of others, in a real browser: whatever they try, nothing changes and nothing can be read.

The attacker is a page that another program of this machine serves on another port of 127.0.0.1, and a page whose name
its owner points at this machine (DNS rebinding). The endpoint asks for no token, as is its default.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.integration.status.test_page import CHROMIUM, Page, _browsing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

REBOUND = "rebound.example"  # the browser takes this name for 127.0.0.1
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
{
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
(async (url) => {
  try { BODY } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return "";
    throw error;
  }
})(%r)
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


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Page]:
    """A browser for which REBOUND is this machine."""
    async with _browsing(tmp_path / "profile", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1") as page:
        yield page


async def shown(page: Page, url: str) -> None:
    """Open a page, and wait until it is there."""
    await page.open(url)
    async with asyncio.timeout(20):
        while await page.value(f"document.readyState === 'complete' && location.href === {url!r}") is not True:
            await asyncio.sleep(0.02)


async def attempted(page: Page, url: str, body: str) -> Any:
    """What a script could read."""
    script = SCRIPT.replace("BODY", body) % (PAUSE, JOB, url)
    result = await page.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
    assert "exceptionDetails" not in result, result
    return result["result"].get("value")


async def is_untouched(endpoint: Any) -> bool:
    """Nothing was paused and no job was made."""
    jobs = await endpoint.get("/api/jobs")
    return not jobs["jobs"] and not any(state.paused for state in endpoint.parts.scheduler.states())


async def test_a_page_on_another_port_changes_nothing(endpoint: Any, browser: Page) -> None:
    """Nor does it learn whether it could have."""
    async with serving_a_page() as elsewhere:
        for name, body in CHANGES.items():
            await shown(browser, elsewhere)
            assert not await attempted(browser, endpoint.url, body), name
            assert await is_untouched(endpoint), name


async def test_a_page_on_another_port_reads_nothing(endpoint: Any, browser: Page) -> None:
    """By no means that a browser has."""
    async with serving_a_page() as elsewhere:
        await shown(browser, elsewhere)
        for name, body in READS.items():
            assert not await attempted(browser, endpoint.url, body), name
    async with endpoint.client.get("/metrics") as response:
        assert "dongbo_event_streams 0.0" in await response.text()


async def test_a_page_of_a_rebound_name_gets_nothing(endpoint: Any, browser: Page) -> None:
    """Its name is none of the endpoint's, though the browser holds it for the page's own origin."""
    rebound = endpoint.url.replace("127.0.0.1", REBOUND)
    await shown(browser, rebound)  # what the endpoint has to say to that name
    assert "allowed_hosts" in await browser.value("document.body.innerText")
    for name, body in CHANGES.items():
        await attempted(browser, rebound, body)
        assert await is_untouched(endpoint), name
    for path in ("api/jobs", "status", "page/page.js", "api/events"):
        assert await browser.value(f"fetch('/{path}').then((answer) => answer.status)") == 421


async def test_the_endpoints_own_page_may_do_all_that(endpoint: Any, browser: Page) -> None:
    """The same requests with the page's header pass from its own origin, so that the attacks above mean something."""
    await shown(browser, endpoint.url)
    assert "jobs" in await attempted(browser, endpoint.url, READS["fetch"])
    assert await attempted(browser, endpoint.url, READS["event stream"]) in ("open", "snapshot")
    assert await is_untouched(endpoint)
    await attempted(browser, endpoint.url, CHANGES["fetch without CORS"])
    assert await is_untouched(endpoint)  # not without the header, even so
    await attempted(browser, endpoint.url, CHANGES["fetch with our header"])
    await attempted(browser, endpoint.url, CHANGES["fetch with CORS"])
    assert any(state.paused for state in endpoint.parts.scheduler.states())
    assert (await endpoint.get("/api/jobs"))["jobs"]


async def test_an_address_that_a_person_types_works(endpoint: Any, browser: Page) -> None:
    """And so does a link to the page on somebody else's, but none to what costs more."""
    await shown(browser, endpoint.url + "status")
    assert "uptime_seconds" in await browser.value("document.body.innerText")
    async with serving_a_page() as elsewhere:
        for path, text in (("", "dongbo"), ("status", "Pages of other origins")):
            await shown(browser, elsewhere)
            await browser.value(f"location.href = {endpoint.url + path!r}")
            async with asyncio.timeout(20):
                while text not in (await browser.value("document.documentElement?.innerText") or ""):
                    await asyncio.sleep(0.02)
