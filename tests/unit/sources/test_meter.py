"""What a job's calls cost is told as a person counts it."""

from datetime import UTC, datetime

import pytest

from daemon.sources import meter as meter_module
from daemon.sources.meter import CallMeter


def test_waits_side_by_side_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten calls that wait a second together have held the job up for a second."""
    now = 100.0
    monkeypatch.setattr(meter_module, "monotonic", lambda: now)
    meter = CallMeter()
    with meter.waiting_for_limit() as first, meter.waiting_for_limit() as second:
        now = 101.0
        first()
        assert meter.waits_for == "the rate limit"
        now = 103.0
        second()
        second()  # told twice, counted once
        assert meter.waits_for == "an answer from the source"
        now = 110.0
    assert meter.rate_limit_wait_seconds == pytest.approx(3.0)


def test_a_wait_that_is_cut_short_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that never gets a place waits no longer than it is there."""
    now = 0.0
    monkeypatch.setattr(meter_module, "monotonic", lambda: now)
    meter = CallMeter()
    with pytest.raises(RuntimeError), meter.waiting_for_limit():
        now = 2.0
        raise RuntimeError
    assert meter.waits_for == "an answer from the source"
    assert meter.rate_limit_wait_seconds == pytest.approx(2.0)


def test_a_long_wait_is_known_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second it is one; the next wait is one from its beginning, until a call gets its place soon."""
    now = 100.0
    monkeypatch.setattr(meter_module, "monotonic", lambda: now)
    meter = CallMeter()
    assert meter.limited_since is None
    with meter.waiting_for_limit():
        now = 100.5
        assert meter.limited_since is None
        now = 103.0
        since = meter.limited_since
        assert since is not None
        assert (datetime.now(UTC) - since).total_seconds() == pytest.approx(3.0, abs=0.5)
    assert meter.limited_since is None
    with meter.waiting_for_limit() as has_place:
        assert meter.limited_since is not None
        now = 103.1
        has_place()
    with meter.waiting_for_limit():
        assert meter.limited_since is None
