"""Facts of one look at a shop, of which a test says only what it is about."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from daemon.conditions.facts import (
    CompleteRun,
    DatabaseFacts,
    Facts,
    OpenQuestion,
    SlowFacts,
    StoreFacts,
    StreamFacts,
    StreamKey,
    Trouble,
    UnstoredRows,
)
from daemon.conditions.scene import NOTHING_KNOWN
from daemon.config import ProductSyncSettings
from daemon.fleet.members import Member
from daemon.ids import JobId, ScheduleName, StoreName, WorkerName
from daemon.jobs.types import BOTH, JobType
from daemon.roles import ALL_ROLES, DaemonRole
from daemon.schedules.fires import ScheduleMemory
from daemon.schedules.model import ScheduleSpec
from daemon.sources.credential import CredentialKind, CredentialReport
from daemon.sources.health import SourceReport

STORE = StoreName("main")
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOW = datetime(2026, 11, 27, 19, 16, tzinfo=UTC)  # a Saturday at 02:16 in the shop
JOB = JobId(UUID("01a20971-aaad-752d-bd81-172a061e849c"))
PRODUCT_SYNC = ProductSyncSettings.model_validate({"locations": {"31": [1, 2], "32": [3]}, "price": "retail"})
CHAIN = (
    JobType.PULL_NHANH_INVENTORY,
    JobType.PULL_NHANH_PRODUCTS,
    JobType.PULL_SHOPIFY_PRODUCTS,
    JobType.SYNC_PRODUCTS,
)

OF_DATABASE = frozenset(DatabaseFacts.__slots__) - frozenset(Facts.__slots__)


def minutes(number: float) -> timedelta:
    """A span of time."""
    return timedelta(minutes=number)


def schedule(name: str, job_type: JobType, expression: str = "every 15 min", **changes: Any) -> ScheduleSpec:
    """A schedule; "products" is the product chain."""
    kind = "product" if job_type is JobType.PRODUCT_CHAIN else "cron"
    spec = ScheduleSpec(ScheduleName(name), STORE, kind, expression, ZONE, "once", job_type, {})
    return replace(spec, **changes)


def complete(job_type: JobType, ago: timedelta, **changes: Any) -> StreamFacts:
    """A stream that was complete so long ago, by a run of 20 s."""
    end = NOW - ago
    facts = StreamFacts(StreamKey(STORE, job_type), CompleteRun(JOB, end - timedelta(seconds=20), end, 20.0), JOB)
    return replace(facts, **changes)


def trouble(since: datetime, cause: str = "It broke.", *, has_failed: bool = True) -> Trouble:
    """That the jobs of a stream fail."""
    return Trouble(JOB, since, cause, has_failed, not has_failed, None)


def unstored(rows: int, since: datetime) -> UnstoredRows:
    """Rows that nothing has repaired."""
    return UnstoredRows(rows, since, "title is missing", JOB)


def question(changes: int | None = 12) -> OpenQuestion:
    """A sync that has asked at 01:45."""
    since = NOW - minutes(31)
    return OpenQuestion(STORE, JobType.SYNC_PRODUCTS, since, "It would zero 12 items.", changes, JOB, 7)


def credential(**changes: Any) -> CredentialReport:
    """A credential of Shopify that works."""
    report = CredentialReport(STORE, "shopify", CredentialKind.ACCESS_TOKEN, True, None, None, (), ())
    return replace(report, **changes)


def lost(source: str, since: datetime, reason: str = "Connection refused.") -> SourceReport:
    """A source that does not answer."""
    return SourceReport(STORE, source, False, since, reason)


def member(name: str, *, roles: Collection[DaemonRole] = ALL_ROLES, silent: float = 2.0) -> Member:
    """A daemon of the fleet that has been there for ten hours, and was seen so many seconds ago."""
    return Member(
        name=WorkerName(name),
        host=name,
        pid=77,
        version="9.9.9",
        roles=frozenset(roles),
        address="http://127.0.0.1:8765",
        started_at=NOW - minutes(600),
        seen_at=NOW - timedelta(seconds=silent),
        left_at=None,
        takes_no_jobs_since=None,
        clock_offset=0.0,
        read_at=NOW,
    )


def database(*streams: StreamFacts, **changes: Any) -> DatabaseFacts:
    """What the database says; the product chain is two minutes old but for `streams`."""
    known = {job_type: complete(job_type, minutes(2)) for job_type in CHAIN} | {each.key.type: each for each in streams}
    schedules = {ScheduleName(name): ScheduleMemory(NOW - minutes(10_000), None) for name in ("products", "customers")}
    facts = replace(
        NOTHING_KNOWN, read_at=NOW, streams={each.key: each for each in known.values()}, schedules=schedules
    )
    return replace(facts, **changes)


def facts(*streams: StreamFacts, **changes: Any) -> Facts:
    """A store whose product chain runs every 15 minutes, and where all is well but for what is said.

    `memories`: what the database knows of the schedules; other names are those of Facts or of DatabaseFacts.
    """
    known = {name: changes.pop(name) for name in list(changes) if name in OF_DATABASE}
    if "memories" in changes:
        known["schedules"] = changes.pop("memories")
    found = Facts(
        now=NOW,
        zone=ZONE,
        started_at=NOW - minutes(600),
        stores=[StoreFacts(STORE, frozenset(BOTH), PRODUCT_SYNC, None)],
        schedules=[schedule("products", JobType.PRODUCT_CHAIN)],
        sources=[SourceReport(STORE, source.value, True, None, None) for source in BOTH],
        credentials=[credential()],
        clocks=[],
        sale_clock_problem=None,
        database=database(*streams, **known),
        outage=None,
        remembered={},
        slow=SlowFacts(),
    )
    return replace(found, **changes)
