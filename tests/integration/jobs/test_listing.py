"""Jobs are found by any mix of properties, page by page, as a look at each of them would find them."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from daemon.database.pool import Connection, Database
from daemon.ids import JobId, ScheduleName, StoreName
from daemon.jobs import facets, listing, store
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Aftermath, Job, JobOutcome, JobStatus, JobTrigger
from daemon.jobs.results import outcome_of
from daemon.jobs.types import JobType

JOBS = 600
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
PAGE = 17
TYPES = (JobType.PULL_NHANH_PRODUCTS, JobType.SYNC_PRODUCTS, JobType.PRODUCT_CHAIN, JobType.NOOP)
INSERT = """
INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, schedule, params, error, max_attempts,
    skipped, failed, processed, run_token, completed_at, created_at, parent_id, repaired_by, superseded_by)
VALUES ($1, $2, $3, 'lane', $4, $5, $6, $7, $8, 3, 5, $9::bigint, 5 + $9::bigint,
    CASE WHEN $4 = 'RUNNING' THEN gen_random_uuid() END,
    CASE WHEN $4 IN ('COMPLETED', 'FAILED', 'CANCELLED') THEN $10::timestamptz END, $10, $11, $12, $13)
"""


@dataclass(frozen=True)
class Known:
    """A job, and what the test knows of it besides."""

    job: Job
    aftermath: Aftermath

    @property
    def outcome(self) -> JobOutcome:
        """What has become of it."""
        return outcome_of(self.job, self.aftermath)


async def fill(connection: Connection, seed: int) -> list[Known]:
    """Jobs of all kinds, some of them rare."""
    chance = random.Random(seed)
    ids = [listing._id_at(BEGAN + timedelta(minutes=n)) for n in range(JOBS)]
    live = set()
    for n, job_id in enumerate(ids):
        status = chance.choices(list(JobStatus), [1, 1, 1, 20, 5, 2])[0]
        # One for the same work is live at a time, and one of a kind waits: all but the rarest have ended.
        job_type, shop = chance.choice(TYPES), chance.choice(("main", "other"))
        params = {"query": chance.choice(("tag:Vip", "50%_off", "đầm"))} if chance.random() < 0.1 else {}
        kind = (status in (JobStatus.PENDING, JobStatus.RUNNING), job_type, shop)
        if not status.has_ended:
            if kind in live:
                status = JobStatus.COMPLETED
            live.add(kind)
        error = (
            "Nhanh.vn refused: Đơn hàng"
            if status is JobStatus.FAILED or chance.random() < (0.05 if status.has_ended else 0.5)
            else None
        )
        later = ids[min(n + 5, JOBS - 1)]
        await connection.execute(
            INSERT,
            job_id,
            shop,
            job_type,
            status,
            chance.choice(list(JobTrigger)),
            chance.choice((None, "nightly", "hourly")),
            store.encode(params),
            error,
            chance.choice((0, 0, 3)),
            BEGAN + timedelta(minutes=n, seconds=chance.uniform(-90, 90)),
            ids[n - 1] if n and job_type is not JobType.PRODUCT_CHAIN and chance.random() < 0.3 else None,
            later if chance.random() < 0.3 else None,
            later if chance.random() < 0.5 else None,
        )
    jobs = await store.get_many(connection, [JobId(each) for each in ids])
    aftermaths = await store.aftermaths(connection, [job.id for job in jobs])
    return sorted((Known(job, aftermaths[job.id]) for job in jobs), key=lambda known: known.job.id, reverse=True)


def _has_text(text: str) -> Callable[[Known], bool]:
    return lambda known: text in (known.job.error or "") or any(text in str(each) for each in known.job.params.values())


def _is_run(known: Known) -> bool:
    return known.job.parent_id is None and known.job.type is not JobType.NOOP


def filters_with_oracles(known: list[Known]) -> Mapping[str, list[tuple[Any, Callable[[Known], bool]]]]:
    """Each filter with some values, and what a look at one job says."""
    since, until = BEGAN + timedelta(minutes=130), BEGAN + timedelta(minutes=415)
    parent = next(each.job.parent_id for each in known if each.job.parent_id is not None)
    some = [each.job.id for each in known[:: len(known) // 60]]
    one = known[200].job.id
    return {
        "store": [(StoreName("main"), lambda k: k.job.store == "main"), (StoreName("none"), lambda k: False)],
        "type": [(JobType.SYNC_PRODUCTS, lambda k: k.job.type is JobType.SYNC_PRODUCTS)],
        "status": [
            (JobStatus.FAILED, lambda k: k.job.status is JobStatus.FAILED),
            (JobStatus.AWAITING_APPROVAL, lambda k: k.job.status is JobStatus.AWAITING_APPROVAL),
        ],
        "outcome": [(each, lambda k, each=each: k.outcome is each) for each in JobOutcome],
        "trigger": [(JobTrigger.CLI, lambda k: k.job.trigger is JobTrigger.CLI)],
        "schedule": [(ScheduleName("nightly"), lambda k: k.job.schedule == "nightly")],
        "only_runs": [(True, _is_run)],
        "parent": [(parent, lambda k: k.job.parent_id == parent)],
        "since": [(since, lambda k: k.job.created_at >= since)],
        "until": [(until, lambda k: k.job.created_at < until)],
        "ids": [(some, lambda k: k.job.id in some)],
        "search": [
            ("refused", _has_text("refused")),
            ("50%_off", _has_text("50%_off")),
            ("no such text", lambda k: False),
            (str(one), lambda k: k.job.id == one),
            (str(one)[:13], lambda k: str(k.job.id).startswith(str(one)[:13])),
        ],
    }


async def _all_pages(connection: Connection, filters: JobFilters) -> list[JobId]:
    found: list[JobId] = []
    before: JobId | None = None
    while True:
        page = await listing.find(connection, filters, before=before, limit=PAGE)
        assert len(page.jobs) <= PAGE
        found += [job.id for job in page.jobs]
        if page.before is None:
            return found
        before = page.before


@pytest.fixture(params=[True, False], ids=["few are looked at whole", "searched in portions"])
def portions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search looks at few jobs whole, and at many in portions; here after each of which it pauses."""
    if not request.param:
        monkeypatch.setattr(listing, "FEW", 0)
        monkeypatch.setattr(listing, "PORTION", 50)
        monkeypatch.setattr(listing, "BUDGET", 0.0)


async def test_any_two_filters_find_what_a_look_at_each_job_finds(database: Database, portions: None) -> None:
    """In the same order, over all pages, whatever the filters are."""
    async with database.acquire() as connection:
        known = await fill(connection, seed=14)
        filters = filters_with_oracles(known)
        for first, second in combinations(filters, 2):
            for one, matches_one in filters[first]:
                for other, matches_other in filters[second]:
                    wanted = [each.job.id for each in known if matches_one(each) and matches_other(each)]
                    asked = replace(JobFilters(**{first: one}), **{second: other})
                    assert await _all_pages(connection, asked) == wanted, (first, one, second, other)
        assert await _all_pages(connection, JobFilters()) == [each.job.id for each in known]


async def test_each_job_has_the_outcome_that_its_row_tells(database: Database) -> None:
    """What the database lists by is what people are told."""
    async with database.acquire() as connection:
        known = await fill(connection, seed=15)
        facet_of = {
            UUID(int=row["id"].int): row["outcome"]
            for row in await connection.fetch(
                "SELECT job.id, outcome FROM dongbo.background_jobs AS job "
                "JOIN dongbo.job_facets AS facet ON facet.id = job.facet"
            )
        }
    assert facet_of == {each.job.id: each.outcome for each in known}
    assert set(facet_of.values()) == set(JobOutcome)


async def test_jobs_are_counted_as_they_come_change_and_go(database: Database) -> None:
    """What the metrics say without reading the table, whether it was summed up or not."""

    async def count(connection: Connection) -> set[tuple[str, str, int]]:
        rows = await connection.fetch("SELECT type, status, count(*) FROM dongbo.background_jobs GROUP BY type, status")
        return {tuple(row) for row in rows}

    async with database.acquire() as connection:
        await fill(connection, seed=16)
        for change in (
            "UPDATE dongbo.background_jobs SET status = 'CANCELLED', completed_at = now() WHERE status = 'PENDING'",
            "DELETE FROM dongbo.background_jobs WHERE store = 'other'",
            "UPDATE dongbo.background_jobs SET parent_id = NULL",
            "UPDATE dongbo.background_jobs SET repaired_by = gen_random_uuid() WHERE status = 'FAILED'",
        ):
            await connection.execute(change)
            assert set(await facets.count_by_status(connection)) == await count(connection)
            await facets.sum_up(connection)
            assert set(await facets.count_by_status(connection)) == await count(connection)
            assert await connection.fetchval("SELECT count(*) FROM dongbo.job_count_changes") == 0


async def test_counting_sums_up_what_has_come_together(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a daemon that nobody prunes or restarts does not add up ever more."""
    monkeypatch.setattr(facets, "MOST_CHANGES", 10)
    async with database.acquire() as connection:
        await fill(connection, seed=17)
        before = set(await facets.count_by_status(connection))
        assert await connection.fetchval("SELECT count(*) FROM dongbo.job_count_changes") == 0
        assert set(await facets.count_by_status(connection)) == before


async def test_a_step_stays_one_when_its_chain_is_gone(database: Database) -> None:
    """What was part of a run does not become a run of its own by pruning."""
    async with database.acquire() as connection:
        await fill(connection, seed=18)
        before = await _all_pages(connection, JobFilters(only_runs=True))
        await connection.execute("UPDATE dongbo.background_jobs SET parent_id = NULL")
        assert await _all_pages(connection, JobFilters(only_runs=True)) == before


async def test_a_job_that_changes_meanwhile_is_in_the_list(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is of one moment: a job that turns into one of a kind never seen before is not missed between."""
    job_id = JobId(UUID(int=BEGAN.microsecond + 1))
    values = (JobType.NOOP, JobStatus.PENDING, JobTrigger.API, None, "{}", None, 0, BEGAN, None, None, None)
    async with database.acquire() as connection:
        await connection.execute(INSERT, job_id, "main", *values)
    look_up = listing.facets.find

    async def look_up_and_let_it_end(*arguments: Any, **properties: Any) -> list[int]:
        found = await look_up(*arguments, **properties)
        async with database.acquire() as other:
            await other.execute(
                "UPDATE dongbo.background_jobs SET status = 'CANCELLED', completed_at = now() WHERE id = $1", job_id
            )
        return found

    monkeypatch.setattr(listing.facets, "find", look_up_and_let_it_end)
    async with database.acquire() as connection:
        found = await listing.find(connection, JobFilters(type=JobType.NOOP))
    assert [job.id for job in found.jobs] == [job_id]
