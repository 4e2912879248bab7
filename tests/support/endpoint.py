"""The endpoint on a real database and a real socket. No worker takes the jobs: each test moves them itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import aiohttp

from daemon.api.pushes import PushKind, PushResult
from daemon.bootstrap import Daemon
from daemon.checks.credentials import check_all
from daemon.config import ProductSyncSettings, Settings
from daemon.credentials import report
from daemon.database.migrate import program_version
from daemon.database.pool import Database
from daemon.ids import JobId, RunToken, ScheduleName, StoreName, WorkerName
from daemon.jobs import approvals, store
from daemon.jobs.model import Counters, Job, JobRequest, JobStatus, JobTrigger
from daemon.jobs.steering import Role
from daemon.jobs.types import JobType
from daemon.lifecycle import Health
from daemon.schedules.model import ScheduleSpec
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.status import StatusParts, serving
from daemon.status.access import AccessRules, AccessToken
from daemon.status.parts import MOST_CONNECTIONS
from daemon.status.security import CLIENT_HEADER
from daemon.stores import StoreFactory
from daemon.sync import pushes
from daemon.sync.products.approvals import HeldChange, draft
from daemon.sync.products.question import PlanQuestion
from daemon.sync.pushes import IntendedPush
from daemon.tasks import JobPolicy, Store, TaskRegistry, params_schemas
from daemon.tasks.item_reader import ItemReader

STORE = StoreName("main")
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
WORKER = WorkerName("worker-1")
PRODUCT_SYNC = ProductSyncSettings.model_validate(
    {"locations": {"31": [1, 2], "32": [3]}, "price": "retail", "compare_at_price": "old"}
)

NOWHERE = "http://127.0.0.1:9"
SETTINGS = Settings.model_validate(
    {
        "stores": {
            "main": {
                "nhanh": {"app_id": 1, "business_id": 2, "access_token": {"env": "NOT_USED"}, "base_url": NOWHERE},
                "shopify": {"shop": "none", "access_token": {"env": "NOT_USED"}, "base_url": NOWHERE},
            }
        }
    }
)


@dataclass
class Worker:
    """A queue that takes nothing."""

    worker: WorkerName | None = WORKER
    health: Health = field(default_factory=lambda: Health(True, f"takes jobs as {WORKER}"))


@dataclass
class Clock:
    """A clock of the sales that starts and ends none."""

    health: Health = field(default_factory=lambda: Health(True, "starts and ends sales"))
    clock_problem: str | None = None

    def look(self) -> None:
        """There is nothing to do."""


@dataclass
class Endpoint:
    """An open endpoint, its parts, and a client of it."""

    parts: Daemon
    status: StatusParts
    worker: Worker
    sale_clock: Clock
    url: str
    client: aiohttp.ClientSession

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON that a GET answers."""
        return await self.call("GET", path, status, **options)

    async def call(self, method: str, path: str, status: int, **options: Any) -> Any:
        """The JSON that a request answers."""
        async with self.client.request(method, path, **options) as response:
            assert response.status == status, await response.text()
            return await response.json(content_type=None)

    async def submit(self, job_type: JobType = JobType.PULL_NHANH_CUSTOMERS, **params: Any) -> Job:
        """A new job."""
        return await self.parts.jobs.submit(JobRequest(job_type, STORE, JobTrigger.API, params))

    async def change(self, write: Callable[[Any], Any], job_id: JobId) -> Any:
        """Write to a job's row and tell of it."""
        async with self.parts.database.acquire() as connection:
            result = await write(connection)
        self.parts.notifier.changed(job_id, at_once=True)
        return result

    async def claim(self, job: Job) -> RunToken:
        """Let a job run."""
        token = RunToken(uuid4())
        await self.change(lambda c: store.claim(c, job.id, token, WORKER), job.id)
        picked = "UPDATE dongbo.pgqueuer SET status = 'picked' WHERE payload = convert_to($1, 'UTF8')"
        await self.change(lambda c: c.execute(picked, str(job.id)), job.id)
        return token

    async def progress(self, job: Job, token: RunToken, counted: Counters, **metadata: Any) -> None:
        """Store a page of a running job."""
        await self.change(
            lambda c: store.store_page(c, job.id, token, counted, {"page": 1}, metadata, is_progress=True), job.id
        )

    async def finish(self, job: Job, token: RunToken, status: JobStatus, error: str | None = None) -> None:
        """End a running job."""
        await self.change(lambda c: store.finish(c, job.id, token, status, error, {}), job.id)

    async def asking(
        self,
        job_type: JobType = JobType.SYNC_PRODUCTS,
        reason: str = "It would zero 30 items.",
        *,
        question: PlanQuestion | None = None,
        changes: Sequence[HeldChange] = (),
    ) -> Job:
        """A job that waits for approval of these changes; one that waits already is replaced."""
        job = await self.submit(job_type)
        token = await self.claim(job)
        await self.change(lambda c: draft(c, STORE, job.id, changes), job.id)
        for replaced in await self.change(lambda c: store.replace_waiting(c, job, token, "A newer run."), job.id):
            self.parts.notifier.changed(replaced, at_once=True)
        await self.change(lambda c: store.await_approval(c, job.id, token, reason, {"zeroed": 30}), job.id)
        facts = question.to_json() if question is not None else {}
        await self.change(lambda c: approvals.ask(c, job, reason, facts), job.id)
        return await self.parts.jobs.get(job.id)

    async def push(
        self, job: Job, old: str | None, new: str, reason: str, result: PushResult = PushResult.APPLIED
    ) -> None:
        """A push of stock by a job."""
        push = IntendedPush(PushKind.STOCK, 1001, old, new, reason, item_id=2001, location_id=31)
        async with self.parts.database.acquire() as connection:
            (number,) = await pushes.record(connection, STORE, job.id, uuid4(), [push])
            if result is not PushResult.INTENDED:
                await pushes.settle(connection, {number: (result, None)})

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Run a statement."""
        async with self.parts.database.acquire() as connection:
            await connection.execute(sql, *arguments)

    async def ended(
        self, status: JobStatus = JobStatus.COMPLETED, job_type: JobType = JobType.PULL_NHANH_CUSTOMERS
    ) -> Job:
        """A job that has run and ended."""
        job = await self.submit(job_type)
        await self.finish(job, await self.claim(job), status, "it broke" if status is JobStatus.FAILED else None)
        return await self.parts.jobs.get(job.id)

    async def listening(self) -> None:
        """Wait until the hub hears of changes and knows of those of late."""
        async with asyncio.timeout(10):
            while not (self.parts.hub.is_listening and self.parts.hub.recent.is_complete):
                await asyncio.sleep(0.005)


OpenEndpoint = Callable[..., AbstractAsyncContextManager[Endpoint]]


def schedule(name: str, expression: str = "0 3 1 1 *") -> ScheduleSpec:
    """A schedule that does not fire while a test runs."""
    return ScheduleSpec(
        ScheduleName(name), STORE, "cron", expression, ZONE, "once", JobType.PULL_NHANH_PRODUCTS, {"full": True}
    )


def _tokens(token: str | None) -> list[AccessToken]:
    return [AccessToken(None, Role.OPERATE, token)] if token is not None else []


@asynccontextmanager
async def running_endpoint(
    database: Database, *, listen: str = "127.0.0.1:0", **changes: Any
) -> AsyncIterator[Endpoint]:
    """An endpoint; `token` is its only one, `access` are the rules of who may ask, the rest replaces parts of it."""
    async with open_session() as session:
        limits = LimiterRegistry(None)
        nhanh = NhanhClient(
            session,
            app_id=1,
            business_id=2,
            credential=NhanhCredential("not-used"),
            base_url=NOWHERE,
            limits=limits,
            backoff=Backoff(attempts=2, initial=0.01),
        )
        shopify = ShopifyClient(
            session,
            shop="none",
            credential=PermanentToken("not-used"),
            base_url=NOWHERE,
            limits=limits,
            backoff=Backoff(attempts=2, initial=0.01),
        )
        shopify.clock.observe(time.time(), shopify.clock.start())  # as if it had just answered: a sale may begin
        registry = TaskRegistry({STORE: Store(STORE, nhanh, shopify, PRODUCT_SYNC)}, JobPolicy())
        rules = changes.pop("access", None) or AccessRules(tokens=_tokens(changes.pop("token", None)))
        parts = Daemon(SETTINGS, database, registry, StoreFactory(session, limits), rules)
        worker, sale_clock = Worker(), Clock()
        status = StatusParts(
            database=database,
            jobs=parts.jobs,
            hub=parts.hub,
            scheduler=parts.scheduler,
            queue=worker,
            sales=parts.sales,
            sale_clock=sale_clock,
            version="9.9.9",
            started_at=datetime.now(UTC),
            stores=lambda: [STORE],
            job_types=params_schemas(),
            stores_for=registry.stores_for,
            product_sync=lambda _store: PRODUCT_SYNC,
            credentials=lambda: report(registry.stores, datetime.now(UTC)),
            zone=ZONE,
            access=parts.access,
            allowed_hosts=["status.example.com"],
            obstacle=lambda: None,
            schema_version=program_version(),
            clocks=list,
            conditions=parts.conditions,
            alerts=parts.alerts,
            heartbeat=parts.heartbeat,
            check_credentials=lambda: check_all(registry.stores, parts.settings),
            most_connections=MOST_CONNECTIONS,
            shop_of=lambda _store: None,
            item_reader=ItemReader(database, registry.store),
        )
        status = replace(status, **changes)
        async with parts.notifier, parts.hub, parts.scheduler, serving(status, listen) as url:
            await parts.scheduler.apply([schedule("products-yearly"), schedule("other")])
            connector = aiohttp.UnixConnector(url.removeprefix("unix:")) if url.startswith("unix:") else None
            base = "http://localhost/" if connector else url
            timeout = aiohttp.ClientTimeout(total=30)
            async with aiohttp.ClientSession(
                base, connector=connector, timeout=timeout, headers={CLIENT_HEADER: "test"}
            ) as client:
                endpoint = Endpoint(parts, status, worker, sale_clock, url, client)
                await endpoint.listening()
                yield endpoint
