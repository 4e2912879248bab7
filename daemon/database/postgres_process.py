"""Runs the programs of PostgreSQL as children that are not root and that end with the daemon."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from daemon.database import _child


async def run_postgres_program(
    program: Path, arguments: list[str], *, data: Path, output: int
) -> asyncio.subprocess.Process:
    """Starts a program that works on a data directory.

    It gets SIGINT when the thread that called this ends: call it from a thread that lives as long as the program shall.

    Args:
        program: absolute path of `postgres` or `initdb`.
        arguments: its arguments.
        data: the data directory, which will belong to the user as whom the program runs.
        output: a file descriptor for stdout and stderr, or `asyncio.subprocess.PIPE`.
    """
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _child.__file__, str(os.getpid()), str(data), str(program), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",  # one that every user can enter
        # Nothing of ours: no secret shows in /proc/<pid>/environ, and no PG* variable changes what the server does.
        env={"PATH": os.defpath, "LC_ALL": "C"},
        start_new_session=True,  # Ctrl-C is for the daemon, which stops the server after its own work
    )


def describe_exit(code: int | None) -> str:
    """How a process ended, for people."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
