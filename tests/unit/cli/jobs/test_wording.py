"""Numbers, times and jobs in words."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import daemon
from daemon.cli.jobs import wording
from daemon.cli.render import output, values
from daemon.jobs.phases import WORDS as PHASE_WORDS
from daemon.jobs.phases import JobPhase
from tests.support.records import job_record


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (185, "3:05"),
        (7385, "2:03:05"),
        (2e5, "2 days"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """A length of time is as exact as a person needs it."""
    assert values.duration(seconds) == text


def test_times_are_in_the_shop_s_zone() -> None:
    """The database has UTC, people have the clock on their wall."""
    assert values.moment("2026-10-01T00:30:00Z", ZoneInfo("Asia/Ho_Chi_Minh")) == "2026-10-01 07:30:00"
    assert values.moment(datetime(2026, 10, 1, tzinfo=UTC), UTC) == "2026-10-01 00:00:00"
    assert values.moment(None, UTC) == "-"


def test_an_estimated_total_is_marked_and_never_full() -> None:
    """Where the total is a guess, a person sees that it is one."""
    guessed = job_record(total=100, processed=250, metadata={"total_is_estimate": True})
    assert wording.percent(guessed) == "~99%"
    assert wording.rows(guessed) == "250 of ~100 rows"
    assert wording.percent(job_record(total=200, processed=50)) == "25%"


def test_an_unknown_total_shows_no_share() -> None:
    """What isn't known is not invented."""
    assert wording.percent(job_record(processed=10)) == ""
    assert wording.rows(job_record(processed=1234)) == "1,234 rows"


@given(
    total=st.none() | st.integers(0, 10**9),
    processed=st.integers(0, 10**9),
    estimate=st.booleans(),
    status=st.sampled_from(sorted(wording.STATUS_STYLES)),
)
def test_the_share_is_always_one(total: int | None, processed: int, estimate: bool, status: str) -> None:
    """Whatever the counters say, the bar stays within its ends, and only what is done is full by a guess."""
    share = wording.share(
        job_record(total=total, processed=processed, status=status, metadata={"total_is_estimate": estimate})
    )
    assert share is None or 0 <= share <= 1
    if estimate and status != "COMPLETED":
        assert share != 1


def test_notes_say_why_a_job_waits() -> None:
    """A rate limit, a retry, a queue: each has its words."""
    before = job_record(metadata={"rate_limit_wait_seconds": 1.0})
    assert (
        wording.note(job_record(metadata={"rate_limit_wait_seconds": 3.5}), before)
        == "waiting for rate limit (3.5 s so far)"
    )
    assert wording.note(job_record(metadata={"rate_limit_wait_seconds": 3.5})) == ""
    assert wording.note(job_record(status="PENDING")) == "waiting for its turn"
    retry = job_record(status="PENDING", error="no answer", not_before="2000-01-01T00:00:00Z")
    assert wording.note(retry).startswith("tries again ")
    assert wording.note(retry).endswith(": no answer")
    assert wording.note(job_record(cancel_requested=True)) == "cancelling"


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    """An error that a shop's server sent may hold anything."""
    assert output.plain("a\x1b[2Jb\r\nc") == r"a\x1b[2Jb\r\nc"
    assert output.plain("Áo thun đỏ") == "Áo thun đỏ"


def test_a_job_that_waits_for_approval_is_not_live_and_takes_no_more_time() -> None:
    """Its duration ends with its question."""
    waiting = job_record(
        status="AWAITING_APPROVAL",
        error="It would zero 30 items.",
        started_at="2026-10-01T00:00:00+00:00",
        updated_at="2026-10-01T00:00:09+00:00",
    )
    assert not wording.is_live(waiting)
    assert wording.waits_for_approval(waiting)
    assert wording.job_duration(waiting) == 9
    assert wording.note(waiting) == "It would zero 30 items."
    assert wording.how_to_decide(waiting.id).splitlines() == [
        f"let it continue: dongbo jobs approve {waiting.id}",
        f"end it: dongbo jobs reject {waiting.id}",
    ]


def test_how_long_it_has_waited_is_a_length_of_time() -> None:
    """Not a moment: "since 9.0 s ago" is no English."""
    since = (datetime.now(UTC) - timedelta(seconds=9)).isoformat()
    said = wording.note(job_record(status="RUNNING", metadata={"waiting": {"for": "the rate limit", "since": since}}))
    assert re.fullmatch(r"has waited 9\.\d s for the rate limit", said)


def test_a_running_job_says_what_it_does() -> None:
    """With how much of it is done, where that is known; a phase of a newer daemon by its name."""
    said = {
        "comparing keys": {"name": "comparing_keys", "done": 0, "of": None},
        "comparing both sides: 120,000": {"name": "planning", "done": 120_000, "of": None},
        "reading present prices: 250 of 1,000": {"name": "reading_prices", "done": 250, "of": 1_000},
        "flying": {"name": "flying", "done": 0, "of": None},
    }
    for sentence, phase in said.items():
        assert wording.note(job_record(status="RUNNING", metadata={"phase": phase})) == sentence
        assert wording.note(job_record(status="COMPLETED", metadata={"phase": phase})) == ""
    assert set(PHASE_WORDS) == set(JobPhase)


def test_the_page_has_words_for_what_jobs_do() -> None:
    """The same as the terminal, but for quotation marks."""
    script = Path(daemon.__file__).parent / "status" / "page" / "jobs" / "words.js"
    table = script.read_text().partition("const PHASES = {")[2].partition("};")[0]
    words = dict(re.findall(r"^  (\w+): \(\) => t\(\"(.+)\"\),$", table, re.MULTILINE))
    assert words == {name: text.replace("'", "’") for name, text in PHASE_WORDS.items()}
