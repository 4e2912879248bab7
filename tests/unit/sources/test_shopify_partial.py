"""Which rows of an answer with errors are relied on, whatever the errors."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sources.shopify.errors import is_protected, said_of
from daemon.sources.shopify.partial import DENIED, Unreadable, mark_rows

PROTECTED = "This app is not approved to use the phone field."
ROWS = 6

paths = st.lists(st.sampled_from(["products", "nodes", "variants", "phone", 0, 1, 3, 5, 9]), max_size=6)
codes = st.sampled_from([None, "INTERNAL_SERVER_ERROR", "NOT_FOUND", "ACCESS_DENIED", "THROTTLED"])
row_errors = st.builds(
    lambda index, rest, code, said: {
        "message": said,
        "path": ["products", "nodes", index, *rest],
        "extensions": {"code": code},
    },
    st.integers(0, ROWS - 1),
    paths,
    codes,
    st.sampled_from(["No", PROTECTED]),
)
any_errors = st.builds(lambda path, code: {"message": "No", "path": path, "extensions": {"code": code}}, paths, codes)


def answer() -> dict[str, Any]:
    """A page of products, each with a page of variants."""
    rows = [{"id": number, "phone": None, "variants": {"nodes": [{"id": number}]}} for number in range(ROWS)]
    return {"products": {"nodes": rows}}


@given(st.lists(row_errors | any_errors, min_size=1, max_size=8))
def test_no_row_with_an_error_is_taken_for_a_good_one(errors: list[dict[str, Any]]) -> None:
    """An answer is taken with each row of its errors marked, and the others as they came; or not at all, untouched."""
    payload = {"data": answer(), "errors": errors}
    before = deepcopy(payload)
    if mark_rows(payload, ()) is None:
        assert payload == before
        return
    for index, row in enumerate(payload["data"]["products"]["nodes"]):
        about = [error for error in errors if error["path"][:3] == ["products", "nodes", index]]
        if not all(map(is_protected, about)):
            assert isinstance(row, Unreadable)
        elif about:
            assert set(row[DENIED]) == {".".join(map(str, error["path"][3:])) for error in about}
        else:
            assert row == before["data"]["products"]["nodes"][index]
    assert not any(error["extensions"]["code"] == "THROTTLED" for error in errors)


@given(st.lists(any_errors, min_size=1, max_size=3), st.sampled_from([None, [], {"products": None}, "x"]))
def test_what_holds_no_rows_is_good_for_nothing(errors: list[dict[str, Any]], data: Any) -> None:
    """Where there is nothing to mark, nothing is relied on."""
    assert mark_rows({"data": data, "errors": errors}, ()) is None


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([{"base": ["no more calls"]}], "no more calls"),
        ([None], "it does not say why"),
        (["Not Found."], "Not Found"),
    ],
)
def test_what_errors_of_any_shape_say(errors: list[Any], said: str) -> None:
    """The sentence holds what Shopify says, in whatever shape it says it."""
    assert said in said_of(errors, ())
