"""What the tests of matching share: jobs that run at once, without a queue, and rows of both mirrors."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from daemon.config import CustomerSyncSettings
from daemon.database.pool import Connection, Database
from daemon.ids import Lane, StoreName, WorkerName
from daemon.jobs.events import JobNotifier
from daemon.jobs.model import Counters, Job, JobRequest, JobStatus, JobTrigger
from daemon.jobs.phases import tell_nobody
from daemon.jobs.runner import JobRunner
from daemon.jobs.service import Admission, Admissions, Jobs
from daemon.jobs.types import JobType
from daemon.mirror.keys import match_key
from daemon.sync.matching import writing
from daemon.sync.matching.outcome import MatchOutcome
from daemon.sync.matching.writing import begin_round
from daemon.tasks import JobPolicy, Store, TaskRegistry, read_params
from daemon.tasks.matching import Matching
from tests.support.one_lane import runner_of

STORE = StoreName("main")
PARENT = -2

SOME_JOB = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, params, max_attempts)
VALUES ($1, 'main', 'NOOP', 'main/noop', 'PENDING', 'api', jsonb_build_object('number', $2::text), 1) RETURNING id
"""

PULLED_IN_FULL = """
INSERT INTO dongbo.watermarks (store, stream, complete_to, full_pull_at)
SELECT 'main', stream, now(), now() FROM unnest(ARRAY['nhanh_products', 'shopify_products']) AS stream
ON CONFLICT DO NOTHING
"""

PUT_PRODUCTS = """
INSERT INTO dongbo.nhanh_products (store, id, parent_id, code, barcode, sku_key, barcode_key, name, document, digest,
    deleted_at)
SELECT 'main', id, parent_id, code, barcode, sku_key, barcode_key, 'Hàng ' || id, '{}', '',
    CASE WHEN is_deleted THEN now() END
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[])
    AS row (id, parent_id, code, barcode, sku_key, barcode_key, is_deleted)
ON CONFLICT (store, id) DO UPDATE SET parent_id = excluded.parent_id, code = excluded.code,
    barcode = excluded.barcode, sku_key = excluded.sku_key, barcode_key = excluded.barcode_key,
    deleted_at = excluded.deleted_at
"""

PUT_VARIANTS = """
INSERT INTO dongbo.shopify_variants (store, id, product_id, inventory_item_id, sku, barcode, sku_key, barcode_key,
    title, price, document, digest, deleted_at)
SELECT 'main', id, product_id, id + 1000, sku, barcode, sku_key, barcode_key, 'Đỏ', 1, '{}', '',
    CASE WHEN is_deleted THEN now() END
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[])
    AS row (id, product_id, sku, barcode, sku_key, barcode_key, is_deleted)
ON CONFLICT (store, id) DO UPDATE SET product_id = excluded.product_id, sku = excluded.sku,
    barcode = excluded.barcode, sku_key = excluded.sku_key, barcode_key = excluded.barcode_key,
    deleted_at = excluded.deleted_at
"""

PUT_SHOPIFY_PRODUCTS = """
INSERT INTO dongbo.shopify_products (store, id, title, tags, status, document, digest, deleted_at)
SELECT 'main', id, 'Áo ' || id, '{}', status, '{}', '', CASE WHEN is_deleted THEN now() END
FROM unnest($1::bigint[], $2::text[], $3::boolean[]) AS row (id, status, is_deleted)
ON CONFLICT (store, id) DO UPDATE SET status = excluded.status, deleted_at = excluded.deleted_at
"""


@dataclass(frozen=True)
class Product:
    """A product of Nhanh.vn."""

    id: int
    code: str | None = None
    barcode: str | None = None
    is_deleted: bool = False
    is_parent: bool = False


@dataclass(frozen=True)
class Variant:
    """A variant of Shopify; its product is 100 for all that name no other, and another one for each status."""

    id: int
    sku: str | None = None
    barcode: str | None = None
    is_deleted: bool = False
    product_id: int = 100
    status: str = "ACTIVE"

    @property
    def owner(self) -> int:
        """The product."""
        return self.product_id + 1000 * ("ACTIVE", "UNLISTED", "DRAFT", "ARCHIVED").index(self.status)


async def put_products(connection: Connection, products: Sequence[Product]) -> None:
    """Let the mirror have these products of Nhanh.vn."""
    await connection.execute(
        PUT_PRODUCTS,
        [product.id for product in products],
        [PARENT if product.is_parent else None for product in products],
        [product.code for product in products],
        [product.barcode for product in products],
        [match_key(product.code) for product in products],
        [match_key(product.barcode) for product in products],
        [product.is_deleted for product in products],
    )


async def put_variants(connection: Connection, variants: Sequence[Variant], deleted: Sequence[int] = ()) -> None:
    """Let the mirror have these variants and their products, of which some are deleted."""
    owners = {variant.owner: variant.status for variant in variants}
    await connection.execute(
        PUT_SHOPIFY_PRODUCTS, list(owners), list(owners.values()), [owner in deleted for owner in owners]
    )
    await connection.execute(
        PUT_VARIANTS,
        [variant.id for variant in variants],
        [variant.owner for variant in variants],
        [variant.sku for variant in variants],
        [variant.barcode for variant in variants],
        [match_key(variant.sku) for variant in variants],
        [match_key(variant.barcode) for variant in variants],
        [variant.is_deleted for variant in variants],
    )


class _Admissions(Admissions):
    def admit(self, request: JobRequest) -> Admission:
        return Admission(Lane("main/match"), read_params(request.type, request.params))


@dataclass
class MatchJobs:
    """Runs jobs in the test itself."""

    database: Database
    settings: CustomerSyncSettings | None = None
    jobs: Jobs = field(init=False)
    notifier: JobNotifier = field(init=False)

    def __post_init__(self) -> None:
        self.notifier = JobNotifier(self.database, 0.25)  # nobody runs it: what it is told stays unsent
        self.jobs = Jobs(self.database, self.notifier, _Admissions(), max_attempts=3)

    def runner(self) -> JobRunner:
        """A runner as a daemon has one."""
        store = Store(STORE, None, None, customer_sync_settings=self.settings)
        registry = TaskRegistry({STORE: store}, JobPolicy())
        return runner_of(self.database, self.notifier, registry)

    async def submit(self, job_type: JobType, **params: Any) -> Job:
        """A job that nobody runs yet, on mirrors that were pulled in full."""
        async with self.database.acquire() as connection:
            await connection.execute(PULLED_IN_FULL)
        return await self.jobs.submit(JobRequest(job_type, STORE, JobTrigger.API, params))

    async def run(self, job_type: JobType, **params: Any) -> Job:
        """A job that has completed."""
        job = await self.submit(job_type, **params)
        await self.runner().run(job.id, WorkerName("test"))
        job = await self.jobs.get(job.id)
        assert job.status is JobStatus.COMPLETED, job.error
        assert job.total == job.processed
        return job


async def fetch_all(database: Database, tables: Sequence[str], of: Callable[[str], str] = str) -> dict[str, list[Any]]:
    """Every row of tables with the place where it lies: equal only if nothing was written."""
    async with database.acquire() as connection:
        return {
            table: [
                tuple(row) for row in await connection.fetch(f"SELECT ctid, xmin, * FROM dongbo.{table} ORDER BY 1")
            ]
            for table in tables
        }


async def match_in(connection: Connection, matching: Matching) -> MatchOutcome:
    """Match over one connection as a job does: decide, then write batch by batch, each in a transaction of its own, or
    all in the caller's."""
    job_id = await connection.fetchval(SOME_JOB, number := uuid4(), str(number))
    async with connection.transaction():
        outcome = await matching.decide(connection, tell_nobody)
        await matching.writes.decisions.lock(connection, STORE)
        await begin_round(connection, STORE, matching.writes.decisions)
        await matching.write_findings(connection)
        await matching.writes.draft(connection, job_id)
    counted, left = Counters(), 0
    while True:
        async with connection.transaction():
            written = await matching.writes.write_next(connection, STORE, job_id)
        if written is None:
            break
        counted += written.counters
        left += written.left
    await connection.execute("DELETE FROM dongbo.background_jobs WHERE id = $1", job_id)
    if left:  # somebody came between
        return await match_in(connection, matching)
    assert counted == replace(outcome.counters, skipped=0)
    return outcome


@contextmanager
def in_batches_of(changes: int) -> Iterator[None]:
    """Let each of so many changes be written in a transaction of their own."""
    usual, writing.BATCH = writing.BATCH, changes
    try:
        yield
    finally:
        writing.BATCH = usual
