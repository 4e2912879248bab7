"""Tables on terminals of any width: whole words, or cards."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from daemon.cli.render import output

COLUMNS = ("id", "what", "rows", "note")
WORDS = st.lists(st.text("abcđộ0123456789-", min_size=1, max_size=14), max_size=12).map(" ".join)


def printed(width: int, rows: list[list[str]]) -> str:
    """What a table looks like on a console of some width."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, highlight=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "data_console", lambda: console)
        output.write_table(COLUMNS, [[Text(cell) for cell in row] for row in rows], numbers=("rows",))
    return stream.getvalue()


@given(st.lists(st.lists(WORDS, min_size=4, max_size=4), min_size=1, max_size=5), st.integers(60, 240))
def test_no_word_is_broken_and_no_line_too_long(rows: list[list[str]], width: int) -> None:
    """Whatever the cells say and however wide the terminal is."""
    shown = printed(width, rows)
    assert max((cell_len(line) for line in shown.splitlines()), default=0) <= width
    words = shown.split()
    for row in rows:
        assert all(word in words for cell in row if cell not in output.NOTHING for word in cell.split())


def test_a_narrow_terminal_gets_cards() -> None:
    """The first cell, and below it what the others say, each after the name of its column."""
    shown = printed(80, [["019e0c3f", "Stock at Nhanh.vn", "1,200", ""], ["019e0c40", "-", "0", "late"]])
    assert [line.rstrip() for line in shown.splitlines()] == [
        "019e0c3f",
        "  what Stock at Nhanh.vn · rows 1,200",
        "019e0c40",
        "  rows 0 · note late",
    ]


@pytest.mark.parametrize("width", [100, 300])
def test_a_wide_terminal_gets_a_table(width: int) -> None:
    """Narrowed to whole words where it has to be."""
    long = " ".join(["word"] * 40)
    lines = printed(width, [["019e0c3f", "x", "1,200", long]]).splitlines()
    assert lines[0].split() == ["ID", "WHAT", "ROWS", "NOTE"]
    assert lines[1].startswith("019e0c3f  x")
    assert (len(lines) == 2) == (width == 300)


def test_a_table_whose_words_have_no_room_becomes_cards() -> None:
    """An address is not folded into a column of ten characters."""
    shown = printed(120, [["019e0c3f", "a" * 60, "1", "b" * 60]])
    assert f"what {'a' * 60}" in shown


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """As wide as they need to be, for grep and cut."""
    output.write_table(COLUMNS, [["019e0c3f", "a " * 200, "1", "b"]], numbers=("rows",))
    assert len(capsys.readouterr().out.splitlines()) == 2
