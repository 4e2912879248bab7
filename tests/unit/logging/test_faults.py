"""What the log says of a fault: when it begins, once a minute, and when it is over."""

from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from daemon.logging.faults import INTERVAL, Fault
from tests.support.clock import Clock

MOST_LINES_A_MINUTE = 4  # of a fault that begins and ends all the time


@pytest.fixture
def clock() -> Clock:
    """The clock of the fault."""
    return Clock(1_000.0)


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """What is logged."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def fault(clock: Clock) -> Fault:
    """A connection that fails."""
    return Fault(structlog.get_logger(), "line_dead", over="line_back", next_step="tries again", clock=clock)


def test_a_fault_that_lasts(fault: Fault, clock: Clock, lines: list[EventDict]) -> None:
    """Ten failures a second for three minutes: a line at once, one a minute that counts them, one at the end."""
    for _ in range(1_800):
        fault.happened("no answer")
        clock.now += 0.1
    assert fault.error == "no answer"
    fault.passed()
    fault.passed()
    assert [line["event"] for line in lines] == ["line_dead"] * 3 + ["line_back"]
    assert lines[0]["next_step"] == "tries again"
    assert "times" not in lines[0]
    assert lines[1]["for_seconds"] == INTERVAL
    assert lines[-1]["times"] == 1_800
    assert fault.error is None


def test_another_reason_is_said_at_once(fault: Fault, lines: list[EventDict]) -> None:
    """A fault whose reason changes has news, but not without end."""
    for number in range(100):
        fault.happened(f"reason {number % 2}")
        fault.happened(f"always another one: {number}")
    assert len(lines) <= MOST_LINES_A_MINUTE
    assert {"reason 0", "reason 1"} & {line["error"] for line in lines}


def test_a_fault_that_comes_and_goes(fault: Fault, clock: Clock, lines: list[EventDict]) -> None:
    """One that begins and ends twice a second tells of the first times, and then no more often than the others; what
    was not said to begin is not said to be over."""
    for _ in range(120):
        fault.happened("cut")
        fault.passed()
        clock.now += 0.5
    begun = [line["event"] for line in lines].count("line_dead")
    assert 1 <= begun <= MOST_LINES_A_MINUTE
    assert len(lines) == 2 * begun
    clock.now += INTERVAL
    fault.happened("cut")
    assert lines[-1]["event"] == "line_dead"
