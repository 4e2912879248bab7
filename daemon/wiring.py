"""From the configuration's words to the program's parts: stores with their clients, schedules, policies."""

import socket
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from daemon.config import (
    CustomerSyncSettings,
    NhanhSettings,
    ResolvedSecrets,
    SaleSelection,
    SaleSettings,
    SecretRef,
    Settings,
    ShopifySettings,
    StoreSecrets,
    needed_scopes,
    read_skus,
)
from daemon.credentials import CredentialWatch
from daemon.database.pool import Database
from daemon.errors import ConfigError, JobError
from daemon.ids import StoreName, WorkerName
from daemon.jobs.context import StopReason
from daemon.jobs.events import EventHub, JobNotifier
from daemon.jobs.model import JobType
from daemon.jobs.queue import JobQueue
from daemon.jobs.runner import JobRunner, RetryPolicy
from daemon.jobs.service import Jobs
from daemon.jobs.steps import Steps
from daemon.money import VND, Currency
from daemon.sales.service import Sales
from daemon.schedules.firing import Firing
from daemon.schedules.model import ScheduleSpec
from daemon.schedules.sale import SaleClock
from daemon.schedules.scheduler import Scheduler
from daemon.sources.http import BACKOFF, Backoff
from daemon.sources.limits import LimiterRegistry
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import ClientCredentials, PermanentToken, ShopifyCredential
from daemon.sources.shopify.models import CustomerMetafields
from daemon.tasks import JobPolicy, Store, TaskRegistry, read_params


class StoreFactory:
    """Makes the stores of a configuration, with clients that share the process's session and limits.

    What is known of a credential outlives a reload: a store that signs in as before shares its credential with the jobs
    that still run on its old settings, and a secret that was renewed is put into it, so that these go on, too.
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
            store.product_sync,
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
        token, secret_key = _reveal(secrets.nhanh_access_token) or "", _reveal(secrets.nhanh_secret_key)
        key = (name, settings.base_url, settings.app_id, settings.business_id)
        if key not in self._nhanh:
            self._nhanh[key] = NhanhCredential(token, secret_key)
        self._nhanh[key].replace(token, secret_key)
        return self._nhanh[key]

    def _shopify_credential(
        self, name: StoreName, settings: ShopifySettings, secrets: StoreSecrets
    ) -> ShopifyCredential:
        if settings.client_id is None:
            token = _reveal(secrets.shopify_access_token) or ""
            permanent = self._permanent.setdefault((name, settings.url), PermanentToken(token))
            permanent.replace(token)
            return permanent
        client_secret = _reveal(secrets.shopify_client_secret) or ""
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


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _metafields(settings: CustomerSyncSettings | None) -> CustomerMetafields:
    if settings is None:
        return CustomerMetafields()
    return CustomerMetafields(settings.total_spent, settings.tier or CustomerMetafields().tier)


def make_schedules(settings: Settings) -> list[ScheduleSpec]:
    """The configured schedules, in the order of the file."""
    return [
        ScheduleSpec(
            name=schedule.name,
            store=schedule.store,
            kind=schedule.kind,
            expression=schedule.expression,
            zone=settings.zone_of(schedule),
            misfire=schedule.misfire,
            job_type=schedule.job,
            params=schedule.to_params(),
        )
        for schedule in settings.schedules
    ]


def check_schedules(schedules: list[ScheduleSpec]) -> None:
    """Raise ConfigError for schedules whose jobs would be refused, such as for an unknown filter."""
    problems = []
    for schedule in schedules:
        try:
            read_params(JobType(schedule.job_type), schedule.params)
        except JobError as error:
            problems.append(f"schedule {schedule.name}: {error}")
    if problems:
        raise ConfigError(*problems)


def make_sales(settings: Settings, directory: Path | None) -> list[SaleSettings]:
    """The configured campaigns with times in UTC, and the SKUs of their files among those that they name.

    `directory`: where relative paths start. Raises ConfigError for files that can't be read, and for times that do not
    fit in the shop's zone.
    """
    made, problems = [], []
    for place, sale in enumerate(settings.sales):
        try:
            made.append(_with_skus(sale, directory).in_zone(settings.timezone))
        except ValueError as error:
            problems.append(f"sales[{place}] ({sale.name}): {error}")
    if problems:
        raise ConfigError(*problems)
    return made


def _with_skus(sale: SaleSettings, directory: Path | None) -> SaleSettings:
    chosen = {}
    for part in ("targets", "excludes"):
        selection: SaleSelection = getattr(sale, part)
        if selection.skus_file is not None:
            skus = read_skus((directory or Path()) / selection.skus_file)
            together = tuple(dict.fromkeys((*selection.skus, *skus)))
            joined = selection.model_dump() | {"skus": together, "skus_file": None}
            chosen[part] = type(selection).model_validate(joined)
    return sale.model_copy(update=chosen)


def job_policy(settings: Settings) -> JobPolicy:
    """What tasks need of the settings."""
    return JobPolicy(
        implausible_deletion_share=settings.jobs.implausible_deletion_share,
        implausible_deletion_minimum=settings.jobs.implausible_deletion_minimum,
        checkpoint_max_age=settings.jobs.checkpoint_max_age_hours * 3600,
    )


def retry_policy(settings: Settings) -> RetryPolicy:
    """How failed runs are repeated."""
    return RetryPolicy(settings.jobs.retry_backoff_seconds, settings.jobs.retry_backoff_max_seconds)


class Parts:
    """The parts of a running daemon, wired to each other."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        registry: TaskRegistry,
        factory: StoreFactory,
    ) -> None:
        host = WorkerName(socket.gethostname())
        self.zone = settings.timezone
        self.database = database
        self.registry = registry
        self.factory = factory
        self.notifier = JobNotifier(database, settings.jobs.event_interval_milliseconds / 1000)
        self.hub = EventHub(database)
        self.jobs = Jobs(
            database, self.notifier, lambda request: self.registry.admit(request), settings.jobs.max_attempts
        )
        self.runner = JobRunner(
            database,
            self.notifier,
            lambda job: self.registry.run(job),
            retry_policy(settings),
            Steps(database, self.hub, self.jobs),
        )
        self.queue = JobQueue(
            database,
            self.runner.run,
            lambda: self.runner.stop_all(StopReason.DATABASE_LOST),
            host,
            registry.lanes(),
        )
        firing = Firing(database, self.jobs, host)
        self.scheduler = Scheduler(database, firing.fire, firing.run_now, worker=host)
        self.sales = Sales(
            database, self.jobs, self._shopify_of, lambda: self.zone, currency_of=self._nhanh_currency_of
        )
        self.credential_watch = CredentialWatch(lambda: self.registry.stores)
        self.sale_clock = SaleClock(database, self.sales, lambda: sorted(self.registry.stores))

    def _shopify_of(self, name: StoreName) -> ShopifyClient:
        return self.registry.store(name).shopify

    def _nhanh_currency_of(self, name: StoreName) -> Currency | None:
        store = self.registry.stores.get(name)
        return store.nhanh_currency if store is not None and store.nhanh_client is not None else None

    def use_registry(self, registry: TaskRegistry) -> None:
        """Let new jobs run on other stores; those that run keep theirs."""
        self.registry = registry
        self.queue.set_lanes(registry.lanes())
