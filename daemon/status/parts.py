"""What the endpoint needs of the rest of the daemon, as interfaces: schedules and queue are known by shape only."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.ids import JobId, ScheduleName, StoreName, WorkerName
from daemon.jobs.events import EventHub
from daemon.jobs.model import JobType
from daemon.jobs.service import Jobs
from daemon.lifecycle import Health
from daemon.sales.service import Sales
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport


class ScheduleSpec(Protocol):
    """What a schedule is configured to do; see `daemon.schedules.model.ScheduleSpec`."""

    @property
    def name(self) -> ScheduleName: ...
    @property
    def store(self) -> StoreName: ...
    @property
    def kind(self) -> str: ...
    @property
    def expression(self) -> str: ...
    @property
    def zone(self) -> ZoneInfo: ...
    @property
    def misfire(self) -> str: ...
    @property
    def job_type(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...


class ScheduleState(Protocol):
    """Where a schedule stands; times are aware UTC."""

    @property
    def spec(self) -> ScheduleSpec: ...
    @property
    def next_fire(self) -> datetime | None: ...
    @property
    def last_fire(self) -> datetime | None: ...
    @property
    def last_outcome(self) -> str | None: ...
    @property
    def last_job_id(self) -> JobId | None: ...
    @property
    def last_detail(self) -> str | None: ...
    @property
    def paused(self) -> bool: ...


class FireOutcome(Protocol):
    """What became of a manual run; `result` is "submitted", "already_live", or a reason why there is no job."""

    @property
    def result(self) -> str: ...
    @property
    def job_id(self) -> JobId | None: ...
    @property
    def detail(self) -> str | None: ...


class Checked(Protocol):
    """A part that `/readyz` asks; see `daemon.lifecycle.Part`."""

    @property
    def health(self) -> Health: ...


class Scheduler(Checked, Protocol):
    """The schedules of this process; a name that is not there raises ScheduleNotFound."""

    def states(self) -> Sequence[ScheduleState]: ...
    async def pause(self, name: ScheduleName) -> None: ...
    async def resume(self, name: ScheduleName) -> None: ...
    async def run_now(self, name: ScheduleName) -> FireOutcome: ...


class Queue(Checked, Protocol):
    """The worker of this process."""

    @property
    def worker(self) -> WorkerName | None: ...


class SaleClock(Checked, Protocol):
    """What starts and ends campaigns on time."""

    @property
    def clock_problem(self) -> str | None:
        """Why campaigns of all stores, or of some, do not start or end now, for a person; None if all is well."""

    def look(self) -> None:
        """Look at the campaigns now: one has been made or changed."""


MOST_CONNECTIONS = 2_000  # of which the event streams may take half


@dataclass(frozen=True)
class StatusParts:
    """Everything that the endpoint shows and steers.

    Args:
        started_at: when the daemon started, aware UTC.
        stores: the configured stores, asked for anew each time, since a reload may change them.
        job_types: what this daemon can run, and the JSON Schema of what its params may be.
        product_sync: what of a store's products is pushed, asked for anew each time; None where nothing is.
        credentials: how each store signs in at its sources, asked for anew each time.
        clocks: how the clocks of the sources differ from this machine's, asked for anew each time.
        zone: the shop's time zone, in which the page shows times.
        token: the bearer token that all but the probes must show; None: none is asked for.
        allowed_hosts: host names or origins under which it is reached besides loopback names and the listen address.
        shop_of: the handle of a store's shop, asked for anew each time; None where it has none.
        schema_version: the database schema that this program works with.
        most_connections: of the endpoint, in all.
    """

    database: Database
    jobs: Jobs
    hub: EventHub
    scheduler: Scheduler
    queue: Queue
    sales: Sales
    sale_clock: SaleClock
    version: str
    started_at: datetime
    stores: Callable[[], Collection[StoreName]]
    job_types: Mapping[JobType, Mapping[str, Any]]
    product_sync: Callable[[StoreName], ProductSyncSettings | None]
    credentials: Callable[[], Sequence[CredentialReport]]
    zone: ZoneInfo
    token: str | None = field(repr=False)
    allowed_hosts: Collection[str]
    schema_version: int
    clocks: Callable[[], Sequence[ClockReport]] = tuple
    most_connections: int = MOST_CONNECTIONS
    shop_of: Callable[[StoreName], str | None] = lambda _store: None
