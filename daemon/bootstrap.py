"""Puts the daemon together: from the configuration's words to the parts of the program, joined to each other."""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from daemon.conditions.facts import store_facts
from daemon.conditions.watch import Conditions, Surroundings
from daemon.config import SaleSelection, SaleSettings, Settings, read_skus
from daemon.credentials import CredentialWatch, report
from daemon.database.pool import Database
from daemon.errors import ConfigError, JobError
from daemon.ids import StoreName, WorkerName
from daemon.jobs.events import EventHub, JobNotifier
from daemon.jobs.queue.worker import JobQueue
from daemon.jobs.runner import CancellationWatch, JobRunner, RetryPolicy
from daemon.jobs.service import Jobs
from daemon.jobs.steps import Steps
from daemon.jobs.types import JobType, Source
from daemon.money import Currency
from daemon.sales.service import Sales
from daemon.schedules.firing import Firing
from daemon.schedules.model import ScheduleSpec
from daemon.schedules.sale import SaleClock
from daemon.schedules.scheduler import Scheduler
from daemon.sources.shopify.client import ShopifyClient
from daemon.stores import StoreFactory
from daemon.tasks import JobPolicy, Store, TaskRegistry, read_params
from daemon.tasks.registry import clock_reports, source_reports


class Daemon:
    """The parts of a running daemon, joined to each other; `settings` are those in force, which a reload replaces."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        registry: TaskRegistry,
        factory: StoreFactory,
    ) -> None:
        worker = WorkerName(socket.gethostname())
        self.settings = settings
        self.zone = settings.timezone  # the shop's: times of campaigns are in it
        self.database = database
        self.registry = registry
        self.factory = factory
        self.notifier = JobNotifier(database, settings.jobs.event_interval_milliseconds / 1000)
        self.hub = EventHub(database)
        self.jobs = Jobs(database, self.notifier, registry, settings.jobs.max_attempts)
        self.runner = JobRunner(
            database, self.notifier, registry, retry_policy(settings), Steps(database, self.hub, self.jobs)
        )
        self.cancellation_watch = CancellationWatch(self.runner, self.hub)
        self.queue = JobQueue(database, self.runner, worker, registry.lanes())
        self.scheduler = Scheduler(database, Firing(database, self.jobs, worker))
        self.sales = Sales(
            database,
            self.jobs,
            self._shopify_of,
            lambda: self.zone,
            currency_of=self._nhanh_currency_of,
        )
        self.credential_watch = CredentialWatch(registry)
        self.sale_clock = SaleClock(database, self.sales, lambda: sorted(registry.stores))
        self.conditions = Conditions(database, self._surroundings())

    def use_stores(self, stores: Mapping[StoreName, Store], policy: JobPolicy) -> None:
        """Let new jobs run on other stores; those that are running keep theirs."""
        self.registry.use(stores, policy)
        self.queue.set_lanes(self.registry.lanes())

    def _surroundings(self) -> Surroundings:
        registry = self.registry
        return Surroundings(
            stores=lambda: store_facts(registry.stores),
            schedules=lambda: [state.spec for state in self.scheduler.states()],
            sources=lambda: source_reports(registry.stores),
            credentials=lambda: report(registry.stores, datetime.now(UTC)),
            clocks=lambda: clock_reports(registry.stores),
            sale_clock_problem=lambda: self.sale_clock.clock_problem,
            zone=lambda: self.zone,
            ask=lambda store, source: registry.store(store).greet(Source(source)),
        )

    def _shopify_of(self, name: StoreName) -> ShopifyClient:
        return self.registry.store(name).shopify

    def _nhanh_currency_of(self, name: StoreName) -> Currency | None:
        store = self.registry.stores.get(name)
        return store.nhanh_currency if store is not None and store.nhanh_client is not None else None


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
            fresh_within=schedule.fresh_within,
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
    """What tasks need from the settings."""
    return JobPolicy(
        implausible_deletion_share=settings.jobs.implausible_deletion_share,
        implausible_deletion_minimum=settings.jobs.implausible_deletion_minimum,
        checkpoint_max_age=settings.jobs.checkpoint_max_age_hours * 3600,
    )


def retry_policy(settings: Settings) -> RetryPolicy:
    """How failed runs are repeated."""
    return RetryPolicy(settings.jobs.retry_backoff_seconds, settings.jobs.retry_backoff_max_seconds)
