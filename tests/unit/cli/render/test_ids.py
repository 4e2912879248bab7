"""Short ids on a terminal, whole ones off it."""

import io
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from daemon.cli.render import output
from daemon.cli.render.ids import SHORT, short_id, short_ids

ONE = UUID("019e0c3f-1a2b-7abc-8def-000000000001")
SAME_MILLISECOND = UUID("019e0c3f-1a2b-7abd-8def-000000000001")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is one."""
    console = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(output, "data_console", lambda: console)


def test_off_a_terminal_ids_are_whole() -> None:
    """For programs."""
    assert short_id(ONE) == str(ONE)


@pytest.mark.usefixtures("terminal")
def test_an_id_is_its_millisecond() -> None:
    """Unless another one beside it has the same."""
    assert short_id(ONE) == "019e0c3f-1a2b"
    assert short_ids([ONE, SAME_MILLISECOND]) == {ONE: "019e0c3f-1a2b-7abc", SAME_MILLISECOND: "019e0c3f-1a2b-7abd"}


@given(st.lists(st.integers(0, 2**128 - 1), unique=True, max_size=20), st.integers(0, 2**100))
def test_short_ids_tell_apart_what_is_shown(numbers: list[int], near: int) -> None:
    """Each begins one id only, and is no shorter than the millisecond."""
    ids = [UUID(int=number) for number in {*numbers, near, near + 1}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "data_console", lambda: Console(file=io.StringIO(), force_terminal=True))
        shown = short_ids(ids)
    for job_id, short in shown.items():
        assert len(short) >= SHORT
        assert [other for other in ids if str(other).startswith(short)] == [job_id]
