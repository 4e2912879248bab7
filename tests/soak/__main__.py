"""A soak by hand: `python -m tests.soak --seconds 600 --seed 7`. Prints what happens, and at the end a table.

The exit code is 1 if a rule is broken.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.soak.life import soak
from tests.soak.report import report, say


def main() -> None:
    """Run one as the command line says."""
    parser = argparse.ArgumentParser(description="Let a shop live through work and faults, and check every rule.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # of the sandbox, whose clients go
    with tempfile.TemporaryDirectory(prefix="dongbo-soak-") as directory:
        say(f"seed {arguments.seed}, {arguments.seconds:.0f} s")
        soaked = asyncio.run(soak(Path(directory), arguments.seed, arguments.seconds, say))
    report(soaked)
    sys.exit(1 if soaked.problems else 0)


if __name__ == "__main__":
    main()
