"""From a store's configuration to the store as tasks see it, with the clients of its sources."""

import aiohttp

from daemon.config import (
    CustomerSyncSettings,
    NhanhSettings,
    ResolvedSecrets,
    SecretRef,
    Settings,
    ShopifySettings,
    StoreSecrets,
    needed_scopes,
    revealed,
)
from daemon.ids import StoreName
from daemon.money import VND, Currency
from daemon.sources.http import BACKOFF, Backoff
from daemon.sources.limits import LimiterRegistry
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import ClientCredentials, PermanentToken, ShopifyCredential
from daemon.sources.shopify.models import CustomerMetafields
from daemon.tasks import Store


class StoreFactory:
    """Makes the stores of a configuration, with clients that share the process's session and limits.

    What is known about a credential outlives a reload: a store that signs in as before shares its credential with the
    jobs that still run on its old settings, and a renewed secret is put into it, so that they can continue.
    """

    def __init__(self, session: aiohttp.ClientSession, limits: LimiterRegistry) -> None:
        self._session = session
        self._limits = limits
        self._nhanh: dict[tuple[StoreName, str, int, int], NhanhCredential] = {}
        self._permanent: dict[tuple[StoreName, str], PermanentToken] = {}
        # Stores that name the same app and the same place of its secret share their tokens.
        self._client: dict[tuple[str, str, SecretRef | None], ClientCredentials] = {}

    def make(self, settings: Settings, secrets: ResolvedSecrets) -> dict[StoreName, Store]:
        """The configured stores."""
        return {name: self._store(name, settings, secrets.stores[name]) for name in settings.stores}

    def _store(self, name: StoreName, settings: Settings, secrets: StoreSecrets) -> Store:
        store = settings.stores[name]
        needed = frozenset(scope for scopes in needed_scopes(settings, name).values() for scope in scopes)
        return Store(
            name,
            self.nhanh(name, store.nhanh, secrets) if store.nhanh is not None else None,
            self.shopify(name, store.shopify, secrets, store.customer_sync) if store.shopify is not None else None,
            store.ruled_product_sync,
            store.customer_sync,
            needed,
            Currency(store.nhanh.currency) if store.nhanh is not None else VND,
        )

    def nhanh(
        self, name: StoreName, settings: NhanhSettings, secrets: StoreSecrets, backoff: Backoff = BACKOFF
    ) -> NhanhClient:
        """A client of a store's business."""
        return NhanhClient(
            self._session,
            app_id=settings.app_id,
            business_id=settings.business_id,
            credential=self._nhanh_credential(name, settings, secrets),
            base_url=settings.base_url,
            limits=self._limits,
            backoff=backoff,
        )

    def shopify(
        self,
        name: StoreName,
        settings: ShopifySettings,
        secrets: StoreSecrets,
        customer_sync: CustomerSyncSettings | None = None,
        backoff: Backoff = BACKOFF,
    ) -> ShopifyClient:
        """A client of a store's shop."""
        return ShopifyClient(
            self._session,
            shop=settings.shop,
            credential=self._shopify_credential(name, settings, secrets),
            base_url=settings.base_url,
            customer_metafields=_metafields(customer_sync),
            limits=self._limits,
            backoff=backoff,
        )

    def _nhanh_credential(self, name: StoreName, settings: NhanhSettings, secrets: StoreSecrets) -> NhanhCredential:
        token, secret_key = revealed(secrets.nhanh_access_token) or "", revealed(secrets.nhanh_secret_key)
        key = (name, settings.base_url, settings.app_id, settings.business_id)
        if key not in self._nhanh:
            self._nhanh[key] = NhanhCredential(token, secret_key)
        self._nhanh[key].replace(token, secret_key)
        return self._nhanh[key]

    def _shopify_credential(
        self, name: StoreName, settings: ShopifySettings, secrets: StoreSecrets
    ) -> ShopifyCredential:
        if settings.client_id is None:
            token = revealed(secrets.shopify_access_token) or ""
            permanent = self._permanent.setdefault((name, settings.url), PermanentToken(token))
            permanent.replace(token)
            return permanent
        client_secret = revealed(secrets.shopify_client_secret) or ""
        key = (settings.url, settings.client_id, settings.client_secret)
        if key not in self._client:
            self._client[key] = ClientCredentials(
                self._session,
                base_url=settings.url,
                source=f"Shopify ({settings.shop})",
                client_id=settings.client_id,
                client_secret=client_secret,
            )
        self._client[key].replace(client_secret)
        return self._client[key]


def _metafields(settings: CustomerSyncSettings | None) -> CustomerMetafields:
    if settings is None:
        return CustomerMetafields()
    return CustomerMetafields(settings.total_spent, settings.tier or CustomerMetafields().tier)
