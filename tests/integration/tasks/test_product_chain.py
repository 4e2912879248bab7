"""The product chain: its steps are jobs of their own, one after the other, whatever happens to it or to them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from daemon.database.pool import Database
from daemon.ids import JobId
from daemon.jobs.listing import JobFilters
from daemon.jobs.model import Job, JobOutcome, JobStatus
from daemon.jobs.queue import worker as queue_worker
from daemon.jobs.queue.recovery import restore_places
from daemon.jobs.results import summarise
from daemon.jobs.types import JobType
from daemon.sandbox.server import SandboxSettings, running_sandbox
from daemon.tone import Tone
from tests.support.shop_memory import product_sync
from tests.support.workshop import ProductSyncOf, Workshop, running_parts

CHAIN = JobType.PRODUCT_CHAIN
STEPS = [
    JobType.PULL_NHANH_PRODUCTS,
    JobType.PULL_SHOPIFY_PRODUCTS,
    JobType.PULL_NHANH_INVENTORY,
    JobType.MATCH_PRODUCTS,
    JobType.SYNC_PRODUCTS,
]
SHOPIFY = "graphql.json"  # the end of its path
SUPERSEDED_BY = "SELECT superseded_by FROM dongbo.background_jobs WHERE id = $1"
PLACES_OF_NOBODY = """
SELECT count(*) FROM dongbo.pgqueuer WHERE payload NOT IN (
    SELECT convert_to(id::text, 'UTF8') FROM dongbo.background_jobs
)
"""

# The first commit that makes a step fails, as by a server that goes away just then.
FAIL_FIRST_COMMIT = """
CREATE SEQUENCE public.commits;
CREATE FUNCTION public.fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('public.commits') = 1 THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fail_once AFTER INSERT ON dongbo.background_jobs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION public.fail_once();
"""


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    """A small shop, where what is slow is slower than any test."""
    settings = SandboxSettings(products=10, customers=1, limits=False)
    settings.faults.slow_seconds = 60.0
    return settings


@pytest.fixture
def product_sync_of() -> ProductSyncOf:
    """The store pushes stock and prices, and nobody is asked."""
    return product_sync


def configure(workshop: Workshop, **settings: object) -> None:
    """Let the store push by other settings."""
    made = product_sync(workshop.sandbox, **settings)
    registry = workshop.parts.registry
    stores = {name: replace(store, product_sync_settings=made) for name, store in registry.stores.items()}
    workshop.parts.use_stores(stores, registry.policy)


async def steps_of(workshop: Workshop, chain: Job) -> list[Job]:
    """The steps of a chain, oldest first."""
    return ((await workshop.parts.jobs.list_jobs(JobFilters(parent=chain.id))).jobs)[::-1]


async def running_step(workshop: Workshop, chain: Job, job_type: JobType) -> Job:
    """A step of a chain as soon as its call to the source hangs."""

    def is_hanging(job: Job) -> bool:
        return any(step["type"] == job_type and step["job_id"] for step in job.metadata.get("steps", ()))

    shown = await workshop.wait(chain.id, is_hanging)
    (step_id,) = [JobId(step["job_id"]) for step in shown.metadata["steps"] if step["type"] == job_type]
    await until(lambda: workshop.sandbox.faults.counts.total() > 0)
    return await workshop.wait(step_id, lambda job: job.status is JobStatus.RUNNING)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something in this process."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def shown_steps(chain: Job) -> list[tuple[str, str | None]]:
    """Types and states of the steps as people see them."""
    return [(step["type"], step["status"]) for step in chain.metadata["steps"]]


async def test_steps_are_jobs_one_after_the_other(workshop: Workshop) -> None:
    """Each step is a visible job with its parent's id, made when the one before it has ended; a step counts as a row of
    the chain: updated where it has written anything, else skipped."""
    chain = await workshop.completed(CHAIN)
    steps = await steps_of(workshop, chain)
    assert [step.type for step in steps] == STEPS
    assert {step.status for step in steps} == {JobStatus.COMPLETED}
    for before, after in pairwise(steps):
        assert before.completed_at is not None
        assert before.completed_at <= after.created_at
    assert (chain.total, chain.processed, chain.failed) == (5, 5, 0)
    assert chain.updated == sum(step.successful > 0 for step in steps) > 2
    assert shown_steps(chain) == [(step, "COMPLETED") for step in STEPS]
    assert [step["job_id"] for step in chain.metadata["steps"]] == [str(step.id) for step in steps]
    again = await workshop.completed(CHAIN)
    assert (again.processed, (await steps_of(workshop, again))[-1].updated) == (5, 0)


async def test_step_with_failed_rows_is_a_failed_row_of_the_chain(workshop: Workshop) -> None:
    """It goes on, and is not green: it is found among what completed with failures, with the rows of its steps."""
    workshop.sandbox.faults.bad_rows = 0.5
    chain = await workshop.completed(CHAIN)
    steps = await steps_of(workshop, chain)
    rows = sum(step.failed for step in steps)
    assert rows > 0
    assert chain.failed == sum(step.failed > 0 for step in steps)
    assert chain.processed == chain.successful + chain.skipped + chain.failed == 5
    found = await workshop.parts.jobs.list_jobs(JobFilters(outcome=JobOutcome.COMPLETED_WITH_FAILURES))
    assert chain.id in [job.id for job in found.jobs]
    async with workshop.database.acquire() as connection:
        (summary,) = await summarise(connection, [chain])
    assert (summary.outcome, summary.tone) == (JobOutcome.COMPLETED_WITH_FAILURES, Tone.WARN)
    assert (summary.failed_rows, summary.unresolved_rows) == (rows, rows)
    assert f"{steps[1].failed} rows failed" in summary.text


async def test_products_may_be_left_out(workshop: Workshop) -> None:
    """Without `pull_products` only stock is pulled, and only from Nhanh.vn."""
    await workshop.completed(CHAIN)
    chain = await workshop.completed(CHAIN, pull_products=False)
    assert [step.type for step in await steps_of(workshop, chain)] == STEPS[2:]
    assert (chain.total, chain.processed) == (3, 3)


async def test_failing_step_ends_the_chain(workshop: Workshop) -> None:
    """A step that a source refuses ends the chain with a sentence of which and why; no later step begins, and the next
    run starts from the first step."""
    shop = workshop.sandbox.shopify
    token, shop.token = shop.token, "another"
    chain = await workshop.run(CHAIN)
    steps = await steps_of(workshop, chain)
    assert chain.status is JobStatus.FAILED
    assert [(step.type, step.status) for step in steps] == [
        (STEPS[0], JobStatus.COMPLETED),
        (STEPS[1], JobStatus.FAILED),
    ]
    assert chain.error == (
        f"Step 2 of 5, PULL_SHOPIFY_PRODUCTS, did not complete (job {steps[1].id}): {steps[1].error}"
    )
    assert "access token" in chain.error
    assert shown_steps(chain)[1:] == [(STEPS[1], "FAILED"), *((step, None) for step in STEPS[2:])]
    shop.token = token
    following = await workshop.completed(CHAIN)
    assert [step.type for step in await steps_of(workshop, following)] == STEPS
    assert len(await steps_of(workshop, chain)) == 2


async def test_retried_chain_goes_on_with_the_step_that_failed(workshop: Workshop) -> None:
    """What has completed before is not done again."""
    shop = workshop.sandbox.shopify
    token, shop.token = shop.token, "another"
    failed = await workshop.run(CHAIN)
    shop.token = token
    await workshop.parts.jobs.retry(failed.id)
    chain = await workshop.wait(failed.id)
    assert (chain.status, chain.processed) == (JobStatus.COMPLETED, 5)
    assert [step.type for step in await steps_of(workshop, chain)] == [*STEPS[:2], *STEPS[1:]]
    assert shown_steps(chain) == [(step, "COMPLETED") for step in STEPS]


async def asked(workshop: Workshop) -> tuple[Job, Job]:
    """A chain that waits, and the step for which it does."""
    await workshop.completed(CHAIN)
    configure(workshop, max_zeroed=0)
    await sell_out(workshop)
    chain = await workshop.run(CHAIN)
    step = (await steps_of(workshop, chain))[-1]
    assert (chain.status, step.status) == (JobStatus.AWAITING_APPROVAL, JobStatus.AWAITING_APPROVAL), chain.error
    return chain, step


async def test_chain_waits_along_with_its_step(workshop: Workshop) -> None:
    """A chain whose step asks a person waits without a run of its own, and says for what; approved, both complete."""
    chain, step = await asked(workshop)
    assert step.type is JobType.SYNC_PRODUCTS
    assert chain.error is not None
    assert chain.error.startswith("Step 5 of 5, SYNC_PRODUCTS, waits for a person: This sync would set 1 item to zero")
    assert (chain.worker, chain.completed_at) == (None, None)
    assert shown_steps(chain)[-1] == (JobType.SYNC_PRODUCTS, "AWAITING_APPROVAL")
    written = len(workshop.sandbox.shopify.writes)
    await workshop.parts.jobs.approve(step.id)
    done = await workshop.wait(step.id)
    assert (done.status, done.updated) == (JobStatus.COMPLETED, 1), done.error
    ended = await workshop.wait(chain.id)
    assert (ended.status, ended.processed, ended.error) == (JobStatus.COMPLETED, 5, None)
    assert len(workshop.sandbox.shopify.writes) == written + 1
    assert len(await steps_of(workshop, chain)) == 5


async def test_to_approve_the_chain_is_to_approve_its_step(workshop: Workshop) -> None:
    """Whoever looks at the chain decides the same question."""
    chain, step = await asked(workshop)
    assert (await workshop.parts.jobs.approve(chain.id)).id == chain.id
    assert (await workshop.wait(chain.id)).status is JobStatus.COMPLETED
    assert (await workshop.parts.jobs.get(step.id)).updated == 1


async def test_approved_after_days_only_what_was_shown_is_pushed(workshop: Workshop) -> None:
    """A chain that has waited long goes on with the step that was approved, and does not begin anew."""
    chain, step = await asked(workshop)
    async with workshop.database.acquire() as connection:
        await connection.execute(
            "UPDATE dongbo.background_jobs SET checkpoint = checkpoint || $2 WHERE id = $1",
            chain.id,
            '{"began_at": "2026-01-01T00:00:00+00:00"}',
        )
    await workshop.parts.jobs.approve(step.id)
    ended = await workshop.wait(chain.id)
    assert (ended.status, len(await steps_of(workshop, chain))) == (JobStatus.COMPLETED, 5), ended.error


async def test_rejected_step_ends_the_chain_and_is_asked_for_again(workshop: Workshop) -> None:
    """Rejected, nothing is pushed and the chain ends with a sentence; the next one looks and asks anew."""
    chain, step = await asked(workshop)
    written = len(workshop.sandbox.shopify.writes)
    await workshop.parts.jobs.reject(step.id)
    ended = await workshop.parts.jobs.get(chain.id)
    assert ended.status is JobStatus.CANCELLED
    assert ended.error == (
        f"Its step SYNC_PRODUCTS, job {step.id}, was rejected by a person: nothing of that was carried out."
    )
    again = await workshop.run(CHAIN)
    assert again.status is JobStatus.AWAITING_APPROVAL
    assert (await workshop.parts.jobs.get(step.id)).status is JobStatus.CANCELLED
    assert len(workshop.sandbox.shopify.writes) == written


async def test_newer_chain_takes_the_place_of_one_that_waits(workshop: Workshop) -> None:
    """The older one ends as superseded, with its step; the question stays the same one, asked by one run more."""
    chain, step = await asked(workshop)
    (before,) = await workshop.rows("SELECT * FROM dongbo.approvals")
    newer = await workshop.run(CHAIN)
    newer_step = (await steps_of(workshop, newer))[-1]
    assert (newer.status, newer_step.status) == (JobStatus.AWAITING_APPROVAL, JobStatus.AWAITING_APPROVAL)
    for job_id in (chain.id, step.id):
        assert (await workshop.parts.jobs.get(job_id)).status is JobStatus.CANCELLED
        assert await workshop.value(SUPERSEDED_BY, job_id) == newer_step.id
    (after,) = await workshop.rows("SELECT * FROM dongbo.approvals")
    assert (after["id"], after["since"], after["asked_runs"]) == (before["id"], before["since"], 2)
    assert (after["job_id"], after["last_asked_at"] > before["last_asked_at"]) == (newer_step.id, True)


async def test_newer_chain_with_nothing_to_ask_ends_the_waiting(workshop: Workshop) -> None:
    """Once there is nothing left to approve, the older chain ends and the question is withdrawn, with its end."""
    chain, step = await asked(workshop)
    configure(workshop, max_zeroed=10_000)
    await workshop.completed(CHAIN)
    for job_id in (chain.id, step.id):
        assert (await workshop.parts.jobs.get(job_id)).status is JobStatus.CANCELLED
    (question,) = await workshop.rows("SELECT * FROM dongbo.approvals")
    assert (question["state"], question["ended_at"] is not None) == ("withdrawn", True)
    assert await workshop.value("SELECT count(*) FROM dongbo.approval_changes") == 0


async def test_approval_while_a_newer_chain_runs(workshop: Workshop) -> None:
    """The step is carried out; its chain gives way to the newer one, which waits for it and then has its own."""
    chain, step = await asked(workshop)
    workshop.sandbox.faults.slow_seconds = 1.0
    workshop.sandbox.faults.next("slow", path=SHOPIFY)
    newer = await workshop.submit(CHAIN)
    await running_step(workshop, newer, JobType.PULL_SHOPIFY_PRODUCTS)
    await workshop.parts.jobs.approve(step.id)
    assert (await workshop.wait(step.id)).status is JobStatus.COMPLETED
    assert (await workshop.parts.jobs.get(chain.id)).status is JobStatus.CANCELLED
    assert await workshop.value(SUPERSEDED_BY, chain.id) == newer.id
    assert (await workshop.wait(newer.id)).status is JobStatus.COMPLETED


async def test_cancelling_a_chain_that_waits_cancels_its_step(workshop: Workshop) -> None:
    """Nobody is asked any more: to cancel is to reject."""
    chain, step = await asked(workshop)
    assert (await workshop.parts.jobs.cancel(chain.id)).status is JobStatus.CANCELLED
    assert (await workshop.parts.jobs.get(step.id)).status is JobStatus.CANCELLED
    assert await workshop.value("SELECT state FROM dongbo.approvals") == "rejected"


async def test_cancelling_the_step_ends_the_chain_that_waits(workshop: Workshop) -> None:
    """It would wait for nothing."""
    chain, step = await asked(workshop)
    await workshop.parts.jobs.cancel(step.id)
    ended = await workshop.parts.jobs.get(chain.id)
    assert ended.status is JobStatus.CANCELLED
    assert ended.error == f"Its step SYNC_PRODUCTS, job {step.id}, was cancelled while it waited for approval."


async def test_chain_waits_through_a_restart(database: Database, sandbox_settings: SandboxSettings) -> None:
    """What waits is a row: the next daemon, or another one, approves and completes it."""
    async with running_sandbox(sandbox_settings) as sandbox:
        async with running_parts(database, sandbox, product_sync=product_sync) as parts:
            chain, step = await asked(Workshop(parts, sandbox))
        async with running_parts(database, sandbox, product_sync=product_sync) as parts:
            workshop = Workshop(parts, sandbox)
            assert (await parts.jobs.get(chain.id)).status is JobStatus.AWAITING_APPROVAL
            await parts.jobs.approve(step.id)
            ended = await workshop.wait(chain.id)
            assert (ended.status, ended.processed) == (JobStatus.COMPLETED, 5), ended.error


async def test_chain_that_was_killed_before_it_waited_waits_after_all(workshop: Workshop) -> None:
    """Its step asks, and the daemon dies before the chain has noticed: the next run notices."""
    chain, step = await asked(workshop)
    async with workshop.database.acquire() as connection:
        await connection.execute(
            "UPDATE dongbo.background_jobs SET status = 'PENDING', error = NULL, updated_at = now() - interval '1 min' "
            "WHERE id = $1",
            chain.id,
        )
        await restore_places(connection)
    waiting = await workshop.wait(chain.id, lambda job: job.status is JobStatus.AWAITING_APPROVAL)
    assert waiting.error == chain.error
    assert (await steps_of(workshop, chain))[-1].id == step.id


async def test_steps_of_a_chain_that_waits_are_not_pruned(workshop: Workshop) -> None:
    """However long it waits, its steps are there to be looked at."""
    chain, _ = await asked(workshop)
    await workshop.completed(JobType.MATCH_PRODUCTS)  # the newest of its kind stays anyway
    await workshop.parts.jobs.prune(timedelta(0))
    assert len(await steps_of(workshop, chain)) == 5


async def sell_out(workshop: Workshop) -> None:
    """Nothing is left at Nhanh.vn of one product that Shopify has in stock at the first location."""
    shopify, nhanh = workshop.sandbox.shopify, workshop.sandbox.nhanh
    location = min(shopify.locations)
    rows = await workshop.rows("SELECT variant_id, nhanh_id FROM dongbo.product_mappings WHERE retired_at IS NULL")
    for row in sorted(rows):
        level = shopify.variants[row["variant_id"]].level_at(location)
        if level is not None and level.available > 0:
            for depot in product_sync(workshop.sandbox).depots_of[location]:
                nhanh.change_stock(row["nhanh_id"], depot, 0)
            return
    raise AssertionError("nothing is in stock")


async def test_cancelling_the_chain_cancels_the_running_step(workshop: Workshop) -> None:
    """Both end at once, though the source gives no answer; no later step begins."""
    workshop.sandbox.faults.next("slow", path=SHOPIFY)
    chain = await workshop.submit(CHAIN)
    step = await running_step(workshop, chain, JobType.PULL_SHOPIFY_PRODUCTS)
    await workshop.parts.jobs.cancel(chain.id)
    async with asyncio.timeout(5):
        assert (await workshop.wait(step.id)).status is JobStatus.CANCELLED
        assert (await workshop.wait(chain.id)).status is JobStatus.CANCELLED
    assert [step.type for step in await steps_of(workshop, chain)] == STEPS[:2]
    assert (await workshop.completed(CHAIN)).processed == 5


async def test_cancelled_step_ends_the_chain(workshop: Workshop) -> None:
    """Who cancels a step stops the chain, and no other step begins."""
    workshop.sandbox.faults.next("slow", path=SHOPIFY)
    chain = await workshop.submit(CHAIN)
    step = await running_step(workshop, chain, JobType.PULL_SHOPIFY_PRODUCTS)
    await workshop.parts.jobs.cancel(step.id)
    ended = await workshop.wait(chain.id)
    assert ended.status is JobStatus.FAILED
    assert ended.error == (
        f"Step 2 of 5, PULL_SHOPIFY_PRODUCTS, was cancelled (job {step.id}), so the steps after it did not begin."
    )
    assert len(await steps_of(workshop, chain)) == 2


async def test_foreign_job_is_waited_for(workshop: Workshop) -> None:
    """Somebody's own pull of the same kind may have begun before the change that the chain is there for: the chain lets
    it end, neither takes it for its step nor cancels it, and then has its own."""
    workshop.sandbox.faults.slow_seconds = 0.5
    workshop.sandbox.faults.next("slow", path=SHOPIFY)
    foreign = await workshop.submit(JobType.PULL_SHOPIFY_PRODUCTS)
    chain = await workshop.completed(CHAIN)
    own = (await steps_of(workshop, chain))[1]
    foreign = await workshop.parts.jobs.get(foreign.id)
    assert (foreign.status, foreign.parent_id) == (JobStatus.COMPLETED, None)
    assert own.type is foreign.type
    assert foreign.completed_at is not None
    assert foreign.completed_at <= own.created_at
    assert [step.type for step in await steps_of(workshop, chain)] == STEPS


async def test_cancelled_chain_leaves_a_foreign_job_alone(workshop: Workshop) -> None:
    """A chain that waits for somebody's job is cancelled by itself."""
    workshop.sandbox.faults.next("slow", path=SHOPIFY)
    foreign = await workshop.submit(JobType.PULL_SHOPIFY_PRODUCTS)
    await until(lambda: workshop.sandbox.faults.counts.total() > 0)
    chain = await workshop.submit(CHAIN)
    await workshop.wait(chain.id, lambda job: job.processed == 1)
    await workshop.parts.jobs.cancel(chain.id)
    async with asyncio.timeout(5):
        assert (await workshop.wait(chain.id)).status is JobStatus.CANCELLED
    assert (await workshop.parts.jobs.get(foreign.id)).status is JobStatus.RUNNING
    assert [step.type for step in await steps_of(workshop, chain)] == STEPS[:1]
    await workshop.parts.jobs.cancel(foreign.id)


async def test_chain_goes_on_after_a_restart(database: Database, sandbox_settings: SandboxSettings) -> None:
    """Rule 9: a stop in the middle of a step puts both back, and the next daemon goes on with the same step."""
    async with running_sandbox(sandbox_settings) as sandbox:
        async with running_parts(database, sandbox, product_sync=product_sync) as parts:
            workshop = Workshop(parts, sandbox)
            sandbox.faults.next("slow", path=SHOPIFY)
            chain = await workshop.submit(CHAIN)
            step = await running_step(workshop, chain, JobType.PULL_SHOPIFY_PRODUCTS)
        stopped = await workshop.rows("SELECT id, status, attempt FROM dongbo.background_jobs ORDER BY id DESC")
        assert {row["id"]: (row["status"], row["attempt"]) for row in stopped if row["status"] != "COMPLETED"} == {
            chain.id: ("PENDING", 0),
            step.id: ("PENDING", 0),
        }
        async with running_parts(database, sandbox, product_sync=product_sync) as parts:
            workshop = Workshop(parts, sandbox)
            ended = await workshop.wait(chain.id)
            assert (ended.status, ended.processed) == (JobStatus.COMPLETED, 5), ended.error
            steps = await steps_of(workshop, chain)
            assert [one.type for one in steps] == STEPS, "no step twice"
            assert steps[1].id == step.id


@pytest.fixture
async def failing_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first transaction that makes a step fails at its very end; the queue is looked at often for the retry."""
    monkeypatch.setattr(queue_worker, "POLL_INTERVAL", queue_worker.BUSY_POLL_INTERVAL / 10)
    async with database.acquire() as connection:
        await connection.execute(FAIL_FIRST_COMMIT)


@pytest.mark.usefixtures("failing_commit")
async def test_step_is_made_and_noted_in_one_transaction(workshop: Workshop) -> None:
    """A step of which the chain would not know does not exist: not as a job, and not in the queue either."""
    chain = await workshop.completed(CHAIN)
    assert chain.attempt == 1, "the pages of the second run were progress"
    assert await workshop.value("SELECT last_value FROM public.commits") == 6, "the first one was tried twice"
    steps = await steps_of(workshop, chain)
    assert [step.type for step in steps] == STEPS
    jobs: list[Any] = await workshop.rows("SELECT id FROM dongbo.background_jobs")
    assert {row["id"] for row in jobs} == {chain.id, *(step.id for step in steps)}
    assert await workshop.value(PLACES_OF_NOBODY) == 0


async def test_an_old_chain_begins_anew(workshop: Workshop) -> None:
    """Retried after a long time it would push stock that was pulled then: it pulls again first."""
    scopes = workshop.sandbox.shopify.scopes
    workshop.sandbox.shopify.scopes = frozenset({"read_inventory"})
    chain = await workshop.run(CHAIN)
    assert chain.status is JobStatus.FAILED
    workshop.sandbox.shopify.scopes = scopes
    async with workshop.database.acquire() as connection:
        await connection.execute(
            "UPDATE dongbo.background_jobs SET checkpoint = checkpoint || $2 WHERE id = $1",
            chain.id,
            '{"began_at": "2026-01-01T00:00:00+00:00"}',
        )
    await workshop.parts.jobs.retry(chain.id)
    ended = await workshop.wait(chain.id)
    assert ended.status is JobStatus.COMPLETED
    assert [step.type for step in await steps_of(workshop, ended)] == [*STEPS[:2], *STEPS]
    assert ended.total == ended.processed
