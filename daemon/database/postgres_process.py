"""Runs the programs of PostgreSQL as children that end with the daemon: servers, which are not root, and clients."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from daemon.database import _child

# Nothing of ours: no secret shows in /proc/<pid>/environ, and no PG* variable changes what the program does.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


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
        *_as_child(str(data), program, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",  # one that every user can enter
        env=ENVIRONMENT,
        start_new_session=True,  # Ctrl-C is for the daemon, which stops the server after its own work
    )


async def run_postgres_client(
    program: Path,
    arguments: list[str],
    *,
    environment: Mapping[str, str],
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.PIPE,
) -> asyncio.subprocess.Process:
    """Starts a program that works with a server or with a file; its stderr is a pipe.

    It gets SIGINT, by which it gives up, when the thread that called this ends.

    Args:
        program: absolute path of `pg_dump` and its like.
        arguments: its arguments; no secret, for all users of the machine see them.
        environment: variables of libpq, such as PGPASSWORD.
    """
    return await asyncio.create_subprocess_exec(
        *_as_child("", program, arguments),
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={**ENVIRONMENT, **environment},
        start_new_session=True,
    )


def _as_child(data: str, program: Path, arguments: list[str]) -> list[str]:
    return [sys.executable, "-I", "-S", _child.__file__, str(os.getpid()), data, str(program), *arguments]


def describe_exit(code: int | None) -> str:
    """How a process ended, for people."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
