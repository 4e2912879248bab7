"""Every record of the API can be read from the JSON that it is written as; what is no such record is refused."""

import collections.abc
import dataclasses
import types
from datetime import UTC, datetime
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.api.decoding import decode
from daemon.api.jobs import JobList
from daemon.api.problems import ProblemDetails
from daemon.api.status import Check
from daemon.status.routes import OPERATIONS

JSON = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.integers(0, 9), max_size=2)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    Any: JSON,
    datetime: st.datetimes(timezones=st.just(UTC)),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_categories=["Cs"])),
}
RECORDS = {
    record
    for operation in OPERATIONS
    for answer in operation.answers.values()
    for record in (answer.schema, *answer.events.values())
    if record is not None
} | {ProblemDetails}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Whatever a member of this type may be."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, NewType):
        return values(kind.__supertype__)
    if dataclasses.is_dataclass(kind):
        return st.builds(kind, **{name: values(hint) for name, hint in get_type_hints(kind).items()})
    if origin in (Union, types.UnionType):
        return st.one_of(map(values, arguments))
    if origin is collections.abc.Mapping:
        return st.dictionaries(*map(values, arguments), max_size=2)
    if origin in (collections.abc.Sequence, list):
        return st.lists(values(arguments[0]), max_size=2)
    return st.from_type(kind)


@pytest.mark.parametrize("record", sorted(RECORDS, key=lambda one: one.__name__), ids=lambda one: one.__name__)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(data=st.data())
def test_what_is_written_can_be_read(record: type[Any], data: st.DataObject) -> None:
    """Whatever is in it: nothing is lost on the way, and no member is read otherwise than it is written."""
    written = orjson.dumps(data.draw(values(record)))
    assert orjson.dumps(decode(record, written)) == written


def test_members_of_a_newer_daemon_are_left_out() -> None:
    """A command line may be older than the daemon that it asks."""
    assert decode(Check, b'{"name": "database", "ok": true, "detail": "answers", "since": 7}') == Check(
        "database", True, "answers"
    )


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (b'{"jobs": [{"id": 7}], "next_cursor": null}', "$.jobs[0].id"),
        (b'{"jobs": []}', "summaries"),
        (b"<html>", "malformed"),
        (b'{"jobs": [', "truncated"),
        (b"\xff", "malformed"),
    ],
)
def test_what_is_no_such_record_is_refused_with_its_place(answer: bytes, place: str) -> None:
    """So that a renamed member shows at once, and not where it is used."""
    with pytest.raises(ValueError, match=r".") as refused:
        decode(JobList, answer)
    assert place in str(refused.value)
