"""Tries the credentials of all stores with the secrets that this shell can read."""

from daemon.api.findings import Finding, warning
from daemon.checks.credentials import check_store
from daemon.config import ResolvedSecrets, Settings
from daemon.i18n import gettext as _
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.stores import StoreFactory

BACKOFF = Backoff(attempts=2, rate_limited_attempts=2)  # a person waits
# Points are restored within a second; this store's own daemon may be using them up at the same time.
SHOPIFY_BACKOFF = Backoff(attempts=2, rate_limited_attempts=5)


async def check_stores(settings: Settings, secrets: ResolvedSecrets) -> list[Finding]:
    """One store after the other: a source that does not answer is a finding like any other."""
    if not settings.stores:
        return [
            warning("stores", _("none is configured"), _("add a table [stores.main.nhanh] or [stores.main.shopify]"))
        ]
    findings: list[Finding] = []
    async with open_session() as session:
        factory = StoreFactory(session, LimiterRegistry())
        for name, store in settings.stores.items():
            nhanh = shopify = None
            if store.nhanh is not None:
                nhanh = factory.nhanh(name, store.nhanh, secrets.stores[name], BACKOFF)
            if store.shopify is not None:
                shopify = factory.shopify(
                    name, store.shopify, secrets.stores[name], store.customer_sync, backoff=SHOPIFY_BACKOFF
                )
            findings += await check_store(name, nhanh, shopify, settings)
    return findings
