"""How a command ends: an error meant for people is one line each and an exit code, never a stack trace."""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper, UnsupportedOperation

from daemon.errors import DongboError, ExitCode, leaves
from daemon.journal import is_journal, with_priority
from daemon.terminal import LAYOUT, guarded_terminals
from daemon.texts import escaped

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
TRACEBACK_VARIABLE = "DONGBO_TRACEBACK"


def run_guarded(command: Callable[[], object]) -> int:
    """Run a command to its end and say what went wrong, if anything did; the exit code of the process.

    Args:
        command: may raise anything, `SystemExit` too.
    """
    _replace_unknown_characters()
    with guarded_terminals():
        return _run_to_the_end(command)


def _run_to_the_end(command: Callable[[], object]) -> int:
    try:
        code = _run(command)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our output wants no more of it
        _discard_output()
        return ExitCode.FAILED
    except OSError as error:
        if not _is_full(error):
            raise
        _discard_output()
        return _report_full(error)


def _replace_unknown_characters() -> None:
    """Write as `?` what the terminal's encoding lacks: most names here are Vietnamese."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Keep the interpreter from trying to write the rest when it exits, and complaining."""
    with suppress(UnsupportedOperation):  # it is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in NO_SPACE


def _report_full(error: BaseException) -> int:
    with suppress(OSError):  # standard error may be on the same disk
        name = getattr(error, "filename", None) or "the output"
        _complain(
            f"dongbo: {escaped(str(name))} can't be written: no space left. Make room on its disk, and try again.\n"
        )
        sys.stderr.flush()
    return ExitCode.CANT_WRITE


def _run(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as end:
        return _exit_code(end)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except DongboError as error:
        return _report([error])
    except BaseExceptionGroup as group:
        found = list(leaves(group))
        if any(isinstance(error, KeyboardInterrupt) for error in found):
            return INTERRUPTED
        if full := [error for error in found if _is_full(error)]:
            raise full[0] from None
        expected = [error for error in found if isinstance(error, DongboError)]
        return _report(expected) if len(expected) == len(found) else _report_bug(group)
    except OSError as error:
        if _is_full(error):
            raise
        return _report_bug(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person gets one line, not a stack
        return _report_bug(error)
    return ExitCode.OK


def _exit_code(end: SystemExit) -> int:
    match end.code:
        case None:
            return ExitCode.OK
        case int():
            if end.code == ExitCode.USAGE and is_journal(sys.stderr):
                _complain("dongbo: its command line is wrong, as the lines above say; see ExecStart= of the unit\n")
            return end.code
        case _:
            _complain(f"{escaped(str(end.code), keep=LAYOUT)}\n")
            return ExitCode.FAILED


def _report(errors: list[DongboError]) -> int:
    for error in errors:
        for line in str(error).splitlines() or [type(error).__name__]:
            _complain(f"dongbo: {escaped(line)}\n")
    return errors[0].exit_code


def _report_bug(error: BaseException) -> int:
    from daemon.logging import redact  # noqa: PLC0415 - it loads structlog, which only a fault is worth

    if os.environ.get(TRACEBACK_VARIABLE):
        _complain(escaped(redact("".join(traceback.format_exception(error))), keep=LAYOUT))
    text = " ".join(str(error).split())
    _complain(
        f"dongbo: a bug in the program: {type(error).__name__}{f': {escaped(redact(text))}' if text else ''} "
        f"(run it with {TRACEBACK_VARIABLE}=1 to see where, and please report it)\n"
    )
    return ExitCode.SOFTWARE


def _complain(text: str) -> None:
    """Write why a command fails; into the journal as an error, which `journalctl -p err` shows."""
    sys.stderr.write(with_priority(text, "error") if is_journal(sys.stderr) else text)
