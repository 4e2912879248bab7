"""The line index of TOML documents, which every error message about a configuration relies on."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.toml_lines import KeyPath, LineIndex

SCALARS = (
    "1",
    "0xdead_beef",
    "-1.5e3",
    "inf",
    "true",
    "1979-05-27 07:32:01",
    "07:32:00.5",
    '""',
    "''",
    '"a # b = [ { \\" ] } ,"',
    "'c # \\ \" ] } , ='",
    '"""one line"""',
    '"""\n[table]\nkey = 1 # no key\n\\""" \\\\"""',
    '"""ends in quotes"""""',
    '"""cut \\\n   off"""',
    "'''\n[[array]]\n''quoted''\n'''''",
    '"tiếng Việt"',
)
KEYS = st.text(st.sampled_from("ab-_1"), min_size=1, max_size=3) | st.text(
    st.sampled_from("a.#]=[{} 'ộ\"\\\t"), max_size=3
)
BLANKS = st.sampled_from(("", " ", "\t "))
GAPS = st.sampled_from(("", "\n", "# comment [x] = 1\n", "\n  \n#\n"))


class Writer:
    """Writes a random document, and notes on which line each key begins."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.expected: dict[KeyPath, int] = {}

    def document(self) -> None:
        self.table((), (), depth=0)
        self.text = self.text.rstrip("\n") if self.draw(st.booleans()) else self.text

    def table(self, path: KeyPath, header: tuple[str, ...], depth: int) -> None:
        names = self.draw(st.lists(KEYS, unique=True, max_size=4))
        split = self.draw(st.integers(0, len(names)))
        for name in names[:split]:
            self.text += self.draw(GAPS) + self.draw(BLANKS)
            self.pair(path, name)
            self.text += self.draw(BLANKS) + self.draw(st.sampled_from(("", "# comment"))) + "\n"
        for name in names[split:] if depth < 2 else ():
            if self.draw(st.booleans()):
                self.header(*(*header, name), brackets="[]")
                self.note((*path, name))
                self.table((*path, name), (*header, name), depth + 1)
            else:
                self.array_of_tables((*path, name), (*header, name), depth)

    def array_of_tables(self, path: KeyPath, header: tuple[str, ...], depth: int) -> None:
        for position in range(self.draw(st.integers(1, 3))):
            self.header(*header, brackets="[[]]")
            self.note((*path, position))
            if position == 0:
                self.note(path)
            self.table((*path, position), header, depth + 1)

    def header(self, *keys: str, brackets: str) -> None:
        middle = len(brackets) // 2
        self.text += self.draw(GAPS) + self.draw(BLANKS) + brackets[:middle]
        self.text += self.draw(BLANKS) + self.dotted(keys) + self.draw(BLANKS) + brackets[middle:]
        self.header_line = self.text.count("\n") + 1
        self.text += "\n"

    def note(self, path: KeyPath) -> None:
        self.expected[path] = self.header_line

    def pair(self, path: KeyPath, name: str) -> None:
        keys = (name, *self.draw(st.lists(KEYS, max_size=2)))
        for length in range(1, len(keys) + 1):
            self.expected[path + keys[:length]] = self.text.count("\n") + 1
        self.text += self.dotted(keys) + self.draw(BLANKS) + "=" + self.draw(BLANKS)
        self.value(path + keys, depth=0)

    def value(self, path: KeyPath, depth: int) -> None:
        match self.draw(st.sampled_from(("scalar", "scalar", "array", "table"))):
            case "array" if depth < 3:
                self.array(path, depth)
            case "table" if depth < 3:
                self.inline_table(path, depth)
            case _:
                self.text += self.draw(st.sampled_from(SCALARS))

    def array(self, path: KeyPath, depth: int) -> None:
        self.text += "["
        for position in range(self.draw(st.integers(0, 3))):
            self.text += self.draw(GAPS) + self.draw(BLANKS)
            self.expected[*path, position] = self.text.count("\n") + 1
            self.value((*path, position), depth + 1)
            self.text += self.draw(BLANKS) + self.draw(GAPS) + ","
        self.text += self.draw(GAPS) + "]"

    def inline_table(self, path: KeyPath, depth: int) -> None:
        names = self.draw(st.lists(KEYS, unique=True, max_size=3))
        self.text += "{"
        for position, name in enumerate(names):
            self.text += self.draw(BLANKS)
            self.expected[*path, name] = self.text.count("\n") + 1
            self.text += self.dotted((name,)) + self.draw(BLANKS) + "=" + self.draw(BLANKS)
            self.value((*path, name), depth + 1)
            self.text += self.draw(BLANKS) + ("," if position < len(names) - 1 else "")
        self.text += "}"

    def dotted(self, keys: tuple[str, ...]) -> str:
        dot = self.draw(BLANKS) + "." + self.draw(BLANKS)
        return dot.join(self.key(key) for key in keys)

    def key(self, key: str) -> str:
        forms = ['"' + key.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"']
        if key.isascii() and key.replace("-", "").replace("_", "").isalnum():
            forms.append(key)
        if "'" not in key:
            forms.append(f"'{key}'")
        return self.draw(st.sampled_from(forms))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[KeyPath, int]]:
    """The text of a document, and the line of each of its keys."""
    writer = Writer(draw)
    writer.document()
    return writer.text, writer.expected


@given(documents(), st.sampled_from(("\n", "\r\n")))
def test_finds_every_key_on_its_line(document: tuple[str, dict[KeyPath, int]], newline: str) -> None:
    """However a document is written, every key, table and array element is found on the line where it begins."""
    text, expected = document
    text = text.replace("\n", newline)
    index = LineIndex(text)
    assert {path: index.lines.get(path) for path in expected} == expected
    assert set(paths(tomllib.loads(text))) == index.lines.keys()


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    match value:
        case dict():
            for key, element in value.items():
                yield from paths(element, (*path, key))
        case list():
            for position, element in enumerate(value):
                yield from paths(element, (*path, position))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 4),
        (("a", "b"), 1),
        (("a", "b", "x"), 2),
        (("fruits", 0, "kinds", 1), 10),
        (("fruits", 1, "kinds", 0, "name"), 13),
        (("fruits", 1, "physical"), 14),
    ],
)
def test_follows_tables_out_of_order(path: KeyPath, line: int) -> None:
    """A table is found at its own header, even after one inside it; below an array of tables the last one counts."""
    text = """[a.b]
x = 1

[a]
y = 2

[[fruits]]
[[fruits.kinds]]
name = 1
[[fruits.kinds]]
[[fruits]]
[[fruits.kinds]]
name = 2
[fruits.physical]
"""
    assert LineIndex(text).line(path) == line


def test_a_missing_key_is_on_the_line_of_its_table() -> None:
    """What is not in the document is said of the nearest table around it."""
    index = LineIndex("\n[a]\n[[b]]\nx = 1\n")
    assert index.line(("a", "missing", "deeper")) == 2
    assert index.line(("b", 0, "missing")) == 3
    assert index.line(("missing",)) == 1
