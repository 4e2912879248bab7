"""The clock of a source, as the `Date` of its answers tells it."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.sources.clock import SourceClock

seconds = st.floats(0, 1e6)


@given(difference=st.floats(-1e7, 1e7), taken=st.floats(0, 30), passed=st.floats(0, 1e5), began=seconds)
def test_the_time_told_is_never_later_than_the_sources(
    difference: float, taken: float, passed: float, began: float
) -> None:
    """Whatever the clocks say and however long a call takes: a lower bound, at most a call and a second off."""
    now = [began]
    clock = SourceClock(lambda: now[0], lambda: now[0] + 1.7e9)
    sent = clock.start()
    now[0] += taken
    answered = began + 1.7e9 + difference + taken  # made at the very end of the call
    clock.observe(float(int(answered)), sent)
    now[0] += passed
    told, true = clock.now(), now[0] + 1.7e9 + difference
    assert told is not None
    assert true - 1.001 - taken <= told.timestamp() <= true + 0.001


@given(difference=st.floats(-0.5, 0.5), taken=st.floats(0, 30), fraction=st.floats(0, 0.99))
def test_clocks_that_may_agree_do(difference: float, taken: float, fraction: float) -> None:
    """The seconds that `Date` leaves out, and those that a call takes, are no difference of the clocks."""
    now = [fraction]
    clock = SourceClock(lambda: now[0], lambda: now[0] + 1.7e9)
    sent = clock.start()
    now[0] += taken
    clock.observe(float(int(fraction + 1.7e9 + taken / 2 + difference)), sent)
    assert clock.offset is not None
    assert abs(clock.offset) <= abs(difference) + 0.001


def test_an_answer_without_a_date_tells_nothing() -> None:
    """A proxy may drop the header: then the time is not known, and nothing is made up."""
    clock = SourceClock()
    clock.observe(None, clock.start())
    assert (clock.now(), clock.offset, clock.measured_at) == (None, None, None)


def test_a_difference_is_told_with_its_side() -> None:
    """Ahead is positive, behind is negative."""
    for difference in (1200.0, -1200.0):
        clock = SourceClock(lambda: 5.0, lambda: 1.7e9)
        clock.observe(1.7e9 + difference, 5.0)
        assert clock.offset is not None
        assert abs(clock.offset - difference) <= 1.0


def test_a_clock_of_ours_that_is_set_is_noticed_without_another_answer() -> None:
    """Nothing is said of clocks that are no longer so, however long the source is not called."""
    moment, shift = [5.0], [0.0]
    clock = SourceClock(lambda: moment[0], lambda: moment[0] + 1.7e9 + shift[0])
    clock.observe(1.7e9 + 5.0, clock.start())
    assert clock.offset == 0.0
    moment[0] += 600.0
    shift[0] = -3600.0
    assert clock.offset == 3600.0
    shift[0] = 0.0
    assert clock.offset == 0.0
