"""Times as a person gives them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli.jobs.moments import read_end, read_moment

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOW = datetime(2026, 11, 28, 2, 14, 56, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22:00", datetime(2026, 11, 27, 22, 0, tzinfo=ZONE)),  # yesterday evening: tonight is yet to come
        ("2:00", datetime(2026, 11, 28, 2, 0, tzinfo=ZONE)),
        ("2026-11-28", datetime(2026, 11, 28, tzinfo=ZONE)),
        ("2026-11-28 22:00", datetime(2026, 11, 28, 22, 0, tzinfo=ZONE)),
        ("2026-11-27T15:00Z", datetime(2026, 11, 27, 22, 0, tzinfo=ZONE)),
        ("90m", NOW - timedelta(minutes=90)),
        ("3d", NOW - timedelta(days=3)),
    ],
)
def test_what_a_text_means(text: str, expected: datetime) -> None:
    """In the shop's zone, unless it says another."""
    assert read_moment(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22:00", datetime(2026, 11, 28, 22, 0, tzinfo=ZONE)),
        ("2:00", datetime(2026, 11, 29, 2, 0, tzinfo=ZONE)),  # tomorrow: today it is past
        ("2026-11-28 22:00", datetime(2026, 11, 28, 22, 0, tzinfo=ZONE)),
        ("90m", NOW + timedelta(minutes=90)),
    ],
)
def test_what_a_text_means_of_an_end(text: str, expected: datetime) -> None:
    """What is to come, rather than what was."""
    assert read_end(text, NOW) == expected


@given(st.times(), st.integers(946_684_800, 4_102_444_800).map(lambda at: datetime.fromtimestamp(at, ZONE)))
def test_a_time_of_day_is_the_last_that_there_was(clock: object, now: datetime) -> None:
    """Never in the future, never longer ago than a day."""
    read = read_moment(f"{clock:%H:%M}", now)
    assert timedelta(0) <= now - read < timedelta(days=1)


@pytest.mark.parametrize("text", ["", "now", "25:00", "22", "2026-13-01", "9999999d", "-5m", "1e3h", "999999d"])
def test_nonsense_is_explained(text: str) -> None:
    """With what may be said instead."""
    with pytest.raises(typer.BadParameter, match="22:00"):
        read_moment(text, NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "-5m", "9999999d"])
def test_nonsense_of_an_end_is_explained(text: str) -> None:
    """Likewise."""
    with pytest.raises(typer.BadParameter, match="for how long"):
        read_end(text, NOW)
