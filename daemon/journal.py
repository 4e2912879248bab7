"""Lines for journald, which takes the `<priority>` at the beginning of a line as the entry's own (sd-daemon(3))."""

import os
from collections.abc import Mapping
from typing import TextIO

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # syslog(3)


def is_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream is connected to journald: systemd.exec(5), `$JOURNAL_STREAM`."""
    try:
        status = os.fstat(stream.fileno())
    except (AttributeError, OSError, ValueError):  # there is no stream, or no file underneath
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def with_priority(text: str, level: str) -> str:
    """The text with the priority of a log level at the beginning of each line, as journald takes lines for entries."""
    prefix = f"<{PRIORITIES.get(level, PRIORITIES['info'])}>"
    return "\n".join(prefix + line if line else line for line in text.split("\n"))
