"""Matching customers by phone numbers: reading them, rule by rule, and all rules at once against a small model."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.config import CustomerSyncSettings
from daemon.database.pool import Connection, Database
from daemon.ids import JobId, WorkerName
from daemon.jobs import store
from daemon.jobs.context import JobContext, StopReason
from daemon.jobs.model import Counters, JobStatus
from daemon.jobs.types import JobType
from daemon.mirror.text_upkeep import TextUpkeep, note_due
from daemon.sync.matching import customer_keys, related_customers, writing
from daemon.sync.matching.customer_decisions import set_manual
from daemon.sync.matching.customer_keys import CustomerPhones, Side
from daemon.sync.matching.customers import match_some
from daemon.sync.matching.outcome import MatchOutcome
from daemon.tasks.customer_matching import matching_of
from tests.support.match_jobs import STORE, MatchJobs, fetch_all, in_batches_of, match_in

PUT_NHANH = """
INSERT INTO dongbo.nhanh_customers (store, id, name, mobile, document, digest, deleted_at)
SELECT 'main', id, 'Khách ' || id, mobile, '{}', convert_to(coalesce(mobile, ''), 'UTF8'),
    CASE WHEN is_deleted THEN now() END
FROM unnest($1::bigint[], $2::text[], $3::boolean[]) AS row (id, mobile, is_deleted)
ON CONFLICT (store, id) DO UPDATE SET mobile = excluded.mobile, digest = excluded.digest,
    deleted_at = excluded.deleted_at
"""

PUT_SHOPIFY = """
INSERT INTO dongbo.shopify_customers (store, id, display_name, phone, address_phone, note, tags, document, digest,
    deleted_at)
SELECT 'main', id, 'Customer ' || id, phone, address_phone, note, '{}', '{}',
    convert_to(concat_ws('|', phone, address_phone, note), 'UTF8'), CASE WHEN is_deleted THEN now() END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[])
    AS row (id, phone, address_phone, note, is_deleted)
ON CONFLICT (store, id) DO UPDATE SET phone = excluded.phone, address_phone = excluded.address_phone,
    note = excluded.note, digest = excluded.digest, deleted_at = excluded.deleted_at
"""

LIVE = "SELECT shopify_id, nhanh_id, source FROM dongbo.customer_mappings WHERE retired_at IS NULL ORDER BY shopify_id"
CONFLICTS = "SELECT key, nhanh_ids, shopify_ids FROM dongbo.match_conflicts WHERE kind = 'phone' ORDER BY key"
WRITTEN = ["customer_phones", "customer_phone_states", "customer_mappings", "match_conflicts"]


@dataclass(frozen=True)
class Buyer:
    """A customer of Nhanh.vn."""

    id: int
    mobile: str | None = None
    is_deleted: bool = False


@dataclass(frozen=True)
class Customer:
    """A customer of Shopify."""

    id: int
    phone: str | None = None
    address_phone: str | None = None
    note: str | None = None
    is_deleted: bool = False


@dataclass
class Shop:
    """Both mirrors, and the job."""

    database: Database
    match_jobs: MatchJobs

    async def put(self, buyers: Sequence[Buyer] = (), customers: Sequence[Customer] = ()) -> None:
        """Let the mirrors have these rows."""
        async with self.database.acquire() as connection:
            await put(connection, buyers, customers)

    async def match(self, **params: Any) -> Any:
        """Run the job."""
        return await self.match_jobs.run(JobType.MATCH_CUSTOMERS, **params)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        async with self.database.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    async def phones(self) -> list[tuple[Any, ...]]:
        """(side, customer, number, field)."""
        return await self.rows("SELECT side, customer_id, phone, origin FROM dongbo.customer_phones ORDER BY 1, 2, 3")


async def put(connection: Connection, buyers: Sequence[Buyer], customers: Sequence[Customer]) -> None:
    """Let the mirrors have these rows."""
    await connection.execute(
        PUT_NHANH,
        [buyer.id for buyer in buyers],
        [buyer.mobile for buyer in buyers],
        [buyer.is_deleted for buyer in buyers],
    )
    await connection.execute(
        PUT_SHOPIFY,
        [customer.id for customer in customers],
        [customer.phone for customer in customers],
        [customer.address_phone for customer in customers],
        [customer.note for customer in customers],
        [customer.is_deleted for customer in customers],
    )


def number(last: int) -> str:
    """A phone number as people write it."""
    return f"0912 000 {last:03}"


def e164(last: int) -> str:
    """The same in E.164."""
    return f"+84912000{last:03}"


@pytest.fixture
def shop(database: Database) -> Shop:
    """Empty mirrors; numbers in notes count."""
    return Shop(database, MatchJobs(database, CustomerSyncSettings(phones_in_notes=True)))


async def test_customers_are_matched_by_phone_in_any_spelling(shop: Shop) -> None:
    """One customer on either side has the number, however it is written: by phone, by address, by note."""
    await shop.put(
        [Buyer(1, "01234567890"), Buyer(2, "0912.000.002"), Buyer(3, number(3)), Buyer(4, number(4)), Buyer(5)],
        [
            Customer(11, "+84834567890"),
            Customer(12, address_phone="84 912 000 002"),
            Customer(13, note="gọi số 0912-000-003 giúp"),
            Customer(14, "+84912000999", "không có", "…"),
        ],
    )
    job = await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "phone"), (12, 2, "address"), (13, 3, "note")]
    assert (job.processed, job.created, job.updated, job.skipped) == (4, 3, 0, 1)
    assert (job.metadata["mapped"], job.metadata["unmatched"], job.metadata["ambiguous"]) == (3, 1, 0)
    assert (job.metadata["customers_read"], job.metadata["customers_to_read"]) == (9, 9)


async def test_notes_count_only_if_configured(shop: Shop) -> None:
    """Without the setting notes are not read; switching it on reads them, switching it off forgets them."""
    await shop.put([Buyer(1, number(1))], [Customer(11, note=number(1))])
    configured = shop.match_jobs.settings
    shop.match_jobs.settings = None
    await shop.match()
    assert await shop.rows(LIVE) == []
    shop.match_jobs.settings = configured
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "note")]
    shop.match_jobs.settings = CustomerSyncSettings()
    job = await shop.match()
    assert (await shop.rows(LIVE), job.updated, job.metadata["retired"]) == ([], 1, 1)


async def test_only_changed_customers_are_read_again(shop: Shop) -> None:
    """Numbers are read once for each state of a customer, and those of deleted customers go."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2)), Buyer(3, number(3))], [Customer(11, number(1), number(2), number(1))]
    )
    await shop.match()
    assert await shop.phones() == [
        ("nhanh", 1, e164(1), "phone"),
        ("nhanh", 2, e164(2), "phone"),
        ("nhanh", 3, e164(3), "phone"),
        ("shopify", 11, e164(1), "phone"),
        ("shopify", 11, e164(2), "address"),
    ]
    before = await fetch_all(shop.database, WRITTEN)
    job = await shop.match()
    assert (job.metadata["customers_to_read"], job.skipped, job.successful) == (0, 1, 0)
    assert await fetch_all(shop.database, WRITTEN) == before
    await shop.put([Buyer(1, number(4)), Buyer(3, number(3), is_deleted=True)], [Customer(11, number(2), number(5))])
    job = await shop.match()
    assert job.metadata["customers_to_read"] == 2
    assert await shop.phones() == [
        ("nhanh", 1, e164(4), "phone"),
        ("nhanh", 2, e164(2), "phone"),
        ("shopify", 11, e164(2), "phone"),
        ("shopify", 11, e164(5), "address"),
    ]


async def test_shared_numbers_match_nobody(shop: Shop) -> None:
    """A number of several customers of a side matches none of them, and is listed."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(1)), Buyer(3, number(3))],
        [Customer(11, number(1)), Customer(12, number(3)), Customer(13, number(3))],
    )
    job = await shop.match()
    assert await shop.rows(LIVE) == []
    assert await shop.rows(CONFLICTS) == [(e164(1), [1, 2], [11]), (e164(3), [3], [12, 13])]
    assert (job.metadata["ambiguous"], job.metadata["unmatched"]) == (3, 0)


async def test_weightier_fields_come_first(shop: Shop) -> None:
    """A number is somebody's by phone, though another has it in the address; the other one waits."""
    await shop.put([Buyer(1, number(1))], [Customer(11, number(1)), Customer(12, None, number(1))])
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "phone")]
    assert await shop.rows(CONFLICTS) == [(e164(1), [1], [11, 12])]


async def test_address_of_several_matches_nobody_though_a_note_would(shop: Shop) -> None:
    """Uniqueness counts over the weightier fields, too."""
    await shop.put([Buyer(1, number(1))], [Customer(11, None, number(1)), Customer(12, None, None, number(1))])
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "address")]
    await shop.put([Buyer(2, number(2))], [Customer(13, None, number(2)), Customer(14, None, number(2))])
    await shop.put([], [Customer(15, None, None, number(2))])
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "address")]


async def test_several_numbers_that_lead_to_different_partners(shop: Shop) -> None:
    """A customer whose numbers lead to two others is matched with neither, and both numbers are listed."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2)), Buyer(3, f"{number(3)} / {number(4)}")],
        [Customer(11, f"{number(1)}, {number(2)}"), Customer(13, number(3)), Customer(14, number(4))],
    )
    job = await shop.match()
    assert await shop.rows(LIVE) == []
    assert await shop.rows(CONFLICTS) == [
        (e164(1), [1, 2], [11]),
        (e164(2), [1, 2], [11]),
        (e164(3), [3], [13, 14]),
        (e164(4), [3], [13, 14]),
    ]
    assert job.metadata["ambiguous"] == 3


async def test_several_numbers_that_lead_to_one_partner(shop: Shop) -> None:
    """Two shared numbers are one pair, by the weightier field."""
    await shop.put([Buyer(1, f"{number(2)} / {number(1)}")], [Customer(11, number(2), number(1))])
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "phone")]


async def test_doubt_by_phone_is_not_settled_by_a_note(shop: Shop) -> None:
    """A customer who could be two by phone is not matched by a number in the note."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2)), Buyer(3, number(3))],
        [Customer(11, f"{number(1)}, {number(2)}", None, number(3))],
    )
    await shop.match()
    assert await shop.rows(LIVE) == []


async def test_number_of_more_than_a_few_customers_matches_nobody(shop: Shop) -> None:
    """The shop's own number, or a default of a form: pairs that rest on it end, with the reason; nobody is asked."""
    await shop.put([Buyer(1, number(1)), Buyer(2, number(2))], [Customer(11, number(1)), Customer(12, number(2))])
    await shop.match()
    await shop.put([], [Customer(other, number(1)) for other in (21, 22, 23)])
    job = await shop.match()
    assert await shop.rows(LIVE) == [(12, 2, "phone")]
    assert await shop.rows(CONFLICTS) == []
    assert (job.metadata["common_keys"], job.metadata["ambiguous"]) == (1, 0)
    assert await shop.rows("SELECT retired_reason FROM dongbo.customer_mappings WHERE retired_at IS NOT NULL") == [
        ("1 customers of Nhanh.vn and 4 of Shopify have the phone number, so it identifies none of them",)
    ]
    dry = await shop.match(dry_run=True)
    assert dry.metadata["sample"]["common_keys"] == [
        {"kind": "phone", "key": e164(1), "nhanh_rows": 1, "shopify_rows": 4}
    ]


async def test_number_in_many_notes_is_still_one_person_s_phone(shop: Shop) -> None:
    """A common number counts for nothing in notes only; behind many phones it counts for nothing in an address."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2))],
        [
            Customer(11, number(1)),
            *(Customer(other, note=f"gọi {number(1)}") for other in range(21, 26)),
            *(Customer(other, number(2)) for other in range(31, 36)),
            Customer(12, None, number(2)),
        ],
    )
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "phone")]


async def test_existing_mappings_stay_while_they_share_their_number(shop: Shop) -> None:
    """A newcomer with the same number changes nothing for a pair that is matched; a changed number ends it."""
    await shop.put([Buyer(1, number(1))], [Customer(11, number(1))])
    await shop.match()
    await shop.put([Buyer(2, number(1))], [Customer(12, number(1))])
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "phone")]
    assert await shop.rows(CONFLICTS) == [(e164(1), [1, 2], [11, 12])]
    await shop.put([Buyer(2, number(5)), Buyer(1, number(6))], [Customer(11, number(5)), Customer(12, number(6))])
    job = await shop.match()
    assert await shop.rows(LIVE) == [(11, 2, "phone"), (12, 1, "phone")]
    assert (job.created, job.updated) == (1, 1)
    assert await shop.rows(CONFLICTS) == []


async def test_mappings_of_deleted_customers_are_retired(shop: Shop) -> None:
    """A pair ends with either customer, and says why; with the customer it is matched anew."""
    await shop.put([Buyer(1, number(1)), Buyer(2, number(2))], [Customer(11, number(1)), Customer(12, number(2))])
    await shop.match()
    await shop.put([Buyer(1, number(1), is_deleted=True)], [Customer(12, number(2), is_deleted=True)])
    job = await shop.match()
    assert (job.processed, job.updated, job.skipped, job.metadata["retired"]) == (1, 1, 0, 2)
    reasons = "SELECT retired_reason FROM dongbo.customer_mappings WHERE retired_at IS NOT NULL ORDER BY shopify_id"
    assert await shop.rows(reasons) == [
        ("customer 1 was deleted at Nhanh.vn",),
        ("customer 12 was deleted at Shopify",),
    ]
    await shop.put([Buyer(1, number(1))], [Customer(12, number(2))])
    assert (await shop.match()).created == 2


async def test_dry_run_tells_the_same_and_writes_nothing(shop: Shop) -> None:
    """A dry run decides in a transaction that is taken back; only the numbers are read for good."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2)), Buyer(3, number(2))],
        [Customer(11, number(1)), Customer(12, number(2))],
    )
    before = await fetch_all(shop.database, WRITTEN[2:])
    dry = await shop.match(dry_run=True)
    assert await fetch_all(shop.database, WRITTEN[2:]) == before
    assert dry.metadata["sample"]["matched"] == [
        {
            "shopify_id": 11, "shopify_name": "Customer 11", "nhanh_id": 1, "nhanh_name": "Khách 1",
            "phone": e164(1), "source": "phone", "reason": None,
        }
    ]  # fmt: skip
    real = await shop.match()
    figures = ("mapped", "unmatched", "ambiguous", "conflicts", "retired")
    assert [dry.metadata[name] for name in figures] == [real.metadata[name] for name in figures]
    assert (dry.created, dry.skipped) == (real.created, real.skipped) == (1, 1)


async def put_pairs(shop: Shop, pairs: int) -> None:
    """Customers of both sides, each with a number of one's own: customer 10 + n is buyer n."""
    numbers = range(1, pairs + 1)
    await shop.put([Buyer(n, number(n)) for n in numbers], [Customer(10 + n, number(n)) for n in numbers])


async def kill_between_two_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> JobId:
    """A job of which a run was killed while it wrote its second batch; it may be run again."""
    job = await shop.match_jobs.submit(JobType.MATCH_CUSTOMERS)
    write_next = writing.MappingWrites.write_next
    begun = asyncio.Event()

    async def stay_in_second(*arguments: Any) -> Any:
        written = await write_next(*arguments)
        if await arguments[1].fetchval("SELECT count(*) FROM dongbo.customer_mappings") == 4:
            begun.set()
            await asyncio.Event().wait()
        return written

    monkeypatch.setattr(writing.MappingWrites, "write_next", stay_in_second)
    run = asyncio.create_task(shop.match_jobs.runner().run(job.id, WorkerName("first")), name="first-run")
    await begun.wait()
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    monkeypatch.setattr(writing.MappingWrites, "write_next", write_next)
    async with shop.database.acquire() as connection:
        await store.release_orphans(connection, WorkerName("first"), at_no_cost=True)
    return job.id


async def test_a_run_that_is_killed_between_two_batches_is_gone_on_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written of a match counts and stays; the next run writes the rest, and each customer counts once."""
    monkeypatch.setattr(writing, "BATCH", 2)
    await put_pairs(shop, 5)
    job_id = await kill_between_two_batches(shop, monkeypatch)
    killed = await shop.match_jobs.jobs.get(job_id)
    assert (killed.processed, killed.created, killed.checkpoint) == (2, 2, "writing")
    assert len(await shop.rows(LIVE)) == 2
    await shop.match_jobs.runner().run(job_id, WorkerName("second"))
    job = await shop.match_jobs.jobs.get(job_id)
    assert (job.status, job.total, job.processed, job.created) == (JobStatus.COMPLETED, 5, 5, 5)
    assert [(s, n) for s, n, _source in await shop.rows(LIVE)] == [(10 + n, n) for n in range(1, 6)]
    assert await shop.rows("SELECT FROM dongbo.match_batches") == []


async def test_what_a_killed_run_had_decided_is_not_written_over_what_is_known_since(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Customers may have changed their numbers by the time a job goes on: nobody is mapped by the old ones."""
    monkeypatch.setattr(writing, "BATCH", 2)
    await put_pairs(shop, 5)
    job_id = await kill_between_two_batches(shop, monkeypatch)
    await shop.put([], [Customer(14, number(5)), Customer(15, number(4))])
    await shop.match_jobs.runner().run(job_id, WorkerName("second"))
    job = await shop.match_jobs.jobs.get(job_id)
    assert (job.status, job.total, job.processed, job.created) == (JobStatus.COMPLETED, 5, 5, 5)
    assert [(s, n) for s, n, _source in await shop.rows(LIVE)] == [(11, 1), (12, 2), (13, 3), (14, 5), (15, 4)]
    assert await shop.rows("SELECT FROM dongbo.customer_mappings WHERE retired_at IS NOT NULL") == []


async def test_whoever_decides_between_two_batches_waits_for_one_and_is_right(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person and the sync of a single customer come in before the match ends; what no longer fits is left alone."""
    monkeypatch.setattr(writing, "BATCH", 2)
    await put_pairs(shop, 6)
    write_next = writing.MappingWrites.write_next
    batches = 0

    async def with_others(*arguments: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 2:  # the first is committed, the rest is decided and not written
            async with shop.database.acquire() as connection:
                await set_manual(connection, STORE, [(16, 5)], "they are one")
                async with connection.transaction():
                    assert await match_some(connection, STORE, [14])
        return await write_next(*arguments)

    monkeypatch.setattr(writing.MappingWrites, "write_next", with_others)
    job = await shop.match()
    assert [tuple(row) for row in await shop.rows(LIVE)] == [
        (11, 1, "phone"), (12, 2, "phone"), (13, 3, "phone"), (14, 4, "phone"), (16, 5, "manual"),
    ]  # fmt: skip
    assert (job.total, job.processed, job.created) == (6, 6, 3)
    assert (job.metadata["mapped"], job.metadata["unmatched"]) == (5, 1)


TEXTS = "SELECT side, id, text FROM dongbo.customer_texts ORDER BY side, id"


async def test_customers_are_found_by_what_they_are_called_soon_after_they_were_read(shop: Shop) -> None:
    """Matching only says whose texts are due; a page that was not noted to its end stays due."""
    await shop.put([Buyer(1, number(1))], [Customer(11, number(1))])
    await shop.match()
    assert await shop.rows(TEXTS) == []
    async with shop.database.acquire() as first, shop.database.acquire() as second:
        interrupted = first.transaction()
        await interrupted.start()
        assert await note_due(first)
        assert await note_due(second)
        assert [row[:2] for row in await shop.rows(TEXTS)] == [("shopify", 11)]
        assert not await note_due(second)
        await interrupted.rollback()
    upkeep = TextUpkeep(shop.database)
    async with upkeep, asyncio.timeout(10):
        while len(await shop.rows(TEXTS)) < 2:
            await asyncio.sleep(0.01)
    assert await shop.rows(TEXTS) == [("nhanh", 1, "|0912000001|||khach1"), ("shopify", 11, "|0912000001|||customer11")]
    assert await shop.rows("SELECT FROM dongbo.customer_texts_due") == []


async def test_texts_wait_while_the_customers_of_their_store_are_matched(shop: Shop) -> None:
    """Those of other stores do not, nor while anything else runs."""
    await shop.put([], [Customer(11, number(1))])
    await shop.match()
    set_running = """
        UPDATE dongbo.background_jobs
        SET status = 'RUNNING', completed_at = NULL, run_token = gen_random_uuid(), worker = 'w', type = $1, store = $2
    """
    async with shop.database.acquire() as connection:
        for job_type, name in (("MATCH_CUSTOMERS", "other"), ("NOOP", STORE), ("MATCH_CUSTOMERS", STORE)):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(set_running, job_type, name)
            assert await note_due(connection) is (name == "other" or job_type == "NOOP")
            await transaction.rollback()
        assert await note_due(connection)


async def test_two_who_read_the_same_new_customers_leave_the_numbers_of_one(shop: Shop) -> None:
    """Both found them unknown: the second waits for the first, and what it has read holds."""
    await shop.put([Buyer(1, number(1)), Buyer(2, number(2))], [])
    async with shop.database.acquire() as connection:
        pages = customer_keys.changed_pages(lambda: nullcontext(connection), STORE, with_notes=False)
        ((side, earlier),) = [page async for page in pages]
        await shop.put([Buyer(2, number(3))], [])
        pages = customer_keys.changed_pages(lambda: nullcontext(connection), STORE, with_notes=False)
        ((_, later),) = [page async for page in pages]
    acquire = shop.database.acquire
    async with acquire() as first, acquire() as second, asyncio.TaskGroup() as tasks, first.transaction():
        await customer_keys.store_phones(first, STORE, side, earlier)
        tasks.create_task(store_alone(second, side, later), name="second")
        await waits_for_a_lock(shop, second)
    assert await shop.phones() == [("nhanh", 1, e164(1), "phone"), ("nhanh", 2, e164(3), "phone")]
    assert (await shop.match()).metadata["customers_to_read"] == 0


async def store_alone(connection: Connection, side: Side, page: list[CustomerPhones]) -> None:
    """In a transaction of its own."""
    async with connection.transaction():
        await customer_keys.store_phones(connection, STORE, side, page)


async def waits_for_a_lock(shop: Shop, connection: Connection) -> None:
    """Until a connection waits for another one."""
    pid, is_waiting = connection.get_server_pid(), False
    async with asyncio.timeout(10), shop.database.acquire() as third:
        while not is_waiting:
            is_waiting = await third.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", pid
            )


async def test_interrupted_reading_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped between two pages of numbers is gone on with, and counts each customer once."""
    monkeypatch.setattr(customer_keys, "PAGE", 2)
    monkeypatch.setattr(JobContext.pages, "__defaults__", (1,))  # ahead: so that each page is stored by itself
    await shop.put([Buyer(n, number(n)) for n in range(1, 6)], [Customer(10 + n, number(n)) for n in range(1, 6)])
    job = await shop.match_jobs.submit(JobType.MATCH_CUSTOMERS)
    runner = shop.match_jobs.runner()
    store_phones = customer_keys.store_phones

    async def stop_after_second(*arguments: Any) -> None:
        await store_phones(*arguments)
        if await arguments[0].fetchval("SELECT count(*) FROM dongbo.customer_phone_states") == 4:
            runner.stop_all(StopReason.SHUTDOWN)

    monkeypatch.setattr(customer_keys, "store_phones", stop_after_second)
    await runner.run(job.id, WorkerName("first"))
    stopped = await shop.match_jobs.jobs.get(job.id)
    assert (stopped.status, stopped.processed, stopped.metadata["customers_read"]) == (JobStatus.PENDING, 0, 4)
    assert stopped.checkpoint == {"side": "nhanh", "after": 4}
    await shop.match_jobs.runner().run(job.id, WorkerName("second"))
    job = await shop.match_jobs.jobs.get(job.id)
    assert (job.status, job.total, job.processed, job.created) == (JobStatus.COMPLETED, 5, 5, 5)
    assert (job.metadata["customers_read"], job.metadata["customers_to_read"]) == (10, 10)


async def test_run_after_the_commit_counts_nothing_twice(shop: Shop) -> None:
    """A daemon that dies between the commit of the match and the end of the job leaves exact counters."""
    await shop.put([Buyer(1, number(1))], [Customer(11, number(1))])
    job = await shop.match_jobs.submit(JobType.MATCH_CUSTOMERS)
    runner = shop.match_jobs.runner()

    async def die(*_arguments: object) -> None:
        raise asyncpg.ConnectionDoesNotExistError("on purpose")

    runner._finish = die  # type: ignore[method-assign]
    await runner.run(job.id, WorkerName("first"))
    await shop.match_jobs.runner().run(job.id, WorkerName("second"))
    job = await shop.match_jobs.jobs.get(job.id)
    assert (job.status, job.total, job.processed, job.created) == (JobStatus.COMPLETED, 1, 1, 1)


async def test_reading_numbers_gives_way_to_the_event_loop(shop: Shop) -> None:
    """While thousands of numbers are read, the loop turns every few milliseconds."""
    note = "khách quen 0912 345 678, số cũ 0123.456.7890 " * 5
    await shop.put([], [Customer(n, number(n % 900), number(n % 800), note) for n in range(1, 501)])
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    spinning = asyncio.create_task(turn())
    began = time.perf_counter()
    async with shop.database.acquire() as connection:
        pages = customer_keys.changed_pages(lambda: nullcontext(connection), STORE, with_notes=True)
        _, page = await anext(pages)
        await pages.aclose()
    elapsed = time.perf_counter() - began
    spinning.cancel()
    assert len(page) == 500
    assert turns > elapsed / 0.05


# All rules at once, against a small model.


@dataclass(frozen=True)
class World:
    """Everything that matching looks at: numbers by customer, with their tier, and the mappings before."""

    nhanh: dict[int, set[str]]
    shopify: dict[int, dict[str, int]]
    gone: set[int]
    known: list[tuple[int, int, str]]  # nhanh, shopify, phone


PHONES = st.sampled_from(["+841", "+842", "+843", "+844", "+845", "+846"])
SOURCES = ["phone", "address", "note"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Few numbers and many customers, so that they meet."""
    nhanh = {n: set(draw(st.lists(PHONES, max_size=2))) for n in range(1, draw(st.integers(1, 7)))}
    shopify = {
        n: draw(st.dictionaries(PHONES, st.integers(1, 3), max_size=3)) for n in range(11, draw(st.integers(11, 17)))
    }
    gone = set(draw(st.lists(st.sampled_from([*nhanh, *shopify]), max_size=2))) if nhanh or shopify else set()
    known = []
    partners = sorted(nhanh)
    for customer in shopify:
        if partners and draw(st.booleans()):
            partner = partners.pop(draw(st.integers(0, len(partners) - 1)))
            shared = sorted(nhanh[partner] & shopify[customer].keys())
            known.append((partner, customer, draw(st.sampled_from(shared)) if shared else "+841"))
    return World(nhanh, shopify, gone, known)


@dataclass
class Expected:
    """What the model says."""

    mapped: dict[int, tuple[int, str]]  # shopify: nhanh, phone
    conflicts: list[tuple[str, list[int], list[int]]]
    counters: Counters


def model(world: World) -> Expected:
    """The rules, one customer at a time."""
    nhanh = {n: phones for n, phones in world.nhanh.items() if n not in world.gone}
    shopify = {s: phones for s, phones in world.shopify.items() if s not in world.gone}
    for phone in {phone for phones in nhanh.values() for phone in phones}:
        fields = (
            [1] * sum(phone in phones for phones in nhanh.values()),
            [phones[phone] for phones in shopify.values() if phone in phones],
        )
        common = min((tier for side in fields for tier in side if side.count(tier) > 3), default=4)
        shopify = {
            s: {other: tier for other, tier in phones.items() if other != phone or tier < common}
            for s, phones in shopify.items()
        }
    mapped = {
        s: (n, phone)
        for n, s, phone in world.known
        if phone in nhanh.get(n, ()) and phone in shopify.get(s, ())
    }  # fmt: skip
    retired = {s for _, s, _ in world.known} - mapped.keys()
    found: set[tuple[int, int, str, int]] = set()

    def free_pairs() -> set[tuple[int, int]]:
        taken = {n for n, _ in mapped.values()}
        return {(n, s) for n, s, _, _ in found if n not in taken and s not in mapped}

    for tier in (1, 2, 3):
        for phone in sorted({phone for phones in shopify.values() for phone in phones}):
            left = [n for n, phones in nhanh.items() if phone in phones]
            right = [s for s, phones in shopify.items() if phones.get(phone, 4) <= tier]
            if len(left) == 1 and len(right) == 1:
                found.add((left[0], right[0], phone, shopify[right[0]][phone]))
        free = free_pairs()
        for n, s in free:
            if sum(a == n for a, _ in free) == 1 and sum(b == s for _, b in free) == 1:
                mapped[s] = (n, min((weight, phone) for a, b, phone, weight in found if (a, b) == (n, s))[1])
    owner = dict(mapped.values())
    conflicts = {}
    for phone in sorted({phone for phones in shopify.values() for phone in phones}):
        left = [n for n, phones in nhanh.items() if phone in phones]
        right = [s for s, phones in shopify.items() if phone in phones]
        by_left = [owner.get(n) for n in left]
        by_right = [mapped[s][1] if s in mapped else None for s in right]
        is_open = all(any(by in (None, phone) for by in side) for side in (by_left, by_right))
        if left and len(left) + len(right) > 2 and is_open and None in by_left + by_right:
            conflicts[phone] = (left, right)
    free = free_pairs()
    for n, s, phone, _ in found:
        if (n, s) in free and phone not in conflicts:
            conflicts[phone] = (sorted(a for a, b in free if b == s), sorted(b for a, b in free if a == n))
    updated = len(retired & shopify.keys())
    created = len(mapped.keys() - {s for _, s, _ in world.known})
    counters = Counters(created, updated, len(shopify) - created - updated)
    return Expected(mapped, sorted((phone, *sides) for phone, sides in conflicts.items()), counters)


async def arrange(connection: Connection, world: World) -> None:
    """Make the database the world's."""
    await connection.execute(
        "TRUNCATE dongbo.nhanh_customers, dongbo.shopify_customers, dongbo.customer_phones, dongbo.customer_mappings, "
        "dongbo.match_conflicts RESTART IDENTITY"
    )
    buyers = [Buyer(n, is_deleted=n in world.gone) for n in world.nhanh]
    await put(connection, buyers, [Customer(s, is_deleted=s in world.gone) for s in world.shopify])
    phones = [("nhanh", n, phone, "phone") for n, numbers in world.nhanh.items() for phone in sorted(numbers)]
    phones += [
        ("shopify", s, phone, SOURCES[tier - 1])
        for s, numbers in world.shopify.items()
        for phone, tier in numbers.items()
    ]
    await connection.executemany("INSERT INTO dongbo.customer_phones VALUES ('main', $1, $2, $3, $4)", phones)
    await connection.executemany(
        "INSERT INTO dongbo.customer_mappings (store, nhanh_id, shopify_id, source, phone) "
        "VALUES ('main', $1, $2, 'phone', $3)",
        world.known,
    )


async def match(connection: Connection) -> MatchOutcome:
    """Match, and commit."""
    return await match_in(connection, matching_of(STORE))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
async def test_sets_decide_as_the_rules_one_by_one(shop: Shop, world: World) -> None:
    """For any customers, numbers and mappings the result is the model's, and a second run changes nothing."""
    expected = model(world)
    async with shop.database.acquire() as connection:
        await arrange(connection, world)
        with in_batches_of(1):
            outcome = await match(connection)
        live = await shop.rows(
            "SELECT shopify_id, nhanh_id, phone FROM dongbo.customer_mappings WHERE retired_at IS NULL"
        )
        assert {s: (n, phone) for s, n, phone in live} == expected.mapped
        assert await shop.rows(CONFLICTS) == expected.conflicts
        assert outcome.counters == expected.counters
        before = await fetch_all(shop.database, ["customer_mappings", "match_conflicts"])
        again = await match(connection)
        assert again.counters == Counters(skipped=expected.counters.processed)
        assert await fetch_all(shop.database, ["customer_mappings", "match_conflicts"]) == before


STATE = (
    "SELECT shopify_id, nhanh_id, source, phone, retired_at IS NULL, retired_reason FROM dongbo.customer_mappings "
    "ORDER BY 1, 2, 3, 4, 5",
    CONFLICTS,
    "SELECT key, nhanh_rows, shopify_rows FROM dongbo.common_keys ORDER BY key",
)


async def state(connection: Connection) -> list[list[tuple[Any, ...]]]:
    """All that matching has written."""
    return [[tuple(row) for row in await connection.fetch(statement)] for statement in STATE]


def about(customer: int, found: list[list[tuple[Any, ...]]]) -> list[list[tuple[Any, ...]]]:
    """What of it is about a customer of Shopify."""
    mappings, conflicts, _common = found
    return [[row for row in mappings if row[0] == customer], [row for row in conflicts if customer in row[2]]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds(), data=st.data())
async def test_matching_one_finds_what_matching_all_finds(shop: Shop, world: World, data: st.DataObject) -> None:
    """For any customer: the same mapping and conflicts; and all after one is the same as all at once."""
    customer = data.draw(st.sampled_from(sorted(world.shopify))) if world.shopify else 11
    async with shop.database.acquire() as connection:
        await arrange(connection, world)
        await match(connection)
        all_at_once = await state(connection)
        await arrange(connection, world)
        async with connection.transaction():
            await match_some(connection, STORE, [customer])
        alone = await state(connection)
        assert about(customer, alone) == about(customer, all_at_once)
        await match(connection)
        assert await state(connection) == all_at_once


async def test_a_group_that_is_too_large_is_matched_with_everybody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is the same; the limit only bounds what is gathered for one."""
    monkeypatch.setattr(related_customers, "MOST_RELATED", 1)
    await shop.put([Buyer(1, "0912345678"), Buyer(2, "0987654321")], [Customer(11, "0912345678")])
    await shop.match()
    await shop.put(customers=[Customer(12, "0987654321")])
    async with shop.database.acquire() as connection, connection.transaction():
        pages = customer_keys.changed_pages(lambda: nullcontext(connection), STORE, with_notes=False)
        async for side, page in pages:
            await customer_keys.store_phones(connection, STORE, side, page)
        assert not await match_some(connection, STORE, [12])
        await match_in(connection, matching_of(STORE))
    assert [tuple(row) for row in await shop.rows(LIVE)] == [(11, 1, "phone"), (12, 2, "phone")]
