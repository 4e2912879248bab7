"""What checks find: each with what it means and what to do, as a table or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rich.table import Table
from rich.text import Text

from daemon.cli.render import output


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # works, but somebody should look at it
    FAILED = "failed"


SIGNS = {Severity.OK: ("✓", "green"), Severity.WARNING: ("!", "yellow"), Severity.FAILED: ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Args:
        subject: what was checked, such as `database`.
        detail: what was found.
        advice: what to do about it; None where there is nothing to do.
        milliseconds: how long it took, where that is of interest.
    """

    level: Severity
    subject: str
    detail: str
    advice: str | None = None
    milliseconds: float | None = None


def ok(subject: str, detail: str, *, milliseconds: float | None = None) -> Finding:
    """All is well."""
    return Finding(Severity.OK, subject, detail, None, milliseconds)


def warning(subject: str, detail: str, advice: str) -> Finding:
    """It works, but somebody should look at it."""
    return Finding(Severity.WARNING, subject, detail, advice)


def failed(subject: str, detail: str, advice: str | None = None) -> Finding:
    """It does not work; `advice` may be left out where the detail says what to do."""
    return Finding(Severity.FAILED, subject, detail, advice)


def any_failed(findings: Sequence[Finding]) -> bool:
    """Whether something does not work."""
    return any(finding.level is Severity.FAILED for finding in findings)


def to_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON values."""
    return [asdict(finding) for finding in findings]


def write_findings(findings: Sequence[Finding]) -> None:
    """The findings as a table on standard output, advice below the finding it is about."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for finding in findings:
        sign, style = SIGNS[finding.level]
        took = "" if finding.milliseconds is None else f"{finding.milliseconds:,.1f} ms"
        text = Text(_lines(finding.detail))
        if finding.advice:
            text.append(f"\n→ {_lines(finding.advice)}", style=style)
        table.add_row(Text(f"{sign} {output.plain(finding.subject)}", style=style), took, text)
    output.write_renderable(table)


def _lines(text: str) -> str:
    return "\n".join(output.plain(line) for line in text.splitlines())
