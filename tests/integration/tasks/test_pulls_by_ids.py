"""Pulls of rows that somebody has named, against the sandbox and a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType, Source
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.shopify.client import ShopifyClient
from tests.support.workshop import Workshop

PULLS = [
    (JobType.PULL_NHANH_CUSTOMERS, "nhanh_customers"),
    (JobType.PULL_NHANH_PRODUCTS, "nhanh_products"),
    (JobType.PULL_SHOPIFY_CUSTOMERS, "shopify_customers"),
    (JobType.PULL_SHOPIFY_PRODUCTS, "shopify_products"),
]
NOBODY = 999_999_999


def counted(job: Job) -> tuple[int, int, int, int]:
    """What became of the rows of a job."""
    assert job.processed == job.created + job.updated + job.skipped + job.failed == job.total
    return job.created, job.updated, job.skipped, job.failed


def known_to(workshop: Workshop, job_type: JobType) -> list[int]:
    """The ids that the source has, in their order."""
    nhanh, shopify = workshop.sandbox.nhanh, workshop.sandbox.shopify
    return sorted(
        {
            JobType.PULL_NHANH_CUSTOMERS: nhanh.customers,
            JobType.PULL_NHANH_PRODUCTS: nhanh.products,
            JobType.PULL_SHOPIFY_CUSTOMERS: shopify.customers,
            JobType.PULL_SHOPIFY_PRODUCTS: shopify.products,
        }[job_type]
    )


def take_away(workshop: Workshop, job_type: JobType, number: int) -> None:
    """Let the source no longer have a row."""
    nhanh, shopify = workshop.sandbox.nhanh, workshop.sandbox.shopify
    {
        JobType.PULL_NHANH_CUSTOMERS: nhanh.delete_customer,
        JobType.PULL_NHANH_PRODUCTS: nhanh.delete_product,
        JobType.PULL_SHOPIFY_CUSTOMERS: shopify.delete_customer,
        JobType.PULL_SHOPIFY_PRODUCTS: shopify.delete_product,
    }[job_type](number)


async def deleted(workshop: Workshop, table: str) -> list[int]:
    """The rows of a table that are marked as deleted."""
    rows = await workshop.rows(f"SELECT id FROM dongbo.{table} WHERE deleted_at IS NOT NULL ORDER BY id")
    return [row["id"] for row in rows]


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_just_the_named_rows_are_read(workshop: Workshop, job_type: JobType, table: str) -> None:
    """A row of the counters is an id: new ones are created, and what is unchanged, or nobody's, is skipped."""
    ids = known_to(workshop, job_type)[3:8]
    first = await workshop.completed(job_type, ids=[*ids, NOBODY])
    assert counted(first) == (5, 0, 1, 0)
    assert [row["id"] for row in await workshop.rows(f"SELECT id FROM dongbo.{table} ORDER BY id")] == ids
    again = await workshop.completed(job_type, ids=[*reversed(ids), NOBODY])
    assert counted(again) == (0, 0, 6, 0)
    assert await workshop.value("SELECT count(*) FROM dongbo.watermarks") == 0


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_what_is_gone_is_marked_once(workshop: Workshop, job_type: JobType, table: str) -> None:
    """A named row that the source no longer has is marked as deleted, with what belongs to it, and counts once."""
    await workshop.completed(job_type)
    gone, kept = known_to(workshop, job_type)[4:6]
    take_away(workshop, job_type, gone)
    job = await workshop.completed(job_type, ids=[gone, kept])
    assert counted(job) == (0, 1, 1, 0)
    assert gone in await deleted(workshop, table)
    assert kept not in await deleted(workshop, table)
    if table == "shopify_products":
        left = "SELECT count(*) FROM dongbo.shopify_variants WHERE product_id = $1 AND deleted_at IS NULL"
        assert await workshop.value(left, gone) == 0
    assert counted(await workshop.completed(job_type, ids=[gone])) == (0, 0, 1, 0)


async def test_stock_that_was_asked_for_by_name_and_is_missing_is_none(workshop: Workshop) -> None:
    """Nhanh.vn gives no row for a product without stock: named, that means zero; in any other pull it says nothing."""
    nhanh = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    stocked = await workshop.rows(
        "SELECT DISTINCT product_id FROM dongbo.nhanh_inventory WHERE deleted_at IS NULL ORDER BY 1 LIMIT 2"
    )
    gone, kept = (row["product_id"] for row in stocked)
    nhanh.delete_product(gone)
    job = await workshop.completed(JobType.PULL_NHANH_INVENTORY, ids=[gone, kept])
    assert counted(job) == (0, 1, 1, 0)
    left = "SELECT count(*) FROM dongbo.nhanh_inventory WHERE product_id = $1 AND deleted_at IS NULL"
    assert await workshop.value(left, gone) == 0
    assert await workshop.value(left, kept) > 0


async def test_a_changed_row_counts_as_updated_and_moves_no_watermark(workshop: Workshop) -> None:
    """The next incremental pull still reads all that has changed since the last one."""
    nhanh = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    before = await workshop.rows("SELECT * FROM dongbo.watermarks")
    one, other = known_to(workshop, JobType.PULL_NHANH_CUSTOMERS)[:2]
    nhanh.touch_customer(one)
    nhanh.touch_customer(other)
    assert counted(await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, ids=[one])) == (0, 1, 0, 0)
    assert await workshop.rows("SELECT * FROM dongbo.watermarks") == before
    following = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert following.updated == 1


async def test_bad_rows_are_dead_letters_and_mended_by_their_next_reading(workshop: Workshop) -> None:
    """A named row that can't be read fails, as does one that a row without an id may be: none is taken for gone."""
    ids = known_to(workshop, JobType.PULL_NHANH_CUSTOMERS)[:60]
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, ids=ids)
    workshop.sandbox.faults.bad_rows = 0.3
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, ids=ids)
    assert counted(job) == (0, 0, 60 - job.failed, job.failed)
    letters = await workshop.parts.jobs.list_failures(job.id)
    assert 0 < len(letters) == job.failed < 60
    assert {letter.source_id for letter in letters} <= {str(number) for number in ids}
    assert await deleted(workshop, "nhanh_customers") == []
    workshop.sandbox.faults.bad_rows = 0.0
    assert counted(await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, ids=ids)) == (0, 0, 60, 0)
    assert await workshop.value("SELECT count(*) FROM dongbo.job_failures WHERE resolved_at IS NULL") == 0
    assert await workshop.value("SELECT repaired_by IS NOT NULL FROM dongbo.background_jobs WHERE id = $1", job.id)


async def test_more_ids_than_a_call_takes_are_read_call_by_call(workshop: Workshop) -> None:
    """Any number up to a thousand; each call commits its rows with the counters and the checkpoint."""
    ids = known_to(workshop, JobType.PULL_NHANH_CUSTOMERS)[:230]
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, ids=ids)
    assert counted(job) == (230, 0, 0, 0)
    assert job.metadata["pages"] == 3


async def test_rows_of_another_shop_are_not_mixed_in(workshop: Workshop) -> None:
    """Where the configuration names another business than the mirror is of, nothing is read by ids."""
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    await workshop.rows("UPDATE dongbo.watermarks SET identity = 'business 1' RETURNING 1")
    some = known_to(workshop, JobType.PULL_NHANH_CUSTOMERS)[0]
    job = await workshop.run(JobType.PULL_NHANH_CUSTOMERS, ids=[some])
    assert job.status is JobStatus.FAILED
    assert "business 1" in str(job.error)


@pytest.mark.parametrize("params", [{"full": True}, {"filters": {"type": 1}}, {"restart": True}])
async def test_ids_stand_alone(workshop: Workshop, params: dict[str, Any]) -> None:
    """Nothing narrows or widens what was named."""
    with pytest.raises(Exception, match=r"params\.ids stands alone"):
        await workshop.submit(JobType.PULL_NHANH_CUSTOMERS, ids=[1], **params)


# ── Beside a pull of everything ─────────────────────────────────────────────────────────────────────────────────────


class HeldPull:
    """A full pull of customers, whose pages are held back once they were read."""

    def __init__(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
        self.workshop = workshop
        self.is_read, self.go_on = asyncio.Event(), asyncio.Event()
        if source is Source.NHANH:
            self.type, self.table, self.shop = JobType.PULL_NHANH_CUSTOMERS, "nhanh_customers", workshop.sandbox.nhanh
            self._hold(monkeypatch, NhanhClient, "rows")
        else:
            self.type, self.shop = JobType.PULL_SHOPIFY_CUSTOMERS, workshop.sandbox.shopify
            self.table = "shopify_customers"
            self._hold(monkeypatch, ShopifyClient, "customers")

    def _hold(self, monkeypatch: pytest.MonkeyPatch, client: type[Any], method: str) -> None:
        original = getattr(client, method)

        async def holding(*arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
            async for page in original(*arguments, **keywords):
                if page.next is None and "page_size" not in keywords:  # the last; not the look at the clock
                    self.is_read.set()
                    await self.go_on.wait()
                yield page

        monkeypatch.setattr(client, method, holding)

    async def begin(self) -> None:
        """Read all pages, and store all but the last."""
        self.job = await self.workshop.submit(self.type, full=True)
        await self.is_read.wait()

    async def end(self) -> Job:
        """Store the last page, and mark what is gone."""
        self.go_on.set()
        ended = await self.workshop.wait(self.job.id)
        assert ended.status is JobStatus.COMPLETED, ended.error
        return ended

    async def is_deleted(self, number: int) -> bool:
        """Whether the mirror says that a customer is gone."""
        statement = f"SELECT deleted_at IS NOT NULL FROM dongbo.{self.table} WHERE id = $1"
        return bool(await self.workshop.value(statement, number))

    def take_away(self) -> Any:
        """Let the source no longer have the last customer, who is returned."""
        last = self.shop.customers[max(self.shop.customers)]
        self.shop.delete_customer(last.id)
        return last


@pytest.fixture(params=Source)
async def held(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> HeldPull:
    """A pull that is to be held back, after one that was not."""
    held = HeldPull(workshop, monkeypatch, request.param)
    held.go_on.set()
    await workshop.completed(held.type)
    held.go_on.clear()
    held.is_read.clear()
    return held


async def test_who_came_after_the_page_was_read_is_not_marked_by_it(held: HeldPull) -> None:
    """A full pull whose page lacks a row marks it only where nobody has seen it since the page was asked for."""
    last = held.take_away()
    await held.workshop.completed(held.type, ids=[last.id])
    assert await held.is_deleted(last.id)
    await held.begin()
    held.shop.add_customer(last)
    assert (await held.workshop.completed(held.type, ids=[last.id])).updated == 1
    assert (await held.end()).metadata["deleted"] == 0
    assert not await held.is_deleted(last.id)


async def test_who_has_gone_after_the_page_was_read_is_not_brought_back_by_it(held: HeldPull) -> None:
    """A page says what was there when it was asked for; that somebody has gone since then is newer."""
    await held.begin()
    last = held.take_away()
    assert (await held.workshop.completed(held.type, ids=[last.id])).updated == 1
    ended = await held.end()
    assert (ended.updated, ended.failed) == (0, 0)
    assert await held.is_deleted(last.id)


async def test_who_is_noted_as_gone_and_seen_again_is_not_marked(held: HeldPull) -> None:
    """Whoever sees a row takes back what a full pull has noted of it or will note, though nothing changed."""
    first = held.shop.customers[min(held.shop.customers)]
    held.shop.delete_customer(first.id)
    await held.begin()
    held.shop.add_customer(first)
    await held.workshop.completed(held.type, ids=[first.id])
    await held.end()
    assert not await held.is_deleted(first.id)


async def test_a_pull_that_was_interrupted_goes_on_though_single_rows_were_read(held: HeldPull) -> None:
    """A pull of named rows is no other pull of the stream: the next one goes on, and still finds what is gone."""
    last = held.take_away()
    await held.begin()
    await held.workshop.parts.jobs.cancel(held.job.id)
    cancelled = await held.workshop.wait(held.job.id)
    assert cancelled.status is JobStatus.CANCELLED
    await held.workshop.completed(held.type, ids=[min(held.shop.customers)])
    held.go_on.set()
    job = await held.workshop.completed(held.type, full=True)
    if cancelled.processed:
        assert job.metadata["continues"] == str(cancelled.id)
    assert job.metadata["deleted"] == 1
    assert await held.is_deleted(last.id)
