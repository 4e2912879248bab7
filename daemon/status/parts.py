"""What the endpoint needs from the rest of the daemon."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from daemon.alerts.heartbeat import Heartbeat
from daemon.alerts.telling import Alerts
from daemon.api.findings import Finding
from daemon.conditions.watch import Conditions
from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.ids import StoreName, WorkerName
from daemon.jobs.events import EventHub
from daemon.jobs.queue.worker import JobQueue
from daemon.jobs.service import Jobs
from daemon.jobs.types import JobType
from daemon.roles import ALL_ROLES, DaemonRole
from daemon.sales.service import Sales
from daemon.schedules.sale import SaleClock
from daemon.schedules.scheduler import Scheduler
from daemon.sources.clock import ClockReport
from daemon.sources.credential import CredentialReport
from daemon.status.access import Access
from daemon.tasks.item_reader import ItemReader
from daemon.webhooks.counts import DeliveryCounts

MOST_CONNECTIONS = 2_000  # of which the event streams may take half


@dataclass(frozen=True)
class StatusParts:
    """Everything that the endpoint shows and controls.

    Args:
        started_at: when the daemon started, aware UTC.
        stores: the configured stores, looked up each time, since a reload may change them.
        job_types: what this daemon can run, and the JSON Schema of what its params may be.
        stores_for: the stores that have all that a job of a type needs, looked up each time.
        product_sync: what of a store's products is pushed, looked up each time; None where nothing is.
        credentials: how each store signs in at its sources, looked up each time.
        clocks: how the clocks of the sources differ from this machine's, looked up each time.
        check_credentials: tries those of all stores by calls that change nothing.
        conditions: says whether the shop is right.
        alerts, heartbeat: tell people what is not, and somebody that all is.
        zone: the shop's time zone, in which the page shows times.
        access: who may ask for what.
        allowed_hosts: host names or origins under which it is reached besides loopback names and the listen address.
        shop_of: the handle of a store's shop, looked up each time; None where it has none.
        obstacle: what the daemon waits for before its parts can start, a clause without a full stop; None: they run.
        schema_version: the database schema that this program works with.
        most_connections: of the endpoint, in all.
        item_reader: reads single items because a person asks.
        webhook_counts: what this process has received.
        roles: of this daemon; without `STATUS` it answers probes alone.
        member: the name by which the other daemons know this one, looked up each time; None: they do not yet.
    """

    database: Database
    jobs: Jobs
    hub: EventHub
    scheduler: Scheduler
    queue: JobQueue
    sales: Sales
    sale_clock: SaleClock
    version: str
    started_at: datetime
    stores: Callable[[], Collection[StoreName]]
    job_types: Mapping[JobType, Mapping[str, Any]]
    stores_for: Callable[[JobType], Sequence[StoreName]]
    product_sync: Callable[[StoreName], ProductSyncSettings | None]
    credentials: Callable[[], Sequence[CredentialReport]]
    zone: ZoneInfo
    access: Access
    allowed_hosts: Collection[str]
    obstacle: Callable[[], str | None]
    schema_version: int
    clocks: Callable[[], Sequence[ClockReport]]
    conditions: Conditions
    alerts: Alerts
    heartbeat: Heartbeat
    check_credentials: Callable[[], Awaitable[Sequence[Finding]]]
    most_connections: int
    shop_of: Callable[[StoreName], str | None]
    item_reader: ItemReader
    webhook_counts: DeliveryCounts = field(default_factory=DeliveryCounts)
    roles: frozenset[DaemonRole] = ALL_ROLES
    member: Callable[[], WorkerName | None] = lambda: None
