"""Tries the credentials of every store, and says which jobs they allow."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime

from daemon.api.findings import Finding, Severity, failed, ok, warning
from daemon.checks.clocks import judge_offset
from daemon.checks.prices import check_currency, show_prices
from daemon.checks.webhooks import check_webhooks
from daemon.config import Settings, StoreSettings, needed_scopes
from daemon.errors import RateLimited, SourceError, SourceRefused
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.ids import StoreName
from daemon.jobs.types import JobType
from daemon.sources.clock import SourceClock
from daemon.sources.credential import ENDS_SOON
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.access import NhanhAccess
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.proxy import proxy_for
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import ClientCredentials, ShopifyCredential
from daemon.sources.shopify.scopes import missing_scopes, write_scopes
from daemon.sources.shopify.version import ApiVersion, supported_until
from daemon.sync.customers.formats import choose_formats, needs_currency
from daemon.tasks.depots import why_unusable
from daemon.tasks.registry import Store, first_rows

STORE_TIMEOUT = 20.0  # seconds for all calls about a store: a person waits


async def check_all(stores: Mapping[StoreName, Store], settings: Settings) -> list[Finding]:
    """What the stores of a running daemon may do, all at the same time; a source that hangs is a finding, too."""
    async with asyncio.TaskGroup() as checks:
        checked = [
            checks.create_task(_check_in_time(store, settings), name=f"check-{name}")
            for name, store in sorted(stores.items())
            if name in settings.stores
        ]
    return [finding for check in checked for finding in check.result()]


async def _check_in_time(store: Store, settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(STORE_TIMEOUT):
            return await check_store(store.name, store.nhanh_client, store.shopify_client, settings)
    except TimeoutError:
        detail = _("its sources have not answered everything within {n:.0f} s").format(n=STORE_TIMEOUT)
        return [warning(store.name, detail, _("try again; the conditions say which source can't be reached"))]


async def check_store(
    name: StoreName, nhanh: NhanhClient | None, shopify: ShopifyClient | None, settings: Settings
) -> list[Finding]:
    """What a store may do at its sources, and what its amounts mean."""
    findings: list[Finding] = []
    store = settings.stores[name]
    if nhanh is not None:
        findings += await check_nhanh(f"{name} nhanh", nhanh, store)
        findings += _judge_clock(f"{name} nhanh", nhanh.clock)
    if shopify is not None:
        findings += await check_shopify(f"{name} shopify", shopify, store, needed_scopes(settings, name))
        findings += _judge_clock(f"{name} shopify", shopify.clock)
        findings += await check_money(name, nhanh, shopify, store)
    return findings + await check_webhooks(name, shopify, settings)


async def check_money(
    name: str, nhanh: NhanhClient | None, shopify: ShopifyClient, store: StoreSettings
) -> list[Finding]:
    """What a store's amounts mean: the shop's currency, and what a few prices turn into."""
    try:
        shop = await shopify.shop()
    except SourceError as error:
        return [_unreachable(f"{name} shopify currency", error)]
    findings = check_currency(f"{name} shopify", shop, store)
    return findings if nhanh is None else findings + await show_prices(f"{name} prices", nhanh, shop, store)


def _judge_clock(subject: str, clock: SourceClock) -> list[Finding]:
    """A finding where the source's clock differs from this machine's."""
    finding = judge_offset(subject, clock.offset or 0.0)
    return [] if finding.level is Severity.OK else [finding]


async def check_nhanh(subject: str, client: NhanhClient, store: StoreSettings) -> list[Finding]:
    """What the access token of a store's business allows, and until when."""
    findings = _way_there(subject, client.url)
    granted: Collection[int] = ()
    if not client.can_check_access:
        advice = _("add secret_key to the store's nhanh table")
        findings.append(
            warning(subject, _("without the secret key, there is no telling when the access token expires"), advice)
        )
    else:
        try:
            access = await client.check_access_token()
            findings += _judge_access(subject, access, store)
            granted = access.depot_ids
        except SourceError as error:
            findings.append(_unreachable(subject, error))
            if not isinstance(error, SourceRefused):
                return findings
    for job_type, refusal in (await try_pulls(client)).items():
        able = ok(subject, f"{job_type} can run")
        findings.append(able if refusal is None else _unreachable(f"{subject} {job_type}", refusal))
    return findings + await _check_depots(subject, client, store, granted)


async def _check_depots(
    subject: str, client: NhanhClient, store: StoreSettings, granted: Collection[int]
) -> list[Finding]:
    """The depots with their names, for whoever writes `locations`, and whether the token sees those written there.

    `granted`: those that the access token is limited to; empty: it is not limited.
    """
    try:
        depots = {depot.id: depot.name for depot in await client.depots()}
    except SourceError as error:
        return [_unreachable(f"{subject} depots", error)]
    findings = [ok(subject, _("depots: {depots}").format(depots=_named(depots)))]
    wanted = store.product_sync.depots_of.values() if store.product_sync else ()
    seen = depots.keys() & set(granted) if granted else depots.keys()
    missing = sorted({depot for group in wanted for depot in group} - seen)
    if missing:
        detail = _("product_sync.locations names depots that the access token can't see: {depots}").format(
            depots=", ".join(map(str, missing))
        )
        advice = _(
            "correct the numbers, or authorise the app for all depots; until then the locations they feed are left out"
        )
        findings.append(failed(subject, detail, advice))
    return findings


def _judge_access(subject: str, access: NhanhAccess, store: StoreSettings) -> list[Finding]:
    days = (access.expires_at - datetime.now(UTC)).days
    expiry = _("the access token expires in {days} days, on {day}").format(days=days, day=access.expires_at.date())
    renew = _("get a new one with `dongbo connect nhanh`: it can't be extended")
    findings = [
        failed(subject, _("the access token expired on {day}").format(day=access.expires_at.date()), renew)
        if days < 0
        else warning(subject, expiry, renew)
        if days < ENDS_SOON.days
        else ok(subject, expiry)
    ]
    configured = store.nhanh.business_id if store.nhanh is not None else access.business_id
    if access.business_id != configured:
        detail = _("the access token is for business {business_id}, the configuration says {configured}").format(
            business_id=access.business_id, configured=configured
        )
        findings.append(failed(subject, detail, _("correct business_id, or use a token for the configured business")))
    if access.depot_ids:
        depots = ", ".join(map(str, access.depot_ids))
        findings.append(
            warning(
                subject,
                _("the access token sees only depots {depots}: stock in all others is silently missing").format(
                    depots=depots
                ),
                _("authorise the app for all depots, unless this is intended"),
            )
        )
    else:
        findings.append(ok(subject, _("the access token sees all depots")))
    if access.permissions:
        findings.append(ok(subject, _("permissions: {permissions}").format(permissions=", ".join(access.permissions))))
    return findings


async def try_pulls(client: NhanhClient) -> dict[JobType, SourceError | None]:
    """Why each pull from Nhanh.vn can't read its first row; None where it can."""
    refusals: dict[JobType, SourceError | None] = {}
    for job_type, pages in first_rows(client, CallMeter()).items():
        async with aclosing(pages):
            try:
                await anext(pages, None)
                refusals[job_type] = None
            except SourceError as error:
                refusals[job_type] = error
    return refusals


async def check_shopify(
    subject: str, client: ShopifyClient, store: StoreSettings, needed: Mapping[JobType, Collection[str]]
) -> list[Finding]:
    """What the app of a store's shop was granted, and whether that is enough for what `needed` lists for each job."""
    way = _way_there(subject, client.url)
    try:
        granted = await client.granted_scopes()
    except SourceError as error:
        return [*way, _unreachable(subject, error)]
    findings = [
        *way,
        ok(
            subject,
            _("{way_in}; granted scopes: {granted}").format(
                way_in=_way_in(client.credential), granted=", ".join(sorted(granted)) or _("none")
            ),
        ),
        *_judge_version(subject, client.api_version),
        *_judge_scopes(subject, granted, needed),
    ]
    if {"read_customers", "write_customers"} & granted:
        findings += await _check_customers(subject, client, store)
    if {"read_locations", "write_locations", "read_inventory", "write_inventory"} & granted:
        findings += await _check_locations(subject, client, store)
    return findings


def _way_there(subject: str, url: str) -> list[Finding]:
    """Through which proxy the calls go, if through any."""
    try:
        proxy = proxy_for(url)
    except SourceRefused as error:
        return [failed(f"{subject} proxy", str(error))]
    return [ok(subject, _("calls go through the proxy {proxy}").format(proxy=proxy))] if proxy is not None else []


def _judge_version(subject: str, version: ApiVersion) -> list[Finding]:
    problems = [Finding(Severity.WARNING, subject, problem) for problem in version.problems(datetime.now(UTC))]
    until = f"{supported_until():%Y-%m-%d}"
    return problems or [
        ok(
            subject,
            _("version {served} of the API, which is supported until {until}").format(
                served=version.served, until=until
            ),
        )
    ]


async def _check_customers(subject: str, client: ShopifyClient, store: StoreSettings) -> list[Finding]:
    """What may be read of a customer, and whether the metafields can hold what is pushed to them."""
    subject = f"{subject} customers"
    findings: list[Finding] = []
    try:
        page = await client.one_customer()
        findings += [Finding(Severity.WARNING, subject, notice) for notice in sorted(page.notices)]
        findings += [
            warning(subject, _("one can't be read: {reason}").format(reason=bad.reason), _("look at it in the shop"))
            for bad in page.bad
        ]
        if store.customer_sync is None:
            return findings
        definitions = await client.customer_definitions()
        currency = (await client.shop()).currency if needs_currency(store.customer_sync, definitions) else None
        formats = choose_formats(store.customer_sync, definitions, currency)
    except SourceError as error:
        return [*findings, _unreachable(subject, error)]
    named = _("{total_spent} is written as {type}").format(
        total_spent=store.customer_sync.total_spent, type=formats.total.type
    )
    if store.customer_sync.tier is not None:
        named += _(", {tier} as {type}").format(tier=store.customer_sync.tier, type=formats.tier.type)
    return [*findings, ok(subject, named)]


async def _check_locations(subject: str, client: ShopifyClient, store: StoreSettings) -> list[Finding]:
    """The locations with their names, and whether those of the configuration exist."""
    try:
        locations = {place.id: place for place in await client.locations()}
    except SourceError as error:
        return [_unreachable(f"{subject} locations", error)]
    active = _named({place.id: place.name for place in locations.values() if place.is_active})
    findings = [ok(subject, _("locations: {locations}").format(locations=active))]
    wanted = sorted(store.product_sync.depots_of if store.product_sync else ())
    closed = [reason for number in wanted if (reason := why_unusable(number, locations.get(number))) is not None]
    if closed:
        detail = _("product_sync.locations names locations that can't receive stock: {closed}").format(
            closed="; ".join(closed)
        )
        findings.append(failed(subject, detail, _("activate them in Shopify, or use the ids of active locations")))
    return findings


def _way_in(credential: ShopifyCredential) -> str:
    match credential:
        case ClientCredentials():
            return _("client id {client_id} and its secret are good").format(client_id=credential.client_id)
        case _:
            return _("the permanent access token is good")


def _judge_scopes(
    subject: str, granted: Collection[str], needed: Mapping[JobType, Collection[str]]
) -> Iterator[Finding]:
    lacking: list[str] = []
    for job_type, scopes in needed.items():
        if missing := missing_scopes(scopes, granted):
            lacking += missing
            detail = ngettext(
                "{type} can't run: {missing} is not granted",
                "{type} can't run: {missing} are not granted",
                len(missing),
            ).format(type=job_type, missing=", ".join(missing))
            yield failed(subject, detail)
        else:
            yield ok(subject, f"{job_type} can run")
    if lacking:
        everything = [scope for scopes in needed.values() for scope in scopes]
        yield failed(
            subject,
            _("missing scopes: {lacking}").format(lacking=write_scopes(lacking)),
            _(
                "in the Dev Dashboard, add a version of the app with the scopes {scopes}, release it, and approve it "
                "in the shop"
            ).format(scopes=write_scopes([*granted, *everything])),
        )


def _named(places: Mapping[int, str | None]) -> str:
    return ", ".join(f"{number} ({name})" if name else str(number) for number, name in places.items()) or "none"


def _unreachable(subject: str, error: SourceError) -> Finding:
    if isinstance(error, SourceRefused):
        return failed(subject, str(error))
    if isinstance(error, RateLimited):
        return warning(
            subject, str(error), _("it answers, but others are using up its limits: try again when things are quieter")
        )
    return failed(subject, str(error), _("check the internet connection and base_url, and try again"))
