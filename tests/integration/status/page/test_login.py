"""Logging in and out on the page, and what somebody is offered who may only read."""

from ipaddress import ip_network
from typing import Any

from playwright.async_api import Page, expect

from daemon.jobs.model import JobStatus
from daemon.jobs.steering import Role
from daemon.jobs.types import JobType
from daemon.status.access import AccessRules, AccessToken
from tests.support.browser import Look, Visitor, assert_usable, in_every_look

LAN = AccessToken("Lan", Role.OPERATE, "the-tokén-of-lan-0123")
WALL = AccessToken("wall display", Role.READ, "the-token-of-the-wall")
RULES = AccessRules(tokens=[LAN, WALL])
LOOK_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
KEPT = "() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
VIEWS = ("/", "/jobs", "/items", "/customers", "/sales", "/schedules", "/schedules/other", "/approvals")


async def log_in(page: Page, token: AccessToken) -> None:
    """As a person does it."""
    await page.get_by_label("Token").fill(token.secret)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("body")).to_have_attribute("data-connection", "live")


async def test_somebody_logs_in_and_out(open_endpoint: Any, visitor: Visitor) -> None:
    """Nothing is shown before; a wrong token is said to be wrong; no script can read what is kept of a right one."""
    async with open_endpoint(access=RULES) as endpoint:
        await endpoint.submit(JobType.NOOP)
        page = await visitor.open(endpoint.url)
        await expect(page).to_have_title("Log in · dongbo")
        await expect(page.locator("#view")).to_be_hidden()
        await expect(page.locator("#login-error")).to_be_empty()
        await page.get_by_label("Token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login-error")).to_contain_text("wrong")
        await log_in(page, LAN)
        await expect(page.locator(".view-now")).to_be_visible()
        await expect(page.locator("#caller")).to_contain_text("Lan")
        kept = await page.evaluate(KEPT)
        assert LAN.secret not in kept
        assert "dongbo" not in kept.replace("dongbo-language", "")
        (cookie,) = await page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        await page.reload()
        await expect(page.locator("body")).to_have_attribute("data-connection", "live")
        other = await page.context.new_page()
        await other.goto(f"{endpoint.url}schedules")
        await other.get_by_role("button", name="Pause: other").click()
        await expect(other.get_by_role("button", name="Resume: other")).to_be_visible()
        await other.goto(f"{endpoint.url}schedules/other")
        await expect(other.locator(".steered")).to_contain_text("by Lan on the page", ignore_case=True)
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Token")).to_be_focused()
        await expect(page.locator("#view")).to_be_hidden()
        assert await page.context.cookies() == []
        await other.evaluate(LOOK_AGAIN)  # it learns of it with its next question
        await expect(other.get_by_label("Token")).to_be_visible()
        await page.close()
        await other.close()
    visitor.expect_complaint()


async def test_a_session_that_ends_asks_to_log_in_again(open_endpoint: Any, visitor: Visitor) -> None:
    """Be it that the cookie is gone or that the token was renewed while the page is open; then it goes on."""
    async with open_endpoint(access=RULES) as endpoint:
        page = await visitor.open(f"{endpoint.url}schedules")
        await log_in(page, LAN)
        await page.context.clear_cookies()
        await page.evaluate(LOOK_AGAIN)
        await expect(page.get_by_label("Token")).to_be_visible()
        await expect(page.locator("#login-error")).to_be_empty()
        await log_in(page, LAN)
        renewed = AccessToken("Lan", Role.OPERATE, "another-token-of-lan-1")
        endpoint.parts.access.use(AccessRules(tokens=[renewed]))
        await page.evaluate(LOOK_AGAIN)
        await expect(page.locator("#login-error")).to_have_text("The session has ended: log in again")
        await expect(page.locator("#caller")).to_be_empty()
        await log_in(page, renewed)
        await expect(page.locator(".view-schedules")).to_be_visible()
        await page.close()
    visitor.expect_complaint()


EMPTY_GROUPS = """
[...document.querySelectorAll(".actions")].filter(
  (group) => group.checkVisibility() && ![...group.children].some((child) => child.checkVisibility()),
).length
"""  # groups of buttons that take up space for nothing


async def test_whoever_may_only_read_is_offered_nothing_else(open_endpoint: Any, visitor: Visitor) -> None:
    """No view has a button that changes something, and the page says why; a new role counts at once."""
    async with open_endpoint(access=RULES) as endpoint:
        failed = await endpoint.ended(JobStatus.FAILED)
        asking = await endpoint.asking()
        page = await visitor.open(endpoint.url)
        await log_in(page, WALL)
        await expect(page.locator("#may-read")).to_contain_text("change nothing")
        (question,) = (await endpoint.get("/api/approvals", headers=bearer(LAN)))["approvals"]
        for path in (*VIEWS, f"/jobs/{failed.id}", f"/jobs/{asking.id}", f"/approvals/{question['id']}"):
            await page.goto(endpoint.url.rstrip("/") + path)
            await expect(page.locator("body")).to_have_attribute("data-connection", "live")
            await expect(page.locator("body")).to_have_attribute("data-role", "read")
            await expect(page.locator("#view h1").first).to_be_visible()
            assert await offered(page) == [], path
            assert await page.evaluate(EMPTY_GROUPS) == 0, path
        await page.goto(f"{endpoint.url}schedules/other")
        await expect(page.get_by_role("heading", name="other")).to_be_visible()
        endpoint.parts.access.use(AccessRules(tokens=[AccessToken(WALL.name, Role.OPERATE, WALL.secret)]))
        await page.reload()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("button", name="Resume")).to_be_visible()
        endpoint.parts.access.use(RULES)
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator("#may-read")).to_be_visible()
        await expect(page.get_by_role("button", name="Resume")).to_be_hidden()
        await page.close()
    visitor.expect_complaint()


@in_every_look
async def test_the_login_and_its_traces_are_usable_by_everybody(
    open_endpoint: Any, visitor: Visitor, look: Look
) -> None:
    """In both languages, on a phone, in the dark."""
    async with open_endpoint(access=RULES) as endpoint:
        page = await visitor.open(endpoint.url, look)
        await expect(page.locator("#token")).to_be_focused()
        await assert_usable(page)
        await page.locator("#token").fill(WALL.secret)
        await page.keyboard.press("Enter")
        await expect(page.locator("#may-read")).to_be_visible()
        await expect(page.locator("#caller button")).to_be_visible()
        await expect(page.locator(".view-now h2").first).to_be_visible()
        await assert_usable(page)
        await page.close()
    visitor.expect_complaint()


async def test_whoever_a_proxy_names_has_nothing_to_log_in_to(open_endpoint: Any, visitor: Visitor) -> None:
    """The page shows who it is, and no way out: that is the proxy's."""
    rules = AccessRules(user_header="X-Remote-User", proxies=[ip_network("127.0.0.0/8")], operators=["*"])
    async with open_endpoint(access=rules) as endpoint:
        page = await visitor.open("about:blank")
        await page.context.set_extra_http_headers({"X-Remote-User": "lan@example.com"})
        await page.goto(endpoint.url)
        await expect(page.locator("#caller")).to_have_text("lan@example.com")
        await expect(page.locator("body")).to_have_attribute("data-connection", "live")
        await expect(page.get_by_role("button", name="Log out")).to_be_hidden()
        await page.close()


async def offered(page: Page) -> list[str]:
    """What can be pressed that would change something."""
    return [
        await one.inner_text() for one in await page.locator(".steering, form.job-form").all() if await one.is_visible()
    ]


def bearer(token: AccessToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.secret}"}
