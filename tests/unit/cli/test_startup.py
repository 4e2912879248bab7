"""`dongbo --help` is there at once, and says what every command takes."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from daemon.cli.application import COMMANDS as COMMANDS_LISTED
from daemon.cli.application import load
from daemon.cli.reference import EXIT_CODES, CommandReference, command_reference
from daemon.errors import ExitCode

DONGBO = [sys.executable, "-c", "from daemon.cli import main; main()"]
HEAVY = {
    "pydantic",
    "asyncpg",
    "aiohttp",
    "rich",
    "structlog",
    "apscheduler",
    "pgqueuer",
    "graphql",
    "msgspec",
    "orjson",
}
COMMANDS = command_reference()


def test_help_loads_none_of_the_heavy_libraries() -> None:
    """What a command needs is imported when it is asked for, not to list it."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", *DONGBO[1:], "--help"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", [name for name, listed in COMMANDS_LISTED.items() if listed.extra == "sandbox"])
def test_a_command_whose_extra_was_not_installed_says_so(name: str) -> None:
    """The sandbox alone needs graphql-core; a daemon in production goes without it."""
    without = ["-c", f"import sys; sys.modules['graphql'] = None; {DONGBO[2]}", name]
    ended = subprocess.run([sys.executable, *without], capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.UNAVAILABLE
    assert ended.stderr.splitlines() == [
        f"dongbo: `dongbo {name}` needs the extra sandbox: install it with pip install 'dongbo[sandbox]', "
        "in a checkout pip install '.[sandbox]'"
    ]


def test_what_runs_in_production_does_without_the_extras() -> None:
    """Nothing but the sandbox and its two commands imports graphql-core."""
    blocked = "import sys; sys.modules['graphql'] = None; from daemon.cli.application import COMMANDS, load; "
    loading = "[load(name) for name, listed in COMMANDS.items() if listed.extra is None]"
    subprocess.run([sys.executable, "-c", blocked + loading], check=True)


def test_version_is_the_distribution_s() -> None:
    """`--version` says what is installed."""
    ended = subprocess.run([*DONGBO, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"dongbo {version('dongbo')}\n"


def test_all_commands_are_there() -> None:
    """The reference, from which the README is checked, names every command."""
    assert [command.path for command in COMMANDS if command.path] == [
        "run",
        "reload",
        "check",
        "status",
        "explain",
        "items",
        "doctor",
        "sandbox",
        "demo",
        "connect shopify",
        "connect nhanh",
        "database backup",
        "database restore",
        "database upgrade",
        "database remove-old",
        "database shell",
        "install-service",
        "uninstall-service",
        "config schema",
        "pull nhanh-products",
        "pull nhanh-inventory",
        "pull nhanh-customers",
        "pull shopify-products",
        "pull shopify-customers",
        "match products",
        "match customers",
        "map list",
        "map set",
        "map exclude",
        "map remove",
        "map export",
        "map import",
        "map customers list",
        "map customers set",
        "map customers exclude",
        "map customers remove",
        "sync products",
        "sync customers",
        "sync pause",
        "sync resume",
        "sale create",
        "sale list",
        "sale show",
        "sale preview",
        "sale apply",
        "sale revert",
        "sale cancel",
        "sale resume",
        "sale report",
        "jobs list",
        "jobs show",
        "jobs watch",
        "jobs cancel",
        "jobs approve",
        "jobs reject",
        "jobs changes",
        "jobs pushes",
        "jobs retry",
        "jobs prune",
        "alerts list",
        "alerts test",
        "webhooks install",
        "webhooks list",
        "webhooks test",
        "webhooks remove",
        "schedules list",
        "schedules run",
        "schedules pause",
        "schedules resume",
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.path or "dongbo")
def test_every_command_takes_the_common_options_and_says_what_it_does(command: CommandReference) -> None:
    """`--config` and `--json` work everywhere, and each help has a sentence."""
    assert {"--config", "-c", "--json"} <= set(command.options)
    assert command.summary.endswith(".")
    assert len(command.summary) <= 64 or not command.path, "the list of commands would cut it"


@pytest.mark.parametrize("name", COMMANDS_LISTED)
def test_the_list_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    """The line by which it is listed, before its module is imported, is the beginning of its own help."""
    assert load(name).help.partition("\n")[0] == COMMANDS_LISTED[name].summary


def test_exit_codes_are_all_named() -> None:
    """The reference names each exit code."""
    assert {0, 1, 2, 69, 70, 73, 74, 75, 78, 130} == set(EXIT_CODES)


def test_output_off_a_terminal_has_no_colours() -> None:
    """No escape sequences go into a pipe, whatever the terminal around it can do."""
    environment = {**os.environ, "TERM": "xterm-256color"}
    ended = subprocess.run([*DONGBO, "pull", "--help"], capture_output=True, text=True, check=True, env=environment)
    assert re.search(r"\x1b\[", ended.stdout) is None
