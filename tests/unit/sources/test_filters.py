"""Filters of pulls: one canonical form for equal pulls, and a plain sentence for what is not a filter."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidFilter
from daemon.sources.http import HttpAnswer
from daemon.sources.nhanh.errors import lock_seconds
from daemon.sources.nhanh.lists import CUSTOMERS, PRODUCTS, to_api
from daemon.sources.shopify import filters as shopify

VIETNAM = timezone(timedelta(hours=7))


@pytest.mark.parametrize(
    ("given_filters", "canonical"),
    [
        ({}, {}),
        ({"type": None}, {}),
        ({"type": "3"}, {"type": 3}),
        ({"last_bought_from": date(2026, 1, 2)}, {"last_bought_from": "2026-01-02"}),
        ({"ids": [5, "3", 5]}, {"ids": [3, 5]}),
        ({"ids": "7,8"}, {"ids": [7, 8]}),
        ({"ids": 7}, {"ids": [7]}),
        ({"updated_from": datetime(2026, 10, 1, 7, tzinfo=VIETNAM)}, {"updated_from": "2026-10-01T00:00:00Z"}),
        ({"updated_from": "2026-10-01T07:00:00+07:00"}, {"updated_from": "2026-10-01T00:00:00Z"}),
        ({"updated_from": 1790812800}, {"updated_from": "2026-10-01T00:00:00Z"}),
        ({"updated_from": "1790812800"}, {"updated_from": "2026-10-01T00:00:00Z"}),
    ],
)
def test_equal_filters_have_one_form(given_filters: dict[str, Any], canonical: dict[str, Any]) -> None:
    """However a filter is spelled, its canonical form is the same, is JSON, and is its own canonical form."""
    found = CUSTOMERS.filters.normalise(given_filters)
    assert found == canonical
    assert CUSTOMERS.filters.normalise(orjson.loads(orjson.dumps(found))) == found


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"colour": "red"}, "Unknown filter for customers of Nhanh"),
        ({"type": 4}, "type must be one of 1, 2, 3."),
        ({"type": True}, "type must be a whole number"),
        ({"type": "x"}, "type must be a whole number"),
        ({"last_bought_from": "01/02/2026"}, "last_bought_from must be a date such as"),
        ({"last_bought_from": "2026-02-30"}, "last_bought_from must be a date"),
        ({"last_bought_from": 20260101}, "last_bought_from must be a date"),
        ({"updated_from": datetime(2026, 10, 1)}, "a time with a zone"),  # noqa: DTZ001
        ({"updated_from": "2026-10-01T00:00:00"}, "a time with a zone"),
        ({"updated_from": 10**30}, "updated_from must be a time"),
        ({"ids": []}, "ids is empty"),
        ({"ids": list(range(1, 102))}, "at most 100"),
        ({"ids": [0]}, "only positive numbers"),
        ({"updated_from": 20, "updated_to": 10}, "is later than"),
        ({"last_bought_from": "2026-02-01", "last_bought_to": "2026-01-01"}, "is later than"),
    ],
)
def test_unfit_customer_filters_are_refused(filters: dict[str, Any], sentence: str) -> None:
    """An unknown or ill-typed filter is refused in a sentence that names it."""
    with pytest.raises(InvalidFilter, match=sentence):
        CUSTOMERS.filters.normalise(filters)


def test_filters_are_translated_for_the_api() -> None:
    """Names and times become the API's."""
    filters = {"status": ["2", 1], "updated_from": "2026-10-01T00:00:00Z", "category_ids": 4, "name": " áo "}
    assert to_api(PRODUCTS.filters.normalise(filters)) == {
        "status": [1, 2],
        "updatedAtFrom": 1790812800,
        "categoryIds": [4],
        "name": "áo",
    }
    for wrong in ({"status": [5]}, {"name": " "}, {"type": 1}):
        with pytest.raises(InvalidFilter):
            PRODUCTS.filters.normalise(wrong)


@given(st.dictionaries(st.sampled_from(["type", "ids", "updated_from", "last_bought_to"]), st.from_type(object)))
def test_no_filter_value_escapes_as_another_error(filters: dict[str, Any]) -> None:
    """Whatever is given, the answer is a canonical form or InvalidFilter."""
    with suppress(InvalidFilter):
        orjson.dumps(CUSTOMERS.filters.normalise(filters))


@pytest.mark.parametrize(
    ("query", "filters", "updated_from", "combined"),
    [
        (None, {}, None, None),
        ("  ", {}, None, None),
        ("tag:vip OR tag:new", {}, None, "tag:vip OR tag:new"),
        (None, {"status": "Active"}, None, "status:active"),
        (None, {"status": ["draft", "active"]}, None, "(status:active OR status:draft)"),
        ("a OR b", {"status": "draft"}, None, "(a OR b) AND status:draft"),
        ("x:y", {}, datetime(2026, 10, 1, 7, tzinfo=VIETNAM), "(x:y) AND updated_at:>='2026-10-01T00:00:00Z'"),
    ],
)
def test_parts_of_a_search_are_combined(
    query: str | None, filters: dict[str, Any], updated_from: datetime | None, combined: str | None
) -> None:
    """A query keeps its meaning beside filters and a time: it is put in parentheses, and the time in quotes."""
    assert shopify.search_query(query, filters=filters, updated_from=updated_from) == combined


@pytest.mark.parametrize("query", ['tag:"vip', "(a", "a)", ")(", "a\\", 5, "x" * 3000, "a\0b"])
def test_queries_that_could_not_be_combined_are_refused(query: object) -> None:
    """Quotes and parentheses must match, or the rest of the search would change its meaning."""
    with pytest.raises(InvalidFilter):
        shopify.normalise_query(query)


@pytest.mark.parametrize("filters", [{"status": "sold"}, {"status": []}, {"status": 1}, {"vendor": "x"}])
def test_unfit_product_filters_of_shopify_are_refused(filters: dict[str, Any]) -> None:
    """There is one filter, and three values of it."""
    with pytest.raises(InvalidFilter):
        shopify.PRODUCT_FILTERS.normalise(filters)


@given(st.text(max_size=20))
def test_a_quoted_term_is_one_value(term: str) -> None:
    """Whatever is in a term, its quotes are closed at its end and nowhere else."""
    assert shopify.normalise_query(f"title:{shopify.quoted(term.replace(chr(0), ''))}") is not None


NOW = datetime(2026, 10, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("locked", "unlocked", "date", "retry_after", "expected"),
    [
        (10, NOW + 10, NOW - 0.4, None, 10),  # all agree
        (10, NOW + 10.9, NOW, None, 10.9),  # a whole second, behind the lock's own length
        (10, NOW + 4, None, None, 10),  # they disagree: the longer one is safe
        (10, NOW + 500, NOW, None, 11),  # never much longer than the lock itself
        (10, NOW - 60, NOW, None, 10),  # already past: the clocks are apart, or the server errs
        (10, NOW + 10.5 + 3600, NOW + 3600, None, 10.5),  # our clock is an hour slow: the server's counts
        (10, NOW + 10.5 - 90, NOW - 90, None, 10.5),  # our clock is ahead
        (10, None, None, None, 10),
        (None, NOW + 12, NOW, None, 12),
        (None, NOW + 10**9, NOW, None, 30),  # absurd
        (None, None, None, 5, 5),
        (None, None, None, None, 30),
        (10**9, NOW + 10**9, NOW, None, 3601),  # so long that it is asked again meanwhile
        *((nonsense, None, None, None, 30) for nonsense in (float("inf"), float("nan"), -5.0, 0.0)),
        *((None, nonsense, NOW, None, 30) for nonsense in (float("inf"), float("nan"), float("-inf"))),
    ],
)
def test_how_long_a_lock_is_waited_for(
    locked: float | None, unlocked: float | None, date: float | None, retry_after: float | None, expected: float
) -> None:
    """`unlockedAt` counts by whichever clock can be trusted, and never less than `lockedSeconds`."""
    answer = HttpAnswer(200, b"", retry_after, date)
    assert lock_seconds(locked, unlocked, answer, NOW) == pytest.approx(expected, abs=0.3)
