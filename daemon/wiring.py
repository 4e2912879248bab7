"""From the configuration's words to the program's parts: stores with their clients, schedules, policies."""

import socket
from pathlib import Path

import aiohttp

from daemon.config import (
    CustomerSyncSettings,
    ResolvedSecrets,
    SaleSelection,
    SaleSettings,
    Settings,
    StoreSecrets,
    StoreSettings,
    read_skus,
)
from daemon.database.pool import Database
from daemon.errors import ConfigError, InvalidJobRequest, JobError
from daemon.ids import StoreName, WorkerName
from daemon.jobs.context import StopReason
from daemon.jobs.events import EventHub, JobNotifier
from daemon.jobs.model import JobType
from daemon.jobs.queue import JobQueue
from daemon.jobs.runner import JobRunner, RetryPolicy
from daemon.jobs.service import Jobs
from daemon.jobs.steps import Steps
from daemon.sales.service import Sales
from daemon.schedules.firing import Firing
from daemon.schedules.model import ScheduleSpec
from daemon.schedules.sale import SaleClock
from daemon.schedules.scheduler import Scheduler
from daemon.sources.limits import LimiterRegistry
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import CustomerMetafields
from daemon.tasks import JobPolicy, Store, TaskRegistry, read_params


def make_stores(
    settings: Settings, secrets: ResolvedSecrets, session: aiohttp.ClientSession, limits: LimiterRegistry
) -> dict[StoreName, Store]:
    """The configured stores, with clients that share the process's session and limits."""
    return {
        name: make_store(name, store, secrets.stores[name], session, limits) for name, store in settings.stores.items()
    }


def make_store(
    name: StoreName,
    settings: StoreSettings,
    secrets: StoreSecrets,
    session: aiohttp.ClientSession,
    limits: LimiterRegistry,
) -> Store:
    """One store with the clients of the sources that it is connected to."""
    nhanh = shopify = None
    if settings.nhanh is not None and secrets.nhanh_access_token is not None:
        nhanh = NhanhClient(
            session,
            app_id=settings.nhanh.app_id,
            business_id=settings.nhanh.business_id,
            access_token=secrets.nhanh_access_token.get_secret_value(),
            secret_key=secrets.nhanh_secret_key.get_secret_value() if secrets.nhanh_secret_key else None,
            base_url=settings.nhanh.base_url,
            limits=limits,
        )
    if settings.shopify is not None and secrets.shopify_access_token is not None:
        shopify = ShopifyClient(
            session,
            shop=settings.shopify.shop,
            access_token=secrets.shopify_access_token.get_secret_value(),
            base_url=settings.shopify.base_url,
            customer_metafields=_metafields(settings.customer_sync),
            limits=limits,
        )
    return Store(name, nhanh, shopify, settings.product_sync, settings.customer_sync)


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
        session: aiohttp.ClientSession,
        limits: LimiterRegistry,
    ) -> None:
        host = WorkerName(socket.gethostname())
        self.zone = settings.timezone
        self.database = database
        self.registry = registry
        self.session = session
        self.limits = limits
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
        self.sales = Sales(database, self.jobs, self._shopify_of, lambda: self.zone)
        self.sale_clock = SaleClock(database, self.sales, lambda: sorted(self.registry.stores))

    def _shopify_of(self, name: StoreName) -> ShopifyClient:
        store = self.registry.stores.get(name)
        if store is None:
            raise InvalidJobRequest(f"There is no store {name!r} in the configuration.")
        return store.shopify

    def use_registry(self, registry: TaskRegistry) -> None:
        """Let new jobs run on other stores; those that run keep theirs."""
        self.registry = registry
        self.queue.set_lanes(registry.lanes())
