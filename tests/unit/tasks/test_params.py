"""Parameters of pulls: canonical, or refused in a plain sentence."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from daemon.errors import InvalidJobRequest
from daemon.jobs.types import JobType
from daemon.sources.nhanh.lists import CUSTOMERS
from daemon.sources.shopify.filters import PRODUCT_FILTERS
from daemon.tasks import params, params_schemas, read_params

nhanh = params.filtered(CUSTOMERS.filters, {})
shopify = params.queried({}, PRODUCT_FILTERS)
items = params.items_or_all({"skus": params.texts("", most=3, longest=8), "variants": params.numbers("", most=3)}, {})
JOB = "0199c3b0-0000-7000-8000-000000000000"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = (
    st.sampled_from(["full", "restart", "allow_deletions", "filters", "query", "method", "ids", "dry_run", "retry_of"])
    | st.sampled_from(["skus", "variants"])
    | st.text()
)


def test_defaults_are_left_out() -> None:
    """Two spellings of the same request are the same request."""
    assert nhanh.read({}) == nhanh.read({"full": False, "filters": None}) == nhanh.read({"filters": {}}) == {}
    assert shopify.read({"query": "  tag:vip "}) == {"query": "tag:vip"}
    assert shopify.read({"method": "auto"}) == shopify.read({"method": None}) == {}


def test_scope_is_about_what_is_pulled() -> None:
    """How a pull starts does not decide whether an interrupted one is continued; what it pulls does."""
    assert params.scope(nhanh.read({"restart": True})) == params.scope(nhanh.read({}))
    assert params.scope(nhanh.read({"filters": {"type": 1}})) != params.scope(nhanh.read({"filters": {"type": 2}}))
    assert params.scope(nhanh.read({"full": True})) != params.scope(nhanh.read({}))
    assert params.scope(shopify.read({"method": "bulk"})) == params.scope(shopify.read({}))


def test_allowing_deletions_means_a_full_pull() -> None:
    """Only a full pull finds deletions."""
    assert nhanh.read({"allow_deletions": True}) == {"allow_deletions": True, "full": True}


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
        {"retry_of": JOB, "full": True},
        {"ids": [7], "full": True},
        {"ids": [7], "retry_of": JOB},
        {"ids": []},
        {"ids": [0]},
        {"ids": [True]},
        {"ids": ["7"]},
        {"ids": [2**63]},
        {"ids": list(range(1, 1002))},
        {"query": "tag:vip"},
    ],
)
def test_bad_parameters_of_a_nhanh_pull_are_refused(bad: dict[str, Any]) -> None:
    """Each with a sentence that names the parameter."""
    with pytest.raises(InvalidJobRequest, match=r"params"):
        nhanh.read(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"method": "graphql"}, {"method": ""}, {"method": ["bulk"]}, {"method": True},
        {"method": "bulk", "ids": [7]}, {"method": "pages", "retry_of": JOB},
    ],
)  # fmt: skip
def test_bad_methods_of_a_shopify_pull_are_refused(bad: dict[str, Any]) -> None:
    """One that there is not, and any where rows are named: those are read by their ids."""
    with pytest.raises(InvalidJobRequest, match=r"params"):
        shopify.read(bad)
    with pytest.raises(InvalidJobRequest, match=r"params"):
        nhanh.read({"method": "bulk"})  # Nhanh.vn has no bulk operations


def test_items_are_named_in_one_way() -> None:
    """Each once and in order, so that the same request in another order is the same request; and none is everything."""
    assert items.read({"skus": ["b", " a ", "b"]}) == {"skus": ["a", "b"]}
    assert items.read({"variants": [9, 7, 9], "dry_run": True}) == {"variants": [7, 9], "dry_run": True}
    assert items.read({"retry_of": JOB}) == {"retry_of": JOB}
    assert items.read({"skus": None, "variants": None, "dry_run": False}) == {}
    assert nhanh.read({"ids": [3, 1]}) == {"ids": [1, 3]}


@pytest.mark.parametrize(
    "bad",
    [
        {"skus": []}, {"skus": "a"}, {"skus": [""]}, {"skus": ["  "]}, {"skus": ["a\0"]}, {"skus": ["a" * 9]},
        {"skus": ["a", "b", "c", "d"]}, {"variants": [1, 2, 3, 4]}, {"variants": [1.5]},
        {"skus": ["a"], "variants": [1]}, {"skus": ["a"], "retry_of": JOB}, {"retry_of": "7"}, {"full": True},
    ],
)  # fmt: skip
def test_bad_names_of_items_are_refused(bad: dict[str, Any]) -> None:
    """Each with a sentence that names the parameter."""
    with pytest.raises(InvalidJobRequest, match=r"params"):
        items.read(bad)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_whatever_is_sent_is_made_canonical_or_refused(anything: dict[str, Any]) -> None:
    """No input makes anything but a canonical form, which is its own canonical form, or a refusal."""
    for read in (nhanh.read, shopify.read, items.read, params.none.read):
        try:
            canonical = read(anything)
        except InvalidJobRequest:
            continue
        assert read(canonical) == canonical


SCHEMAS = params_schemas()
PROPERTIES = {name for schema in SCHEMAS.values() for name in schema["properties"]}
FILTERS = {
    name for schema in SCHEMAS.values() for name in schema["properties"].get("filters", {}).get("properties", {})
}
NUMBERS = st.integers(-1, 9) | st.sampled_from([2**62, 1790812800, 10**17])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | NUMBERS.map(str)
    | st.sampled_from(["active", " draft,active", "2026-10-01", "2026-10-01T00:00:00+07:00", "1, 2", " ", "áo"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(FILTERS)) | st.text(), inner),
    max_leaves=6,
)


def test_each_job_type_describes_its_params() -> None:
    """With an example, which the job would take."""
    assert SCHEMAS.keys() == set(JobType)
    for job_type, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        for shown in schema["examples"]:
            Draft202012Validator(schema).validate(shown)
            read_params(job_type, shown)


@given(st.sampled_from(JobType), st.dictionaries(st.sampled_from(sorted(PROPERTIES)), VALUES, max_size=3))
@example(JobType.PULL_NHANH_CUSTOMERS, {"filters": {"ids": [5] * 101}})
@example(JobType.PULL_NHANH_CUSTOMERS, {"filters": {"updated_from": "0"}})
def test_what_a_job_takes_its_schema_allows(job_type: JobType, given_params: dict[str, Any]) -> None:
    """Nothing is read that the description does not mention."""
    try:
        read_params(job_type, given_params)
    except InvalidJobRequest:
        return
    validator = Draft202012Validator(SCHEMAS[job_type], format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(given_params)


@pytest.mark.parametrize("digits", ["1" * 19, "9" * 5_000])
def test_numbers_that_nothing_can_hold_are_refused(digits: str) -> None:
    """Neither the database nor JSON nor Python would take them, and they are no bug of ours."""
    for filters in ({"type": digits}, {"ids": digits}, {"ids": [digits]}, {"updated_from": digits}):
        with pytest.raises(InvalidJobRequest):
            nhanh.read({"filters": filters})
