"""What a benchmark reports: figures with their targets, and the machine that they were measured on."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median

import orjson


class Bound(StrEnum):
    """On which side of the target a value has to be."""

    AT_LEAST = ">="
    AT_MOST = "<="
    MORE_THAN = ">"
    LESS_THAN = "<"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value, the median where there are several.

    `reference` is what the same machine did in the same run without the daemon, `ratio` the value's share of it.
    """

    name: str
    value: float
    unit: str
    bound: Bound | None = None  # None: reported only
    target: float | None = None
    values: list[float] = field(default_factory=list)  # of the single runs
    reference: float | None = None
    ratio: float | None = None
    detail: Mapping[str, object] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the value is on the right side of its target; None where there is none."""
        if self.bound is None or self.target is None:
            return None
        match self.bound:
            case Bound.AT_LEAST:
                return self.value >= self.target
            case Bound.AT_MOST:
                return self.value <= self.target
            case Bound.MORE_THAN:
                return self.value > self.target
            case Bound.LESS_THAN:
                return self.value < self.target


def of_seconds(
    name: str, values: Sequence[float], references: Sequence[float], target: float, **detail: object
) -> Figure:
    """How long rounds took, against how long something bare took in the same ones."""
    return Figure(
        name,
        median(values),
        "s",
        Bound.LESS_THAN,
        target,
        values=list(values),
        reference=median(references),
        ratio=median(value / reference for value, reference in zip(values, references, strict=True)),
        detail=detail,
    )


def write(benchmark: str, figure: Figure, machine: Mapping[str, object]) -> None:
    """One JSON line to stdout."""
    target = f"{figure.bound} {figure.target:g}" if figure.bound is not None else None
    line = {
        "benchmark": benchmark,
        "name": figure.name,
        "value": _rounded(figure.value),
        "unit": figure.unit,
        "target": target,
        "met": figure.met,
        "values": [_rounded(value) for value in figure.values],
        "reference": _rounded(figure.reference),
        "ratio": _rounded(figure.ratio),
        **figure.detail,
        "machine": machine,
    }
    sys.stdout.write(
        orjson.dumps({key: value for key, value in line.items() if value not in (None, [])}).decode() + "\n"
    )
    sys.stdout.flush()


def say(text: str) -> None:
    """Progress, to stderr."""
    sys.stderr.write(f"{text}\n")


def machine(postgres: str | None) -> dict[str, object]:
    """The machine and the versions that matter."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "postgres": postgres,
        "load": round(os.getloadavg()[0], 2),  # what else ran: above some 0.2 before the start it disturbs
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
