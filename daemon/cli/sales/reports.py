"""What a campaign did, as proof: in short for people, otherwise as a file."""

from dataclasses import asdict
from datetime import tzinfo
from pathlib import Path

from daemon.api.sales import Edge, SaleReport
from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.cli.sales import wording
from daemon.cli.sales.tables import span, state_text
from daemon.errors import DongboError

MARK = output.EXCEL_MARK.encode()


class ReportFileError(DongboError):
    """A report can't be written where it should go."""


def write_report(report: SaleReport, zone: tzinfo) -> None:
    """The head of a report; its variants are in the file."""
    counts = {name.replace("_", " "): number for name, number in asdict(report.counts).items()}
    output.write_fields(
        {
            "sale": report.name,
            "store": report.store,
            "state": state_text(report.state, is_cancelled=report.is_cancelled),
            "discount": wording.discount(report.definition),
            **_edge("start", "on sale", report.start, zone),
            **_edge("end", "restored", report.end, zone),
            "verified": values.moment(report.last_verified, zone),
            "closed": values.moment(report.closed_at, zone),
            "outcome": wording.counted(counts) or "-",
            "notice": plain(report.notice or "-"),
        }
    )
    output.say("Every variant: --csv or --json, and -o FILE.")


def save(content: bytes, file: Path, *, is_table: bool) -> None:
    """Write a report into a file, a table so that Excel can read its Vietnamese. Raises ReportFileError."""
    try:
        file.write_bytes(MARK + content.removeprefix(MARK) if is_table else content)
    except OSError as error:
        raise ReportFileError(f"{file}: can't be written: {error.strerror}") from None


def _edge(name: str, what: str, edge: Edge, zone: tzinfo) -> dict[str, str]:
    first, last = (edge.first, edge.first_late_seconds), (edge.last, edge.last_late_seconds)
    return {
        f"{name} planned": values.moment(edge.planned, zone),
        f"{name} begun": values.moment(edge.begun, zone),
        what: span(first, last, zone),
    }
