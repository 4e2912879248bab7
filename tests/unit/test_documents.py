"""The documents say what there is: keys, job types, commands, routes, metrics, exit codes, situations; and no more."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.reference import EXIT_CODES, command_reference
from daemon.config import json_schema
from daemon.jobs.types import JobType
from daemon.sandbox.situations import SITUATIONS
from daemon.status.metric_rows import METRICS
from daemon.status.routes import OPERATIONS

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    ".github/CONTRIBUTING.md",
    "config/README.md",
    "systemd/README.md",
    "daemon/README.md",
    "daemon/locale/README.md",
    "daemon/sandbox/README.md",
    "daemon/sources/README.md",
)
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in DOCUMENTS}
CONFIGURATION, OPERATION = TEXTS["config/README.md"], TEXTS["systemd/README.md"]

# Where each table of the configuration file is described: a heading, or the sentence above it.
TABLES = {
    "### Top level": "Settings",
    "### `[database]`": "DatabaseSettings",
    "### `[backup]`": "BackupSettings",
    "### `[status]`": "StatusSettings",
    "### `[[status.tokens]]`": "StatusTokenSettings",
    "### `[webhooks]`": "WebhookSettings",
    "### `[jobs]`": "JobSettings",
    "### `[log]`": "LogSettings",
    "### `[stores.NAME]`": "StoreSettings",
    "### `[stores.NAME.nhanh]`": "NhanhSettings",
    "### `[stores.NAME.shopify]`": "ShopifySettings",
    "### `[stores.NAME.product_sync]`": "ProductSyncSettings",
    "### `[[stores.NAME.rules]]`": "RuleSettings",
    "All conditions of `when` must hold": "RuleConditions",
    "### `[stores.NAME.customer_sync]`": "CustomerSyncSettings",
    "Each entry of `tiers`": "TierSettings",
    "Its `params`:": "JobParams",
    "### `[[sales]]`": "SaleSettings",
    "The lists in `targets` and `excludes`": "SaleTargets",
    "### `[[alerts]]`": "AlertSettings",
    "### `[heartbeat]`": "HeartbeatSettings",
}
WITHOUT_ONE_DEFAULT = {"database", "backup", "status", "jobs", "log", "tiers"}  # each is several keys
PATH = r"`((?:daemon|tests|config|systemd|\.ci|\.github)/[\w./-]*|[\w.-]+/[\w./-]*\.(?:py|js|sql|graphql|toml))`"
OF_BOTH_KINDS, OF_CRON, OF_PRODUCT = "### `[[schedules]]`", 'Of the kind `"cron"`', 'Of the kind `"product"`'


def models() -> dict[str, Any]:
    """Each table of the configuration file as JSON Schema, by the name of its model."""
    schema = json_schema()
    return {"Settings": schema, **schema["$defs"]}


def rows_under(place: str) -> dict[str, list[str]]:
    """The cells of the first table below a place in the description of the configuration, by key."""
    _, _, below = CONFIGURATION.partition(f"\n{place}")
    assert below, place
    table = re.search(r"^\| key \|.*\n\|[- |]+\n((?:\|.*\n)+)", below, re.MULTILINE)
    assert table is not None, place
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table[1].splitlines()]
    return {cells[0].strip(" `"): cells for cells in rows}


def described(model: dict[str, Any], key: str) -> str:
    """How the description shows the default of a key."""
    match model["properties"][key].get("default"):
        case None:
            return "required" if key in model.get("required", ()) else "none"
        case bool(default):
            return f"`{str(default).lower()}`"
        case str(default):
            return f'`"{default}"`'
        case dict():  # of tables, whose keys have defaults of their own
            return "`{}`"
        case default:
            return f"`{default}`"


def test_every_model_of_the_configuration_is_described_somewhere() -> None:
    """A new table of the file needs a place in its description."""
    of_schedules = {"CronSchedule", "ProductSchedule"}
    parts = {
        "SaleSelection",
        "SecretRef",
        "JobType",
        "PullMethod",
        "JsonValue",
        "Role",
        "Language",
        "ConditionName",
        "RangeSettings",
    }  # lists of SaleTargets, the ways to keep a secret, from and to
    assert {*TABLES.values(), *of_schedules, *parts} == models().keys()


@pytest.mark.parametrize("place", TABLES)
def test_keys_are_described_with_their_defaults(place: str) -> None:
    """A table of the description has a row for each key, with its default, and no other rows."""
    model, rows = models()[TABLES[place]], rows_under(place)
    assert rows.keys() == model["properties"].keys()
    for key in model["properties"].keys() - WITHOUT_ONE_DEFAULT:
        assert rows[key][1] == described(model, key), key


@pytest.mark.parametrize(("place", "name"), [(OF_CRON, "CronSchedule"), (OF_PRODUCT, "ProductSchedule")])
def test_keys_of_schedules_are_described(place: str, name: str) -> None:
    """Those of both kinds stand in one table, the others in that of their kind."""
    model, rows = models()[name], rows_under(OF_BOTH_KINDS) | rows_under(place)
    assert rows.keys() == model["properties"].keys()
    for key, cells in rows.items():
        assert cells[1] == described(model, key), key


@pytest.mark.parametrize("job_type", JobType)
def test_job_type_is_described(job_type: JobType) -> None:
    """A job that can be asked for has a row."""
    assert f"\n| `{job_type}` |" in CONFIGURATION


@pytest.mark.parametrize("command", command_reference()[1:], ids=lambda command: command.path)
def test_command_is_described_with_its_options(command: Any) -> None:
    """A command's row names all its options, but for those that all commands have."""
    row = next((line for line in OPERATION.splitlines() if line.startswith(f"| `dongbo {command.path}")), "")
    assert row, f"dongbo {command.path}"
    for option in command.options:
        assert not option.startswith("--") or option in ("--config", "--json", "--help") or f"`{option}`" in row


def test_no_command_is_described_that_is_not_there() -> None:
    """The commands of the reference exist."""
    listed = set(re.findall(r"^\| `dongbo ([a-z -]+?)(?: [A-Z\[].*)?`", OPERATION, re.MULTILINE))
    assert listed == {command.path for command in command_reference()[1:]}


@pytest.mark.parametrize("name", TEXTS)
def test_commands_that_are_recommended_exist(name: str) -> None:
    """Whatever a document says to run can be run: a command, or a group of them, with options that it has."""
    options = {command.path: set(command.options) for command in command_reference()[1:]}
    groups = {path.split()[0]: {"--help"} for path in options if " " in path}
    for words in recommended(TEXTS[name]):
        found = max((path for path in options | groups if f"{words} ".startswith(f"{path} ")), key=len, default=None)
        assert found is not None, words
        assert set(re.findall(r"--[a-z-]+", words)) <= (groups | options)[found], words


def recommended(text: str) -> Iterator[str]:
    """What stands behind `dongbo` in the code of a document, but for the reference, which has a test of its own."""
    text = re.sub(r"^\| `dongbo .*$", "", text, flags=re.MULTILINE)
    blocks = re.findall(r"^ *```sh\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    for code in ("\n".join(blocks), *re.findall(r"`(dongbo [^`]+)`", text)):
        for words in re.findall(r"\bdongbo ([a-z][^|&#\n]*)", code):
            yield words.strip()


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_metric_is_described(metric: str) -> None:
    """A metric that is exported has a row."""
    assert f"\n| `{metric}` |" in OPERATION


def test_no_metric_is_described_that_is_not_there() -> None:
    """A metric that is named anywhere is exported."""
    named = {name for text in TEXTS.values() for name in re.findall(r"`(dongbo_[a-z_]+)", text)}
    assert named <= {metric.name for metric in METRICS}


def test_routes_are_described() -> None:
    """The routes that the endpoint has, and no others; a path without a method has that of the one before it."""
    listed = set()
    for cell in re.findall(r"^\| (`(?:GET|POST|DELETE) /.*?) \| ", OPERATION, re.MULTILINE):
        method = ""
        for verb, path in re.findall(r"`(?:(GET|POST|DELETE) )?(/[^`]*)`", cell):
            method = verb or method
            listed.add((method, path))
    assert listed == {(operation.method, operation.path) for operation in OPERATIONS}


@pytest.mark.parametrize("code", EXIT_CODES)
def test_exit_code_is_described(code: int) -> None:
    """So is what the command line exits with."""
    assert re.search(rf"^\| {code} \|", OPERATION, re.MULTILINE)


def events() -> Iterator[str]:
    """What the program logs."""
    for path in (ROOT / "daemon").rglob("*.py"):
        text = path.read_text("utf-8")
        yield from re.findall(r'(?:\.(?:info|warning|error|exception)|Tally|Fault)\(\s*(?:log, )?"([a-z_]+)"', text)
        yield from re.findall(r'\bover="([a-z_]+)"', text)


def test_events_of_the_log_exist() -> None:
    """An event that the table of the log lists is logged."""
    _, _, below = OPERATION.partition("| event | what it means, what to do |\n| --- | --- |\n")
    table, _, _ = below.partition("\n\n")
    listed = {name for row in table.splitlines() for name in re.findall(r"`([a-z_]+)`", row.split(" | ")[0])}
    assert listed
    assert listed <= set(events())


def test_situations_of_the_sandbox_are_described() -> None:
    """As `dongbo sandbox --list-situations` describes them, each in a row of its own, and no others."""
    rows = re.findall(r"^\| situation \|.*\n\|[- |]+\n((?:\|.*\n)+)", TEXTS["daemon/sandbox/README.md"], re.MULTILINE)
    assert rows == ["".join(f"| `{each.name}` | {each.text} | {each.expect} |\n" for each in SITUATIONS.values())]


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    """A relative link leads to a file or folder, and its fragment to a heading there."""
    here = ROOT / name
    for target, fragment in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", TEXTS[name]):
        there = (here.parent / target).resolve() if target else here
        assert there.exists(), target
        assert not fragment or fragment in anchors(there.read_text("utf-8")), f"{target}#{fragment}"


def anchors(text: str) -> set[str]:
    """The fragments under which the headings of a document can be reached, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_tests_that_are_named_exist(name: str) -> None:
    """A link that has the name of a test leads to the file that this test is in."""
    for test, target in re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", TEXTS[name]):
        assert f"def {test}(" in ((ROOT / name).parent / target).read_text("utf-8"), f"{target}: {test}"


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_are_named_exist(name: str) -> None:
    """A file or folder of this repository that a document names as code is there, seen from its folder or the top."""
    for path in re.findall(PATH, TEXTS[name]):
        assert (ROOT / path).exists() or ((ROOT / name).parent / path).exists(), path


def test_the_architecture_names_the_layers() -> None:
    """Who may import what is what the contract says, from the top down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    *layers, _leaves = next(each["layers"] for each in contracts if each["type"] == "layers")
    names = [layer.replace("daemon.", "").replace(" | ", ", ") for layer in layers]
    assert f"`{' → '.join(f'({name})' if ', ' in name else name for name in names)}`" in TEXTS["daemon/README.md"]


def test_the_readme_stays_short() -> None:
    """A newcomer reads it to its end."""
    assert len(TEXTS["README.md"].splitlines()) <= 200


def test_continuous_integration_runs_what_the_readme_says() -> None:
    """Extras and test command are the README's."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "--editable '.[embedded,test]' && .venv/bin/python -m pytest" in TEXTS["README.md"]
    assert "--editable '.[embedded,test]'" in script
    assert "\npython -m pytest\n" in script
