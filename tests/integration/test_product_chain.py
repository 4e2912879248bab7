"""The product chain: steps that are jobs, one after the other; whatever happens to one, the chain says so."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from daemon.config import ProductSyncSettings
from daemon.database.pool import Database
from daemon.errors import LiveJobExists
from daemon.ids import JobId
from daemon.jobs import queue
from daemon.jobs.model import Job, JobStatus, JobType
from daemon.jobs.store import list_jobs
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from tests.integration.conftest import STORE, ProductSyncOf, Workshop, running_parts

CHAIN = JobType.PRODUCT_CHAIN
STEPS = [
    JobType.PULL_NHANH_INVENTORY,
    JobType.PULL_NHANH_PRODUCTS,
    JobType.PULL_SHOPIFY_PRODUCTS,
    JobType.MATCH_PRODUCTS,
    JobType.SYNC_PRODUCTS,
]


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop."""
    return SandboxSettings(products=12, customers=3, limits=False, quirks=False)


def all_depots(sandbox: Sandbox, **settings: Any) -> ProductSyncSettings:
    """Each location gets the depot that it stands for."""
    locations = {str(place.id): (place.depot_id,) for place in sandbox.shopify.locations.values()}
    return ProductSyncSettings(locations=locations, **settings)


@pytest.fixture
def product_sync_of() -> ProductSyncOf:
    """Stock to all locations."""
    return all_depots


async def steps_of(workshop: Workshop, parent: Job) -> list[Job]:
    """The steps of a chain, oldest first."""
    async with workshop.database.acquire() as connection:
        found = await list_jobs(connection, parent=parent.id, limit=100)
    return sorted(found, key=lambda job: job.id)


def hold(workshop: Workshop, path: str) -> Callable[[], None]:
    """Let calls to a source hang until the returned function is called."""
    workshop.sandbox.faults.slow_seconds = 60.0
    workshop.sandbox.faults.next("slow", path=path, times=1000)

    def release() -> None:
        workshop.sandbox.faults.slow_seconds = 0.0
        workshop.sandbox.faults._script.clear()

    return release


async def first_step(workshop: Workshop, parent: JobId, job_type: JobType, status: JobStatus) -> Job:
    """The step of a type, as soon as it has a status."""
    with workshop.parts.hub.subscribe() as news:
        while True:
            for step in await steps_of(workshop, await workshop.parts.jobs.get(parent)):
                if step.type is job_type and step.status is status:
                    return step
            async with asyncio.timeout(20):
                await news.take()


async def test_the_steps_run_one_after_the_other(workshop: Workshop) -> None:
    """Each is a job of its own that names its parent; none begins before the one before it has ended."""
    chain = await workshop.completed(CHAIN)
    steps = await steps_of(workshop, chain)
    assert [step.type for step in steps] == STEPS
    assert {step.status for step in steps} == {JobStatus.COMPLETED}
    assert {(step.parent_id, step.trigger, step.store) for step in steps} == {(chain.id, chain.trigger, STORE)}
    for before, after in itertools.pairwise(steps):
        assert before.completed_at is not None
        assert before.completed_at <= after.created_at
    assert [(step["type"], step["job_id"], step["status"]) for step in chain.metadata["steps"]] == [
        (step.type, str(step.id), "COMPLETED") for step in steps
    ]


async def test_a_chain_counts_its_steps(workshop: Workshop) -> None:
    """A step that has written something counts as updated, one that found nothing to do as skipped."""
    await workshop.completed(CHAIN)
    chain = await workshop.completed(CHAIN)
    wrote = [step for step in await steps_of(workshop, chain) if step.successful]
    assert (chain.total, chain.processed) == (5, 5)
    assert (chain.updated, chain.skipped, chain.failed) == (len(wrote), 5 - len(wrote), 0)
    assert chain.skipped >= 3


async def test_products_may_be_left_out(workshop: Workshop) -> None:
    """Then only stock is pulled; products are matched and pushed as they were last pulled."""
    await workshop.completed(CHAIN)
    chain = await workshop.completed(CHAIN, pull_products=False)
    kept = [JobType.PULL_NHANH_INVENTORY, JobType.MATCH_PRODUCTS, JobType.SYNC_PRODUCTS]
    assert [step.type for step in await steps_of(workshop, chain)] == kept
    assert chain.total == 3


async def test_what_changes_at_nhanh_appears_at_shopify(workshop: Workshop) -> None:
    """Stock sold at the till is on sale no longer, by one chain."""
    await workshop.completed(CHAIN)
    rows = await workshop.rows(
        "SELECT mapping.nhanh_id, mapping.variant_id FROM dongbo.product_mappings AS mapping "
        "JOIN dongbo.shopify_variants AS variant ON variant.id = mapping.variant_id WHERE variant.tracked LIMIT 1"
    )
    nhanh, shopify = workshop.sandbox.nhanh, workshop.sandbox.shopify
    place = next(iter(shopify.locations.values()))
    nhanh.change_stock(rows[0]["nhanh_id"], place.depot_id, 71)
    await workshop.completed(CHAIN)
    level = shopify.variants[rows[0]["variant_id"]].level_at(place.id)
    assert level is not None
    assert level.available == 71


async def test_a_failing_step_ends_the_chain(workshop: Workshop) -> None:
    """With a sentence that names the step and its reason; what is behind it does not begin; the next run is clean."""
    workshop.sandbox.shopify.scopes = frozenset({"read_inventory"})
    chain = await workshop.run(CHAIN)
    assert chain.status is JobStatus.FAILED
    assert chain.error is not None
    assert "Step 3 of 5, PULL_SHOPIFY_PRODUCTS, did not complete" in chain.error
    assert "access scope" in chain.error
    assert [step.type for step in await steps_of(workshop, chain)] == STEPS[:3]
    assert [step["status"] for step in chain.metadata["steps"]] == ["COMPLETED", "COMPLETED", "FAILED", None, None]
    workshop.sandbox.shopify.scopes = frozenset({"write_inventory", "write_products", "read_locations"})
    again = await workshop.completed(CHAIN)
    assert [step.type for step in await steps_of(workshop, again)] == STEPS


async def test_a_failed_chain_that_is_retried_goes_on_with_its_failed_step(workshop: Workshop) -> None:
    """The steps before it stand."""
    scopes = workshop.sandbox.shopify.scopes
    workshop.sandbox.shopify.scopes = frozenset({"read_inventory"})
    chain = await workshop.run(CHAIN)
    workshop.sandbox.shopify.scopes = scopes
    await workshop.parts.jobs.retry(chain.id)
    ended = await workshop.wait(chain.id)
    assert ended.status is JobStatus.COMPLETED
    assert [step.type for step in await steps_of(workshop, ended)] == [*STEPS[:3], *STEPS[2:]]
    assert ended.processed == 5


class TestApproval:
    """A step that waits for a person."""

    @pytest.fixture
    def product_sync_of(self) -> ProductSyncOf:
        """A single item that would be set to zero needs an approval."""
        return lambda sandbox: all_depots(sandbox, max_zeroed=0)

    async def test_it_ends_the_chain_and_goes_on_by_itself(self, workshop: Workshop) -> None:
        """The chain says whom it waits for; an approval lets the step complete, and the next chain run."""
        for variant in workshop.sandbox.shopify.variants.values():
            workshop.sandbox.shopify.change_stock(variant.id, 5)
        for product in list(workshop.sandbox.nhanh.products.values()):
            for depot in product.stock:
                workshop.sandbox.nhanh.change_stock(product.id, depot, 0)
        chain = await workshop.run(CHAIN)
        sync = (await steps_of(workshop, chain))[-1]
        assert (chain.status, sync.status) == (JobStatus.FAILED, JobStatus.AWAITING_APPROVAL)
        assert chain.error is not None
        assert "Step 5 of 5, SYNC_PRODUCTS, waits for a person" in chain.error
        assert str(sync.id) in chain.error
        assert workshop.sandbox.shopify.writes == []
        await workshop.parts.jobs.approve(sync.id)
        ended = await workshop.wait(sync.id)
        assert ended.status is JobStatus.COMPLETED
        assert {write.after for write in workshop.sandbox.shopify.writes} == {0}
        await workshop.completed(CHAIN)


async def test_cancelling_a_chain_cancels_its_step(workshop: Workshop) -> None:
    """Both stop at once, though the source hangs; nothing behind begins."""
    release = hold(workshop, "product/inventory")
    chain = await workshop.submit(CHAIN)
    await first_step(workshop, chain.id, JobType.PULL_NHANH_INVENTORY, JobStatus.RUNNING)
    await workshop.parts.jobs.cancel(chain.id)
    ended = await workshop.wait(chain.id)
    (step,) = await steps_of(workshop, ended)
    cancelled = await workshop.wait(step.id)
    release()
    assert (ended.status, cancelled.status) == (JobStatus.CANCELLED, JobStatus.CANCELLED)


async def test_a_step_that_a_person_cancels_ends_the_chain(workshop: Workshop) -> None:
    """With a sentence that says so."""
    release = hold(workshop, "product/inventory")
    chain = await workshop.submit(CHAIN)
    step = await first_step(workshop, chain.id, JobType.PULL_NHANH_INVENTORY, JobStatus.RUNNING)
    await workshop.parts.jobs.cancel(step.id)
    ended = await workshop.wait(chain.id)
    release()
    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert "was cancelled" in ended.error


async def test_another_job_of_a_step_s_type_is_waited_for(workshop: Workshop) -> None:
    """It is neither adopted nor cancelled: it may have begun before what this chain is there for."""
    release = hold(workshop, "product/inventory")
    other = await workshop.submit(JobType.PULL_NHANH_INVENTORY)
    chain = await workshop.submit(CHAIN)
    with workshop.parts.hub.subscribe() as news:
        while (await workshop.parts.jobs.get(chain.id)).status is not JobStatus.RUNNING:
            await news.take()
    assert await steps_of(workshop, chain) == []
    release()
    await workshop.parts.jobs.cancel(other.id)
    ended = await workshop.wait(chain.id)
    assert ended.status is JobStatus.COMPLETED
    assert [step.type for step in await steps_of(workshop, ended)] == STEPS
    assert other.id not in {step.id for step in await steps_of(workshop, ended)}


async def test_there_is_one_chain_of_a_store_at_a_time(workshop: Workshop) -> None:
    """A fire while the last chain runs is answered with that one."""
    release = hold(workshop, "product/inventory")
    chain = await workshop.submit(CHAIN)
    with pytest.raises(LiveJobExists):
        await workshop.submit(CHAIN)
    release()
    await workshop.parts.jobs.cancel(chain.id)
    await workshop.wait(chain.id)


async def test_a_daemon_that_stops_goes_on_with_the_same_step(
    database: Database, sandbox_settings: SandboxSettings
) -> None:
    """Stopped in the middle of a step, both jobs go back to the queue; after the next start no step is run twice."""
    async with running_sandbox(sandbox_settings) as sandbox:
        async with running_parts(database, sandbox, product_sync=all_depots) as parts:
            first = Workshop(parts, sandbox)
            release = hold(first, "product/inventory")
            chain = await first.submit(CHAIN)
            step = await first_step(first, chain.id, JobType.PULL_NHANH_INVENTORY, JobStatus.RUNNING)
        release()
        stopped = await steps_of(first, chain)
        assert [(job.id, job.status) for job in stopped] == [(step.id, JobStatus.PENDING)]
        async with running_parts(database, sandbox, product_sync=all_depots) as parts:
            second = Workshop(parts, sandbox)
            ended = await second.wait(chain.id)
            assert ended.status is JobStatus.COMPLETED
            assert [job.type for job in await steps_of(second, ended)] == STEPS


async def test_a_step_is_noted_with_its_making(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the note of a step can't be committed, there is no step either: none is ever orphaned or run twice."""
    enqueue, failures = queue.enqueue, [1]

    async def fail_once(connection: Any, job_id: JobId, lane: queue.Lane, *rest: Any) -> None:
        await enqueue(connection, job_id, lane, *rest)
        if lane == f"{STORE}/nhanh-inventory" and failures.pop():
            raise ConnectionResetError("on purpose")

    failures.insert(0, 0)
    monkeypatch.setattr(queue, "enqueue", fail_once)
    chain = await workshop.run(CHAIN)
    monkeypatch.undo()
    steps = await steps_of(workshop, chain)
    assert chain.status is JobStatus.COMPLETED
    assert [step.type for step in steps] == STEPS
    assert UUID(chain.metadata["steps"][0]["job_id"]) == steps[0].id
