"""Daemons forked from a process that has loaded the program: a start takes the time of the start, not of the imports.

What runs is `dongbo` with its command line, in a process of its own that can be killed like any other.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["daemon.app", "daemon.cli.commands.run", "daemon.cli.event_loop", "uvloop"])


class ForkedProcess:
    """What `asyncio.subprocess.Process` has of a child, of a process whose parent is the fork server."""

    def __init__(self, process: BaseProcess, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self._process = process
        self.pid = process.pid or 0
        self.stdout = stdout
        self.stderr = stderr

    @property
    def returncode(self) -> int | None:
        """The exit code, or the number of the signal below zero; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end; the exit code."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            while self.returncode is None:
                await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        assert self.returncode is not None
        return self.returncode


async def fork(
    arguments: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    line_limit: int,
    prelude: Callable[[], None] | None = None,
) -> ForkedProcess:
    """Run `dongbo` with these arguments; `prelude`, a function of a module, comes before it in the new process."""
    (stdout, out), (stderr, err) = os.pipe(), os.pipe()

    def start() -> BaseProcess:
        process = FORKS.Process(
            target=_run,
            args=(arguments, directory, dict(environment), _Passed(out), _Passed(err), prelude),
            name="dongbo",
        )
        process.start()
        return process

    try:
        process = await asyncio.to_thread(start)  # the first one waits for the server
    finally:
        os.close(out)
        os.close(err)
    return ForkedProcess(process, await _reader(stdout, line_limit), await _reader(stderr, line_limit))


class _Passed:
    """A file descriptor that goes along to the new process."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> Any:
        return _detach, (DupFd(self._number),)


def _detach(passed: Any) -> int:
    number: int = passed.detach()
    return number


def _run(
    arguments: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    prelude: Callable[[], None] | None,
) -> None:
    """In the new process: become the command."""
    for number, standard in ((stdout, 1), (stderr, 2)):
        os.dup2(number, standard)
        os.close(number)
    # As a new interpreter would open them: the fork server's own have another file behind them.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["dongbo", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from daemon.cli import main  # noqa: PLC0415 - with the streams and the environment of the new process

    if prelude is not None:
        prelude()
    main()


async def _reader(number: int, limit: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(number, "rb")
    )
    return reader
