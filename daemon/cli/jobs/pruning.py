"""What `dongbo jobs prune` would delete and keep, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from daemon.cli.client.target import DaemonTarget
from daemon.cli.render import values
from daemon.jobs.model import PruningPlan

KEPT = {
    "unended": "not ended yet",
    "recent": "ended later",
    "newest": "the newest of its store, type and status (it tells the next pull where to continue)",
    "needed": "needed by a job that has not ended",
}


@dataclass(frozen=True, slots=True)
class PlannedPruning:
    """A requested pruning, in days, and what it would do."""

    days: float
    plan: PruningPlan


def configured_days(target: DaemonTarget) -> float:
    """How long the configuration keeps jobs; raises BadParameter where there is none."""
    if target.settings is None:
        raise typer.BadParameter("give the number of days", param_hint="--older-than")
    return target.settings.jobs.retention_days


def jobs(count: int) -> str:
    """`1 job`, `1,200 jobs`"""
    return f"{values.number(count)} job{'' if count == 1 else 's'}"


def sentences(pruning: PlannedPruning) -> Iterator[str]:
    """What goes, and what stays for which reason."""
    yield f"To be deleted, ended more than {pruning.days:g} days ago: {jobs(pruning.plan.prunable)}"
    for name, why in KEPT.items():
        if count := _kept(pruning)[name]:
            yield f"Kept, {why}: {values.number(count)}"


def question(pruning: PlannedPruning) -> str:
    """What to ask before it is done."""
    return f"Permanently delete {jobs(pruning.plan.prunable)} with their failed rows?"


def to_json(pruning: PlannedPruning, *, deleted: int) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "deleted": deleted,
        "prunable": pruning.plan.prunable,
        "kept": _kept(pruning),
        "older_than_days": pruning.days,
    }


def _kept(pruning: PlannedPruning) -> dict[str, int]:
    return {name: getattr(pruning.plan, name) for name in KEPT}
