"""The four pulls, against the sandbox and a real database."""

import pytest

from daemon.jobs.model import JobType

PULLS = [
    (JobType.PULL_NHANH_CUSTOMERS, "nhanh_customers"),
    (JobType.PULL_NHANH_PRODUCTS, "nhanh_products"),
    (JobType.PULL_SHOPIFY_CUSTOMERS, "shopify_customers"),
    (JobType.PULL_SHOPIFY_PRODUCTS, "shopify_products"),
]


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_first_pull_creates_every_row(workshop, job_type, table) -> None:
    """A first pull creates what the shop has, and its counters equal the table."""
    job = await workshop.completed(job_type)
    rows = await workshop.value(f"SELECT count(*) FROM dongbo.{table}")
    assert rows > 0
    assert (job.processed, job.created, job.updated, job.skipped, job.failed) == (rows, rows, 0, 0, 0)
    assert job.total == rows


@pytest.mark.parametrize(("job_type", "table"), PULLS)
async def test_second_pull_rewrites_nothing(workshop, job_type, table) -> None:
    """Pulling everything again leaves every row alone."""
    first = await workshop.completed(job_type)
    before = await workshop.rows(f"SELECT id, xmin::text, ctid::text FROM dongbo.{table} ORDER BY id")
    second = await workshop.completed(job_type, full=True)
    assert (second.created, second.updated, second.skipped) == (0, 0, first.processed)
    assert await workshop.rows(f"SELECT id, xmin::text, ctid::text FROM dongbo.{table} ORDER BY id") == before
