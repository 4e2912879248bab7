"""A daemon's parts on a real database, working on the sandbox's shop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from daemon.bootstrap import Daemon
from daemon.config import JobSettings, ProductSyncSettings, Settings
from daemon.database.pool import Database
from daemon.ids import JobId, StoreName
from daemon.jobs.attempts import list_attempts
from daemon.jobs.model import Job, JobAttempt, JobRequest, JobStatus, JobTrigger
from daemon.jobs.types import JobType
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.shopify.bulk import Patience
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import ClientCredentials, PermanentToken, ShopifyCredential
from daemon.status.access import AccessRules
from daemon.stores import StoreFactory
from daemon.tasks import JobPolicy, Store, TaskRegistry

T = TypeVar("T")
STORE = StoreName("main")
ProductSyncOf = Callable[[Sandbox], ProductSyncSettings | None]


@dataclass
class Workshop:
    """Running parts of one daemon and the shop that they work on."""

    parts: Daemon
    sandbox: Sandbox

    @property
    def database(self) -> Database:
        """The daemon's pool."""
        return self.parts.database

    async def submit(self, job_type: JobType, **params: Any) -> Job:
        """Ask for a job."""
        return await self.parts.jobs.submit(JobRequest(job_type, STORE, JobTrigger.API, params))

    async def wait(self, job_id: JobId, until: Callable[[Job], bool] = lambda job: not job.status.is_live) -> Job:
        """The job as soon as it has reached what is waited for."""
        with self.parts.hub.subscribe() as events:
            job = await self.parts.jobs.get(job_id)
            async with asyncio.timeout(60):
                while not until(job):
                    await events.take()
                    job = await self.parts.jobs.get(job_id)
        return job

    async def first_attempt(self, job_id: JobId) -> JobAttempt:
        """How a job's first run ended; the next one may have begun meanwhile, so that its status tells nothing."""
        with self.parts.hub.subscribe() as events:
            async with asyncio.timeout(60):
                while (attempt := (await self._attempts(job_id))[0]).ended_at is None:
                    await events.take()
        return attempt

    async def _attempts(self, job_id: JobId) -> Sequence[JobAttempt]:
        async with self.database.acquire() as connection:
            return await list_attempts(connection, job_id)

    async def run(self, job_type: JobType, **params: Any) -> Job:
        """Ask for a job and wait for its end."""
        return await self.wait((await self.submit(job_type, **params)).id)

    async def completed(self, job_type: JobType, **params: Any) -> Job:
        """Ask for a job, which must succeed."""
        job = await self.run(job_type, **params)
        assert job.status is JobStatus.COMPLETED, job.error
        return job

    async def value(self, sql: str, *arguments: Any) -> Any:
        """The one value of a query."""
        async with self.database.acquire() as connection:
            return await connection.fetchval(sql, *arguments)

    async def rows(self, sql: str, *arguments: Any) -> list[Any]:
        """The rows of a query."""
        async with self.database.acquire() as connection:
            return list(await connection.fetch(sql, *arguments))


@asynccontextmanager
async def running_workshop(
    database: Database,
    settings: SandboxSettings,
    policy: JobPolicy | None = None,
    product_sync: ProductSyncOf = lambda _: None,
) -> AsyncIterator[Workshop]:
    """Start the parts that run jobs, on a sandbox of its own."""
    async with running_sandbox(settings) as sandbox, running_parts(database, sandbox, policy, product_sync) as parts:
        yield Workshop(parts, sandbox)


def shopify_credential(session: aiohttp.ClientSession, sandbox: Sandbox) -> ShopifyCredential:
    """How the store signs in: with the permanent token where the sandbox has one, else with the app's secret."""
    if sandbox.shopify.token:
        return PermanentToken(sandbox.shopify.token)
    return ClientCredentials(
        session,
        base_url=sandbox.shopify_url,
        source=f"Shopify ({sandbox.shopify.shop})",
        client_id=sandbox.shopify.app.client_id,
        client_secret=sandbox.shopify.app.client_secret,
    )


@asynccontextmanager
async def running_parts(
    database: Database, sandbox: Sandbox, policy: JobPolicy | None = None, product_sync: ProductSyncOf = lambda _: None
) -> AsyncIterator[Daemon]:
    """Start the parts that run jobs."""
    async with open_session() as session:
        limits = LimiterRegistry(None)
        nhanh = NhanhClient(
            session,
            app_id=sandbox.nhanh.app_id,
            business_id=sandbox.nhanh.business_id,
            credential=NhanhCredential(sandbox.nhanh.token, sandbox.nhanh.secret_key),
            base_url=sandbox.nhanh_url,
            limits=limits,
            backoff=Backoff(initial=0.01, maximum=0.05),
        )
        shopify = ShopifyClient(
            session,
            shop=sandbox.shopify.shop,
            credential=shopify_credential(session, sandbox),
            base_url=sandbox.shopify_url,
            limits=limits,
            backoff=Backoff(initial=0.01, maximum=0.05),
            patience=Patience(first=0.01, longest=0.05, total=10.0),
        )
        sandbox.shopify.bulk.seconds = 0.02
        store = Store(STORE, nhanh, shopify, product_sync(sandbox))
        registry = TaskRegistry({STORE: store}, policy or JobPolicy())
        settings = Settings(jobs=JobSettings(retry_backoff_seconds=0.1))
        parts = Daemon(settings, database, registry, StoreFactory(session, limits), AccessRules())
        async with AsyncExitStack() as stack:
            for part in (parts.notifier, parts.hub, parts.cancellation_watch, parts.queue, parts.dispatcher):
                await stack.enter_async_context(part)
            assert await parts.queue.wait_taking(20)
            yield parts


@asynccontextmanager
async def in_own_task(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Hold a context in one task: a fixture's set-up and tear-down run in two, which a TaskGroup can't bear."""
    entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        async with context as value:
            entered.set_result(value)
            await leave.wait()

    task = asyncio.create_task(hold(), name="fixture")
    await asyncio.wait({task, entered}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield entered.result()
    finally:
        leave.set()
        await task
