"""What checks find: each with what it means and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # works, but somebody should look at it
    FAILED = "failed"


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


@dataclass(frozen=True, slots=True)
class Findings:
    """What a round of checks has found, in the order in which it was checked."""

    findings: Sequence[Finding]


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
