"""What must hold when a soak is over: one row a rule."""

import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from tests.soak.world import STORE, World
from tests.support.fires import LAST_FIRES
from tests.support.ledger import check_ledger
from tests.support.sale_queue import prices_of
from tests.support.shop_memory import Journal
from tests.support.sync_ledger import check_quiet

MOST_FIRES = 100_000
PRICES = ("price", "compare_at_price")

JOBS = """
SELECT id::text, parent_id::text, type, status, trigger, schedule, fire_time, total, processed, successful, created,
       updated, skipped, failed, error,
       (SELECT count(*) FROM dongbo.job_failures WHERE job_id = job.id) AS letters
FROM dongbo.background_jobs AS job
"""
QUEUED = "SELECT count(*) FROM dongbo.pgqueuer"
FIRED_TWICE = """
SELECT store, schedule, fire_time, count(*) FROM dongbo.background_jobs
WHERE fire_time IS NOT NULL AND parent_id IS NULL GROUP BY 1, 2, 3 HAVING count(*) > 1
"""
FIRES_WITHOUT_JOB = """
SELECT * FROM dongbo.schedule_fires AS fire WHERE outcome = 'submitted'
AND NOT EXISTS (SELECT FROM dongbo.background_jobs AS job WHERE job.id = fire.job_id)
"""
MIRRORED = """
SELECT (SELECT count(*) FROM dongbo.nhanh_customers WHERE deleted_at IS NULL),
       (SELECT count(*) FROM dongbo.nhanh_products WHERE deleted_at IS NULL),
       (SELECT count(*) FROM dongbo.shopify_variants WHERE deleted_at IS NULL)
"""
SALES = """
SELECT name, state, notice, (SELECT count(*) FROM dongbo.sale_writes WHERE campaign_id = campaign.id) AS writes
FROM dongbo.sale_campaigns AS campaign
"""
SALE_WRITES = """
SELECT campaign_id, variant_id, action, result, count(*) FROM dongbo.sale_writes GROUP BY 1, 2, 3, 4
"""


async def check_jobs(world: World) -> str:
    """Every job that was promised is there and has ended, and none has failed; nothing waits in the queue."""
    jobs = {job["id"]: job for job in await world.fetch(JOBS)}
    assert world.accepted <= jobs.keys(), f"promised, and not there: {world.accepted - jobs.keys()}"
    stopped = {number for number, job in jobs.items() if {number, job["parent_id"]} & world.cancelled}
    wrong = [dict(job) for number, job in jobs.items() if job["status"] != "COMPLETED" and number not in stopped]
    assert not wrong, wrong
    assert (queued := (await world.fetch(QUEUED))[0][0]) == 0, f"{queued} are in the queue"
    return f"{len(jobs)} jobs, {len(world.accepted)} of them asked for"


async def check_counters(world: World) -> str:
    """Rule 3: the counters add up, and equal what is in the tables."""
    for job in await world.fetch(JOBS):
        assert job["processed"] == job["successful"] + job["skipped"] + job["failed"], dict(job)
        assert job["successful"] == job["created"] + job["updated"], dict(job)
        assert job["failed"] == job["letters"] or job["type"] == "PRODUCT_CHAIN", dict(job)
    async with world.shop.site.connection() as connection:
        totals = await check_ledger(connection)
    return f"customers: {totals.created} created, {totals.updated} updated, {totals.skipped} skipped"


async def check_mirror(world: World) -> str:
    """Nothing is lost, and nothing doubled, on the way into the mirror."""
    (row,) = await world.fetch(MIRRORED)
    nhanh, shopify = world.sandbox.nhanh, world.sandbox.shopify
    present = (len(nhanh.customers), len(nhanh.products), len(shopify.variants))
    assert tuple(row) == present, f"{tuple(row)} are mirrored of {present}"
    return "{} customers, {} products, {} variants".format(*present)


async def check_fires(world: World) -> str:
    """Rule 6: each fire has one job."""
    assert not (twice := await world.fetch(FIRED_TWICE)), twice
    assert not (without := await world.fetch(FIRES_WITHOUT_JOB)), without
    fires = [
        row
        for schedule in ("goods", "customers", "accounts")
        for row in await world.fetch(LAST_FIRES, STORE, schedule, MOST_FIRES)
    ]
    return f"{len(fires)} fires"


async def check_pushes(world: World) -> str:
    """Rule 12: Shopify has what Nhanh.vn has, nothing was written twice, and no push is open."""
    pushed = copy.copy(world.shop.memory)  # what the sales have written is looked at for itself
    pushed.journal = Journal()
    pushed.journal.extend(write for write in world.shop.memory.journal if write.subject[0] not in PRICES)
    in_step = await check_quiet(pushed, world.fetch)
    return f"{in_step} stocks in step, {sum(write.has_effect for write in pushed.journal)} effects at Shopify"


async def check_sales(world: World) -> str:
    """Every sale is over, or its time passed while nothing could be reached; each price is as before, and was set once
    for the sale and once back."""
    sales = await world.fetch(SALES)
    assert set(world.sales) <= {sale["name"] for sale in sales}, f"promised: {world.sales}, there: {sales}"
    missed = [sale for sale in sales if sale["state"] == "FAILED" and not sale["writes"]]
    wrong_end = [dict(sale) for sale in sales if sale["state"] != "COMPLETED" and sale not in missed]
    assert not wrong_end, wrong_end
    present = prices_of(world.sandbox.shopify)
    wrong = {number: present[number] for number, prices in world.before.items() if present[number] != prices}
    assert not wrong, f"not as before the sales: {wrong}"
    applied: Counter[int | str] = Counter()
    for row in await world.fetch(SALE_WRITES):
        assert row["result"] != "intended", dict(row)
        if row["result"] == "applied":
            assert row["count"] == 1, f"written more than once: {dict(row)}"
            applied[row["variant_id"]] += 1
    effects = Counter(
        write.subject[1] for write in world.shop.memory.journal if write.has_effect and write.subject[0] == "price"
    )
    assert effects == applied, f"set at Shopify, and noted: {dict((effects - applied) + (applied - effects))}"
    return f"{len(sales)} sales, {len(missed)} of them missed, {effects.total()} prices set"


RULES: Mapping[str, Callable[[World], Awaitable[str]]] = {
    "jobs": check_jobs,
    "counters": check_counters,
    "mirror": check_mirror,
    "fires": check_fires,
    "pushes": check_pushes,
    "sales": check_sales,
}
