"""Rule 11: secrets never show."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import asyncpg
import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from tests.support.hooks import SECRET, TOKEN, Sender
from tests.support.site import Site

PASSWORD = "p@ss:w/ord#" + secrets.token_hex(8)
PATHS = ("/", "/status", "/openapi.json", "/metrics", "/api/jobs", "/api/schedules", "/readyz?verbose", "/livez")
INBOX = "SELECT string_agg(event::text, ' ') FROM dongbo.webhook_events AS event"
JOB_ERRORS = "SELECT string_agg(concat_ws(' ', error, metadata, params, checkpoint), ' ') FROM dongbo.background_jobs"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A shop whose secrets are words that stand nowhere else."""
    async with running_sandbox(SandboxSettings(products=5, customers=20, limits=False)) as running_one:
        running_one.nhanh.token = f"nhanh-{secrets.token_hex(8)}"
        running_one.nhanh.secret_key = f"key-{secrets.token_hex(8)}"
        running_one.shopify.token = f"shpat_{secrets.token_hex(8)}"
        yield running_one


@pytest.fixture
async def site(tmp_path: Path, sandbox: Sandbox, database_url: str) -> Site:
    """A site with every kind of secret, whose log tells all that it can."""
    url = urlsplit(database_url)
    with_password = url._replace(netloc=f"postgres:{quote(PASSWORD, safe='')}@{url.netloc.rpartition('@')[2]}").geturl()
    site = Site(tmp_path, sandbox, with_password)
    site.secrets += [PASSWORD, quote(PASSWORD, safe="")]
    site.status_token = secrets.token_hex(16)
    site.settings["status"]["token"] = site.secret("status-token", site.status_token)
    site.settings["log"]["level"] = "debug"
    site.write()
    return site


def sign_in_with_secret(site: Site, store: str, secret: str | None = None) -> None:
    """A store that asks for its tokens; with a secret that is not the app's, in vain."""
    app = site.sandbox.shopify.app
    site.settings["stores"][store] = site.store()
    shopify = site.settings["stores"][store]["shopify"]
    del shopify["access_token"]
    shopify |= {
        "client_id": app.client_id,
        "client_secret": site.secret(f"{store}-secret", secret or app.client_secret),
    }
    site.write()


def check_text(site: Site, text: str) -> None:
    """None of the secrets is in the text."""
    assert text
    for secret in site.secrets:
        assert secret not in text, f"{secret} is in {text[:2000]}"


async def test_nothing_that_the_daemon_says_holds_a_secret(site: Site, sandbox: Sandbox, database_url: str) -> None:
    """Log (at level debug), endpoint, job errors and `dongbo check` stay clean, also when the sources refuse, fail and
    the configuration is wrong; the log is looked through at the end of `site.daemon`."""
    site.settings["stores"]["refused"] = site.store()
    for source in ("nhanh", "shopify"):
        wrong = site.secret(f"wrong-{source}", f"wrong-{secrets.token_hex(8)}")
        site.settings["stores"]["refused"][source]["access_token"] = wrong
    site.settings["stores"]["away"] = site.store()
    for source in ("nhanh", "shopify"):
        site.settings["stores"]["away"][source]["base_url"] = "http://127.0.0.1:1"
    sign_in_with_secret(site, "granted")
    sign_in_with_secret(site, "revoked", f"shpss_{secrets.token_hex(8)}")
    async with site.daemon(forked=False) as daemon:  # its command line is looked at
        for store in ("main", "refused", "granted", "revoked"):
            for pull in ("PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_PRODUCTS"):
                job = await daemon.api.submit(pull, store=store)
                ended = await daemon.api.ended(job["id"])
                fails = store == "refused" or (store == "revoked" and "SHOPIFY" in pull)
                assert ended["status"] == ("FAILED" if fails else "COMPLETED")
                site.secrets += [token for token in sandbox.shopify.app.tokens if token not in site.secrets]
                check_text(site, str(ended))
        assert sandbox.shopify.app.granted >= 1
        for path in PATHS:
            check_text(site, (await daemon.api.text(path))[1])
        async with daemon.api.session.get("/status", headers={"Authorization": "Bearer wrong"}) as response:
            assert response.status == 401
            check_text(site, await response.text())
        away = await daemon.api.submit("PULL_NHANH_CUSTOMERS", store="away")
        await daemon.process.logged("call_retried")
        check_text(site, str(await daemon.api.cancel(away["id"])))
        check_text(site, command_line(daemon.process.pid))
        connection = await asyncpg.connect(database_url)
        check_text(site, await connection.fetchval(JOB_ERRORS))
        await connection.close()
        assert await daemon.process.terminate() == 0
    for arguments in (("check",), ("check", "--live"), ("--json", "check", "--live")):
        async with site.process(*arguments) as check:
            await check.exited(60)
        check_text(site, check.text)


async def test_webhooks_tell_no_secret(site: Site, database_url: str) -> None:
    """Neither theirs nor a forger's wrong one, also where Nhanh.vn puts the token into a body that nobody knows."""
    main = site.settings["stores"]["main"]
    main["nhanh"]["webhook_token"] = site.secret("webhook-token", TOKEN)
    main["shopify"]["webhook_secret"] = site.secret("webhook-secret", SECRET)
    site.settings["webhooks"] = {"listen": "127.0.0.1:0", "url": "http://127.0.0.1:1"}
    site.write()
    forged = secrets.token_hex(16)
    site.secrets.append(forged)
    async with site.daemon(forked=False) as daemon, aiohttp.ClientSession() as session:
        opened = await daemon.process.logged("webhooks_listened_for")
        sender = Sender(opened["address"].rstrip("/"), session, business=site.sandbox.nhanh.business_id)
        assert await sender.nhanh("inventoryChange", [{"id": 1}]) == 200
        assert await sender.nhanh("inventoryChange", [{"id": 1}], token=forged) == 401
        assert await sender.shopify("products/update", {"id": 1}) == 200
        assert await sender.shopify("products/update", {"id": 1}, secret=forged) == 401
        unknown = f'{{"event": "billAdd", "webhooksVerifyToken": "{TOKEN}"}}'
        for body in (unknown, unknown[:-1]):
            assert await sender.send("/webhooks/nhanh/main", body.encode(), {}) == 200
        for path in (*PATHS, "/api/webhooks", "/api/conditions"):
            check_text(site, (await daemon.api.text(path))[1])
        check_text(site, command_line(daemon.process.pid))
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval("SELECT count(*) FROM dongbo.webhook_events WHERE body IS NOT NULL") == 2
        check_text(site, await connection.fetchval(INBOX))
        await connection.close()
    for arguments in (("check", "--live"), ("webhooks", "install"), ("webhooks", "test"), ("webhooks", "list")):
        async with site.process(*arguments) as command:
            await command.exited(60)
        check_text(site, command.text)


@pytest.mark.parametrize("wrong", ["scheme", "port"])
async def test_a_wrong_database_url_is_not_quoted(site: Site, wrong: str) -> None:
    """A URL that can't be used is complained about without its password."""
    file = site.directory / "database-url"
    url = f"mysql://me:{quote(PASSWORD, safe='')}@h/d" if wrong == "scheme" else f"postgresql://me:{PASSWORD}@h:54x/d"
    file.write_text(url)
    async with site.process() as process:
        assert await process.exited() == 78
    check_text(site, process.text)


def command_line(pid: int) -> str:
    """What the process list shows of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
