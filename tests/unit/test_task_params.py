"""Parameters of pulls: canonical, or refused in a plain sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidJobRequest
from daemon.sources.nhanh.filters import normalise_customer_filters
from daemon.sources.shopify.filters import normalise_product_filters, normalise_query
from daemon.tasks import params

nhanh = params.filtered(normalise_customer_filters)
shopify = params.queried(normalise_query, normalise_product_filters)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["full", "restart", "allow_deletions", "filters", "query", "retry_of"]) | st.text()


def test_defaults_are_left_out() -> None:
    """Two spellings of the same request are the same request."""
    assert nhanh({}) == nhanh({"full": False, "filters": None}) == nhanh({"filters": {}}) == {}
    assert shopify({"query": "  tag:vip "}) == {"query": "tag:vip"}


def test_scope_is_about_what_is_pulled() -> None:
    """How a pull starts does not decide whether an interrupted one is continued; what it pulls does."""
    assert params.scope(nhanh({"restart": True})) == params.scope(nhanh({}))
    assert params.scope(nhanh({"filters": {"type": 1}})) != params.scope(nhanh({"filters": {"type": 2}}))
    assert params.scope(nhanh({"full": True})) != params.scope(nhanh({}))


def test_allowing_deletions_means_a_full_pull() -> None:
    """Only a full pull finds deletions."""
    assert nhanh({"allow_deletions": True}) == {"allow_deletions": True, "full": True}


@pytest.mark.parametrize(
    "bad",
    [
        {"ful": True},
        {"full": "yes"},
        {"filters": []},
        {"filters": {"colour": "red"}},
        {"filters": {"type": 9}},
        {"filters": {"last_bought_from": "yesterday"}},
        {"retry_of": "7"},
        {"retry_of": "0199c3b0-0000-7000-8000-000000000000", "full": True},
        {"query": "tag:vip"},
    ],
)
def test_bad_parameters_of_a_nhanh_pull_are_refused(bad: dict[str, Any]) -> None:
    """Each with a sentence that names the parameter."""
    with pytest.raises(InvalidJobRequest, match=r"params"):
        nhanh(bad)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_whatever_is_sent_is_made_canonical_or_refused(anything: dict[str, Any]) -> None:
    """No input makes anything but a canonical form, which is its own canonical form, or a refusal."""
    for read in (nhanh, shopify, params.none):
        try:
            canonical = read(anything)
        except InvalidJobRequest:
            continue
        assert read(canonical) == canonical
