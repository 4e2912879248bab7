"""Puts the daemon together: from the configuration's words to the parts of the program, joined to each other."""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from daemon import __version__
from daemon.alerts.channel import make_channels
from daemon.alerts.heartbeat import Heartbeat, make_switch, obstacle
from daemon.alerts.telling import Alerts
from daemon.conditions.facts import store_facts
from daemon.conditions.watch import Conditions, Surroundings
from daemon.config import (
    ResolvedSecrets,
    SaleSelection,
    SaleSettings,
    SecretRenewal,
    Settings,
    read_skus,
    state_directory,
)
from daemon.credentials import CredentialWatch, report
from daemon.database.clock import DatabaseClock
from daemon.database.pool import Database
from daemon.database.storage import disk_space
from daemon.errors import ConfigError, JobError
from daemon.fleet.membership import Membership
from daemon.ids import StoreName, WorkerName
from daemon.jobs.events import EventHub, JobNotifier
from daemon.jobs.queue.worker import JobQueue
from daemon.jobs.runner import CancellationWatch, JobRunner, RetryPolicy
from daemon.jobs.service import Jobs
from daemon.jobs.steps import Steps
from daemon.jobs.types import JobType, Source
from daemon.lifecycle import Part
from daemon.money import Currency
from daemon.roles import ALL_ROLES, DaemonRole
from daemon.sales.service import Sales
from daemon.schedules.firing import Firing
from daemon.schedules.model import ScheduleSpec
from daemon.schedules.sale import CHANNEL as SALES_CHANNEL
from daemon.schedules.sale import SaleClock
from daemon.schedules.scheduler import Scheduler
from daemon.sources.shopify.client import ShopifyClient
from daemon.status.access import Access, AccessRules
from daemon.stores import StoreFactory
from daemon.tasks import JobPolicy, Store, TaskRegistry, read_params
from daemon.tasks.registry import clock_reports, source_reports
from daemon.webhooks.catch_up import WebhookWatch
from daemon.webhooks.counts import DeliveryCounts
from daemon.webhooks.dispatcher import Dispatcher
from daemon.webhooks.intake import Intake
from daemon.webhooks.writer import InboxWriter


class Daemon:
    """The parts of a running daemon, joined to each other; `settings` are those in force, which a reload replaces.

    Args:
        data: the directory of the embedded database; None where the database is elsewhere.
        roles: what it does of the fleet's work. All parts are there, and those of other roles are not started; the
            scheduler follows the schedules without firing them, since the page and the conditions tell of them.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        registry: TaskRegistry,
        factory: StoreFactory,
        access: AccessRules,
        data: Path | None = None,
        roles: frozenset[DaemonRole] = ALL_ROLES,
    ) -> None:
        worker = WorkerName(socket.gethostname())
        self.settings = settings
        self.roles = roles
        self.zone = settings.timezone  # the shop's: times of campaigns are in it
        self.renewal = SecretRenewal()
        self.database = database
        self.registry = registry
        self.factory = factory
        self._data = data
        self.clock = DatabaseClock()
        self.notifier = JobNotifier(database, settings.jobs.event_interval_milliseconds / 1000)
        self.hub = EventHub(database)
        self.jobs = Jobs(database, self.notifier, registry, settings.jobs.max_attempts, self.clock)
        self.runner = JobRunner(
            database, self.notifier, registry, retry_policy(settings), Steps(database, self.hub, self.jobs)
        )
        self.cancellation_watch = CancellationWatch(self.runner, self.hub)
        self.queue = JobQueue(database, self.runner, worker, registry.lanes())
        self.membership = Membership(database, roles, worker, self.queue, __version__)
        self.scheduler = Scheduler(
            database,
            Firing(database, self.jobs, worker),
            clock=self.clock,
            fires_schedules=DaemonRole.SCHEDULES in roles,
        )
        self.sales = Sales(
            database,
            self.jobs,
            self._shopify_of,
            lambda: self.zone,
            currency_of=self._nhanh_currency_of,
        )
        self.credential_watch = CredentialWatch(registry, takes_jobs=DaemonRole.WORKER in roles)
        self.dispatcher = Dispatcher(database, self.hub, self.jobs, registry)
        self.sale_clock = SaleClock(
            database,
            self.sales,
            lambda: sorted(registry.stores),
            call_others=lambda: self.notifier.call(SALES_CHANNEL),
        )
        if DaemonRole.SCHEDULES in roles:
            self.hub.hear(SALES_CHANNEL, lambda _payload: self.sale_clock.look_here())
        self.conditions = Conditions(database, self._surroundings(), self.clock)
        self.access = Access(access)
        self.alerts = Alerts(database, self.conditions, self.clock)
        self.heartbeat = Heartbeat(self._obstacle_to_heartbeat)
        counts = DeliveryCounts()
        self.inbox_writer = InboxWriter(database, counts)
        self.intake = Intake(self.inbox_writer, counts)
        self.webhook_watch = WebhookWatch(database, self.intake, self.jobs)

    def use_stores(self, stores: Mapping[StoreName, Store], policy: JobPolicy) -> None:
        """Let new jobs run on other stores; those that are running keep theirs."""
        self.registry.use(stores, policy)
        self.queue.set_lanes(self.registry.lanes())

    def use_alerts(self, settings: Settings, secrets: ResolvedSecrets) -> None:
        """Tell other people what is not right, or by other addresses."""
        self.alerts.use(make_channels(settings, secrets))
        self.heartbeat.use(make_switch(settings, secrets))

    def use_webhooks(self, settings: Settings, secrets: ResolvedSecrets) -> None:
        """Take in webhooks for these stores."""
        self.intake.use(settings, secrets)

    def _obstacle_to_heartbeat(self) -> str | None:
        parts: list[Part] = [self.hub]
        if DaemonRole.SCHEDULES in self.roles:
            parts += [self.scheduler, self.sale_clock]
        if DaemonRole.WORKER in self.roles:
            parts.append(self.queue)
        return obstacle({part.name: part.health for part in parts}, self.conditions.current(), self.alerts.reports())

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
            disk=lambda: disk_space(self._data) if self._data is not None else None,
            kept_secrets=lambda: self.renewal.kept_sources(self.settings),
            ask=lambda store, source: registry.store(store).greet(Source(source)),
            channels=lambda: [*self.alerts.reports(), *self.heartbeat.reports()],
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
        backup_directory=settings.backup.directory or state_directory() / "backups",
        backups_kept=settings.backup.keep,
        zone=settings.timezone,
    )


def retry_policy(settings: Settings) -> RetryPolicy:
    """How failed runs are repeated."""
    return RetryPolicy(settings.jobs.retry_backoff_seconds, settings.jobs.retry_backoff_max_seconds)
