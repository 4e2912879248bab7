"""The four pulls, against the sandbox and a real database."""

import asyncio
from collections.abc import Iterable

import orjson
import pytest

from daemon.errors import InvalidTransition
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.sandbox.nhanh.cursor import Cursors
from daemon.sandbox.nhanh.records import NhanhCustomerRecord
from daemon.sources.nhanh.lists import CUSTOMERS
from tests.support.workshop import Workshop

PULLS = [
    (JobType.PULL_NHANH_CUSTOMERS, "nhanh_customers"),
    (JobType.PULL_NHANH_PRODUCTS, "nhanh_products"),
    (JobType.PULL_SHOPIFY_CUSTOMERS, "shopify_customers"),
    (JobType.PULL_SHOPIFY_PRODUCTS, "shopify_products"),
]


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_first_pull_creates_every_row(workshop: Workshop, job_type: JobType, table: str) -> None:
    """A first pull creates what the shop has, and its counters equal the table."""
    job = await workshop.completed(job_type)
    rows = await workshop.value(f"SELECT count(*) FROM dongbo.{table}")
    assert rows > 0
    assert (job.processed, job.created, job.updated, job.skipped, job.failed) == (rows, rows, 0, 0, 0)
    assert job.total == rows


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_second_pull_rewrites_nothing(workshop: Workshop, job_type: JobType, table: str) -> None:
    """Pulling everything again leaves every row alone."""
    first = await workshop.completed(job_type)
    before = await workshop.rows(f"SELECT id, xmin::text, ctid::text FROM dongbo.{table} ORDER BY id")
    second = await workshop.completed(job_type, full=True)
    assert (second.created, second.updated, second.skipped) == (0, 0, first.processed)
    assert await workshop.rows(f"SELECT id, xmin::text, ctid::text FROM dongbo.{table} ORDER BY id") == before


async def test_changed_new_and_returned_rows_are_told_apart(workshop: Workshop) -> None:
    """Full pulls count changed, new and unchanged rows, and mark those that are gone."""
    shop = workshop.sandbox.nhanh
    first = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    ids = sorted(shop.customers)
    shop.touch_customer(ids[3])
    shop.touch_customer(ids[400])
    for gone in (ids[0], ids[100], ids[-1]):
        shop.delete_customer(gone)
    second = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert (second.created, second.updated, second.skipped) == (0, 2, first.processed - 5)
    assert second.metadata["deleted"] == 3
    deleted = await workshop.rows("SELECT id FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL ORDER BY id")
    assert [row["id"] for row in deleted] == [ids[0], ids[100], ids[-1]]


async def test_what_has_not_changed_is_not_even_read(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each row the id and the digest are compared; only a row that differs is decoded."""
    shop, read = workshop.sandbox.nhanh, list[bytes]()
    first = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    decode = CUSTOMERS.decoder.sound_rows

    def sound_rows(documents: Iterable[bytes]) -> object:
        found = list(documents)
        read.extend(found)
        return decode(found)

    monkeypatch.setattr(CUSTOMERS.decoder, "sound_rows", sound_rows)
    ids = sorted(shop.customers)
    for touched in (ids[3], ids[400]):
        shop.touch_customer(touched)
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert (job.created, job.updated, job.skipped, job.failed) == (0, 2, first.processed - 2, 0)
    assert [int(orjson.loads(document)["id"]) for document in read] == [ids[3], ids[400]]
    assert job.metadata["newest_change"] > first.metadata["newest_change"]


async def test_a_row_that_differs_and_does_not_fit_is_a_dead_letter_each_time(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its fields, the decoder or PostgreSQL says so; the rows beside it are left alone."""
    shop = workshop.sandbox.nhanh
    first = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    ids = sorted(shop.customers)
    spoilt = {ids[2]: b'{"id":%d,"points":"many"}', ids[500]: b'{"id":%d,"other":1e-99999}'}
    render = shop.customer_json

    def customer_json(customer: NhanhCustomerRecord) -> bytes:
        return spoilt[customer.id] % customer.id if customer.id in spoilt else render(customer)

    monkeypatch.setattr(shop, "customer_json", customer_json)
    shop.customers.forget_rendered()
    for _time in range(2):
        job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
        assert (job.created, job.updated, job.skipped, job.failed) == (0, 0, first.processed - 2, 2)
        letters = await workshop.parts.jobs.list_failures(job.id, limit=500)
        reasons = {letter.source_id: letter.reason for letter in letters}
        assert reasons == {
            str(ids[2]): "The field points doesn't fit: expected a whole number, got a text.",
            str(ids[500]): "The row contains a number with more digits than PostgreSQL can store.",
        }
    monkeypatch.undo()
    shop.customers.forget_rendered()
    last = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert (last.skipped, last.failed) == (first.processed, 0)
    assert await mending(workshop, job) == (2, 0, last.id), "a row that is as it is stored is mended"


async def test_row_that_comes_back_is_no_longer_deleted(workshop: Workshop) -> None:
    """A row that was gone and is there again counts as updated."""
    shop = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    lost = shop.customers[sorted(shop.customers)[5]]
    shop.delete_customer(lost.id)
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    shop.add_customer(lost)
    third = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert third.updated == 1
    assert await workshop.value("SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL") == 0


async def test_deleted_product_takes_its_variants_along(workshop: Workshop) -> None:
    """A product that is gone at Shopify is marked with all its variants; a variant that is gone is marked alone."""
    shop = workshop.sandbox.shopify
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    counts = await workshop.rows(
        "SELECT product_id, count(*) AS variants, min(id) AS variant FROM dongbo.shopify_variants "
        "GROUP BY product_id HAVING count(*) > 1 ORDER BY product_id LIMIT 2"
    )
    shop.delete_product(counts[0]["product_id"])
    shop.delete_variant(counts[1]["variant"])
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
    assert job.metadata["deleted"] == 1
    assert job.updated == 1
    marked = await workshop.rows("SELECT product_id, id FROM dongbo.shopify_variants WHERE deleted_at IS NOT NULL")
    assert len(marked) == counts[0]["variants"] + 1
    assert (counts[1]["product_id"], counts[1]["variant"]) in {(row["product_id"], row["id"]) for row in marked}


async def test_implausible_deletions_stop_and_ask(workshop: Workshop) -> None:
    """A pull that finds a third of the table gone marks nothing until a person allows it."""
    shop = workshop.sandbox.nhanh
    first = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    gone = sorted(shop.customers)[:300]
    for customer_id in gone:
        shop.delete_customer(customer_id)
    refused = await workshop.run(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert refused.status is JobStatus.FAILED
    assert "--allow-deletions" in str(refused.error)
    deleted = "SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL"
    assert await workshop.value(deleted) == 0
    retried = await workshop.wait((await workshop.parts.jobs.retry(refused.id)).id)
    assert retried.status is JobStatus.FAILED, "a retry looks again, and asks again"
    assert await workshop.value(deleted) == 0
    allowed = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, allow_deletions=True)
    assert await workshop.value(deleted) == 300
    assert allowed.metadata["deleted"] == 300
    assert first.processed == 730


async def test_rows_that_are_back_are_not_deleted_after_all(workshop: Workshop) -> None:
    """What a refused pull did not find is looked for again: nothing is marked on old numbers, even when allowed."""
    shop = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    lost = [shop.customers[customer_id] for customer_id in sorted(shop.customers)[:300]]
    for customer in lost:
        shop.delete_customer(customer.id)
    assert (await workshop.run(JobType.PULL_NHANH_CUSTOMERS, full=True)).status is JobStatus.FAILED
    for customer in lost:
        shop.add_customer(customer)
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, allow_deletions=True)
    assert job.metadata["deleted"] == 0
    assert await workshop.value("SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL") == 0


async def test_pull_cancelled_on_its_last_page_is_not_taken_for_read(workshop: Workshop) -> None:
    """The next pull after one that was cancelled with everything read begins anew."""
    shop = workshop.sandbox.nhanh
    first = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    async with workshop.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.background_jobs SET status = 'CANCELLED' WHERE id = $1", first.id)
        await connection.execute("DELETE FROM dongbo.watermarks")
    shop.touch_customer(min(shop.customers))
    second = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert (second.processed, second.updated) == (730, 1)


async def test_revived_pull_deletes_nothing_after_a_newer_one(workshop: Workshop) -> None:
    """Rows that a cancelled pull noted as gone may have been pulled again since: its retry marks none."""
    shop = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    lost = shop.customers[sorted(shop.customers)[3]]
    shop.delete_customer(lost.id)
    shop.faults.slow, shop.faults.slow_seconds = 1.0, 0.1
    full = await workshop.submit(JobType.PULL_NHANH_CUSTOMERS, full=True)
    await workshop.wait(full.id, lambda seen: seen.processed > 100)
    await workshop.parts.jobs.cancel(full.id)
    await workshop.wait(full.id)
    shop.faults.slow = 0.0
    shop.add_customer(lost)
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    revived = await workshop.wait((await workshop.parts.jobs.retry(full.id)).id)
    assert revived.status is JobStatus.COMPLETED
    assert await workshop.value("SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL") == 0


async def test_watermark_of_a_clock_that_was_ahead_is_not_believed(workshop: Workshop) -> None:
    """A stream that claims to be complete until tomorrow is pulled whole, and its watermark comes back."""
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    async with workshop.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.watermarks SET source_complete_to = now() + interval '1 day'")
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert job.metadata["mode"] == "full"
    assert "clock" in job.metadata["why_full"]
    assert await workshop.value("SELECT source_complete_to <= now() FROM dongbo.watermarks")


async def test_pull_up_to_a_time_can_be_repeated(workshop: Workshop) -> None:
    """A filter with an upper bound leaves nothing to be pulled incrementally: it is pulled whole each time."""
    for _ in range(2):
        job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, filters={"updated_to": "2025-06-30T00:00:00Z"})
        assert job.processed > 0


async def test_row_without_an_id_is_said_to_hide_deletions(workshop: Workshop) -> None:
    """Where the gaps between ids mean nothing, no deletions are sought, and the job says so."""
    workshop.sandbox.faults.bad_rows = 0.3
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert "readable id" in job.metadata["deletions_not_sought"]


async def test_failed_rows_are_retried_by_their_own_kind_of_job_only(workshop: Workshop) -> None:
    """The ids of one source mean nothing to another."""
    workshop.sandbox.faults.bad_rows = 0.2
    products = await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    job = await workshop.run(JobType.PULL_NHANH_CUSTOMERS, retry_of=str(products.id))
    assert job.status is JobStatus.FAILED
    assert await workshop.value("SELECT count(*) FROM dongbo.job_failures WHERE resolved_at IS NULL") == products.failed


async def test_incremental_pull_asks_for_what_changed(workshop: Workshop) -> None:
    """After a complete pull the next one reads only what changed since, and marks nothing as deleted."""
    shop = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    ids = sorted(shop.customers)
    shop.touch_customer(ids[7])
    shop.delete_customer(ids[8])
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert job.metadata["mode"] == "incremental"
    assert (job.processed, job.updated) == (1, 1)
    assert await workshop.value("SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL") == 0


async def test_incremental_shopify_pull_counts_its_rows_before(workshop: Workshop) -> None:
    """Shopify can tell how many rows have changed: the total is known from the start."""
    shop = workshop.sandbox.shopify
    await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    products = sorted(shop.products)
    shop.touch_product(products[2])
    job = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS)
    assert job.updated == 1
    assert job.total == job.processed < len(products)


async def test_filtered_pulls_have_watermarks_of_their_own(workshop: Workshop) -> None:
    """A filtered pull is no complete pull: the next unfiltered one still reads everything."""
    shop = workshop.sandbox.nhanh
    wholesale = sum(customer.type == 2 for customer in shop.customers.values())
    filtered = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, filters={"type": 2})
    assert 0 < filtered.processed == wholesale
    assert filtered.metadata["filters"] == {"type": 2}
    whole = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert whole.metadata["mode"] == "full"
    assert whole.processed == len(shop.customers)
    assert whole.skipped == wholesale
    assert whole.metadata["deleted"] == 0


async def test_pull_by_status_and_by_query(workshop: Workshop) -> None:
    """Shopify's pulls take a status and any search query."""
    drafts = await workshop.completed(JobType.PULL_SHOPIFY_PRODUCTS, filters={"status": "draft"})
    statuses = await workshop.rows("SELECT DISTINCT status FROM dongbo.shopify_products")
    assert drafts.processed > 0
    assert [row["status"] for row in statuses] == ["DRAFT"]
    buyers = await workshop.completed(JobType.PULL_SHOPIFY_CUSTOMERS, query="orders_count:>2")
    assert buyers.metadata["query"] == "orders_count:>2"
    assert await workshop.value("SELECT min(number_of_orders) FROM dongbo.shopify_customers") > 2


async def test_cancelled_pull_goes_on_where_it_stopped(workshop: Workshop) -> None:
    """A pull after a cancelled one of the same scope reads the rest; the counters of both add up to the table."""
    shop = workshop.sandbox.nhanh
    shop.faults.slow, shop.faults.slow_seconds = 1.0, 0.1
    job = await workshop.submit(JobType.PULL_NHANH_CUSTOMERS)
    await workshop.wait(job.id, lambda seen: seen.processed > 0)
    await workshop.parts.jobs.cancel(job.id)
    cancelled = await workshop.wait(job.id)
    assert cancelled.status is JobStatus.CANCELLED
    shop.faults.slow = 0.0
    rest = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert rest.metadata["continues"] == str(cancelled.id)
    assert 0 < cancelled.created < 730
    assert cancelled.created + rest.created == await workshop.value("SELECT count(*) FROM dongbo.nhanh_customers")
    assert rest.skipped == 0


async def test_other_filters_and_restart_begin_anew(workshop: Workshop) -> None:
    """An interrupted pull is continued only by one of the same scope, and not when a restart is asked for."""
    shop = workshop.sandbox.nhanh
    shop.faults.slow, shop.faults.slow_seconds = 1.0, 0.1
    job = await workshop.submit(JobType.PULL_NHANH_CUSTOMERS)
    await workshop.wait(job.id, lambda seen: seen.processed > 0)
    await workshop.parts.jobs.cancel(job.id)
    await workshop.wait(job.id)
    shop.faults.slow = 0.0
    restarted = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, restart=True)
    assert restarted.metadata["continues"] is None
    assert restarted.processed == 730


async def test_cancelling_interrupts_a_slow_call(workshop: Workshop) -> None:
    """Who cancels a job that waits for its source does not wait for the answer."""
    shop = workshop.sandbox.nhanh
    shop.faults.slow, shop.faults.slow_seconds = 1.0, 30.0
    job = await workshop.submit(JobType.PULL_NHANH_CUSTOMERS)
    await workshop.wait(job.id, lambda seen: seen.status is JobStatus.RUNNING)
    async with asyncio.timeout(10):
        await workshop.parts.jobs.cancel(job.id)
        assert (await workshop.wait(job.id)).status is JobStatus.CANCELLED


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_bad_rows_become_dead_letters_and_are_retried_alone(
    workshop: Workshop, job_type: JobType, table: str
) -> None:
    """Rule 8: rows that can't be stored are kept with their reason, the job completes, a retry takes up just those."""
    faults = workshop.sandbox.faults
    faults.bad_rows = 0.2
    job = await workshop.completed(job_type)
    stored = await workshop.value(f"SELECT count(*) FROM dongbo.{table}")
    assert job.failed > 0
    assert (job.processed, job.created) == (stored + job.failed, stored)
    letters = await workshop.parts.jobs.list_failures(job.id, limit=500)
    assert len(letters) == job.failed
    assert all(letter.reason for letter in letters)
    named = {letter.source_id for letter in letters if letter.source_id and letter.source_id.isdigit()}
    faults.bad_rows = 0.0
    retry = await workshop.wait((await workshop.parts.jobs.retry(job.id, failed_rows=True)).id)
    assert retry.status is JobStatus.COMPLETED, retry.error
    assert retry.processed == job.failed
    assert retry.created == len(named)
    assert await workshop.value(f"SELECT count(*) FROM dongbo.{table}") == stored + len(named)
    with pytest.raises(InvalidTransition, match="no failed rows left"):
        await workshop.parts.jobs.retry(job.id, failed_rows=True)


async def test_a_row_that_is_mended_at_its_source_is_resolved_by_the_pull_that_stores_it(workshop: Workshop) -> None:
    """By one of what has changed, too, and whatever other row can't be stored; the last one repairs the job."""
    shop, faults = workshop.sandbox.nhanh, workshop.sandbox.faults
    faults.bad_rows = 0.2
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    letters = await workshop.parts.jobs.list_failures(job.id, limit=500)
    named = [int(letter.source_id) for letter in letters if letter.source_id and letter.source_id.isdigit()]
    assert len(named) > 1
    faults.bad_rows = 0.0
    shop.touch_customer(named[0])
    first = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    assert (first.metadata["mode"], first.processed) == ("incremental", 1)
    assert await mending(workshop, job) == (1, len(letters) - 1, None)
    for customer_id in named[1:]:
        shop.touch_customer(customer_id)
    second = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    nameless = len(letters) - len(named)  # of a row without an id nobody can tell
    assert await mending(workshop, job) == (len(named), nameless, None if nameless else second.id)


async def mending(workshop: Workshop, job: Job) -> tuple[int, int, object]:
    """How many failed rows of a job are taken up, how many are open, and what has repaired it."""
    (row,) = await workshop.rows(
        "SELECT taken_up, repaired_by, (SELECT count(*) FROM dongbo.job_failures WHERE job_id = $1"
        " AND resolved_at IS NULL) AS unresolved FROM dongbo.background_jobs WHERE id = $1",
        job.id,
    )
    return row["taken_up"], row["unresolved"], row["repaired_by"]


async def test_bad_rows_are_not_taken_for_deleted(workshop: Workshop) -> None:
    """A row that can't be read any more is not gone: a full pull marks none of them as deleted."""
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    workshop.sandbox.faults.bad_rows = 0.1
    job = await workshop.completed(JobType.PULL_NHANH_CUSTOMERS, full=True)
    assert job.failed > 0
    assert await workshop.value("SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NOT NULL") == 0


async def test_faults_of_the_source_are_survived(workshop: Workshop) -> None:
    """Errors, resets, nonsense and cut answers are retried, and every row still counts once."""
    faults = workshop.sandbox.faults
    faults.error_500 = faults.reset = faults.truncated = faults.nonsense = 0.12
    for job_type, table in PULLS:
        job = await workshop.completed(job_type)
        assert job.processed == job.created == await workshop.value(f"SELECT count(*) FROM dongbo.{table}")
    assert sum(faults.counts.values()) > 0


async def test_refused_token_fails_the_job_with_what_to_do(workshop: Workshop) -> None:
    """Rule 8: what only a person can mend ends the job at once, in a plain sentence and without the token."""
    workshop.sandbox.nhanh.token = "another-token"
    job = await workshop.run(JobType.PULL_NHANH_CUSTOMERS)
    assert job.status is JobStatus.FAILED
    assert job.attempt == 1
    assert "token" in str(job.error)
    assert "sandbox" not in str(job.error)


async def test_source_that_stays_away_fails_the_job_after_its_attempts(workshop: Workshop) -> None:
    """A job whose source gives nothing but errors is tried `max_attempts` times, then fails."""
    workshop.sandbox.faults.error_500 = 1.0
    job = await workshop.run(JobType.PULL_NHANH_CUSTOMERS)
    assert job.status is JobStatus.FAILED
    assert job.attempt == job.max_attempts
    workshop.sandbox.faults.error_500 = 0.0
    retried = await workshop.wait((await workshop.parts.jobs.retry(job.id)).id)
    assert retried.status is JobStatus.COMPLETED


async def test_money_phones_and_vietnamese_text_survive(workshop: Workshop) -> None:
    """What is in the shop is in the table, digit by digit and letter by letter."""
    await workshop.completed(JobType.PULL_NHANH_CUSTOMERS)
    shop = workshop.sandbox.nhanh
    for row in await workshop.rows("SELECT id, name, mobile, total_amount FROM dongbo.nhanh_customers"):
        customer = shop.customers[row["id"]]
        assert (row["name"] or "") == (customer.name or "")
        assert (row["mobile"] or "") == (customer.mobile or "")
        assert (row["total_amount"] or 0) == (customer.total_amount or 0)


async def test_stock_per_depot_is_mirrored(workshop: Workshop) -> None:
    """Every product has its stock in each depot, and a changed stock updates the product's count and nothing else."""
    shop = workshop.sandbox.nhanh
    await workshop.completed(JobType.PULL_NHANH_PRODUCTS)
    product = next(product for product in shop.products.values() if product.stock)
    depot = next(iter(product.stock))
    before = await workshop.value("SELECT xmin::text FROM dongbo.nhanh_products WHERE id = $1", product.id)
    shop.change_stock(product.id, depot, 4711)
    job = await workshop.completed(JobType.PULL_NHANH_PRODUCTS, full=True)
    assert job.updated == 1
    stock = "SELECT available FROM dongbo.nhanh_inventory WHERE product_id = $1 AND depot_id = $2"
    assert await workshop.value(stock, product.id, depot) == 4711
    assert await workshop.value("SELECT xmin::text FROM dongbo.nhanh_products WHERE id = $1", product.id) == before


async def test_job_says_what_it_waits_for(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose source does not answer tells so, and stops telling when a page has come."""
    monkeypatch.setattr("daemon.jobs.context.WAIT_REPORTED_AFTER", 0.1)
    faults = workshop.sandbox.faults
    faults.slow, faults.slow_seconds = 1.0, 1.0
    job = await workshop.submit(JobType.PULL_NHANH_CUSTOMERS)
    waiting = await workshop.wait(job.id, lambda seen: seen.metadata.get("waiting") is not None)
    assert waiting.metadata["waiting"]["for"] == "an answer from the source"
    faults.slow = 0.0
    assert (await workshop.wait(job.id)).metadata["waiting"] is None


@pytest.mark.parametrize("job_type", [JobType.PULL_NHANH_CUSTOMERS, JobType.PULL_SHOPIFY_CUSTOMERS])
async def test_refused_cursor_of_an_interrupted_pull_is_no_failed_run(workshop: Workshop, job_type: JobType) -> None:
    """The pull begins afresh at once, in the same run, says so, and finds what was deleted meanwhile."""
    sandbox = workshop.sandbox
    await workshop.completed(job_type)
    sandbox.faults.slow, sandbox.faults.slow_seconds = 1.0, 0.1 if job_type is JobType.PULL_NHANH_CUSTOMERS else 0.5
    job = await workshop.submit(job_type, full=True)
    await workshop.wait(job.id, lambda seen: seen.processed > 0)
    await workshop.parts.jobs.cancel(job.id)
    assert (await workshop.wait(job.id)).status is JobStatus.CANCELLED
    sandbox.faults.slow = 0.0
    shop = sandbox.nhanh if job_type is JobType.PULL_NHANH_CUSTOMERS else sandbox.shopify
    shop.delete_customer(min(shop.customers))
    sandbox.nhanh.cursors = Cursors(seed=99)  # those of before are of no use any more
    sandbox.shopify.troubles.next_answer(
        lambda _: {"errors": [{"message": "Invalid cursor for current pagination sort."}]}, operation="Customers"
    )
    rest = await workshop.completed(job_type, full=True)
    assert (rest.attempt, rest.processed, rest.metadata["deleted"]) == (1, len(shop.customers), 1)
    assert rest.metadata["continues"] is None
    assert "could not be continued" in rest.metadata["begun_afresh"]
    assert rest.total == rest.processed
