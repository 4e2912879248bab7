"""Tries the credentials of every store, and says which jobs they allow."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp

from daemon.cli.findings import Finding, failed, ok, warning
from daemon.config import NhanhSettings, ResolvedSecrets, Settings, ShopifySettings, StoreSecrets, StoreSettings
from daemon.errors import RateLimited, SourceError, SourceRefused
from daemon.jobs.model import JobType
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.models import NhanhAccess
from daemon.sources.shopify.client import ShopifyClient

EXPIRES_SOON = 30  # days
BACKOFF = Backoff(attempts=2, rate_limited_attempts=2)  # a person waits
# Points are back in a second; the daemon whose store this is may use them up at the same time.
SHOPIFY_BACKOFF = Backoff(attempts=2, rate_limited_attempts=5)
# Shopify documentation, "Access scopes": what the operations of each job touch.
NEEDED_SCOPES = {
    JobType.PULL_SHOPIFY_PRODUCTS: ("read_products", "read_inventory"),
    JobType.PULL_SHOPIFY_CUSTOMERS: ("read_customers",),
}
SCOPES_OF_STOCK = ("read_products", "write_inventory", "read_locations")
SCOPES_OF_PRICES = ("write_products",)
SCOPES_OF_CUSTOMERS = ("write_customers",)


async def check_stores(settings: Settings, secrets: ResolvedSecrets) -> list[Finding]:
    """One store after the other: a source that does not answer is a finding like any other."""
    if not settings.stores:
        return [warning("stores", "none is configured", "add a table [stores.main.nhanh] or [stores.main.shopify]")]
    findings: list[Finding] = []
    async with open_session() as session:
        for name, store in settings.stores.items():
            if store.nhanh is not None:
                findings += await _check_nhanh(f"{name} nhanh", session, store, store.nhanh, secrets.stores[name])
            if store.shopify is not None:
                findings += await _check_shopify(f"{name} shopify", session, store, store.shopify, secrets.stores[name])
    return findings


async def _check_nhanh(
    subject: str,
    session: aiohttp.ClientSession,
    store: StoreSettings,
    settings: NhanhSettings,
    secrets: StoreSecrets,
) -> list[Finding]:
    client = NhanhClient(
        session,
        app_id=settings.app_id,
        business_id=settings.business_id,
        access_token=_reveal(secrets.nhanh_access_token) or "",
        secret_key=_reveal(secrets.nhanh_secret_key),
        base_url=settings.base_url,
        limits=LimiterRegistry(),
        backoff=BACKOFF,
    )
    findings = []
    if secrets.nhanh_secret_key is None:
        advice = "add secret_key to the store's nhanh table"
        findings.append(warning(subject, "when the access token expires can't be told without the secret key", advice))
    else:
        try:
            findings += _judge_access(subject, await client.check_access_token(), settings)
        except SourceError as error:
            findings.append(_unreachable(subject, error))
            if not isinstance(error, SourceRefused):
                return findings
    meter = CallMeter()
    pulls: Mapping[JobType, AsyncIterator[object]] = {
        JobType.PULL_NHANH_PRODUCTS: client.products({}, after=None, meter=meter, page_size=1),
        JobType.PULL_NHANH_INVENTORY: client.inventory({}, after=None, meter=meter, page_size=1),
        JobType.PULL_NHANH_CUSTOMERS: client.customers({}, after=None, meter=meter, page_size=1),
    }
    findings += [await _try_first_page(subject, job_type, pages) for job_type, pages in pulls.items()]
    return findings + await _check_depots(subject, client, store)


async def _check_depots(subject: str, client: NhanhClient, store: StoreSettings) -> list[Finding]:
    """The depots with their names, for whoever writes `locations`, and whether those that are written there exist."""
    try:
        depots = {depot.id: depot.name for depot in await client.depots()}
    except SourceError as error:
        return [_unreachable(f"{subject} depots", error)]
    findings = [ok(subject, f"depots: {_named(depots)}")]
    wanted = store.product_sync.depots_of.values() if store.product_sync else ()
    missing = sorted({depot for group in wanted for depot in group} - depots.keys())
    if missing:
        detail = f"product_sync.locations names depots that the access token can't see: {', '.join(map(str, missing))}"
        findings.append(failed(subject, detail, "correct the numbers, or authorise the app for all depots"))
    return findings


def _judge_access(subject: str, access: NhanhAccess, settings: NhanhSettings) -> list[Finding]:
    days = (access.expires_at - datetime.now(UTC)).days
    expiry = f"the access token expires in {days} days, on {access.expires_at:%Y-%m-%d}"
    renew = "make a new one on open.nhanh.vn: authorise the app again, it can't be prolonged"
    findings = [
        failed(subject, f"the access token expired on {access.expires_at:%Y-%m-%d}", renew)
        if days < 0
        else warning(subject, expiry, renew)
        if days < EXPIRES_SOON
        else ok(subject, expiry)
    ]
    if access.business_id != settings.business_id:
        detail = f"the access token is for business {access.business_id}, the configuration says {settings.business_id}"
        findings.append(failed(subject, detail, "correct business_id, or take that business's token"))
    if access.depot_ids:
        depots = ", ".join(map(str, access.depot_ids))
        findings.append(
            warning(
                subject,
                f"the access token sees depots {depots} only: stock in all others is missing without a word",
                "authorise the app for all depots, unless that is meant",
            )
        )
    else:
        findings.append(ok(subject, "the access token sees all depots"))
    if access.permissions:
        findings.append(ok(subject, f"permissions: {', '.join(access.permissions)}"))
    return findings


async def _try_first_page(subject: str, job_type: JobType, pages: AsyncIterator[object]) -> Finding:
    try:
        await anext(pages, None)
    except SourceError as error:
        return _unreachable(f"{subject} {job_type}", error)
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()
    return ok(subject, f"{job_type} can run")


async def _check_shopify(
    subject: str,
    session: aiohttp.ClientSession,
    store: StoreSettings,
    settings: ShopifySettings,
    secrets: StoreSecrets,
) -> list[Finding]:
    client = ShopifyClient(
        session,
        shop=settings.shop,
        access_token=_reveal(secrets.shopify_access_token) or "",
        base_url=settings.base_url,
        limits=LimiterRegistry(),
        backoff=SHOPIFY_BACKOFF,
    )
    try:
        granted = await client.granted_scopes()
    except SourceError as error:
        return [_unreachable(subject, error)]
    findings = [ok(subject, f"the access token is good; granted scopes: {', '.join(sorted(granted)) or 'none'}")]
    for job_type, needed in _needed_scopes(store).items():
        # Who may write a thing may read it.
        missing = [scope for scope in needed if not {scope, scope.replace("read_", "write_")} & granted]
        if missing:
            advice = f"add {', '.join(missing)} to the app's Admin API scopes in Shopify, and install it again"
            detail = f"{job_type} can't run: the scopes {', '.join(missing)} are missing"
            findings.append(failed(subject, detail, advice))
        else:
            findings.append(ok(subject, f"{job_type} can run"))
    if {"read_locations", "write_locations", "read_inventory", "write_inventory"} & granted:
        findings += await _check_locations(subject, client, store)
    return findings


async def _check_locations(subject: str, client: ShopifyClient, store: StoreSettings) -> list[Finding]:
    """The locations with their names, and whether those of the configuration exist."""
    try:
        locations = {place.id: place.name for place in await client.locations() if place.is_active}
    except SourceError as error:
        return [_unreachable(f"{subject} locations", error)]
    findings = [ok(subject, f"locations: {_named(locations)}")]
    missing = sorted((store.product_sync.depots_of.keys() if store.product_sync else set()) - locations.keys())
    if missing:
        detail = f"product_sync.locations names locations that are not there: {', '.join(map(str, missing))}"
        findings.append(failed(subject, detail, "take the numbers of active locations"))
    return findings


def _needed_scopes(store: StoreSettings) -> dict[JobType, tuple[str, ...]]:
    needed = dict(NEEDED_SCOPES)
    if store.product_sync is not None:
        sync = store.product_sync
        pushes_prices = sync.price is not None or sync.compare_at_price is not None
        needed[JobType.SYNC_PRODUCTS] = (
            *(SCOPES_OF_STOCK if sync.locations else ()),
            *(SCOPES_OF_PRICES if pushes_prices else ()),
        )
    if store.customer_sync is not None:
        needed[JobType.SYNC_CUSTOMERS] = SCOPES_OF_CUSTOMERS
    return needed


def _named(places: Mapping[int, str | None]) -> str:
    return ", ".join(f"{number} ({name})" if name else str(number) for number, name in places.items()) or "none"


def _unreachable(subject: str, error: SourceError) -> Finding:
    if isinstance(error, SourceRefused):
        return failed(subject, str(error))
    if isinstance(error, RateLimited):
        return warning(subject, str(error), "it answers, and others use up its limits: try again when less is going on")
    return failed(subject, str(error), "look whether the internet connection and base_url are right, and try again")


def _reveal(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None
