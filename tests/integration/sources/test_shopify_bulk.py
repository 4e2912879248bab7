"""What has changed is read in bulk where that works, and by pages where it does not: the mirror is the same."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.jobs.context import StopReason
from daemon.jobs.model import AttemptResult, Job, JobStatus
from daemon.jobs.types import JobType
from daemon.mirror import levels as levels_module
from daemon.mirror import table as table_module
from daemon.sandbox.server import SandboxSettings
from daemon.sandbox.shopify import BulkTrouble
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import bulk as bulk_module
from daemon.sources.shopify import client as client_module
from daemon.sources.shopify.bulk import Patience
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from tests.integration.sources.test_statuses import forwarding
from tests.support.workshop import STORE, Workshop

PRODUCTS, CUSTOMERS = JobType.PULL_SHOPIFY_PRODUCTS, JobType.PULL_SHOPIFY_CUSTOMERS
CHANGED = 25
FILE = "result.jsonl"


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop without limits, of which some variants are not stocked everywhere."""
    return SandboxSettings(products=60, customers=80, limits=False, unstocked_share=0.3, big_product_variants=70)


def change_products(workshop: Workshop, count: int = CHANGED) -> list[int]:
    """Change products in all that can differ: names, prices, stock, and where they are stocked."""
    shop = workshop.sandbox.shopify
    chosen = sorted(shop.products)[:count]
    for number in chosen:
        shop.change_title(number, f"Đổi tên {shop.revision}")
        variant = shop.products[number].variants[-1]
        shop.change_price(variant.id, variant.price + 1000)
        shop.change_stock(variant.id, 4711)
        if len(variant.levels) > 1:
            shop.stop_stocking(variant.id, variant.levels[0].location_id)
    return chosen


def change_customers(workshop: Workshop, count: int = CHANGED) -> None:
    """Change notes and metafields."""
    shop = workshop.sandbox.shopify
    for number in sorted(shop.customers)[:count]:
        shop.change_customer(number, note=f"Ghi chú {shop.revision}", tags=["vip"])
        shop.change_metafield(number, "custom", "tier", "GOLD")


def calls(workshop: Workshop, operation: str) -> int:
    """How often an operation was called."""
    return sum(request.operation == operation for request in workshop.sandbox.shopify.requests.last)


async def pulled(workshop: Workshop, job_type: JobType = PRODUCTS, count: int = CHANGED) -> Job:
    """Pull what has changed, and see that the counters are exact and a pull of everything finds nothing to mend."""
    job = await workshop.completed(job_type)
    assert (job.metadata["mode"], job.updated, job.created, job.failed) == ("incremental", count, 0, 0)
    assert job.processed == job.updated + job.skipped
    full = await workshop.completed(job_type, full=True)
    assert (full.metadata["mode"], full.updated, full.created, full.failed) == ("full", 0, 0, 0)
    return job


async def test_products_are_read_in_bulk(workshop: Workshop) -> None:
    """For 10 points and one a look, without a token in the call for the file; pages then find nothing else."""
    await workshop.completed(PRODUCTS)
    pages, bulk = calls(workshop, "Products"), workshop.sandbox.shopify.bulk
    change_products(workshop)
    before = workshop.sandbox.shopify.requests.points
    job = await workshop.completed(PRODUCTS)
    spent = workshop.sandbox.shopify.requests.points - before
    assert (job.updated, job.failed) == (CHANGED, 0)
    assert (calls(workshop, "Products"), calls(workshop, "RunBulkQuery")) == (pages, 1)
    assert spent < 60
    (headers,) = bulk.downloads.asked
    assert not [name for name in headers if "token" in name.lower() or name.lower() in ("authorization", "cookie")]
    assert job.metadata["api_calls"] >= calls(workshop, "BulkOperation") + 3  # the file is a call, too
    full = await workshop.completed(PRODUCTS, full=True)
    assert (full.updated, full.created, full.failed) == (0, 0, 0)
    assert "notices" not in job.metadata


async def test_an_operation_that_is_said_to_have_ended_is_looked_at_at_once(workshop: Workshop) -> None:
    """The hint of a webhook saves the rest of the wait; one about another operation, or too early, does no harm."""
    await workshop.completed(PRODUCTS)
    change_products(workshop)
    shop, reader = workshop.sandbox.shopify, workshop.parts.registry.store(STORE).shopify.bulk
    reader.patience, shop.bulk.seconds = Patience(first=50.0, longest=50.0, total=100.0), 0.0
    job = await workshop.submit(PRODUCTS)
    async with asyncio.timeout(20):
        while not reader.awaited:
            await asyncio.sleep(0)
        (number,) = reader.awaited
        reader.note_end(number + 1)
        await shop.bulk.worked()
        reader.note_end(number)
        ended = await workshop.wait(job.id)
    assert (ended.status, ended.updated, reader.awaited) == (JobStatus.COMPLETED, CHANGED, frozenset())
    assert calls(workshop, "BulkOperation") == 1


async def test_customers_are_read_in_bulk(workshop: Workshop) -> None:
    """But for one, who tells whether anything of customers is kept from the app."""
    await workshop.completed(CUSTOMERS)
    change_customers(workshop)
    job = await pulled(workshop, CUSTOMERS)
    assert calls(workshop, "RunBulkQuery") == calls(workshop, "CustomersByIds") == 1
    assert "notices" not in job.metadata


async def test_what_was_read_in_bulk_is_known(workshop: Workshop) -> None:
    """The next pull finds it with the time of change at which it was read, and does not read it again."""
    shop = workshop.sandbox.shopify
    await workshop.completed(PRODUCTS)
    shop.clock_offset -= 60.0
    change_products(workshop)
    shop.clock_offset += 60.0
    assert (await workshop.completed(PRODUCTS)).updated == CHANGED
    read_whole = [calls(workshop, name) for name in ("RunBulkQuery", "Products", "ProductsByIds")]
    job = await workshop.completed(PRODUCTS)
    assert (job.metadata["mode"], job.updated, job.skipped >= CHANGED) == ("incremental", 0, True)
    assert [calls(workshop, name) for name in ("RunBulkQuery", "Products", "ProductsByIds")] == read_whole


async def test_few_are_read_at_once(workshop: Workshop) -> None:
    """A bulk operation takes seconds, which nine products are not worth."""
    await workshop.completed(PRODUCTS)
    change_products(workshop, 9)
    await pulled(workshop, count=9)
    assert calls(workshop, "RunBulkQuery") == 0


async def test_a_file_that_would_take_too_much_memory_is_left_alone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is known before it is fetched: the rows are read by pages."""
    await workshop.completed(PRODUCTS)
    monkeypatch.setattr(bulk_module, "MAX_FILE_BYTES", 10_000)
    change_products(workshop)
    with capture_logs() as logs:
        await pulled(workshop)
    (reason,) = (line["reason"] for line in logs if line["event"] == "not_read_in_bulk")
    assert reason.endswith("too large to be read.")
    assert workshop.sandbox.shopify.bulk.downloads.asked == []


async def test_what_was_read_in_bulk_is_stored_in_portions(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new, what has changed and what has not are counted as if all were stored at once."""
    monkeypatch.setattr(table_module, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(levels_module, "ITEMS_AT_ONCE", 5)
    first = await workshop.completed(PRODUCTS)
    assert (first.created, first.updated) == (60, 0)
    change_products(workshop)
    await pulled(workshop)
    assert calls(workshop, "RunBulkQuery") == 1


async def test_many_are_read_in_portions(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each portion is an operation, and what is left over at the end, being few, a page."""
    await workshop.completed(PRODUCTS)
    monkeypatch.setattr(client_module, "FOUND_AT_ONCE", 10)
    pages = calls(workshop, "Products")
    change_products(workshop)
    job = await workshop.completed(PRODUCTS)
    assert (job.updated, job.failed) == (CHANGED, 0)
    assert (calls(workshop, "RunBulkQuery"), calls(workshop, "Products")) == (2, pages + 1)


async def test_what_the_search_does_not_find_is_asked_for_by_pages(workshop: Workshop) -> None:
    """An index that lags is no failure, and nothing is taken for deleted."""
    await workshop.completed(PRODUCTS)
    workshop.sandbox.shopify.bulk.next(BulkTrouble.FINDS_NOTHING)
    change_products(workshop)
    await pulled(workshop)
    assert not workshop.parts.registry.stores[STORE].shopify.bulk.rests


async def test_a_product_that_lacks_a_variant_is_asked_for_by_pages(workshop: Workshop) -> None:
    """By its own count: all counts of the operation are right."""
    await workshop.completed(PRODUCTS)
    workshop.sandbox.shopify.bulk.next(BulkTrouble.OVERLOOKS_A_CHILD)
    change_products(workshop)
    await pulled(workshop)
    assert (calls(workshop, "RunBulkQuery"), calls(workshop, "ProductsByIds")) == (1, 1)
    assert not workshop.parts.registry.stores[STORE].shopify.bulk.rests


async def test_a_product_that_is_gone_meanwhile(workshop: Workshop) -> None:
    """It was listed, and is neither in the file nor anywhere: it counts as skipped."""
    shop = workshop.sandbox.shopify
    await workshop.completed(PRODUCTS)
    chosen = change_products(workshop)

    def delete_one(answer: dict[str, Any]) -> dict[str, Any]:
        shop.delete_product(chosen[0])
        return answer

    shop.troubles.next_answer(delete_one, operation="ProductChanges")
    job = await workshop.completed(PRODUCTS)
    assert (job.updated, job.failed) == (CHANGED - 1, 0)


# ── Half read is not read ───────────────────────────────────────────────────────────────────────────────────────────

Trouble = Callable[[Workshop], None]


def of_operation(trouble: BulkTrouble) -> Trouble:
    """Let the next operation come to this."""
    return lambda workshop: workshop.sandbox.shopify.bulk.next(trouble)


def of_file(fault: str) -> Trouble:
    """Let each download of the file end like this."""
    return lambda workshop: workshop.sandbox.faults.next(fault, path=FILE, times=99)


def of_address(status: int) -> Trouble:
    """Let the address not be what it was."""
    return lambda workshop: workshop.sandbox.faults.next_status(status, path=FILE, times=99)


def of_looking(**changed: Any) -> Trouble:
    """Let the operation look otherwise than it is."""

    def edit(answer: dict[str, Any]) -> dict[str, Any]:
        operation = answer["data"]["bulkOperation"]
        return answer | {"data": {"bulkOperation": operation | changed}}

    return lambda workshop: workshop.sandbox.shopify.troubles.next_answer(edit, operation="BulkOperation", times=9)


HARMLESS = {
    BulkTrouble.FINDS_NOTHING,  # what was searched for may be gone
    BulkTrouble.OVERLOOKS_A_CHILD,  # its product is read in another way
}
TROUBLES = [
    *(pytest.param(of_operation(trouble), id=trouble) for trouble in BulkTrouble if trouble not in HARMLESS),
    *(pytest.param(of_file(fault), id=fault) for fault in ("truncated", "cut_off", "reset", "nonsense", "error_500")),
    pytest.param(of_address(403), id="expired"),
    pytest.param(of_address(302), id="redirect"),
    pytest.param(of_looking(status="COMPLETED", url=None), id="no_file"),
    pytest.param(of_looking(status="COMPLETED", objectCount="5", fileSize=None), id="no_size"),
    pytest.param(of_looking(status="COMPLETED", fileSize="4711", url="ftp://example.com/x"), id="no_address"),
    pytest.param(of_looking(status="COMPLETED", fileSize=str(2**40)), id="huge"),
    pytest.param(of_looking(partialDataUrl="http://127.0.0.1/part"), id="part"),
    pytest.param(of_looking(rootObjectCount="26", objectCount="4711"), id="counts"),
    pytest.param(of_looking(status="RUNNING", rootObjectCount="26"), id="search_ignored"),
    pytest.param(of_looking(status="DANCING"), id="unknown_status"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_whatever_happens_the_mirror_is_the_same(workshop: Workshop, trouble: Trouble) -> None:
    """Nothing of what is not whole is used: the pull reads by pages, and says so once, without the file's address."""
    bulk = workshop.parts.registry.stores[STORE].shopify.bulk
    bulk.patience = Patience(0.01, 0.05, 0.3)
    await workshop.completed(PRODUCTS)
    change_products(workshop)
    trouble(workshop)
    with capture_logs() as logs:
        await pulled(workshop)
    (said,) = (entry for entry in logs if entry["event"] == "not_read_in_bulk")
    assert said["reason"]
    assert not [
        signature
        for operation in workshop.sandbox.shopify.bulk.operations
        for signature in operation.addresses
        if signature in str(logs)
    ]
    assert bulk.rests


async def test_after_a_failure_bulk_operations_rest(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they do not work, not every pull waits for it; they are tried again after a while."""
    await workshop.completed(PRODUCTS)
    workshop.sandbox.shopify.bulk.next(BulkTrouble.FAILS)
    for _ in range(2):
        change_products(workshop)
        assert (await workshop.completed(PRODUCTS)).updated == CHANGED
        assert calls(workshop, "RunBulkQuery") == 1
    now = bulk_module.boot_time()
    monkeypatch.setattr(bulk_module, "boot_time", lambda: now + bulk_module.REST_SECONDS)
    change_products(workshop)
    await pulled(workshop)
    assert calls(workshop, "RunBulkQuery") == 2


@pytest.mark.parametrize("fault", ["truncated", "cut_off", "nonsense", "error_500"])
async def test_a_download_is_tried_twice(workshop: Workshop, fault: str) -> None:
    """The file lies there for days: what cut it off once may have passed."""
    await workshop.completed(PRODUCTS)
    change_products(workshop)
    workshop.sandbox.faults.next(fault, path=FILE)
    pages = calls(workshop, "Products")
    job = await workshop.completed(PRODUCTS)
    assert (job.updated, calls(workshop, "Products"), job.metadata["retries"]) == (CHANGED, pages, 1)


async def test_an_operation_that_takes_too_long_is_cancelled(workshop: Workshop) -> None:
    """It would take a place among the five that may run at once."""
    workshop.parts.registry.stores[STORE].shopify.bulk.patience = Patience(0.01, 0.05, 0.2)
    await workshop.completed(PRODUCTS)
    change_products(workshop)
    workshop.sandbox.shopify.bulk.next(BulkTrouble.HANGS)
    await pulled(workshop)
    (operation,) = workshop.sandbox.shopify.bulk.operations
    assert operation.status == "CANCELED"


async def test_a_file_that_can_not_be_fetched_from_here(workshop: Workshop) -> None:
    """A firewall lets Shopify through, and not where its files lie: a person can do something about it."""
    await workshop.completed(PRODUCTS)
    change_products(workshop)
    of_looking(status="COMPLETED", fileSize="4711", url="http://127.0.0.1:9/files?Signature=hidden-word")(workshop)
    with capture_logs() as logs:
        job = await pulled(workshop)
        change_products(workshop)
        again = await workshop.completed(PRODUCTS)
    for each in (job, again):  # as long as it is so
        (notice,) = each.metadata["notices"]
        assert "can't be fetched from 127.0.0.1: allow this machine, or the proxy, to reach it" in notice
    assert "hidden-word" not in str(logs) + str(job.metadata)


async def test_protected_customer_data_is_not_erased(workshop: Workshop) -> None:
    """In a file, what is kept from the app may look as if it were not there: such an app reads by pages."""
    shop = workshop.sandbox.shopify
    await workshop.completed(CUSTOMERS)
    known = await workshop.rows("SELECT id, phone, email FROM dongbo.shopify_customers ORDER BY id")
    shop.troubles.protected |= {"defaultPhoneNumber", "defaultAddress.phone"}
    change_customers(workshop)
    job = await workshop.completed(CUSTOMERS)
    assert (job.updated, job.failed, calls(workshop, "RunBulkQuery")) == (CHANGED, 0, 0)
    assert await workshop.rows("SELECT id, phone, email FROM dongbo.shopify_customers ORDER BY id") == known
    (notice,) = job.metadata["notices"]
    assert "protected customer data" in notice


async def test_a_row_that_shopify_can_not_give(workshop: Workshop) -> None:
    """The operation fails over it; by pages it is a dead letter, and all others are read."""
    shop = workshop.sandbox.shopify
    await workshop.completed(PRODUCTS)
    chosen = change_products(workshop)
    shop.troubles.broken[f"gid://shopify/Product/{chosen[3]}"] = "descriptionHtml"
    job = await workshop.completed(PRODUCTS)
    assert (job.updated, job.failed) == (CHANGED - 1, 1)


# ── Stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def hanging(workshop: Workshop) -> Job:
    """A pull that waits for an operation that does not end."""
    workshop.parts.registry.stores[STORE].shopify.bulk.patience = Patience(0.01, 60.0, 600.0)
    await workshop.completed(PRODUCTS)
    change_products(workshop)
    workshop.sandbox.shopify.bulk.next(BulkTrouble.HANGS)
    is_looked_at = asyncio.Event()

    def seen(answer: dict[str, Any]) -> dict[str, Any]:
        is_looked_at.set()
        return answer

    workshop.sandbox.shopify.troubles.next_answer(seen, operation="BulkOperation", times=99)
    job = await workshop.submit(PRODUCTS)
    async with asyncio.timeout(30):
        await is_looked_at.wait()
    return job


async def test_the_job_says_that_it_waits_for_the_operation(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person sees why it stands still."""
    monkeypatch.setattr("daemon.jobs.context.WAIT_REPORTED_AFTER", 0.1)
    job = await hanging(workshop)
    waiting = await workshop.wait(job.id, lambda seen: seen.metadata.get("waiting") is not None)
    assert waiting.metadata["waiting"]["for"] == "a bulk operation"
    await workshop.parts.jobs.cancel(job.id)
    await workshop.wait(job.id)


async def test_cancelling_does_not_wait_for_the_operation(workshop: Workshop) -> None:
    """It ends by itself, and has changed nothing."""
    job = await hanging(workshop)
    async with asyncio.timeout(10):
        await workshop.parts.jobs.cancel(job.id)
        assert (await workshop.wait(job.id)).status is JobStatus.CANCELLED
    await pulled(workshop)


async def test_stopping_does_not_wait_for_the_operation(workshop: Workshop) -> None:
    """The job goes back to the queue at once, at no cost in attempts."""
    job = await hanging(workshop)
    async with asyncio.timeout(10):
        workshop.parts.runner.stop_all(StopReason.SHUTDOWN)
        released = await workshop.first_attempt(job.id)
    assert (released.result, released.error) == (AttemptResult.RELEASED, "the daemon stops")
    seen = await workshop.parts.jobs.get(job.id)  # it may run again already
    assert (seen.attempt, seen.error) == (int(seen.status is JobStatus.RUNNING), None)


# ── The way to the file ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_file_comes_through_the_proxy(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every call does."""
    sandbox = workshop.sandbox
    async with open_session() as session, forwarding() as (forwarder, address):
        shopify = ShopifyClient(
            session,
            shop=sandbox.shopify.shop,
            credential=PermanentToken(sandbox.shopify.token),
            base_url=sandbox.shopify_url,
            limits=LimiterRegistry(None),
            patience=Patience(0.01, 0.05, 10.0),
        )
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@{address}")
        meter = CallMeter()
        ids = sorted(sandbox.shopify.products)[:CHANGED]
        page = await shopify._found_products(ids, meter)
        assert sorted(row.value.id for row in page.rows) == ids
    files = [(url, auth) for url, auth in forwarder.seen if url.endswith(FILE)]
    assert [auth is not None for _, auth in files] == [True]
    assert meter.api_calls == len(forwarder.seen)
    assert meter.bytes_received > 1000
