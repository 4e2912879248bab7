"""The tasks that jobs run, and what each needs: one registry, filled by the `@task` decorator."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, assert_never, get_args

from daemon.config import CustomerSyncSettings, ProductSyncSettings
from daemon.errors import InvalidJobRequest
from daemon.i18n import gettext as _
from daemon.ids import Lane, StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.model import JobRequest
from daemon.jobs.runner import Tasks
from daemon.jobs.service import Admission, Admissions
from daemon.jobs.types import ITEMS_FIRST, JOB_TYPES, JobSpec, JobType, Naming, Narrowing, Source, SyncSection
from daemon.money import VND, Currency
from daemon.sources.clock import ClockReport, SourceClock
from daemon.sources.credential import Credential
from daemon.sources.filters import Schema
from daemon.sources.health import SourceHealth, SourceReport
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.page import Page
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import QuantityName
from daemon.tasks.params import ReadParams
from daemon.tasks.recent_answers import RecentAnswers


@dataclass(frozen=True, slots=True)
class Store:
    """A configured store with the clients of its sources.

    `needed_scopes` are those that its jobs need at Shopify, `nhanh_currency` is that of all amounts of Nhanh.vn,
    `recent` is what its sources have said a moment ago.
    """

    name: StoreName
    nhanh_client: NhanhClient | None
    shopify_client: ShopifyClient | None
    product_sync_settings: ProductSyncSettings | None = None
    customer_sync_settings: CustomerSyncSettings | None = None
    needed_scopes: frozenset[str] = frozenset()
    nhanh_currency: Currency = VND
    recent: RecentAnswers = field(default_factory=RecentAnswers, compare=False, repr=False)

    @property
    def nhanh(self) -> NhanhClient:
        """The client of Nhanh.vn; raises InvalidJobRequest where the store has none."""
        if self.nhanh_client is None:
            raise InvalidJobRequest(
                _("Store {name} has no [stores.{name}.nhanh] in the configuration.").format(name=self.name)
            )
        return self.nhanh_client

    @property
    def shopify(self) -> ShopifyClient:
        """The client of Shopify; raises InvalidJobRequest where the store has none."""
        if self.shopify_client is None:
            raise InvalidJobRequest(
                _("Store {name} has no [stores.{name}.shopify] in the configuration.").format(name=self.name)
            )
        return self.shopify_client

    @property
    def synced_quantity(self) -> QuantityName:
        """Which quantity of Shopify's stock is synced, if any is."""
        return "available" if self.product_sync_settings is None else self.product_sync_settings.quantity

    @property
    def product_sync(self) -> ProductSyncSettings:
        """What of the products is pushed; raises InvalidJobRequest where that is not configured."""
        if self.product_sync_settings is None:
            raise InvalidJobRequest(
                _("Store {name} has no [stores.{name}.product_sync] in the configuration.").format(name=self.name)
            )
        return self.product_sync_settings

    @property
    def customer_sync(self) -> CustomerSyncSettings:
        """What of the customers is pushed; raises InvalidJobRequest where that is not configured."""
        if self.customer_sync_settings is None:
            raise InvalidJobRequest(
                _("Store {name} has no [stores.{name}.customer_sync] in the configuration.").format(name=self.name)
            )
        return self.customer_sync_settings

    def credentials(self) -> dict[Source, Credential]:
        """How it signs in at each of its sources."""
        found: dict[Source, Credential] = {}
        if self.nhanh_client is not None:
            found[Source.NHANH] = self.nhanh_client.credential
        if self.shopify_client is not None:
            found[Source.SHOPIFY] = self.shopify_client.credential
        return found

    def clocks(self) -> dict[Source, SourceClock]:
        """The clock of each of its sources, as their answers tell it."""
        found = {}
        if self.nhanh_client is not None:
            found[Source.NHANH] = self.nhanh_client.clock
        if self.shopify_client is not None:
            found[Source.SHOPIFY] = self.shopify_client.clock
        return found

    async def greet(self, source: Source) -> None:
        """Make a small call, only to see whether the source answers. Raises what the source raises, refusals too."""
        match source:
            case Source.NHANH:
                await self.nhanh.depots()
            case Source.SHOPIFY:
                await self.shopify.granted_scopes()

    def healths(self) -> dict[Source, SourceHealth]:
        """Whether each of its sources answers."""
        found = {}
        if self.nhanh_client is not None:
            found[Source.NHANH] = self.nhanh_client.health
        if self.shopify_client is not None:
            found[Source.SHOPIFY] = self.shopify_client.health
        return found

    def has(self, source: Source) -> bool:
        """Whether the store is connected to a source."""
        match source:
            case Source.NHANH:
                return self.nhanh_client is not None
            case Source.SHOPIFY:
                return self.shopify_client is not None

    def require(self, section: SyncSection) -> None:
        """Raises InvalidJobRequest where this table is not configured."""
        match section:
            case "product_sync":
                _ = self.product_sync
            case "customer_sync":
                _ = self.customer_sync
            case _:
                assert_never(section)


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """Settings that tasks need."""

    implausible_deletion_share: float = 0.2  # of a table's rows
    implausible_deletion_minimum: int = 50  # rows; fewer never stop a pull
    checkpoint_max_age: float = 24 * 3600.0  # seconds
    backup_directory: Path = Path("backups")
    backups_kept: int = 7
    zone: tzinfo = UTC  # the shop's: times towards people are in it


TaskFunction = Callable[[JobContext, Store, JobPolicy], Awaitable[None]]
FirstRow = Callable[[NhanhClient, CallMeter], AsyncGenerator[Page[Any], None]]


@dataclass(frozen=True, slots=True)
class Task:
    """What carries out the jobs of a type, and how their parameters are read.

    `first_row` asks for as little as the job could ask for: that shows whether the credential suffices. None where
    that can be told otherwise, as at Shopify by the granted scopes, or where the job asks for nothing.
    """

    run: TaskFunction
    params: ReadParams
    first_row: FirstRow | None


_TASKS: dict[JobType, Task] = {}


def task(
    job_type: JobType, params: ReadParams, first_row: FirstRow | None = None
) -> Callable[[TaskFunction], TaskFunction]:
    """Register the coroutine that runs jobs of a type, with the rest of its `Task`.

    Raises RuntimeError where `JOB_TYPES` says of its parameters what they don't take, or the other way round.
    """

    def register(run: TaskFunction) -> TaskFunction:
        spec = JOB_TYPES[job_type]
        choosing = {*get_args(Narrowing), *get_args(Naming)} & params.schema["properties"].keys()
        if choosing != {*spec.narrowed_by, *spec.named_by} - {"retry_of"}:  # which nobody sends by hand
            raise RuntimeError(f"{job_type} takes {sorted(choosing)}, and JOB_TYPES says otherwise")
        _TASKS[job_type] = Task(run, params, first_row)
        return run

    return register


def check_completeness() -> None:
    """Raises RuntimeError where a type of job has no task."""
    if missing := [job_type for job_type in JobType if job_type not in _TASKS]:
        raise RuntimeError(f"there is no task for {', '.join(missing)}; it needs a file in daemon/tasks with @task")


def read_params(job_type: JobType, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a job in canonical form; raises InvalidJobRequest where the job would be refused for them."""
    return _TASKS[job_type].params.read(params)


def params_schemas() -> dict[JobType, Schema]:
    """What may be said in the params of each type of job, as a JSON Schema."""
    return {job_type: task.params.schema for job_type, task in _TASKS.items()}


def first_rows(client: NhanhClient, meter: CallMeter) -> dict[JobType, AsyncGenerator[Page[Any], None]]:
    """For each job that reads from Nhanh.vn, the page that shows whether it may; close them."""
    return {
        job_type: first_row(client, meter)
        for job_type in JobType
        if (first_row := _TASKS[job_type].first_row) is not None
    }


def clock_reports(stores: Mapping[StoreName, Store]) -> list[ClockReport]:
    """How the clocks of the sources differ from this machine's, as far as they have answered."""
    return [
        ClockReport(name, source.value, round(clock.offset, 3), clock.measured_at)
        for name, store in sorted(stores.items())
        for source, clock in store.clocks().items()
        if clock.offset is not None and clock.measured_at is not None
    ]


def source_reports(stores: Mapping[StoreName, Store]) -> list[SourceReport]:
    """Whether the sources can be reached, as the last calls to each have found."""
    return [
        SourceReport(name, source.value, health.is_reachable, health.lost_since, health.reason)
        for name, store in sorted(stores.items())
        for source, health in store.healths().items()
    ]


class TaskRegistry(Admissions, Tasks):
    """The known tasks on the configured stores: admits requests, names lanes, runs jobs."""

    def __init__(self, stores: Mapping[StoreName, Store], policy: JobPolicy) -> None:
        self.stores = stores
        self.policy = policy

    def use(self, stores: Mapping[StoreName, Store], policy: JobPolicy) -> None:
        """Let new jobs run on other stores; those that are running keep theirs."""
        self.stores = stores
        self.policy = policy

    def admit(self, request: JobRequest) -> Admission:
        """Check a request; raises InvalidJobRequest with what is wrong and what there is."""
        spec = JOB_TYPES[request.type]
        store = self.store(request.store)
        _require(store, request.type)
        params = read_params(request.type, request.params)
        priority = ITEMS_FIRST if spec.is_of_items(params) else spec.priority
        return Admission(_lane(store, spec, params), params, priority)

    def stores_for(self, job_type: JobType) -> list[StoreName]:
        """The stores that have all that a job of this type needs."""
        return [name for name, store in sorted(self.stores.items()) if _suffices(store, job_type)]

    def lanes(self) -> dict[Lane, int]:
        """All lanes of the configured stores with their limits."""
        lanes: dict[Lane, int] = {}
        for store in self.stores.values():
            for spec in JOB_TYPES.values():
                lanes[_lane(store, spec, {})] = spec.concurrency
                if spec.named_by:
                    lanes[_lane(store, spec, {spec.named_by[0]: None})] = 1
        return lanes

    async def run(self, context: JobContext) -> None:
        """Run a job's task."""
        store = self.store(context.job.store)
        await _TASKS[context.job.type].run(context, store, self.policy)

    def store(self, name: StoreName) -> Store:
        """The store of this name. Raises InvalidJobRequest where there is none."""
        store = self.stores.get(name)
        if store is None:
            known = ", ".join(sorted(self.stores)) or _("none")
            raise InvalidJobRequest(
                _("There is no such store in the configuration. Configured: {known}.").format(known=known)
            )
        return store


def _require(store: Store, job_type: JobType) -> None:
    """Raises InvalidJobRequest with what the configuration lacks for such a job."""
    spec = JOB_TYPES[job_type]
    for source in spec.sources:
        if not store.has(source):
            raise InvalidJobRequest(
                _("{type} needs [stores.{name}.{source}] in the configuration, which has none.").format(
                    type=job_type, name=store.name, source=source.value
                )
            )
    if spec.section is not None:
        store.require(spec.section)


def _suffices(store: Store, job_type: JobType) -> bool:
    try:
        _require(store, job_type)
    except InvalidJobRequest:
        return False
    return True


def _lane(store: Store, spec: JobSpec, params: Mapping[str, Any]) -> Lane:
    lane = spec.item_lane if spec.is_of_items(params) else spec.lane
    return Lane(lane) if spec.is_for_all else Lane(f"{store.name}/{lane}")
