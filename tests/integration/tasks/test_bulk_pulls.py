"""Pulls of which Shopify gives all rows in one file."""

import itertools
import math
import random
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from daemon.errors import SourceUnavailable
from daemon.jobs.context import StopReason
from daemon.jobs.model import AttemptResult, Counters, Job, JobStatus
from daemon.jobs.types import JobType, PullMethod
from daemon.mirror import bulk_reads
from daemon.mirror import shopify as mirror_of_shopify
from daemon.sources.shopify import bulk_file
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.models import Count
from daemon.sources.shopify.whole_list import WholeList
from daemon.tasks import bulk_pull
from tests.support.workshop import Workshop

PRODUCTS, CUSTOMERS = JobType.PULL_SHOPIFY_PRODUCTS, JobType.PULL_SHOPIFY_CUSTOMERS
BOTH = [PRODUCTS, CUSTOMERS]
TABLES = {PRODUCTS: "shopify_products", CUSTOMERS: "shopify_customers"}
IN_BULK = {"full": True, "method": "bulk"}

MIRROR = """
SELECT id, document, digest, deleted_at IS NULL AS is_there FROM dongbo.{} ORDER BY id
"""
LEVELS = "SELECT * FROM dongbo.shopify_levels"
STAGED = """
SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('dongbo') AND relname LIKE 'bulk\\_lines\\_%'
  AND relkind = 'r'
"""


def counters(job: Job) -> Counters:
    """What a job has counted, which must add up."""
    counted = Counters(job.created, job.updated, job.skipped, job.failed)
    assert job.processed == counted.processed
    return counted


async def mirror(workshop: Workshop) -> list[Any]:
    """All that is mirrored of Shopify."""
    tables = ("shopify_products", "shopify_variants", "shopify_customers")
    return [await workshop.rows(MIRROR.format(table)) for table in tables]


async def nothing_is_staged(workshop: Workshop) -> bool:
    """Whether nothing is left of any file."""
    reads = await workshop.value("SELECT count(*) FROM dongbo.bulk_reads")
    return bool(reads == 0 and await workshop.value(STAGED) == 0)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small shop has several."""
    monkeypatch.setattr(bulk_pull, "LINES_AT_ONCE", 60)
    monkeypatch.setattr(bulk_pull, "MOST_LINES_AT_ONCE", 150)


@pytest.mark.parametrize("job_type", BOTH)
async def test_first_pull_in_bulk_creates_every_row(workshop: Workshop, job_type: JobType) -> None:
    """Each once, as the counters say, and nothing of the file is left."""
    job = await workshop.completed(job_type, method="bulk")
    rows = await workshop.value(f"SELECT count(*) FROM dongbo.{TABLES[job_type]}")
    assert rows > 0
    assert counters(job) == Counters(created=rows)
    assert job.total == rows
    assert job.metadata["method"] == "bulk"
    assert job.metadata["pages"] > 1
    assert await nothing_is_staged(workshop)


@pytest.mark.parametrize("job_type", BOTH)
async def test_pages_and_bulk_give_the_same_mirror(workshop: Workshop, job_type: JobType) -> None:
    """A pull in bulk finds nothing to change in what pages have given, and the other way round."""
    for methods in (("pages", "bulk"), ("bulk", "pages")):
        async with workshop.database.acquire() as connection:
            await connection.execute(f"TRUNCATE dongbo.{TABLES[job_type]} CASCADE")
            await connection.execute("DELETE FROM dongbo.watermarks")
        first = await workshop.completed(job_type, full=True, method=methods[0])
        before = await mirror(workshop)
        second = await workshop.completed(job_type, full=True, method=methods[1])
        assert counters(second) == Counters(skipped=first.processed)
        assert await mirror(workshop) == before


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_change_bulk_finds_what_pages_would(workshop: Workshop, seed: int) -> None:
    """Rows that were changed, deleted and added, and variants: a pull by pages finds nothing left to do."""
    chance, shop = random.Random(seed), workshop.sandbox.shopify
    for job_type in BOTH:
        await workshop.completed(job_type, method="bulk")
    products, customers = sorted(shop.products), sorted(shop.customers)
    for gone in chance.sample(products, 3):
        shop.delete_product(gone)
    variants = sorted(shop.variants)
    lone = {each for each in variants if len(shop.products[shop.variants[each].product_id].variants) == 1}
    for gone in chance.sample(sorted(set(variants) - lone), 2):
        shop.delete_variant(gone)
    for touched in chance.sample(sorted(shop.products), 5):
        shop.touch_product(touched)
    for touched in chance.sample(customers, 5):
        shop.touch_customer(touched)
    products_job = await workshop.completed(PRODUCTS, **IN_BULK)
    assert products_job.metadata["deleted"] == 3
    assert counters(products_job).updated >= 5
    assert counters(await workshop.completed(CUSTOMERS, **IN_BULK)).updated == 5
    before = await mirror(workshop)
    for job_type in BOTH:
        by_pages = await workshop.completed(job_type, full=True, method="pages")
        assert counters(by_pages) == Counters(skipped=by_pages.processed)
        assert by_pages.metadata["deleted"] == 0
    assert await mirror(workshop) == before


REFUSALS = [
    "fails",
    "fails_in_part",
    "is_denied",
    "is_canceled",
    "expires",
    "is_forgotten",
    "loses_rows",
    "finds_nothing",
]


@pytest.mark.parametrize("trouble", REFUSALS)
async def test_bulk_that_fails_changes_nothing(workshop: Workshop, trouble: str) -> None:
    """Where it was to be in bulk: the job says what to do, nothing is deleted, and no watermark moves."""
    await workshop.completed(PRODUCTS)
    shop = workshop.sandbox.shopify
    shop.delete_product(min(shop.products))
    shop.touch_product(max(shop.products))
    before, watermarks = await mirror(workshop), await workshop.rows("SELECT * FROM dongbo.watermarks")
    shop.bulk.next(trouble)
    job = await workshop.run(PRODUCTS, **IN_BULK)
    assert job.status is JobStatus.FAILED
    assert "without method = bulk" in str(job.error)
    assert job.processed == 0
    assert await mirror(workshop) == before
    assert await workshop.rows("SELECT * FROM dongbo.watermarks") == watermarks
    assert await nothing_is_staged(workshop)
    again = await workshop.completed(PRODUCTS, **IN_BULK)
    assert (again.metadata["deleted"], again.updated) == (1, 1)


async def test_file_that_lacks_more_than_may_have_gone_is_not_used(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it agrees with what its operation says: as many would be marked as deleted."""
    await workshop.completed(CUSTOMERS)
    shop = workshop.sandbox.shopify
    everybody, before = len(shop.customers), await mirror(workshop)
    real = ShopifyClient.customers_count

    async def before_they_were_overlooked(*given: Any, **named: Any) -> Count:
        counted = await real(*given, **named)
        for number in sorted(shop.customers)[:40]:
            shop.delete_customer(number)
        return counted

    monkeypatch.setattr(ShopifyClient, "customers_count", before_they_were_overlooked)
    job = await workshop.run(CUSTOMERS, **IN_BULK)
    assert job.status is JobStatus.FAILED
    assert f"found {everybody - 40} rows" in str(job.error)
    assert await mirror(workshop) == before


@pytest.mark.parametrize("trouble", REFUSALS)
async def test_bulk_that_fails_makes_way_for_pages(
    workshop: Workshop, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, in the same job, which says why; its counters are exact, and it finds what is deleted."""
    monkeypatch.setattr(bulk_pull, "WORTHWHILE_SECONDS", 0.0)
    first = await workshop.completed(PRODUCTS)
    assert first.metadata["method"] == "bulk"
    shop = workshop.sandbox.shopify
    shop.delete_product(min(shop.products))
    shop.touch_product(max(shop.products))
    shop.bulk.next(trouble)
    job = await workshop.completed(PRODUCTS, full=True)
    assert counters(job) == Counters(updated=1, skipped=first.processed - 2)
    assert job.metadata["deleted"] == 1
    assert job.metadata["method"] == "pages"
    assert job.metadata["not_in_bulk"]
    assert any("by pages" in notice for notice in job.metadata["notices"])
    assert await nothing_is_staged(workshop)


async def test_small_lists_are_read_by_pages(workshop: Workshop) -> None:
    """Unless somebody wants it otherwise: an operation takes longer than a few pages."""
    for job_type in BOTH:
        assert (await workshop.completed(job_type)).metadata.get("method") != "bulk"
    assert workshop.sandbox.shopify.bulk.operations == []


async def test_what_has_changed_is_never_read_in_bulk(workshop: Workshop) -> None:
    """A pull that is incremental anyway stays so, and says it."""
    await workshop.completed(PRODUCTS)
    job = await workshop.completed(PRODUCTS, method="bulk")
    assert job.metadata["mode"] == "incremental"
    assert any("never in bulk" in notice for notice in job.metadata["notices"])
    assert workshop.sandbox.shopify.bulk.operations == []


async def test_operations_of_others_are_waited_for(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end at some time; a pull that may be by pages does not wait for long."""
    monkeypatch.setattr(bulk_pull, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(bulk_pull, "PATIENCE", {PullMethod.AUTO: 0.02, PullMethod.BULK: 60.0})
    monkeypatch.setattr(bulk_pull, "WORTHWHILE_SECONDS", 0.0)
    bulk = workshop.sandbox.shopify.bulk
    bulk.next("limit_reached", times=3)
    assert (await workshop.completed(PRODUCTS, method="bulk")).metadata["method"] == "bulk"
    bulk.next("operation_in_progress", times=9)
    assert (await workshop.completed(CUSTOMERS)).metadata["method"] == "pages"


class Interruption:
    """Breaks the connection at the `nth` call of a function of `bulk_reads`, before it or after it, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, nth: int, *, is_after: bool) -> None:
        self.calls = 0
        real = getattr(bulk_reads, name)

        async def interrupted(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls != nth:
                return await real(*given, **named)
            if is_after:
                await real(*given, **named)
            raise ConnectionResetError("the connection was lost")

        monkeypatch.setattr(bulk_reads, name, interrupted)


PLACES = [
    ("begin", 1), ("note_operation", 1), ("add", 1), ("add", 4), ("count_lines", 1), ("sort", 1), ("list_roots", 1),
    ("list_roots", 4), ("list_below", 3), ("drop_of_job", 1),
]  # fmt: skip


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(("place", "nth"), PLACES)
async def test_pull_in_bulk_goes_on_wherever_it_was_cut_off(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, place: str, nth: int, is_after: bool
) -> None:
    """With the operation, the part of the file and the pages that it had: nothing is asked for or counted twice."""
    monkeypatch.setattr(bulk_file, "PORTION_LINES", 20)
    interruption = Interruption(monkeypatch, place, nth, is_after=is_after)
    job = await workshop.completed(PRODUCTS, method="bulk")
    assert interruption.calls > nth
    rows = await workshop.value("SELECT count(*) FROM dongbo.shopify_products")
    assert counters(job) == Counters(created=rows)
    assert rows == len(workshop.sandbox.shopify.products)
    assert len(workshop.sandbox.shopify.bulk.operations) == 1
    assert await nothing_is_staged(workshop)


async def test_lines_that_postgresql_has_lost_are_downloaded_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash of the server the table is empty: also where rows of it were stored already."""
    for place, nth in (("count_lines", 1), ("list_roots", 3)):
        real, calls = getattr(bulk_reads, place), itertools.count(1)

        async def emptied(
            connection: Any, read: Any, *rest: Any, real: Any = real, calls: Any = calls, nth: int = nth
        ) -> Any:
            if next(calls) == nth:
                await connection.execute(f"DELETE FROM dongbo.{read.table}")
            return await real(connection, read, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(bulk_reads, place, emptied)
            job = await workshop.completed(CUSTOMERS, full=True, restart=True, method="bulk")
        counted = counters(job)
        assert counted.failed == 0
        assert await workshop.value("SELECT count(*) FROM dongbo.shopify_customers WHERE deleted_at IS NULL") == len(
            workshop.sandbox.shopify.customers
        )


async def test_what_is_known_since_stays(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read by its id, created or deleted while the file was on its way is newer than the file."""
    await workshop.completed(PRODUCTS)
    shop = workshop.sandbox.shopify
    changed, gone, unchanged = sorted(shop.products)[:3]
    kept = shop.products[gone]
    shop.delete_product(gone)
    await workshop.completed(PRODUCTS, ids=[gone])
    shop.add_product(kept)
    real, is_first = bulk_reads.sort, True

    async def meanwhile(*given: Any) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            await real_life()
        await real(*given)

    async def real_life() -> None:
        shop.touch_product(changed)
        await workshop.completed(PRODUCTS, ids=[changed])

    monkeypatch.setattr(bulk_reads, "sort", meanwhile)
    await workshop.completed(PRODUCTS, **IN_BULK)
    assert not is_first
    before = await mirror(workshop)
    job = await workshop.completed(PRODUCTS, full=True, method="pages")
    assert counters(job) == Counters(skipped=job.processed)
    assert await mirror(workshop) == before
    assert unchanged in shop.products


async def test_variant_that_has_gone_meanwhile_does_not_come_back(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the mirror has never had it: its product was first read after it had gone."""
    await workshop.completed(PRODUCTS)
    shop = workshop.sandbox.shopify
    several = next(product for product in shop.products.values() if len(product.variants) > 1)
    new = shop.duplicate_product(several.id).id
    real, calls = bulk_reads.sort, itertools.count()

    async def meanwhile(*given: Any) -> None:
        if next(calls) == 0:
            shop.delete_variant(shop.products[new].variants[-1].id)
            await workshop.completed(PRODUCTS, ids=[new])
        await real(*given)

    monkeypatch.setattr(bulk_reads, "sort", meanwhile)
    job = await workshop.completed(PRODUCTS, **IN_BULK)
    assert next(calls) == 1
    there = await workshop.rows(
        "SELECT id FROM dongbo.shopify_variants WHERE product_id = $1 AND deleted_at IS NULL ORDER BY id", new
    )
    assert [row["id"] for row in there] == sorted(variant.id for variant in shop.products[new].variants)
    assert counters(job).failed == 0


@pytest.mark.parametrize("place", ["add", "sort"])
async def test_file_for_which_postgresql_has_no_room_makes_way_at_once(
    workshop: Workshop, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is staged fills the disk for everybody: it is dropped, and the same job reads by pages."""
    monkeypatch.setattr(bulk_pull, "WORTHWHILE_SECONDS", 0.0)

    async def refuse(*_given: Any) -> None:
        raise asyncpg.DiskFullError("could not extend file: No space left on device")

    monkeypatch.setattr(bulk_reads, place, refuse)
    job = await workshop.completed(PRODUCTS)
    assert counters(job) == Counters(created=len(workshop.sandbox.shopify.products))
    assert job.metadata["method"] == "pages"
    assert "no room" in job.metadata["not_in_bulk"]
    assert job.attempt == 1
    assert await nothing_is_staged(workshop)


@pytest.mark.parametrize("page", [1, 2])
async def test_file_beside_which_there_is_no_room_for_the_rows_is_dropped(
    workshop: Workshop, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same job reads them anew, by pages."""
    monkeypatch.setattr(bulk_pull, "WORTHWHILE_SECONDS", 0.0)
    shop = workshop.sandbox.shopify
    real, calls = mirror_of_shopify.upsert_customers, itertools.count(1)

    async def refuse(*given: Any) -> Counters:
        if next(calls) == page:
            raise asyncpg.DiskFullError("could not extend file: No space left on device")
        return await real(*given)

    monkeypatch.setattr(mirror_of_shopify, "upsert_customers", refuse)
    job = await workshop.completed(CUSTOMERS)
    assert next(calls) > page
    assert job.attempt == 1
    assert job.created == len(shop.customers)
    assert counters(job).failed == 0
    assert (job.metadata["method"], "no room" in job.metadata["begun_afresh"]) == ("pages", True)
    assert len(shop.bulk.operations) == 1
    assert await nothing_is_staged(workshop)


async def test_file_is_gathered_again_where_nothing_else_is_wanted(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull that is to be in bulk never turns to pages by itself."""
    shop = workshop.sandbox.shopify
    real, calls = mirror_of_shopify.upsert_customers, itertools.count(1)

    async def refuse(*given: Any) -> Counters:
        if next(calls) == 2:
            raise asyncpg.DiskFullError("could not extend file: No space left on device")
        return await real(*given)

    monkeypatch.setattr(mirror_of_shopify, "upsert_customers", refuse)
    job = await workshop.completed(CUSTOMERS, **IN_BULK)
    assert job.created == len(shop.customers)
    assert (job.metadata["method"], len(shop.bulk.operations)) == ("bulk", 2)
    assert await nothing_is_staged(workshop)


async def test_cancelled_in_the_download_it_leaves_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at Shopify nor in the database; and the next pull begins anew."""
    shop = workshop.sandbox.shopify
    shop.bulk.next("hangs")
    job = await workshop.submit(PRODUCTS, method="bulk")
    await workshop.wait(job.id, lambda seen: (seen.metadata.get("bulk") or {}).get("state") == "RUNNING")
    await workshop.parts.jobs.cancel(job.id)
    ended = await workshop.wait(job.id)
    assert ended.status is JobStatus.CANCELLED
    assert [operation.status for operation in shop.bulk.operations] == ["CANCELED"]
    assert await nothing_is_staged(workshop)
    assert counters(await workshop.completed(PRODUCTS, method="bulk")).created == len(shop.products)


async def test_cancelled_between_two_pages_it_is_continued(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next pull, out of the same file."""
    everybody = len(workshop.sandbox.shopify.customers)
    real, calls = bulk_reads.list_roots, itertools.count(1)

    async def cancelling(*given: Any) -> Any:
        if next(calls) == 3:
            await workshop.parts.jobs.cancel(job.id)
        return await real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(bulk_reads, "list_roots", cancelling)
        job = await workshop.submit(CUSTOMERS, method="bulk")
        first = await workshop.wait(job.id)
    assert first.status is JobStatus.CANCELLED
    assert 0 < first.processed < everybody
    second = await workshop.completed(CUSTOMERS, method="bulk")
    assert second.metadata["continues"] == str(first.id)
    assert first.processed + second.processed == everybody
    assert len(workshop.sandbox.shopify.bulk.operations) == 1
    assert await nothing_is_staged(workshop)


async def test_implausible_deletions_are_looked_for_anew(workshop: Workshop) -> None:
    """In a file that Shopify makes then: what was missing may be back."""
    shop = workshop.sandbox.shopify
    await workshop.completed(CUSTOMERS)
    lost = [shop.customers[each] for each in sorted(shop.customers)[:200]]
    for customer in lost:
        shop.delete_customer(customer.id)
    refused = await workshop.run(CUSTOMERS, **IN_BULK)
    assert "--allow-deletions" in str(refused.error)
    assert await nothing_is_staged(workshop)
    for customer in lost:
        shop.add_customer(customer)
    job = await workshop.wait((await workshop.parts.jobs.retry(refused.id)).id)
    assert job.status is JobStatus.COMPLETED
    assert job.metadata["deleted"] == 0
    assert len(shop.bulk.operations) == 2


async def test_what_nobody_continues_is_pruned(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before a day has passed in which somebody might have continued it."""

    async def breaking(*_given: Any) -> Any:
        await workshop.parts.jobs.cancel(job.id)
        raise ConnectionResetError("the connection was lost")

    monkeypatch.setattr(bulk_reads, "list_below", breaking)
    job = await workshop.submit(PRODUCTS, method="bulk")
    await workshop.wait(job.id)
    async with workshop.database.acquire() as connection:
        await bulk_reads.prune(connection, timedelta(days=1))
        assert await workshop.value(STAGED) == 1
        await bulk_reads.prune(connection, timedelta(0))
    assert await nothing_is_staged(workshop)


@pytest.mark.parametrize("trouble", ["loses_a_child", "overlooks_a_child", "spoils_a_child"])
async def test_product_without_all_its_variants_is_read_again(workshop: Workshop, trouble: str) -> None:
    """By its id, where the file has fewer than the product says: a variant that is not there is not deleted."""
    await workshop.completed(PRODUCTS)
    before = await mirror(workshop)
    workshop.sandbox.shopify.bulk.next(trouble)
    job = await workshop.run(PRODUCTS, **IN_BULK)
    assert await mirror(workshop) == before
    if trouble == "loses_a_child":  # and Shopify has counted it: this is not the whole file
        assert job.status is JobStatus.FAILED
    else:
        assert counters(job) == Counters(skipped=len(workshop.sandbox.shopify.products))
        assert job.metadata["deleted"] == 0


async def test_row_that_cannot_be_read_fails_alone(workshop: Workshop) -> None:
    """It is no deleted one, and is there as soon as its dead letter is retried."""
    await workshop.completed(PRODUCTS)
    before = await mirror(workshop)
    workshop.sandbox.shopify.bulk.next("spoils_a_root")
    job = await workshop.completed(PRODUCTS, **IN_BULK)
    assert counters(job) == Counters(skipped=len(workshop.sandbox.shopify.products) - 1, failed=1)
    assert await mirror(workshop) == before
    retried = await workshop.wait((await workshop.parts.jobs.retry(job.id, failed_rows=True)).id)
    assert counters(retried).failed == 0


@pytest.mark.parametrize("trouble", ["is_cut", "is_another", "is_gone", "ignores_range"])
async def test_download_that_breaks_goes_on(workshop: Workshop, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was: each line is stored once."""
    monkeypatch.setattr(bulk_file, "PORTION_LINES", 20)
    workshop.sandbox.shopify.bulk.downloads.next(trouble, at=20_000)
    job = await workshop.completed(PRODUCTS, method="bulk")
    assert counters(job) == Counters(created=len(workshop.sandbox.shopify.products))


async def test_stopped_while_shopify_gathers_it_waits_for_the_same_operation(workshop: Workshop) -> None:
    """A daemon that stops cancels nothing: whoever runs the job next goes on waiting."""
    bulk = workshop.sandbox.shopify.bulk
    bulk.seconds = math.inf
    job = await workshop.submit(PRODUCTS, method="bulk")
    await workshop.wait(job.id, lambda seen: (seen.metadata.get("bulk") or {}).get("state") == "RUNNING")
    workshop.parts.runner.stop_all(StopReason.DATABASE_LOST)
    assert (await workshop.first_attempt(job.id)).result is AttemptResult.RELEASED
    (operation,) = bulk.operations
    bulk.end(operation)
    ended = await workshop.wait(job.id)
    assert counters(ended) == Counters(created=len(workshop.sandbox.shopify.products))
    assert len(bulk.operations) == 1


async def test_pull_that_failed_in_the_download_is_continued_by_the_next_one(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the part of the file that it had, and as of the time at which it began."""
    monkeypatch.setattr(bulk_file, "PORTION_LINES", 20)

    async def refused(*_given: Any) -> None:
        raise SourceUnavailable("Shopify does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(bulk_reads, "count_lines", refused)
        job = await workshop.submit(PRODUCTS, method="bulk")
        await workshop.wait(job.id, lambda seen: seen.status is JobStatus.FAILED)
    (read,) = await workshop.rows("SELECT * FROM dongbo.bulk_reads")
    assert read["lines"] > 0
    second = await workshop.completed(PRODUCTS, full=True, method="bulk")
    assert counters(second) == Counters(created=len(workshop.sandbox.shopify.products))
    assert len(workshop.sandbox.shopify.bulk.operations) == len(workshop.sandbox.shopify.bulk.downloads.asked) == 1
    assert await workshop.value("SELECT max(complete_to) FROM dongbo.watermarks") <= read["asked_at"]
    assert await nothing_is_staged(workshop)


async def test_operation_that_is_slower_than_pages_is_left(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled, and the job reads by pages; one that was asked for in bulk is waited for."""
    monkeypatch.setattr(bulk_pull, "WORTHWHILE_SECONDS", 0.0)
    monkeypatch.setattr(bulk_pull, "FAIR_TRIAL", 0.0)
    monkeypatch.setattr(WholeList, "seconds_by_pages", lambda *_: 1.0)
    bulk = workshop.sandbox.shopify.bulk
    bulk.seconds = 1_000_000.0  # one of its 60 products comes after hours
    monkeypatch.setattr(bulk, "so_far", lambda _operation, found: min(found, 1))
    job = await workshop.completed(PRODUCTS)
    assert job.metadata["method"] == "pages"
    assert "more slowly" in job.metadata["not_in_bulk"]
    assert [operation.status for operation in bulk.operations] == ["CANCELED"]
    assert (await workshop.completed(PRODUCTS)).metadata["mode"] == "incremental"  # it passes on what is known
    bulk.seconds = 0.02
    job = await workshop.completed(PRODUCTS, full=True)
    assert job.metadata["method"] == "pages"  # without another trial
    assert len(bulk.operations) == 1
    assert (await workshop.completed(PRODUCTS, **IN_BULK)).metadata["method"] == "bulk"
    monkeypatch.setattr(bulk_pull, "SLOW_FOR", timedelta(0))
    assert (await workshop.completed(PRODUCTS, full=True)).metadata["method"] == "bulk"
