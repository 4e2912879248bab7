"""Whatever becomes of an operation or of the download of its file, a pull in bulk leaves the shop in the mirror, or
nothing of it."""

import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import aiohttp
import pytest

from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType, PullMethod
from daemon.sandbox.shopify import BulkTrouble, DownloadTrouble, ShopifySandbox
from daemon.sandbox.shopify.bulk import BulkOperation
from daemon.sources.shopify import bulk_file
from daemon.tasks import bulk_pull
from tests.support.bulk_shop import Changes, Season, check_counters, check_mirror, nothing_is_left, watermarks
from tests.support.workshop import Workshop

PRODUCTS = JobType.PULL_SHOPIFY_PRODUCTS
FILE = "result.jsonl"
CUTS = 6
FOR_GOOD = 99  # times

Trouble = Callable[[Workshop], None]


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the file of a small shop has many, and a download that stalls is given up soon."""
    monkeypatch.setattr(bulk_file, "PORTION_BYTES", 4096)
    monkeypatch.setattr(bulk_file, "PORTION_LINES", 20)
    monkeypatch.setattr(bulk_file, "TIMEOUT", aiohttp.ClientTimeout(sock_connect=2, sock_read=0.3))
    monkeypatch.setattr(bulk_pull, "LINES_AT_ONCE", 60)
    monkeypatch.setattr(bulk_pull, "MOST_LINES_AT_ONCE", 150)
    monkeypatch.setattr(bulk_pull, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(bulk_pull, "PATIENCE", dict.fromkeys(PullMethod, 0.1))


def download(trouble: str, at: int | None = None, times: int = 1) -> Trouble:
    """Let this happen to the next downloads."""
    return lambda workshop: workshop.sandbox.shopify.bulk.downloads.next(trouble, at=at, times=times)


def operation(trouble: BulkTrouble, times: int = 1) -> Trouble:
    """Let the next operations come to this."""
    return lambda workshop: workshop.sandbox.shopify.bulk.next(trouble, times=times)


def request(fault: str, times: int = 1) -> Trouble:
    """Let the next requests for the file end like this."""
    return lambda workshop: workshop.sandbox.faults.next(fault, path=FILE, times=times)


def answered(status: int, times: int = 1) -> Trouble:
    """Let the next requests for the file be answered so."""
    return lambda workshop: workshop.sandbox.faults.next_status(status, path=FILE, times=times)


def counting(**off: int) -> Trouble:
    """Let operations say that they found so many more than they did."""

    def edit(answer: dict[str, Any]) -> dict[str, Any]:
        seen = answer["data"]["bulkOperation"]
        return answer | {"data": {"bulkOperation": seen | {name: str(int(seen[name]) + n) for name, n in off.items()}}}

    return lambda workshop: workshop.sandbox.shopify.troubles.next_answer(edit, operation="BulkOperation", times=99)


def cut_at_random(workshop: Workshop) -> None:
    """Cut the download as soon as the operation is over, at bytes that only come nearer to the end."""
    bulk = workshop.sandbox.shopify.bulk
    tell, chance = bulk.on_end, random.Random(4)

    def cut(ended: BulkOperation) -> None:
        for at in sorted(chance.sample(range(ended.file.size), CUTS)):
            bulk.downloads.next(DownloadTrouble.IS_CUT, at=at)
        tell(ended)

    bulk.on_end = cut


def compressed(workshop: Workshop) -> None:
    """Let files be compressed for those who accept that."""
    workshop.sandbox.shopify.bulk.downloads.compresses = True


def lasting(workshop: Workshop) -> None:
    """Let a cut be followed by an address that no longer holds."""
    workshop.sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_CUT, at=9000)
    workshop.sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_GONE)


def from_the_start(workshop: Workshop) -> None:
    """Let a cut be followed by the file from its beginning."""
    workshop.sandbox.shopify.bulk.downloads.next(DownloadTrouble.IS_CUT, at=9000)
    workshop.sandbox.shopify.bulk.downloads.next(DownloadTrouble.IGNORES_RANGE)


def occupied(workshop: Workshop) -> None:
    """Let other operations take up all places."""
    workshop.sandbox.shopify.bulk.foreign(5)


MENDED = [
    pytest.param(cut_at_random, id="cut_at_random_bytes"),
    pytest.param(download("is_cut", at=1), id="cut_at_the_first_byte"),
    pytest.param(download("stalls", at=5000), id="stalls"),
    pytest.param(download("is_gone", times=2), id="address_expired"),
    pytest.param(download("is_another"), id="another_file_once"),
    pytest.param(lasting, id="expired_in_the_middle"),
    pytest.param(from_the_start, id="from_the_start_again"),
    pytest.param(compressed, id="compressed"),
    pytest.param(request("cut_off", 2), id="cut_off"),
    pytest.param(request("truncated"), id="truncated"),
    pytest.param(request("reset"), id="reset"),
    pytest.param(request("error_500", 2), id="error_500"),
    pytest.param(request("nonsense"), id="nonsense"),
    pytest.param(answered(503), id="http_503"),
    pytest.param(operation(BulkTrouble.SPOILS_A_CHILD), id="spoilt_child"),
    pytest.param(operation(BulkTrouble.OVERLOOKS_A_CHILD), id="overlooked_child"),
]
NOT_MENDED = [
    pytest.param(download("is_cut", at=0, times=FOR_GOOD), id="nothing_comes"),
    pytest.param(download("is_cut", at=9000, times=FOR_GOOD), id="never_further"),
    pytest.param(download("is_another", times=FOR_GOOD), id="another_file"),
    pytest.param(download("is_gone", times=FOR_GOOD), id="gone"),
    pytest.param(request("truncated", FOR_GOOD), id="truncated"),
    pytest.param(request("nonsense", FOR_GOOD), id="nonsense"),
    pytest.param(answered(302, FOR_GOOD), id="redirect"),
    pytest.param(operation(BulkTrouble.LOSES_ROWS), id="lost_root"),
    pytest.param(operation(BulkTrouble.LOSES_A_CHILD), id="lost_child"),
    pytest.param(operation(BulkTrouble.FAILS_IN_PART), id="partial"),
    pytest.param(counting(objectCount=1), id="more_objects_counted"),
    pytest.param(counting(objectCount=-1), id="fewer_objects_counted"),
    pytest.param(counting(rootObjectCount=1), id="more_roots_counted"),
    pytest.param(counting(fileSize=1), id="more_bytes_told"),
    pytest.param(counting(fileSize=-1), id="fewer_bytes_told"),
    pytest.param(occupied, id="no_place"),
]
TELLING = [trouble for trouble in NOT_MENDED if trouble.id in ("gone", "lost_child", "more_roots_counted", "no_place")]


@pytest.mark.parametrize("trouble", MENDED)
async def test_what_can_be_mended_is_read_in_bulk(workshop: Workshop, trouble: Trouble) -> None:
    """By one operation, whatever becomes of its download and of a line of its file: the mirror is the shop."""
    shop = workshop.sandbox.shopify
    changes = await pulled_and_changed(workshop)
    trouble(workshop)
    job = await workshop.completed(PRODUCTS, full=True, method="bulk")
    assert job.metadata["method"] == "bulk"
    assert len(shop.bulk.operations) == 1
    await check(workshop, job, changes)


async def test_a_product_whose_line_can_not_be_read(workshop: Workshop) -> None:
    """It is a dead letter, and neither deleted nor changed; all others are read. The next pull finds it alone."""
    shop = workshop.sandbox.shopify
    changes = await pulled_and_changed(workshop)
    shop.bulk.next(BulkTrouble.SPOILS_A_ROOT)
    job = await workshop.completed(PRODUCTS, full=True, method="bulk")
    assert (job.failed, job.processed, job.metadata["deleted"]) == (1, len(shop.products), changes.deleted)
    again = await workshop.completed(PRODUCTS, full=True, method="pages")
    missed = Changes(created=0, updated=changes.created + changes.updated - job.successful, deleted=0)
    await check(workshop, again, missed)
    assert missed.updated <= 1


@pytest.mark.parametrize("trouble", NOT_MENDED)
async def test_what_can_not_be_mended_is_read_by_pages(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    """In the same job, which says so: the mirror is the shop."""
    monkeypatch.setattr(bulk_pull, "WORTHWHILE_SECONDS", 0.0)
    changes = await pulled_and_changed(workshop)
    trouble(workshop)
    job = await workshop.completed(PRODUCTS, full=True)
    assert job.metadata["method"] == "pages"
    assert job.metadata["notices"]
    await check(workshop, job, changes)


@pytest.mark.parametrize("trouble", TELLING)
async def test_what_can_not_be_mended_and_is_not_to_be_read_by_pages_is_not_read(
    workshop: Workshop, trouble: Trouble
) -> None:
    """The job fails and says what to do; the mirror and the watermarks are what they were."""
    await pulled_and_changed(workshop)
    async with workshop.database.acquire() as connection:
        known = await watermarks(connection)
    before = await whole(workshop)
    trouble(workshop)
    job = await workshop.run(PRODUCTS, full=True, method="bulk")
    assert (job.status, job.processed) == (JobStatus.FAILED, 0)
    assert job.error
    assert await whole(workshop) == before
    async with workshop.database.acquire() as connection:
        assert await watermarks(connection) == known
        assert await nothing_is_left(connection)


async def pulled_and_changed(workshop: Workshop) -> Changes:
    """A shop that is mirrored, and in which something has happened since; of which the next pull has to find this."""
    season = Season(workshop.sandbox.shopify)
    season.next_round()
    await workshop.completed(PRODUCTS, method="pages")
    return season.next_round()


async def check(workshop: Workshop, job: Job, changes: Changes) -> None:
    """Everything that must hold after a pull."""
    shop: ShopifySandbox = workshop.sandbox.shopify
    check_counters({name: getattr(job, name) for name in (*asdict(job), "metadata")}, changes, shop)
    async with workshop.database.acquire() as connection:
        await check_mirror(connection, shop)
        assert await nothing_is_left(connection)


async def whole(workshop: Workshop) -> list[list[Any]]:
    """All rows of the mirror, with all that is known of them."""
    tables = ("shopify_products", "shopify_variants", "shopify_inventory_levels")
    return [await workshop.rows(f"SELECT * FROM dongbo.{table} ORDER BY 2, 3") for table in tables]
