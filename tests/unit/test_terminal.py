"""Text that goes to a terminal is text: the rule, and the streams and consoles that keep to it."""

import io
import json
import os
import pty
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from daemon.cli.render import output
from daemon.cli.render.console import TextConsole
from daemon.terminal import GuardedTerminal, drawable, guarded_terminals
from daemon.texts import escaped, escaped_json

TEXTS = st.text(
    st.one_of(
        st.characters(),  # lone surrogates, too
        st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Co", "Cn"]),
        st.sampled_from("\x1b\x9b\x7f\u202e\u2066\u200f\u061c\u2028\ufeff\U000e0041[m0;Áđ \u00a0\u3000"),
    )
)


def steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@given(TEXTS)
def test_an_escaped_text_steers_nothing_and_keeps_the_rest(text: str) -> None:
    """What is seen stays as it is, in its order; what steers is spelt out; doing it twice changes nothing."""
    shown = escaped(text)
    assert not any(map(steers, shown))
    assert [character for character in text if not steers(character)] == [
        character for character in _unspelt(shown, text) if not steers(character)
    ]
    assert escaped(shown) == shown


def _unspelt(shown: str, text: str) -> str:
    """The shown text with the spellings of what was in the original taken back, from left to right."""
    restored = ""
    for character in text:
        piece = ascii(character)[1:-1] if steers(character) else character
        assert shown.startswith(piece)
        shown, restored = shown.removeprefix(piece), restored + character
    assert shown == ""
    return restored


@pytest.mark.parametrize("text", ["Áo dài đỏ", "Giá 1.200.000₫", "日本", "a\u00a0b", "é", "👕", "“x”", r"\x1b", "ก็"])
def test_names_of_the_world_stay_as_they_are(text: str) -> None:
    """Vietnamese above all; blanks of every width, combining marks and emoji."""
    assert escaped(text) == text
    assert escaped_json(json.dumps(text, ensure_ascii=False)) == json.dumps(text, ensure_ascii=False)


@given(st.recursive(TEXTS | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_escaped_json_has_the_same_value(value: Any) -> None:
    """In values and in keys, in one line and indented; nothing in it steers."""
    for indent in (None, 2):
        document = json.dumps(value, ensure_ascii=False, indent=indent)
        shown = escaped_json(document)
        assert json.loads(shown) == json.loads(document) == value
        assert not any(map(steers, shown.replace("\n", "")))


@given(TEXTS, TEXTS)
def test_rich_draws_and_texts_do_not(name: str, key: str) -> None:
    """In a table, its header, a styled text and a plain line: only the sequences of the styles are on the screen."""
    stream = io.StringIO()
    console = TextConsole(
        file=stream, force_terminal=True, color_system="truecolor", width=300, markup=False, highlight=False
    )
    table = Table(key, box=None)
    table.add_row(Text(name, style="red"))
    console.print(table)
    console.print(Text.assemble((name, "bold"), key))
    console.print(name, soft_wrap=True)
    shown = stream.getvalue()
    for style in ("\x1b[31m", "\x1b[1m", "\x1b[0m"):
        shown = shown.replace(style, "")
    assert not any(map(steers, shown.replace("\n", "").replace("\t", "")))


@given(TEXTS)
def test_a_guarded_terminal_gets_text(text: str) -> None:
    """Whoever writes, by whatever call; what is reported as written is what was given."""
    stream = io.StringIO()
    guarded = GuardedTerminal(stream)
    assert guarded.write(text) == len(text)
    guarded.writelines([text, "\n"])
    print(text, file=guarded)  # type: ignore[call-overload]
    assert not any(map(steers, stream.getvalue().replace("\n", "").replace("\t", "")))


def test_only_terminals_are_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets every character; a terminal is one still, can be drawn on, and is unguarded in the end."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal, os.fdopen(master, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(sys, "stderr", file := io.StringIO())
        with guarded_terminals(), guarded_terminals():
            assert sys.stderr is file
            assert sys.stdout.isatty()
            assert sys.stdout.fileno() == terminal.fileno()
            assert drawable(sys.stdout) is terminal
            sys.stdout.write("\x1b[2J")
            sys.stdout.flush()
            assert screen.read(100) == rb"\x1b[2J"
        assert sys.stdout is terminal


def test_csv_keeps_its_values_and_ends_its_rows_as_lines_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A line break within a value is the value's; the mark for Excel comes along."""
    output.write_csv('\ufeffa,b\r\n"x\r\ny","say ""hi""\r\n"\r\n')
    assert capsys.readouterr().out == '\ufeffa,b\n"x\r\ny","say ""hi""\r\n"\n'
