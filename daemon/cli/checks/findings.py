"""Shows what checks have found: as a table, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from rich.table import Table
from rich.text import Text

from daemon.api.findings import Finding, Severity
from daemon.cli.render import output

SIGNS = {Severity.OK: ("✓", "green"), Severity.WARNING: ("!", "yellow"), Severity.FAILED: ("✗", "red")}


def to_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON values."""
    return [asdict(finding) for finding in findings]


def write_findings(findings: Sequence[Finding]) -> None:
    """The findings as a table on standard output, advice below the findings in a row that it is about."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for finding, following in zip_longest(findings, findings[1:]):
        sign, style = SIGNS[finding.level]
        took = "" if finding.milliseconds is None else f"{finding.milliseconds:,.1f} ms"
        text = Text(_lines(finding.detail))
        if finding.advice and (following is None or following.advice != finding.advice):
            text.append(f"\n→ {_lines(finding.advice)}", style=style)
        table.add_row(Text(f"{sign} {output.plain(finding.subject)}", style=style), took, text)
    output.write_renderable(table)


def _lines(text: str) -> str:
    return "\n".join(output.plain(line) for line in text.splitlines())
