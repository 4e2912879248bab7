"""How followed jobs look: lines off a terminal, bars on one."""

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from rich.live import Live

from daemon.api.jobs import JobStory
from daemon.cli.jobs import tables
from daemon.cli.jobs.progress import LineView, LiveView, ended
from daemon.cli.render import output
from daemon.jobs.model import Aftermath, AttemptResult, Job, JobAttempt
from daemon.jobs.results import summary_of
from tests.support.records import job_record

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def job(**changes: Any) -> Any:
    return job_record(**{"total": 100, **changes})


def test_lines_come_at_a_change_of_status_and_else_once_a_tick() -> None:
    """However fast a job goes, it writes one line a second; its end is there at once, and nothing comes after it."""
    stream = io.StringIO()
    view = LineView(stream, ZONE)
    view.update(job(status="PENDING"))
    view.update(job())
    for processed in range(1, 50):
        view.update(job(processed=processed))
    assert stream.getvalue().count("\n") == 2
    view.tick()
    assert stream.getvalue().count("\n") == 3
    assert " RUNNING 49% 49 of 100 rows" in stream.getvalue().splitlines()[-1]
    view.tick()
    view.update(job(processed=80))
    view.update(job(status="COMPLETED", processed=100, created=100))
    view.tick()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert " COMPLETED 100% 100 rows  100 created" in lines[-1]


def live_view(width: int = 80) -> tuple[LiveView, Console]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, record=True)
    return LiveView(Live(console=console, auto_refresh=False), console, summarise=True), console


def drawn(view: LiveView, console: Console) -> str:
    """The frame that the view would draw now."""
    with console.capture() as captured:
        console.print(view._frame())
    return captured.get()


def test_a_frame_shows_share_time_left_rate_and_waits() -> None:
    """Two lines per live job, legible on 80 columns."""
    view, console = live_view()
    waiting = {"total_is_estimate": True, "rows_per_second": 480.4, "rate_limit_wait_seconds": 1.0}
    view.update(job(processed=41, skipped=41, eta_seconds=75, metadata=waiting))
    view.update(job(processed=42, skipped=42, eta_seconds=75, metadata=waiting | {"rate_limit_wait_seconds": 4.0}))
    frame = drawn(view, console)
    for part in (
        "~42%",
        "ETA 1:15",
        "42 of ~100 rows",
        "480 rows/s",
        "42 skipped",
        "waiting for rate limit (4.0 s so far)",
    ):
        assert part in " ".join(frame.split())
    assert max(map(len, frame.splitlines())) <= 80


def test_an_unknown_total_draws_a_bar_without_share() -> None:
    """The bar only moves."""
    view, console = live_view()
    view.update(job(total=None, processed=7))
    frame = drawn(view, console)
    assert "%" not in frame
    assert "7 rows" in frame


def test_an_ended_job_leaves_a_line_and_makes_room() -> None:
    """What has ended is a line above the bars, with its error."""
    view, console = live_view()
    view.update(job())
    view.update(job(status="FAILED", error="Nhanh.vn refused the token"))
    assert "PULL_NHANH_PRODUCTS" not in drawn(view, console)
    printed = console.export_text()
    assert "✗ PULL_NHANH_PRODUCTS of main: FAILED" in printed
    assert "Nhanh.vn refused the token" in printed


@pytest.mark.parametrize(("status", "sign"), [("COMPLETED", "✓"), ("FAILED", "✗"), ("CANCELLED", "✗")])
def test_the_summary_of_a_job(status: str, sign: str) -> None:
    """One line with all counters and the time it took, and what of it was waiting."""
    done = job(
        status=status,
        processed=3,
        created=1,
        skipped=2,
        started_at="2026-10-01T00:00:00Z",
        completed_at="2026-10-01T00:00:42Z",
        metadata={"rate_limit_wait_seconds": 12.0},
    )
    assert str(ended(done)).startswith(f"{sign} PULL_NHANH_PRODUCTS of main: {status}, 3")
    assert str(ended(done)).endswith(
        "1 created, 0 updated, 2 skipped, 0 failed, in 42 s, of which 12 s waiting for the rate limit"
    )


@pytest.mark.parametrize("width", [80, 200])
def test_a_list_of_jobs_keeps_whole_words_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal gets a card per job instead of broken cells; the id can be copied from either."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(output, "data_console", lambda: console)
    listed = job(created_at="2026-10-01T00:00:00Z", processed=42, total=100, error="x" * 200)
    tables.write_list([listed], [summary_of(listed, Aftermath())], ZONE)
    lines = stream.getvalue().splitlines()
    assert any(line.split(" ")[0] == "01a20971-aaad" for line in lines)
    assert max(map(len, lines)) <= width
    assert "2026-10-01 07:00:00" in stream.getvalue()
    assert "running 42%" in stream.getvalue()


def story_of(told: Job, *attempts: JobAttempt) -> JobStory:
    """A job to which nothing else has happened."""
    return JobStory(told, summary_of(told, Aftermath()), attempts, [], [], None, None, None)


def test_one_job_opens_with_its_result_and_tells_each_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    """The error of an attempt that failed stays, whatever came after it; one that went well at once is no news."""
    done = job(status="COMPLETED", trigger="cli", params={}, attempt=1, max_attempts=5, metadata={}, created=3)
    began, ended = done.created_at, done.created_at + timedelta(seconds=5)
    refused = JobAttempt(1, None, began, ended, AttemptResult.RETRIED, "Shopify answered 502", ended)
    well = JobAttempt(2, None, ended, ended, AttemptResult.COMPLETED, None, None)
    tables.write_one(story_of(done, refused, well), [], [], ZONE)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("completed: ")
    assert any("attempt 1: failed, to be tried again: Shopify answered 502" in line for line in lines)
    assert any("attempt 2: completed" in line for line in lines)
    tables.write_one(story_of(done, replace(well, number=1)), [], [], ZONE)
    assert "attempt 1" not in capsys.readouterr().out


NOTICE = "Some locations can get no stock: 5 is deactivated."


@pytest.mark.parametrize("width", [80, 200])
def test_notices_are_shown_wherever_a_job_is(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that completed and left something out says so in the list, by itself, as a step, and at its end."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(output, "data_console", lambda: console)
    done = job(
        status="COMPLETED",
        trigger="cli",
        params={},
        attempt=1,
        max_attempts=5,
        metadata={"notices": [NOTICE]},
    )
    assert f"\n  ! {NOTICE}" in str(ended(done))
    tables.write_list([done], [summary_of(done, Aftermath())], ZONE)
    assert f"! {NOTICE}" in " ".join(stream.getvalue().split())
    stream.truncate(0)
    tables.write_one(story_of(done), [], [], ZONE)
    tables.write_one(story_of(replace(done, metadata={})), [], [done], ZONE)
    lines = stream.getvalue().splitlines()
    assert f"! {NOTICE}" in lines
    assert f"    ! {NOTICE}" in lines


def test_a_followed_job_tells_each_notice_once() -> None:
    """As soon as it is known, on a line of its own."""
    stream = io.StringIO()
    view = LineView(stream, ZONE)
    view.update(job())
    for processed in (1, 2):
        view.update(job(processed=processed, metadata={"notices": [NOTICE]}))
        view.tick()
    view.update(job(status="COMPLETED", metadata={"notices": [NOTICE, "Another."]}))
    lines = stream.getvalue().splitlines()
    assert [line.partition("! ")[2] for line in lines] == ["", "", NOTICE, "", "", "Another."]
