"""The sandbox's points: what Shopify's leaky bucket grants, whatever is asked of it."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.sandbox.shopify.bucket import PointBucket
from tests.support.clock import Clock


def test_a_full_bucket_holds_twenty_seconds_of_points() -> None:
    """At 100 points a second, 2,000 points are there to begin with, and not one more."""
    bucket = PointBucket(100, Clock(0.0))
    assert bucket.spend(2000)
    assert not bucket.spend(1)


def test_points_come_back_over_time() -> None:
    """What was spent is restored continuously, up to the bucket's size."""
    clock = Clock(0.0)
    bucket = PointBucket(100, clock)
    bucket.spend(2000)
    clock.now = 0.5
    assert bucket.available == 50
    clock.now = 3600
    assert bucket.available == 2000


def test_a_refused_query_costs_nothing() -> None:
    """Asking for more than there is leaves the points alone."""
    bucket = PointBucket(100, Clock(0.0))
    bucket.spend(1900)
    assert not bucket.spend(101)
    assert bucket.spend(100)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1000), st.floats(0, 1), st.floats(0, 30)
    ),  # requested, share of it refunded, seconds until
    max_size=60,
)


@given(st.sampled_from([50, 100, 200, 1000, 2000]), STEPS)
def test_never_more_than_restored(rate: int, steps: list[tuple[int, float, float]]) -> None:
    """The bucket stays between empty and full, and grants no more than its size and what was restored meanwhile."""
    clock = Clock(0.0)
    bucket = PointBucket(rate, clock)
    granted = 0.0
    for requested, refunded_share, seconds in steps:
        clock.now += seconds
        if bucket.spend(requested):
            granted += requested
            refund = requested * refunded_share
            bucket.refund(refund)
            granted -= refund
        assert 0 <= bucket.available <= bucket.capacity
        assert granted <= bucket.capacity + clock.now * rate + 1e-6
