"""Tokens that end, in real daemons: killed while they renew one, two on one shop, a secret revoked and renewed."""

import math
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings
from daemon.sources.shopify.credential import FIRST_SPACING
from tests.support.process import RunningDaemon
from tests.support.site import Site, eventually


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A shop that began in 2026: no permanent token."""
    return SandboxSettings(products=60, customers=400, limits=False, permanent_token=False, token_lifetime=2.0)


def sign_in_with_secret(site: Site, store: str = "main", secret: str | None = None) -> None:
    """Let a store sign in with client id and secret."""
    app = site.sandbox.shopify.app
    shopify = site.settings["stores"][store]["shopify"]
    shopify.pop("access_token", None)
    shopify["client_id"] = app.client_id
    shopify["client_secret"] = site.secret(f"{store}-client-secret", secret or app.client_secret)
    site.write()


async def credentials(daemon: RunningDaemon) -> dict[tuple[str, str], dict[str, Any]]:
    """What the status says of each credential."""
    told = (await daemon.api.get("/status"))["credentials"]
    return {(one["store"], one["source"]): one for one in told}


async def test_killed_at_a_renewal(site: Site, sandbox: Sandbox) -> None:
    """Nothing of a token outlives the process: the next one asks for its own, and the pull goes on and is exact."""
    sign_in_with_secret(site)
    app = sandbox.shopify.app
    app.token_lifetime = 1000.0
    sandbox.faults.slow_seconds = 30.0
    async with site.daemon() as daemon:
        job = await daemon.api.submit("PULL_SHOPIFY_PRODUCTS")
        await daemon.api.completed(job["id"])
        app.revoke_tokens()
        sandbox.faults.next(Fault.SLOW, path="access_token")
        job = await daemon.api.submit("PULL_SHOPIFY_CUSTOMERS")

        async def asking() -> bool:
            return sandbox.faults.counts[Fault.SLOW] > 0

        await eventually(asking)
        await daemon.process.kill()
    async with site.daemon() as daemon:
        ended = await daemon.api.completed(job["id"], 60)
        assert ended["processed"] == ended["created"] == len(sandbox.shopify.customers)
        assert app.granted == 2


async def test_two_daemons_on_one_shop_do_not_end_each_other_s_tokens_in_turns(site: Site, sandbox: Sandbox) -> None:
    """Should a new token end the old ones: each daemon waits longer before it takes the shop from the other again."""
    sign_in_with_secret(site)
    app, began = sandbox.shopify.app, time.monotonic()
    app.token_lifetime, app.ends_older_tokens = 1000.0, True
    async with AsyncExitStack() as stack:
        daemons = [await stack.enter_async_context(site.daemon()) for _ in range(2)]
        jobs = []
        for _ in range(8):  # whichever daemon takes a job works with the shop
            for daemon in daemons:
                kind = "PULL_SHOPIFY_PRODUCTS" if daemon is daemons[0] else "PULL_SHOPIFY_CUSTOMERS"
                jobs.append((daemon, await daemon.api.submit(kind)))
            for daemon, job in jobs[-2:]:
                await daemon.api.completed(job["id"], 60)
        ended = [await daemon.api.get(f"/api/jobs/{job['id']}") for daemon, job in jobs]
    assert {job["attempt"] for job in ended} == {1}
    assert {job["metadata"]["retries"] for job in ended} == {0}
    # Each has one at first and one soon after, and then they are spaced: 5, 10, 20 … seconds, a quarter more or less.
    spaced = math.log2(1 + (time.monotonic() - began) / (FIRST_SPACING * 0.75))
    assert app.granted <= 2 * (2 + spaced)


async def test_a_revoked_secret_stops_one_store_and_comes_back(site: Site, sandbox: Sandbox) -> None:
    """Its jobs fail with what to do, status and metrics say so, the other store goes on; a new secret in the file mends
    it without a signal."""
    site.settings["stores"]["second"] = site.store()
    site.settings["stores"]["second"]["shopify"]["access_token"] = site.secret("old-token", "shpat_made-before-2026")
    sandbox.shopify.token = "shpat_made-before-2026"
    sign_in_with_secret(site)
    app = sandbox.shopify.app
    async with site.daemon() as daemon:
        first = await daemon.api.submit("PULL_SHOPIFY_CUSTOMERS")
        await daemon.api.completed(first["id"])
        app.client_secret = "shpss_a-renewed-one"
        app.revoke_tokens()
        job = await daemon.api.submit("PULL_SHOPIFY_CUSTOMERS", full=True)
        ended = await daemon.api.ended(job["id"])
        assert ended["status"] == "FAILED"
        assert ended["attempt"] == 1
        assert "compare both under Settings" in ended["error"]
        other = await daemon.api.submit("PULL_SHOPIFY_CUSTOMERS", store="second")
        await daemon.api.completed(other["id"])
        told = await credentials(daemon)
        assert told["main", "shopify"]["refused_since"] is not None
        assert told["main", "shopify"]["problems"] == [ended["error"]]
        assert told["second", "shopify"]["problems"] == []
        _, metrics = await daemon.api.text("/metrics")
        assert 'dongbo_credential_refused{source="shopify",store="main"} 1.0' in metrics
        assert 'dongbo_credential_refused{source="shopify",store="second"} 0.0' in metrics
        site.secret("main-client-secret", app.client_secret)
        assert (await daemon.process.logged("secrets_renewed"))["stores"] == ["main"]
        retried = await daemon.api.post(f"/api/jobs/{job['id']}/retry", {})
        await daemon.api.completed(retried["id"])
        assert (await credentials(daemon))["main", "shopify"]["problems"] == []


async def test_a_renewed_token_of_nhanh_is_taken_over_by_a_running_pull(site: Site, sandbox: Sandbox) -> None:
    """The old token dies in the middle of a pull that began with it: no failed attempt, no retry, no row lost."""
    sign_in_with_secret(site)
    nhanh = sandbox.nhanh
    async with site.daemon() as daemon:
        expiry = nhanh.expires_at

        async def known() -> bool:
            return (await credentials(daemon))["main", "nhanh"]["expires_at"] is not None

        await eventually(known)
        _, metrics = await daemon.api.text("/metrics")
        (line,) = [one for one in metrics.splitlines() if one.startswith("dongbo_token_expiry_timestamp_seconds{")]
        assert float(line.rpartition(" ")[2]) == expiry
        sandbox.faults.slow, sandbox.faults.slow_seconds = 1.0, 1.0
        job = await daemon.api.submit("PULL_NHANH_CUSTOMERS")
        await daemon.api.job_when(job["id"], lambda shown: shown["processed"] > 0)
        old, nhanh.token = nhanh.token, "the-new-token-of-nhanh"
        nhanh.superseded[old] = float("inf")
        site.secret("nhanh-token", nhanh.token)
        await daemon.process.logged("secrets_renewed")
        del nhanh.superseded[old]
        sandbox.faults.slow = 0.0
        ended = await daemon.api.completed(job["id"])
        assert ended["created"] == 400
        assert (ended["attempt"], ended["metadata"]["retries"]) == (1, 0)


async def test_a_token_that_ends_soon_is_told(site: Site, sandbox: Sandbox) -> None:
    """From thirty days on: in the log, in the status and in `dongbo status`."""
    sign_in_with_secret(site)
    sandbox.nhanh.expires_at = int((datetime.now(UTC) + timedelta(days=20.5)).timestamp())
    async with site.daemon() as daemon:
        assert (await daemon.process.logged("token_ends_soon"))["days"] == 20
        (problem,) = (await credentials(daemon))["main", "nhanh"]["problems"]
        assert "dongbo connect nhanh --store main" in problem
        async with site.process("status", "--url", daemon.address) as shown:
            await shown.exited()
        assert "expires on " in shown.text
        assert "dongbo connect nhanh --store main" in shown.text


async def test_a_secret_that_can_not_be_read_leaves_the_old_one_in_force(site: Site, sandbox: Sandbox) -> None:
    """A file that is being written, or was removed by mistake: an error in the log, its store goes on as before, and
    what is renewed in another store is taken over all the same; mended, it is taken over, too."""
    sandbox.shopify.app.token_lifetime = 1000.0
    site.settings["stores"]["second"] = site.store()
    sign_in_with_secret(site, "second")
    sign_in_with_secret(site)
    async with site.daemon() as daemon:
        job = await daemon.api.submit("PULL_SHOPIFY_PRODUCTS")
        await daemon.api.completed(job["id"])
        (site.directory / "main-client-secret").unlink()
        told = await daemon.process.logged("secrets_refused")
        assert "main.shopify.client_secret" in told["problems"][0]
        job = await daemon.api.submit("PULL_SHOPIFY_PRODUCTS", full=True)
        await daemon.api.completed(job["id"])
        site.secret("second-client-secret", "shpss_of-the-second")
        assert (await daemon.process.logged("secrets_renewed"))["stores"] == ["second"]
        assert len(daemon.process.events("secrets_refused")) == 1
        site.secret("main-client-secret", "shpss_of-the-first")
        assert (await daemon.process.logged("secrets_renewed", times=2))["stores"] == ["main"]
