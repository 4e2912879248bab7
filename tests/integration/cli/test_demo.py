"""`dongbo demo` and `dongbo sandbox` as a newcomer starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

DONGBO = [sys.executable, "-c", "from daemon.cli import main; main()"]


@contextmanager
def running_demo(state: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A demo, and the line that it announces itself with."""
    with subprocess.Popen(
        [*DONGBO, "demo", "--state", str(state), "--no-browser", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the demo ended with {process.wait()}"
            yield process, json.loads(line)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def dongbo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DONGBO, *arguments], capture_output=True, text=True, check=False, timeout=60)


def told_jobs(address: str) -> Iterator[dict[str, Any]]:
    """The states of jobs as the daemon tells them, those that there are first."""
    with urllib.request.urlopen(f"{address}api/events", timeout=60) as events:
        for line in events:
            if line.startswith(b"data: "):
                told = json.loads(line.removeprefix(b"data: "))
                yield from told.get("jobs") or ([told] if "type" in told else [])


def test_the_demo_works_at_once_and_ends_without_complaint(tmp_path: Path) -> None:
    """All four pulls run, the doctor is content, a second demo is refused, Ctrl-C is success."""
    state = tmp_path / "a state with blanks"
    with running_demo(state) as (process, announced):
        config = announced["config"]
        assert announced["address"].startswith("http://127.0.0.1:")
        completed: set[str] = set()
        for job in told_jobs(announced["address"]):
            if job["status"] == "COMPLETED":
                completed.add(job["type"])
            if len(completed) == 4:
                break
        jobs = json.loads(dongbo("jobs", "list", "--json", "-c", config).stdout)["jobs"]
        assert completed <= {job["type"] for job in jobs if job["status"] == "COMPLETED"}
        examined = dongbo("doctor", "--json", "-c", config)
        assert examined.returncode == 0, examined.stdout
        subjects = {finding["subject"] for finding in json.loads(examined.stdout)["findings"]}
        assert {"seen in database", "heard by listener", "demo nhanh"} <= subjects
        second = dongbo("demo", "--state", str(state), "--no-browser")
        assert second.returncode == 75
        assert "another daemon" in second.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    gone = dongbo("doctor", "--json", "--no-credentials", "-c", config)
    assert gone.returncode == 1
    assert "no daemon answers" in gone.stdout


def test_the_demo_takes_the_next_port_where_its_own_is_in_use(tmp_path: Path) -> None:
    """Port 8765 may be the real daemon's."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # somebody has it already, which is the same
            other.bind(("127.0.0.1", 8765))
            other.listen()
        with running_demo(tmp_path / "state") as (_process, announced):
            assert announced["address"] != "http://127.0.0.1:8765/"
            assert dongbo("jobs", "list", "-c", announced["config"]).returncode == 0


def test_a_closed_terminal_ends_the_demo(tmp_path: Path) -> None:
    """A daemon would read its configuration again; a demo has nobody left to look at it."""
    with running_demo(tmp_path / "state") as (process, announced):
        dongbo("status", "-c", announced["config"])
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Exit code 73."""
    tmp_path.chmod(0o500)
    refused = dongbo("demo", "--state", str(tmp_path / "state"), "--no-browser")
    assert refused.returncode == 73
    assert refused.stderr.count("\n") == 1


def test_a_sandbox_port_in_use_is_one_line() -> None:
    """Exit code 75, and which port it is about."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = dongbo("sandbox", "--products", "1", "--customers", "1", "--nhanh-port", str(port))
    assert refused.returncode == 75
    assert refused.stderr.count("\n") == 1
    assert str(port) in refused.stderr


def test_a_missing_csv_is_one_line(tmp_path: Path) -> None:
    """A wrong path is said before anything starts."""
    refused = dongbo("sandbox", "--shopify-csv", str(tmp_path / "none.csv"))
    assert refused.returncode == 78
    assert "none.csv" in refused.stderr


def test_the_sandbox_s_instructions_are_a_working_configuration(tmp_path: Path) -> None:
    """What it prints can be pasted: the tokens are exported, and `check --live` is content.

    Webhooks are listened for where they are sent.
    """
    options = ["--products", "3", "--customers", "3", "--webhooks", "http://127.0.0.1:9"]
    with subprocess.Popen([*DONGBO, "sandbox", *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        while not (lines and lines[-1].startswith("base_url") and "[stores.sandbox.shopify]\n" in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], "the sandbox has ended"
        exports = dict(line.removeprefix("export ").rstrip().split("=") for line in lines if line.startswith("export "))
        path = tmp_path / "a.toml"
        configuration = "".join(lines[lines.index("[webhooks]\n") :])
        assert 'listen = "127.0.0.1:9"\nurl = "http://127.0.0.1:9"' in configuration
        path.write_text(configuration)
        environment = {**os.environ, **exports, "STATE_DIRECTORY": str(tmp_path / "state")}
        checked = subprocess.run(
            [*DONGBO, "check", "--live", "-c", str(path)], capture_output=True, text=True, env=environment, check=False
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert checked.returncode == 0, checked.stdout
    assert not any(secret in checked.stdout for secret in exports.values())
