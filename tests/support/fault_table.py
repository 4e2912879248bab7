"""The table of faults: undergoes each of them, and prints in Markdown what came of it.

`python -m tests.support.fault_table [arguments of pytest]`. The time-outs of the daemon are those of
`tests.support.preludes`, a tenth or so of the real ones.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.faults import RECORD

TESTS = Path(__file__).parents[1] / "acceptance" / "faults"
COLUMNS = (
    "fault",
    "told of by",
    "after (s)",
    "well again after (s)",
    "lines of log",
    "rows lost/doubled",
    "writes lost/doubled/open",
    "longest silence of the watchdog (s)",
)
ORDER = ("database", "PostgreSQL", "names", "TLS", "sources", "process")


def main() -> None:
    """Run the tests, and print the table whether all of them pass or not."""
    with TemporaryDirectory() as directory:
        record = Path(directory) / "outcomes"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "long", str(TESTS), *sys.argv[1:]]
        code = subprocess.run(command, env={**os.environ, RECORD: str(record)}, stdout=sys.stderr, check=False)
        outcomes = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    outcomes.sort(key=lambda outcome: (ORDER.index(outcome["fault"].split(":")[0]), outcome["fault"]))
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(_row, outcomes)]
    print("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))  # noqa: T201
    sys.exit(code.returncode)


def _row(outcome: dict[str, Any]) -> list[Any]:
    ledger = outcome["ledger"]
    shown = [name.replace("check:", "`/readyz` ") for name in outcome["shown"]]
    return [
        outcome["fault"],
        ", ".join(shown) or "—",
        outcome["shown_after"] if shown else "—",
        outcome["recovered_after"],
        outcome["lines"],
        f"{ledger['rows_lost']}/{ledger['rows_doubled']}",
        f"{ledger['writes_lost']}/{ledger['writes_doubled']}/{ledger['open_writes']}",
        outcome["longest_silence"],
    ]


if __name__ == "__main__":
    main()
