"""Commands of `dongbo`: how one ended, and those that run until they are stopped, as processes of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DONGBO = [sys.executable, "-c", "from daemon.cli import main; main()"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


Dongbo = Callable[..., Outcome]


def start(*arguments: str, stderr: int = subprocess.DEVNULL, **environment: str) -> tuple[subprocess.Popen[str], Any]:
    """Start a long-running command; its process, and the line of JSON that it begins with."""
    process = subprocess.Popen(
        [*DONGBO, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"{arguments} ended with {process.wait()}"
    return process, json.loads(line)


def stop(process: subprocess.Popen[str], signum: int = signal.SIGTERM) -> int:
    """Stop a long-running command; its exit code."""
    process.send_signal(signum)
    code = process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    return code
