"""Where output goes: data to standard output, everything that only accompanies it to standard error.

Nothing written here can control a terminal: foreign text is escaped (`daemon.texts`), in JSON as JSON does. Only
CSV is exact, off a terminal.

Colours only on a terminal and without `NO_COLOR`; both are rich's own rules. Off a terminal lines are as long as they
need to be, so that `grep` and `cut` find whole values.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from io import TextIOBase
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from daemon.cli.render.console import TextConsole
from daemon.terminal import LAYOUT, drawable
from daemon.texts import escaped, escaped_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ENDLESS = 10_000  # columns
TABLES_FROM = 100  # columns of a terminal; narrower ones get cards
GAP = 2  # columns between two of a table
NOTHING = ("", "-", "–")  # what a cell without a value says
EXCEL_MARK = "\ufeff"  # by which Excel recognises UTF-8


def data_console() -> Console:
    """The console of a command's result."""
    return _console(sys.stdout)


def side_console() -> Console:
    """The console of progress, hints and warnings."""
    return _console(sys.stderr)


def say(text: str) -> None:
    """A remark for the person at the terminal, on standard error."""
    sys.stderr.write(f"{escaped(text, keep=LAYOUT)}\n")
    sys.stderr.flush()


def tell(text: str) -> None:
    """Like `say`, for whole sentences: on a terminal, lines break between words."""
    side_console().print(escaped(text, keep=LAYOUT))


def write_text(text: str) -> None:
    """One or more lines of data."""
    sys.stdout.write(f"{escaped(text, keep=LAYOUT)}\n")


def write_csv(text: str) -> None:
    """CSV on standard output, rows ended as lines are there: to a file or a pipe its values are exact, on a terminal
    control characters are spelt out, and the mark for Excel is left out."""
    unquoted_first = enumerate(text.split('"'))
    text = '"'.join(part if at % 2 else part.replace("\r\n", "\n") for at, part in unquoted_first)
    sys.stdout.write(escaped(text.removeprefix(EXCEL_MARK), keep=LAYOUT) if sys.stdout.isatty() else text)


def write_json(document: object) -> None:
    """The one JSON document of a command, indented."""
    _write_bytes(orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2))


def members(record: "DataclassInstance") -> dict[str, Any]:
    """The members of a record, for a document that has others as well."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def write_json_line(document: object) -> None:
    """One line of a stream of JSON documents; written out at once."""
    _write_bytes(orjson.dumps(document, default=str))
    sys.stdout.flush()


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Text | str]], *, numbers: Sequence[str] = ()) -> None:
    """A table on standard output; the columns named in `numbers` are right-aligned.

    On a terminal where it has no room, or only by breaking words, each row becomes a card.
    """
    cells, console = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows], data_console()
    names = [plain(column) for column in columns]
    widths = _column_widths(names, cells, console.width)
    if console.is_terminal and (console.width < TABLES_FROM or widths is None):
        for row in cells:
            write_renderable(_card(names, row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        width = widths[place] if widths is not None else None
        table.add_column(name.upper(), justify="right" if name in numbers else "left", width=width, overflow="fold")
    for row in cells:
        table.add_row(*row)
    write_renderable(table)


def _column_widths(names: Sequence[str], rows: Sequence[Sequence[Text]], available: int) -> list[int] | None:
    """Columns as wide as they need to be, or narrowed to lines of whole words; None where even that has no room."""
    columns = [[Text(name), *(row[place] for row in rows)] for place, name in enumerate(names)]
    widths = [max(cell_len(line) for cell in column for line in cell.plain.split("\n")) for column in columns]
    words = [max((cell_len(word) for cell in column for word in cell.plain.split()), default=0) for column in columns]
    words[0] = widths[0]  # what a person copies into the next command stays on one line
    excess = sum(widths) + GAP * (len(widths) - 1) - available
    if sum(words) + GAP * (len(words) - 1) > available:
        return None
    for _ in range(max(excess, 0)):
        widest = max(range(len(widths)), key=lambda place: widths[place] - words[place] and widths[place])
        widths[widest] -= 1
    return widths


def _card(names: Sequence[str], row: Sequence[Text]) -> RenderableType:
    """A row as a few lines: its first cell, and below it what the others say, each after its column's name."""
    said = [
        Text.assemble((f"{name} ", "dim"), cell)
        for name, cell in zip(names[1:], row[1:], strict=True)
        if cell.plain not in NOTHING
    ]
    head = row[0].copy()
    head.stylize("bold")
    return Group(head, Padding(Text(" · ").join(said), (0, 0, 0, 2))) if said else head


def write_fields(fields: Mapping[str, str | Text]) -> None:
    """Names and values, one a line."""
    width = max(map(len, fields))
    console = data_console()
    for name, value in fields.items():
        console.print(Text.assemble((f"{name:<{width}}  ", "bold"), value), soft_wrap=True)


def write_renderable(renderable: RenderableType) -> None:
    """A table or the like on standard output; off a terminal without the spaces that pad its lines."""
    console = data_console()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


class CurrentStderr(TextIOBase):
    """Whatever standard error is at the moment: while progress bars are drawn, what is written goes above them."""

    def write(self, text: str) -> int:
        """Write to it."""
        return drawable(sys.stderr).write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal in the end."""
        return sys.__stderr__ is not None and sys.__stderr__.isatty()


def plain(value: Any) -> str:
    """Text from elsewhere on one line: what would control a terminal, or break the line, is escaped."""
    return escaped(str(value))


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else ENDLESS
    # While progress is drawn, Rich stands in for the stream, and knows the real one.
    file = drawable(getattr(stream, "rich_proxied_file", stream))
    return TextConsole(file=file, width=width, highlight=False, markup=False, emoji=False)


def _write_bytes(document: bytes) -> None:
    sys.stdout.write(escaped_json(document.decode()))
    sys.stdout.write("\n")
