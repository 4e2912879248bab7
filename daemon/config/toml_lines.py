"""On which line each key of a TOML document stands: `tomllib` does not say, and an error message has to."""

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]

BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})'''  # the text of a multi-line string may itself end in one or two quotes
    r"""|'''.*?'''(?:'{0,2})"""
    r"""|"(?:\\.|[^"\\])*"|'[^']*'""",
    re.DOTALL,
)
OTHER_SCALAR = re.compile(r"[^,\]}#\n]+")


class LineIndex:
    """The lines, counted from 1, of all tables, keys and array elements of a document.

    Args:
        text: a document that `tomllib` has accepted; what this class does with any other is not defined.
    """

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._position = 0
        self._array_lengths: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {(): 1}
        self._scan()

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest table around it where the path itself is not in the document."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def _scan(self) -> None:
        table: KeyPath = ()
        while self._skip_blank() < len(self._text):
            if self._text.startswith("[[", self._position):
                table = self._array_of_tables_header()
            elif self._text.startswith("[", self._position):
                table = self._table_header()
            else:
                self._pair(table)

    def _table_header(self) -> KeyPath:
        line = self._line_here()
        self._skip("[")
        path = self._resolve(self._key(), line)
        self._skip("]")
        self.lines[path] = line  # the table's own header says more than one of a table inside it that came before
        return path

    def _array_of_tables_header(self) -> KeyPath:
        line = self._line_here()
        self._skip("[[")
        *parents, name = self._key()
        self._skip("]]")
        array = (*self._resolve(parents, line), name)
        position = self._array_lengths.get(array, 0)
        self._array_lengths[array] = position + 1
        self.lines.setdefault(array, line)
        self.lines[*array, position] = line
        return (*array, position)

    def _resolve(self, parts: list[str], line: int) -> KeyPath:
        """The path a header's key means: below an array of tables, its last element."""
        path: KeyPath = ()
        for part in parts:
            path = (*path, part)
            self.lines.setdefault(path, line)
            if path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line_here()
        path = table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._skip("=")
        self._value(path)

    def _key(self) -> list[str]:
        parts = [self._key_part()]
        while self._skip_blank() < len(self._text) and self._text[self._position] == ".":
            self._skip(".")
            parts.append(self._key_part())
        return parts

    def _key_part(self) -> str:
        self._skip_blank()
        text = self._take(KEY_PART)
        if text[0] not in "\"'":
            return text
        return str(tomllib.loads(f"key = {text}")["key"])

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        match self._text[self._position]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(STRING)
            case _:
                self._take(OTHER_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._skip("[")
        position = 0
        while not self._at("]"):
            self.lines[*path, position] = self._line_here()
            self._value((*path, position))
            position += 1
            if self._at(","):
                self._skip(",")
        self._skip("]")

    def _inline_table(self, path: KeyPath) -> None:
        self._skip("{")
        while not self._at("}"):
            self._pair(path)
            if self._at(","):
                self._skip(",")
        self._skip("}")

    def _at(self, text: str) -> bool:
        return self._text.startswith(text, self._skip_blank())

    def _skip(self, text: str) -> None:
        if not self._at(text):
            raise ValueError(f"line {self._line_here()}: expected {text}")
        self._position += len(text)

    def _skip_blank(self) -> int:
        self._take(BLANK)
        return self._position

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise ValueError(f"line {self._line_here()}: this is not TOML")
        self._position = match.end()
        return match[0]

    def _line_here(self) -> int:
        return bisect_right(self._starts, self._position)
