"""The README says what there is: every key, command, option, exit code, metric, route and job type."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.reference import EXIT_CODES, command_reference
from daemon.config import json_schema
from daemon.jobs.model import JobType
from daemon.sandbox.situations import SITUATIONS
from daemon.status.metric_rows import METRICS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def configuration_keys() -> Iterator[str]:
    """Every key of the configuration file, and every table."""
    schema = json_schema()
    for model in (schema, *schema["$defs"].values()):
        properties: dict[str, Any] = model.get("properties", {})
        yield from properties


@pytest.mark.parametrize("key", sorted(set(configuration_keys()) - {"database", "status", "jobs", "log", "stores"}))
def test_configuration_key_is_described(key: str) -> None:
    """A key that somebody may set is in the README."""
    assert re.search(rf"`{key}`|\{{ {key} = |\.{key}\]|\[\[{key}\]\]", README), key


@pytest.mark.parametrize("table", ["database", "status", "jobs", "log", "stores.NAME.nhanh", "stores.NAME.shopify"])
def test_configuration_table_is_described(table: str) -> None:
    """So is every table."""
    assert f"`[{table}]`" in README


@pytest.mark.parametrize("command", command_reference()[1:], ids=lambda command: command.path)
def test_command_is_described_with_its_options(command: Any) -> None:
    """A command's row names all its options, but for those that all commands have."""
    row = next((line for line in README.splitlines() if line.startswith(f"| `dongbo {command.path}")), "")
    assert row, f"dongbo {command.path}"
    for option in command.options:
        assert not option.startswith("--") or option in ("--config", "--json", "--help") or f"`{option}`" in row


def test_no_command_is_described_that_is_not_there() -> None:
    """The README's commands exist."""
    described = set(re.findall(r"^\| `dongbo ([a-z -]+?)(?: [A-Z\[].*)?`", README, re.MULTILINE))
    assert described == {command.path for command in command_reference()[1:]}


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_metric_is_described(metric: str) -> None:
    """A metric that is exported is in the README."""
    assert f"`{metric}`" in README


@pytest.mark.parametrize("job_type", JobType)
def test_job_type_is_described(job_type: JobType) -> None:
    """A job that can be asked for is in the README."""
    assert f"`{job_type}`" in README


@pytest.mark.parametrize("code", EXIT_CODES)
def test_exit_code_is_described(code: int) -> None:
    """So is what the command line exits with."""
    assert re.search(rf"^\| {code} \|", README, re.MULTILINE)


def test_situations_of_the_sandbox_are_described() -> None:
    """As `dongbo sandbox --list-situations` describes them, each in a row of its own, and no others."""
    rows = re.findall(r"^\| situation \|.*\n\|[- |]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert rows == ["".join(f"| `{each.name}` | {each.text} | {each.expect} |\n" for each in SITUATIONS.values())]


def test_links_and_pictures_lead_somewhere() -> None:
    """Every relative link of the README is a file."""
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_continuous_integration_runs_what_the_readme_says() -> None:
    """Extras and test command are the README's."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "--editable '.[embedded,test]' && .venv/bin/python -m pytest" in README
    assert "--editable '.[embedded,test]'" in script
    assert "\npython -m pytest\n" in script
