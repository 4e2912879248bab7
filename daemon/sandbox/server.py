"""Both sandbox servers of one shop: started together, on free ports, for tests, demos, rehearsals and benchmarks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from aiohttp import web

from daemon.errors import ListenError
from daemon.sandbox import control
from daemon.sandbox.catalogue import Catalogue, generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.nhanh import NhanhSandbox
from daemon.sandbox.nhanh.application import make_application
from daemon.sandbox.nhanh.sandbox import BUSINESS_ID
from daemon.sandbox.shopify import ShopifySandbox, catalogue_from_csv
from daemon.sandbox.shopify.oauth import DAY
from daemon.sandbox.shopify.sandbox import SHOP, TOKEN
from daemon.sandbox.situations import Rehearsal
from daemon.sandbox.staging.stage import Stage
from daemon.sandbox.webhooks import ShopSide, WebhookDeliveries, WebhookFaults

log = structlog.get_logger()

STORE = "sandbox"
VERIFY_TOKEN = "sandbox-verify-token-0123456789"  # noqa: S105 (opens nothing but a daemon beside the sandbox)

_SHUTDOWN_SECONDS = 0.5  # how long a slow answer may delay the end


@dataclass
class SandboxSettings:
    """What kind of shop to run, and how nastily.

    Args:
        seed: the same seed makes the same shop, quirks and random changes.
        products: how many products (not with `shopify_csv`).
        customers: how many customers.
        variants_per_product: fewest and most variants of a product.
        big_product_variants: when not 0, the first product has this many variants.
        depots: how many depots.
        limits: whether the rate limits of both APIs hold.
        shopify_restore_rate: points per second.
        quirks: whether answers vary in form as the real ones do.
        faults: what goes wrong, on both servers.
        churn_per_second: how many changes a second happen in the Nhanh shop by themselves.
        shopify_churn_per_second: how many happen in the Shopify shop: sales and price edits.
        token_lifetime: seconds that Shopify's tokens live.
        app_is_installed: whether the app that asks for tokens is.
        app_is_of_the_organisation: whether it belongs to the shop's organisation.
        html_errors: whether it is refused by a web page.
        permanent_token: whether Shopify accepts the token of an app made before 2026, too.
        unstocked_share: share of Shopify variants from 0 to 1 that one of the locations does not stock.
        currency: of Shopify's shop; VND, and of exports USD, unless it is said otherwise.
        prices_without_vat: whether Nhanh.vn's prices are without VAT, as is its default, and not with it.
        nhanh_clock_offset: seconds by which Nhanh.vn's clock is ahead of this machine's.
        shopify_clock_offset: seconds by which Shopify's is.
        situations: names of those that it begins in, see `daemon.sandbox.situations`.
        prerender: render all Nhanh rows before the first request (benchmarks).
        host: address to listen on.
        nhanh_port: 0 takes a free port.
        shopify_port: 0 takes a free port.
        shop: the handle of the Shopify shop. Shops of other handles and businesses have limits of their own.
        business_id: Nhanh.vn's number of the business.
        shopify_csv: Shopify's product exports that the goods are taken from.
        webhooks: the address that both send their webhooks to, as `Sandbox.send_webhooks` has it; None: none is sent
            before somebody subscribes.
        webhook_faults: what happens to webhooks on their way.
        webhook_time_scale: what the waits before further attempts are multiplied with.
    """

    seed: int = 7
    products: int = 300
    customers: int = 2000
    variants_per_product: tuple[int, int] = (1, 6)
    big_product_variants: int = 0
    depots: int = 3
    limits: bool = True
    shopify_restore_rate: float = 100.0
    quirks: bool = True
    faults: Faults = field(default_factory=Faults)
    churn_per_second: float = 0.0
    shopify_churn_per_second: float = 0.0
    token_lifetime: float = DAY
    app_is_installed: bool = True
    app_is_of_the_organisation: bool = True
    html_errors: bool = False
    permanent_token: bool = True
    unstocked_share: float = 0.0
    currency: str | None = None
    prices_without_vat: bool = False
    nhanh_clock_offset: float = 0.0
    shopify_clock_offset: float = 0.0
    situations: tuple[str, ...] = ()
    prerender: bool = False
    host: str = "127.0.0.1"
    nhanh_port: int = 0
    shopify_port: int = 0
    shop: str = SHOP
    business_id: int = BUSINESS_ID
    shopify_csv: tuple[Path, ...] = ()
    webhooks: str | None = None
    webhook_faults: WebhookFaults = field(default_factory=WebhookFaults)
    webhook_time_scale: float = 1.0


@dataclass(frozen=True)
class Sandbox:
    """Two running servers with the same shop behind them; their credentials are on `nhanh` and `shopify`, whose
    `webhooks` are sent by the `webhooks` here."""

    nhanh: NhanhSandbox
    shopify: ShopifySandbox
    nhanh_url: str
    shopify_url: str
    faults: Faults
    catalogue: Catalogue
    rehearsal: Rehearsal
    webhooks: WebhookDeliveries

    def send_webhooks(self, base_url: str, store: str = STORE, verify_token: str = VERIFY_TOKEN) -> None:
        """Send everything that happens to a daemon: the app's address is entered at Nhanh.vn, and all of Shopify's
        topics are subscribed to.

        Args:
            base_url: such as "http://127.0.0.1:8766".
            store: the name of the daemon's store.
            verify_token: what Nhanh.vn proves itself by.
        """
        base = base_url.rstrip("/")
        self.nhanh.webhooks.enable(f"{base}/webhooks/nhanh/{store}", verify_token)
        self.shopify.webhooks.subscribe_to_all(f"{base}/webhooks/shopify/{store}")


@asynccontextmanager
async def running_sandbox(
    settings: SandboxSettings | None = None, sockets: tuple[socket.socket, socket.socket] | None = None
) -> AsyncIterator[Sandbox]:
    """Run both servers until the context ends.

    Args:
        settings: what to run.
        sockets: bound TCP sockets, that of Nhanh.vn first, to listen on instead of the address and ports of the
            settings; they are closed at the end.

    Raises:
        ListenError: an address can't be bound.
        UnknownSituation: there is no situation of a name.
        ShopTooSmall: the shop has too few goods for one.
    """
    settings = settings or SandboxSettings()
    at_nhanh, at_shopify = sockets or (
        (settings.host, settings.nhanh_port),
        (settings.host, settings.shopify_port),
    )
    catalogue = _catalogue(settings)
    nhanh = NhanhSandbox(
        catalogue,
        seed=settings.seed,
        limits=settings.limits,
        quirks=settings.quirks,
        faults=settings.faults,
        clock_offset=settings.nhanh_clock_offset,
        business_id=settings.business_id,
    )
    shopify = ShopifySandbox(
        catalogue,
        seed=settings.seed,
        limits=settings.limits,
        restore_rate=settings.shopify_restore_rate,
        quirks=settings.quirks,
        faults=settings.faults,
        csv=settings.shopify_csv,
        unstocked_share=settings.unstocked_share,
        currency=settings.currency,
        clock_offset=settings.shopify_clock_offset,
        token_lifetime=settings.token_lifetime,
        token=TOKEN if settings.permanent_token else "",
        shop=settings.shop,
    )
    app = shopify.app
    app.is_installed, app.same_organisation = settings.app_is_installed, settings.app_is_of_the_organisation
    app.html_errors = settings.html_errors
    if settings.prices_without_vat:
        nhanh.take_vat_out_of_prices()
    rehearsal = Rehearsal(Stage(nhanh, shopify, settings.faults))
    steered = shopify.application()
    webhooks = WebhookDeliveries(
        {ShopSide.NHANH: nhanh.webhooks, ShopSide.SHOPIFY: shopify.webhooks},
        settings.webhook_faults,
        time_scale=settings.webhook_time_scale,
    )
    steered.add_routes(control.routes(rehearsal))
    steered.add_routes(control.webhook_routes(nhanh.webhooks, shopify.webhooks, webhooks))
    with closing(rehearsal):
        for name in settings.situations:
            rehearsal.switch_on(name)
        if settings.prerender:
            nhanh.prerender()
        nhanh.webhooks.post = shopify.webhooks.post = webhooks.post
        async with (
            webhooks.running(),
            _listening(make_application(nhanh), at_nhanh) as nhanh_url,
            _listening(steered, at_shopify) as shopify_url,
            _churning(nhanh, settings.churn_per_second),
            _churning(shopify, settings.shopify_churn_per_second),
        ):
            running = Sandbox(nhanh, shopify, nhanh_url, shopify_url, settings.faults, catalogue, rehearsal, webhooks)
            if settings.webhooks is not None:
                running.send_webhooks(settings.webhooks)
            log.info("sandbox_started", nhanh=nhanh_url, shopify=shopify_url, goods=len(catalogue.goods))
            yield running


async def serve(settings: SandboxSettings, ready: Callable[[Sandbox], None]) -> None:
    """Run both servers until cancelled.

    Args:
        settings: what to run.
        ready: called once with the addresses and credentials, when both servers answer.

    Raises:
        ListenError: an address can't be bound.
    """
    async with running_sandbox(settings) as sandbox:
        ready(sandbox)
        await asyncio.Event().wait()


def _catalogue(settings: SandboxSettings) -> Catalogue:
    if settings.shopify_csv:
        return catalogue_from_csv(
            settings.shopify_csv, settings.seed, customers=settings.customers, depots=settings.depots
        )
    return generate(
        settings.seed,
        products=settings.products,
        customers=settings.customers,
        variants_per_product=settings.variants_per_product,
        depots=settings.depots,
        big_product_variants=settings.big_product_variants,
    )


@asynccontextmanager
async def _listening(application: web.Application, at: socket.socket | tuple[str, int]) -> AsyncIterator[str]:
    """Serve `application` on a bound socket, or at a host's port; the value is its base URL."""
    host, port = at.getsockname()[:2] if isinstance(at, socket.socket) else at
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            site = web.SockSite(runner, at) if isinstance(at, socket.socket) else web.TCPSite(runner, host, port)
            await site.start()
        except OSError as error:
            raise ListenError(
                f"the sandbox can't listen on {host}:{port} ({error.strerror or error}): choose another port"
            ) from error
        bound_host, bound_port = runner.addresses[0][:2]
        yield f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _churning(shop: NhanhSandbox | ShopifySandbox, per_second: float) -> AsyncIterator[None]:
    """Keep the shop changing. Not a TaskGroup: that would wrap whatever the body raises into an ExceptionGroup."""
    if not per_second:
        yield
        return
    churn = asyncio.create_task(shop.churn(per_second), name=f"sandbox-churn-{type(shop).__name__}")
    try:
        yield
    finally:
        churn.cancel()
        await asyncio.wait([churn])
        if not churn.cancelled():
            churn.result()
