"""Terminals: text written to one stays text, whoever wrote it: this program, its libraries, Python itself."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from daemon.texts import escaped

LAYOUT = "\n\t"


class GuardedTerminal:
    """A stream to a terminal that escapes whatever would control it; otherwise it behaves like the stream."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal

    def write(self, text: str) -> int:
        """Write the text, and nothing but text."""
        self.terminal.write(escaped(text, keep=LAYOUT))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As `write`, one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


@contextmanager
def guarded_terminals() -> Iterator[None]:
    """Guards standard output and standard error where they are terminals; files and pipes get everything exactly."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def drawable(stream: TextIO) -> TextIO:
    """The terminal itself, for those who draw on it and escape foreign text themselves: Rich's console, the log."""
    return stream.terminal if isinstance(stream, GuardedTerminal) else stream


def _guarded(stream: TextIO) -> TextIO:
    # Python has no stream at all where the descriptor is closed.
    is_terminal = stream is not None and stream.isatty() and not isinstance(stream, GuardedTerminal)
    return cast("TextIO", GuardedTerminal(stream)) if is_terminal else stream
