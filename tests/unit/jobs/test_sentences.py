"""A job in a sentence: what it stored, set or matched, in the words of the business."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.i18n import Language, number_text, spoken
from daemon.ids import ScheduleName, StoreName, new_job_id
from daemon.jobs.model import Aftermath, Job, JobOutcome, JobStatus, JobStep, JobTrigger
from daemon.jobs.results import TONES, outcome_of, summary_of
from daemon.jobs.sentences import RESULTS, sentence
from daemon.jobs.types import JobType
from daemon.jobs.words import JOB_NAMES, OUTCOME_NAMES, TRIGGER_NAMES
from daemon.tone import Tone

NOW = datetime(2026, 11, 29, 2, 14, tzinfo=UTC)
LATER = new_job_id()
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


def a_job(job_type: JobType, status: JobStatus = JobStatus.COMPLETED, **columns: Any) -> Job:
    """A job with some rows."""
    created, updated = columns.pop("created", 0), columns.pop("updated", 0)
    skipped, failed = columns.pop("skipped", 0), columns.pop("failed", 0)
    job = Job(
        id=new_job_id(),
        store=StoreName("main"),
        type=job_type,
        status=status,
        trigger=JobTrigger.SCHEDULE,
        schedule=ScheduleName("nightly"),
        fire_time=None,
        params={},
        total=None,
        processed=created + updated + skipped + failed,
        successful=created + updated,
        created=created,
        updated=updated,
        skipped=skipped,
        failed=failed,
        metadata={},
        checkpoint=None,
        attempt=1,
        max_attempts=3,
        not_before=None,
        worker=None,
        cancel_requested=False,
        error=None,
        version=1,
        created_at=NOW,
        started_at=NOW,
        updated_at=NOW,
        completed_at=NOW if status in ENDED else None,
    )
    return replace(job, **columns)


def said(job: Job, aftermath: Aftermath | None = None, *steps: JobStep) -> str:
    """Its sentence."""
    return summary_of(job, aftermath or Aftermath(), steps).text


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (
            a_job(JobType.SYNC_PRODUCTS, updated=30, failed=54, metadata={"applied": {"stock": 28, "price": 2}}),
            "28 stock values set and 2 prices set; 54 rows failed",
        ),
        (a_job(JobType.SYNC_PRODUCTS, skipped=900, metadata={"applied": {}}), "Shopify had all of it already"),
        (a_job(JobType.SYNC_PRODUCTS, updated=1), "1 value set"),
        (
            a_job(JobType.SYNC_CHANGED_PRODUCTS, updated=2, metadata={"applied": {"stock": 2}, "events": 1_200}),
            "2 stock values set (1,200 webhooks)",
        ),
        (a_job(JobType.SYNC_CHANGED_CUSTOMERS, metadata={"events": 1}), "nothing was to be pushed (1 webhook)"),
        (
            a_job(
                JobType.SYNC_PRODUCTS,
                skipped=9,
                params={"dry_run": True},
                metadata={"stock_changes": 1, "price_changes": 2},
            ),
            "Trial run: 1 stock value set and 2 prices set",
        ),
        (
            a_job(JobType.PULL_NHANH_PRODUCTS, created=3, updated=1_997, metadata={"deleted": 2}),
            "2,000 products stored, 3 of them new; 2 gone at the source",
        ),
        (
            a_job(
                JobType.PULL_NHANH_CUSTOMERS, updated=1, params={"filters": {"type": "retail", "ids": [1, 2]}}, failed=1
            ),
            "1 customer stored; only type: retail, ids: 1, 2; 1 row failed",
        ),
        (a_job(JobType.PULL_SHOPIFY_PRODUCTS, skipped=7), "nothing had changed"),
        (
            a_job(JobType.PULL_SHOPIFY_CUSTOMERS, params={"query": "tag:vip"}),
            'there was nothing to read; only search "tag:vip"',
        ),
        (
            a_job(
                JobType.MATCH_PRODUCTS, created=2, skipped=98, metadata={"mapped": 90, "unmatched": 8, "ambiguous": 2}
            ),
            "90 items matched, 2 of them new or changed, 8 without a counterpart, 2 ambiguous",
        ),
        (a_job(JobType.APPLY_SALE, updated=4, metadata={"campaigns": ["tet"]}), "4 prices set to the sale's; for tet"),
        (a_job(JobType.REVERT_SALE), "there was nothing to change"),
    ],
)
def test_results_are_told_in_the_words_of_the_business(job: Job, text: str) -> None:
    """Not "processed 84, updated 30"."""
    assert said(job) == text


def test_a_chain_tells_the_result_of_its_push() -> None:
    """Its own counters are only steps."""
    chain = a_job(JobType.PRODUCT_CHAIN, updated=2)
    steps = [
        JobStep(JobType.MATCH_PRODUCTS, "Matching", LATER, JobStatus.COMPLETED, Tone.OK, "90 items matched", 0, 0),
        JobStep(JobType.SYNC_PRODUCTS, "Push", LATER, JobStatus.COMPLETED, Tone.OK, "2 prices set", 0, 0),
    ]
    assert said(chain, None, *steps) == "2 prices set"
    with_failures = replace(steps[0], text="3 rows failed", failed_rows=3, unresolved_rows=3)
    assert said(replace(chain, failed=1), None, with_failures, steps[1]) == "2 prices set; Matching: 3 rows failed"
    failed = replace(steps[0], status=JobStatus.FAILED, text="Nothing was matched")
    stopped = replace(steps[1], status=None, job_id=None, text="")
    assert said(replace(chain, status=JobStatus.FAILED), None, failed, stopped) == "Matching: Nothing was matched"


def test_a_running_job_tells_what_it_waits_for_and_why_it_runs_again() -> None:
    """A person must not have to guess."""
    running = a_job(JobType.PULL_NHANH_CUSTOMERS, JobStatus.RUNNING, skipped=1_200, total=30_000)
    assert said(running) == "1,200 of 30,000 rows"
    assert said(replace(running, error="Nhanh.vn did not answer")).endswith("before that: Nhanh.vn did not answer")
    waiting = replace(running, metadata={"waiting": {"for": "the rate limit"}})
    assert said(waiting) == "waits for the rate limit"
    between = replace(running, status=JobStatus.PENDING, error="Nhanh.vn did not answer")
    assert said(between) == "tries again by itself: Nhanh.vn did not answer"


@pytest.mark.parametrize(
    ("bulk", "expected"),
    [
        ({"state": "RUNNING", "objects": 120_000}, "Shopify gathers everything: 120,000 objects so far"),
        ({"state": "downloading", "bytes": 45_000_000, "file_bytes": 129_100_000},
         "downloading what Shopify has gathered: 45 of 130 MB"),
        ({"state": "sorting"}, "sorting what was downloaded"),
        ({"state": "storing"}, "1,200 of 30,000 rows"),
    ],
)  # fmt: skip
def test_a_pull_in_bulk_tells_how_far_its_file_is(bulk: dict[str, Any], expected: str) -> None:
    """Before there is a row to count, which may take long."""
    metadata = {"bulk": bulk, "waiting": None}
    running = a_job(JobType.PULL_SHOPIFY_PRODUCTS, JobStatus.RUNNING, skipped=1_200, total=30_000, metadata=metadata)
    assert said(running) == expected
    assert "gather" not in said(replace(running, status=JobStatus.COMPLETED))


@pytest.mark.parametrize("job_type", [JobType.PULL_NHANH_PRODUCTS, JobType.SYNC_PRODUCTS, JobType.APPLY_SALE])
def test_rows_that_failed_ask_for_something_until_they_are_made_up_for(job_type: JobType) -> None:
    """Amber with a next step, then grey with the job that has made up for them."""
    job = a_job(job_type, skipped=1, failed=54)
    open_rows = summary_of(job, Aftermath(taken_up=50))
    assert (open_rows.outcome, open_rows.tone) == (JobOutcome.COMPLETED_WITH_FAILURES, Tone.WARN)
    assert open_rows.unresolved_rows == 4
    assert open_rows.next_step
    assert open_rows.can_retry_rows is (job_type is not JobType.APPLY_SALE)
    repaired = summary_of(job, Aftermath(repaired_by=LATER, taken_up=54))
    assert (repaired.outcome, repaired.tone, repaired.unresolved_rows) == (JobOutcome.REPAIRED, Tone.OFF, 0)
    assert repaired.repaired_by == LATER
    assert repaired.next_step is None
    assert not repaired.can_retry_rows


@given(
    job_type=st.sampled_from(JobType),
    status=st.sampled_from(JobStatus),
    counts=st.tuples(*[st.integers(0, 10**7)] * 4),
    error=st.none() | st.text(min_size=1),
    params=st.dictionaries(st.sampled_from(["filters", "query", "full", "dry_run", "retry_of"]), st.just("x")),
    aftermath=st.builds(Aftermath, st.none() | st.just(LATER), st.none() | st.just(LATER), st.integers(0, 10**7)),
)
@example(
    job_type=JobType.NOOP,
    status=JobStatus.AWAITING_APPROVAL,
    counts=(0, 0, 0, 0),
    error=" \n",
    params={},
    aftermath=Aftermath(),
)
@pytest.mark.parametrize("language", Language)
def test_every_job_has_a_sentence(
    language: Language,
    job_type: JobType,
    status: JobStatus,
    counts: tuple[int, int, int, int],
    error: str | None,
    params: dict[str, Any],
    aftermath: Aftermath,
) -> None:
    """Whatever it is, in both languages; and all failed rows that are told are accounted for."""
    created, updated, skipped, failed = counts
    job = a_job(
        job_type, status, created=created, updated=updated, skipped=skipped, failed=failed, error=error, params=params
    )
    with spoken(language):
        summary = summary_of(job, aftermath)
        assert summary.text.strip()
        assert "{" not in summary.text.replace(error or "", "")
        assert 0 <= summary.unresolved_rows <= summary.failed_rows
        if summary.outcome is JobOutcome.COMPLETED_WITH_FAILURES and job_type is not JobType.PRODUCT_CHAIN:
            assert number_text(failed) in summary.text
        assert sentence(job, outcome_of(job, aftermath)) == summary.text


def test_everything_has_a_name() -> None:
    """A type, outcome or trigger that is added is named."""
    assert set(JOB_NAMES) == set(RESULTS) == set(JobType)
    assert set(OUTCOME_NAMES) == set(TONES) == set(JobOutcome)
    assert set(TRIGGER_NAMES) == set(JobTrigger)
