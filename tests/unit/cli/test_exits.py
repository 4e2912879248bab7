"""How commands end: exit codes and what a person reads."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daemon.cli.exits import run_guarded
from daemon.errors import ConfigError, DaemonUnreachable, DongboError, EmbeddedDataInUse, ExitCode, JobNotFound
from daemon.logging import register_secret


def raising(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a.toml:1: wrong"), ExitCode.CONFIG),
        (DaemonUnreachable("no daemon"), ExitCode.UNAVAILABLE),
        (EmbeddedDataInUse("in use"), ExitCode.IN_USE),
        (JobNotFound("no job"), ExitCode.FAILED),
        (DongboError("some"), ExitCode.FAILED),
        (SystemExit(2), ExitCode.USAGE),
        (SystemExit(None), ExitCode.OK),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_end_has_its_exit_code(error: BaseException, code: int) -> None:
    """The exit code says which kind of thing went wrong."""
    assert run_guarded(raising(error)) == code


def test_success_is_zero() -> None:
    """A command that returns has succeeded."""
    assert run_guarded(lambda: None) == ExitCode.OK


def test_an_expected_error_is_one_line_each_without_a_stack_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem of a configuration is a line of its own on standard error; standard output stays empty."""
    run_guarded(raising(ConfigError("a.toml:1: first", "a.toml:2: second")))
    printed = capsys.readouterr()
    assert printed.err == "dongbo: a.toml:1: first\ndongbo: a.toml:2: second\n"
    assert printed.out == ""


def test_into_the_journal_each_line_goes_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`journalctl -p err` shows why the daemon did not start, also before its log is set up."""
    with tempfile.TemporaryFile("w+") as journal:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", journal)
        run_guarded(raising(ConfigError("a.toml:1: first", "a.toml:2: second")))
        run_guarded(raising(KeyError("oops")))
        run_guarded(raising(SystemExit(ExitCode.USAGE)))
        journal.seek(0)
        lines = journal.read().splitlines()
    assert lines[:2] == ["<3>dongbo: a.toml:1: first", "<3>dongbo: a.toml:2: second"]
    assert [line[:11] for line in lines] == ["<3>dongbo: "] * 4


def test_errors_out_of_a_task_group_are_reported_like_single_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """A group of expected errors is no fault of the program."""
    group = ExceptionGroup("tasks", [ConfigError("one"), ExceptionGroup("more", [JobNotFound("two")])])
    assert run_guarded(raising(group)) == ExitCode.CONFIG
    assert capsys.readouterr().err == "dongbo: one\ndongbo: two\n"


def test_a_bug_is_one_line_that_says_how_to_see_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error shows no stack trace unless it is asked for, and never a secret."""
    register_secret("hunter2-is-secret")
    monkeypatch.delenv("DONGBO_TRACEBACK", raising=False)
    assert run_guarded(raising(KeyError("hunter2-is-secret"))) == ExitCode.SOFTWARE
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "KeyError" in printed
    assert "DONGBO_TRACEBACK=1" in printed
    assert "hunter2" not in printed


def test_the_stack_trace_of_a_bug_can_be_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """$DONGBO_TRACEBACK shows where a fault is, without secrets."""
    register_secret("hunter2-is-secret")
    monkeypatch.setenv("DONGBO_TRACEBACK", "1")
    run_guarded(raising(KeyError("hunter2-is-secret")))
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert "hunter2" not in printed


def test_a_reader_that_goes_away_ends_the_command_quietly(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A broken pipe, as of `dongbo jobs list | head -1`, is not worth a word."""
    program = (
        "import sys; from daemon.cli.exits import run_guarded;"
        "sys.exit(run_guarded(lambda: sys.stdout.write('x' * 1_000_000)))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert ended.stderr == b""
    assert ended.returncode == ExitCode.FAILED


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["config", "schema"], ["check", "--json"], ["check"]])
@pytest.mark.parametrize("standard_error", ["/dev/null", "/dev/full"])
def test_output_to_a_full_disk(arguments: list[str], standard_error: str, tmp_path: Path) -> None:
    """Case 15: whatever command it is, it ends with EX_IOERR and one line, never as a fault of the program."""
    config = tmp_path / "dongbo.toml"
    config.write_text("")
    program = [sys.executable, "-c", "from daemon.cli import main; main()", *arguments]
    with Path("/dev/full").open("wb") as full, Path(standard_error).open("wb") as other:
        environment = {**os.environ, "DONGBO_CONFIG": str(config)}
        ended = subprocess.run(program, stdout=full, stderr=other, check=False, env=environment)
        assert ended.returncode == ExitCode.CANT_WRITE
    if standard_error == "/dev/null":
        with Path("/dev/full").open("wb") as full:
            ended = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, check=False, env=environment)
        assert b"no space left" in ended.stderr
        assert b"fault" not in ended.stderr
        assert ended.stderr.count(b"\n") == 1


def test_a_full_disk_inside_a_task_group(capsys: pytest.CaptureFixture[str]) -> None:
    """Case 15: the same out of a group of tasks, as of a view that follows a job."""
    full = OSError(errno.ENOSPC, "No space left on device")
    assert run_guarded(raising(ExceptionGroup("tasks", [full]))) == ExitCode.CANT_WRITE
    assert "no space left" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_characters_that_the_terminal_does_not_know(encoding: str) -> None:
    """Case 15: Vietnamese text on an old terminal has question marks, on both streams, and the command succeeds."""
    program = (
        "import sys; from daemon.cli.render import output; from daemon.cli.exits import run_guarded\n"
        "def command():\n"
        "    output.write_text('áo đồng'); output.say('đồng'); output.write_json({'ten': 'đồng'})\n"
        "    output.write_table(['tên'], [['Nguyễn']])\n"
        "sys.exit(run_guarded(command))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, env=environment)
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert b"?" in ended.stdout
    assert ended.stderr == "?ồng\n".encode(encoding, "replace")
