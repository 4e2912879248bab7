"""No text of somebody else's steers a terminal: every command that prints any, on a real one, beside a real daemon."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from tests.support.cli_processes import DONGBO, start, stop

# Title, clear, colour by C1, conceal, backspace, delete, carriage return; text turned around, hidden, broken into
# lines; Rich's markup; a tag character beyond the first plane.
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\x1b[8mgone\x08\x7f\r\u202eright\u2066\u200f\u061c\u200b\u2028\x85"
    "[bold red]x[/bold red][link=http://x]\U000e0041 Áo"
)
JOB, WAITING, SALE = (
    UUID("01a22400-0000-7000-8000-000000000001"),
    UUID("01a22400-0000-7000-8000-000000000002"),
    "hostile",
)
# What Rich draws with: colours and styles, the cursor up, a line erased, the cursor hidden and shown.
DRAWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[[0-9]*A|\x1b\[2K|\x1b\[\?25[lh]|\r")


@dataclass(frozen=True)
class Screen:
    """What has arrived at two terminals, for standard output and for standard error, and how the command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shop:
    """A running daemon with its database full of hostile texts."""

    config: Path
    log: Path


class Terminal:
    """A terminal; `text` is all that was written to it, when whoever wrote has gone."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self._written: list[bytes] = []
        self._reader = threading.Thread(target=self._read, name="terminal")
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # the last writer has gone
                break
            if not piece:
                break
            self._written.append(piece)
        os.close(self._master)

    def type(self, text: str) -> None:
        """As if a person typed it."""
        os.write(self._master, text.encode())

    def text(self) -> str:
        """Waits for the end."""
        os.close(self.slave)
        self._reader.join(60)
        return b"".join(self._written).decode().replace("\r\n", "\n")


def on_terminal(*arguments: str, typed: str = "", **environment: str) -> Screen:
    """Run a command on terminals."""
    out, err = Terminal(), Terminal()
    process = subprocess.Popen(
        [*DONGBO, *arguments],
        stdin=err.slave,
        stdout=out.slave,
        stderr=err.slave,
        env={**os.environ, "TERM": "dumb", "PYTHONUTF8": "1", **environment},
    )
    if typed:
        err.type(typed)
    code = process.wait(60)
    return Screen(code, out.text(), err.text())


def steering(text: str) -> set[str]:
    """The characters of a text that a terminal would take for more than text."""
    return {
        character
        for character in text
        if character not in "\n\t" and not character.isprintable() and unicodedata.category(character) != "Zs"
    }


@pytest.fixture(scope="module")
def shop(postgres_server: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A daemon whose shop was pulled and matched, and then turned hostile."""
    directory = tmp_path_factory.mktemp("terminal")
    sandbox, sources = start("sandbox", "--products", "4", "--customers", "2", "--no-limits", stderr=subprocess.DEVNULL)
    with postgres_server.new_database(migrated_template) as name:
        parts = urlsplit(postgres_server.url(name))
        user = parts.username or "postgres"
        url = parts._replace(netloc=f"{user}:not%20checked@{parts.netloc.rpartition('@')[2]}").geturl()
        path = directory / "dongbo.toml"
        for key, value in {
            "nhanh": sources["nhanh"]["access_token"],
            "shopify": sources["shopify"]["access_token"],
        }.items():
            (directory / key).write_text(value)
        path.write_text(
            f"""
[database]
url = "{url}"
[status]
listen = "unix:{directory}/s.sock"
[stores.main.nhanh]
app_id = {sources["nhanh"]["app_id"]}
business_id = {sources["nhanh"]["business_id"]}
access_token = {{ file = "{directory}/nhanh" }}
base_url = "{sources["nhanh"]["base_url"]}"
[stores.main.shopify]
shop = "sandbox"
access_token = {{ file = "{directory}/shopify" }}
base_url = "{sources["shopify"]["base_url"]}"
[[schedules]]
name = "yearly"
kind = "cron"
cron = "0 0 1 1 *"
store = "main"
job = "PULL_NHANH_PRODUCTS"
"""
        )
        path.chmod(0o644)
        (directory / "nhanh").chmod(0o640)
        (directory / "shopify").chmod(0o600)
        log = directory / "log"
        postgres_server.run(_fail_a_fire(postgres_server.url(name)))
        with log.open("w") as stderr:
            daemon, _ = start("run", "--config", str(path), stderr=stderr.fileno())
        try:
            for command in ("pull nhanh-products", "pull shopify-products", "match products"):
                subprocess.run([*DONGBO, *command.split(), "--wait", "--config", str(path)], check=True)
            create = f"sale create {SALE} --percent 10 --all --draft --yes"
            subprocess.run([*DONGBO, *create.split(), "--config", str(path)], check=True)
            postgres_server.run(_turn_hostile(postgres_server.url(name)))
            yield Shop(path, log)
        finally:
            stop(daemon, signal.SIGTERM)
            stop(sandbox, signal.SIGINT)


async def _fail_a_fire(url: str) -> None:
    """Before the daemon starts: what it knows of fires it reads at its start, and then every quarter of a minute."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, outcome, detail) "
            "VALUES ('main', 'yearly', now() - interval '1 day', 'failed', $1)",
            HOSTILE,
        )
    finally:
        await connection.close()


async def _turn_hostile(url: str) -> None:
    connection = await asyncpg.connect(url)
    metadata = {
        "notices": [HOSTILE],
        "left_alone": {HOSTILE: 3},
        "left_alone_examples": {HOSTILE: [HOSTILE]},
        "would_ask": HOSTILE,
        "sample": {HOSTILE: [{HOSTILE: HOSTILE, "sku": HOSTILE, "note": {HOSTILE: [HOSTILE]}}]},
    }
    insert_job = """
        INSERT INTO dongbo.background_jobs (id, store, type, lane, status, trigger, params, error, metadata,
            max_attempts, failed, processed, started_at, completed_at, worker)
        VALUES ($1, 'main', 'SYNC_PRODUCTS', 'x', $2, 'api', $3, $4, $5, 5, 1, 1, now(),
            CASE WHEN $2 = 'FAILED' THEN now() END, $6)
    """
    params = json.dumps({HOSTILE: HOSTILE, "dry_run": True})
    try:
        for job, status in ((JOB, "FAILED"), (WAITING, "AWAITING_APPROVAL")):
            await connection.execute(insert_job, job, status, params, HOSTILE, json.dumps(metadata), HOSTILE)
        await connection.execute(
            "INSERT INTO dongbo.job_failures (job_id, source_id, reason, payload) VALUES ($1, $2, $2, '{}')",
            JOB,
            HOSTILE,
        )
        for statement in (
            "UPDATE dongbo.shopify_products SET title = $1",
            "UPDATE dongbo.shopify_variants SET title = $1, sku = $1, barcode = $1",
            "UPDATE dongbo.nhanh_products SET name = $1, code = $1",
            "UPDATE dongbo.shopify_locations SET name = $1",
            "UPDATE dongbo.nhanh_depots SET name = $1",
            "UPDATE dongbo.product_mappings SET note = $1",
            "UPDATE dongbo.sale_campaigns SET notice = $1",
            "UPDATE dongbo.sale_events SET detail = $1",
            "INSERT INTO dongbo.sale_items (campaign_id, variant_id, product_id, store, sku, title, state, note, held, "
            "before_price, base_price) "
            "SELECT campaign.id, variant.id, product_id, 'main', $1, $1, 'SKIPPED', $1, 'empty', 1, 1 "
            "FROM dongbo.sale_campaigns AS campaign, dongbo.shopify_variants AS variant ON CONFLICT DO NOTHING",
        ):
            await connection.execute(statement, HOSTILE)
        await connection.execute(
            "INSERT INTO dongbo.daemons (name, instance, host, pid, version, roles, address, started_at) "
            "VALUES ($1, $2, $1, 1, $1, '{worker}', $1, now())",
            HOSTILE,
            JOB,
        )
        await connection.execute(
            "INSERT INTO dongbo.pushes (store, job_id, call_key, kind, owner_id, name, old_value, new_value, reason, "
            "result, detail, settled_at) SELECT 'main', $2, $2, 'price', id, $1, $1, $1, $1, 'refused', $1, now() "
            "FROM dongbo.shopify_variants",
            HOSTILE,
            JOB,
        )
    finally:
        await connection.close()


@pytest.fixture
def dongbo(shop: Shop) -> Callable[..., Screen]:
    """Runs a command with the daemon's configuration on terminals."""

    def run(*arguments: str, **options: str) -> Screen:
        return on_terminal(*arguments, "--config", str(shop.config), **options)

    return run


PRINTING = (
    "status",
    "jobs list",
    f"jobs show {JOB}",
    f"jobs show {WAITING}",
    f"jobs pushes {JOB}",
    f"jobs watch {JOB}",
    "map list",
    "map export",
    "explain gid://shopify/Product/{product}",
    "sale list --all",
    f"sale show {SALE}",
    f"sale show {SALE} --items all",
    f"sale show {SALE} --variant {{variant}}",
    f"sale preview {SALE} --percent 10 --all",
    f"sale preview {SALE} --percent 10 --all --csv",
    f"sale report {SALE}",
    f"sale report {SALE} --csv",
    "schedules list",
    "check",
)


TABLES = (
    "jobs list",
    f"jobs pushes {JOB}",
    "map list",
    "sale list --all",
    f"sale show {SALE} --items all",
    "schedules list",
)


@pytest.fixture(scope="module")
def ids(shop: Shop) -> dict[str, int]:
    """Of one variant and its product."""
    listed = subprocess.run(
        [*DONGBO, "map", "list", "--json", "--config", str(shop.config)], capture_output=True, text=True, check=True
    )
    mapping = json.loads(listed.stdout)["mappings"][0]
    return {"variant": mapping["variant_id"], "product": mapping["product_id"]}


@pytest.mark.parametrize(
    ("command", "width"), [*((each, "80") for each in PRINTING), *((each, "220") for each in TABLES)]
)
def test_a_hostile_text_stays_text(
    dongbo: Callable[..., Screen], ids: dict[str, int], command: str, width: str
) -> None:
    """In tables and lines, values and keys: what would steer the terminal is spelt out, and nothing is left of it."""
    screen = dongbo(*command.format_map(ids).split(), COLUMNS=width)
    assert screen.code in (0, 1), screen
    assert steering(screen.out + screen.err) == set()
    if command != "check" and (width == "220" or command not in TABLES):  # narrow cells are folded
        assert r"\x1b]0;" in screen.out


@pytest.mark.parametrize(
    "command", ["status", "jobs list", f"jobs show {JOB}", f"jobs watch {JOB}", "map list", f"sale show {SALE}"]
)
def test_colours_are_rich_s_own(dongbo: Callable[..., Screen], command: str) -> None:
    """On a terminal that knows colours, what is left without them is text."""
    screen = dongbo(*command.split(), TERM="xterm-256color", COLUMNS="220")
    assert "\x1b[" in screen.out
    assert "\x1b[8m" not in screen.out
    assert steering(DRAWN.sub("", screen.out + screen.err)) == set()


@pytest.mark.parametrize(
    "command",
    [
        "jobs list",
        f"jobs show {JOB}",
        f"jobs pushes {JOB}",
        "map list",
        "map export",
        "explain gid://shopify/Product/{product}",
        f"sale report {SALE}",
    ],
)
def test_json_on_a_terminal_is_the_same_value(
    shop: Shop, dongbo: Callable[..., Screen], ids: dict[str, int], command: str
) -> None:
    """Valid, without a character that steers, there and in a pipe, and of the value that the daemon has."""
    arguments = [*command.format_map(ids).split(), "--json"]
    screen = dongbo(*arguments)
    piped = subprocess.run(
        [*DONGBO, *arguments, "--config", str(shop.config)],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout
    shown, expected = json.loads(screen.out), json.loads(piped)
    if "made_at" in expected:  # of a report
        shown["made_at"] = expected["made_at"]
    assert shown == expected
    assert steering(screen.out + piped) == set()
    assert HOSTILE in _texts(json.loads(piped))


def test_progress_is_drawn_on_a_terminal(dongbo: Callable[..., Screen]) -> None:
    """What redraws its lines still can, and leaves nothing else behind."""
    screen = dongbo("pull", "nhanh-inventory", "--wait", TERM="xterm-256color")
    assert screen.code == 0
    assert "\x1b[?25l" in screen.err
    assert screen.err.count("\x1b[?25l") == screen.err.count("\x1b[?25h")
    assert steering(DRAWN.sub("", screen.out + screen.err)) == set()


def _texts(value: Any) -> str:
    match value:
        case dict():
            return " ".join(f"{key} {_texts(inner)}" for key, inner in value.items())
        case list():
            return " ".join(map(_texts, value))
        case _:
            return str(value)


@pytest.mark.parametrize("command", ["map export", f"sale report {SALE} --csv"])
def test_csv_is_exact_off_the_terminal(shop: Shop, dongbo: Callable[..., Screen], tmp_path: Path, command: str) -> None:
    """In a pipe and in a file every character is the shop's."""
    piped = subprocess.run([*DONGBO, *command.split(), "--config", str(shop.config)], capture_output=True, check=True)
    assert HOSTILE in piped.stdout.decode().replace('""', '"')
    file = tmp_path / "a.csv"
    to_file = [str(file)] if command == "map export" else ["-o", str(file)]
    assert dongbo(*command.split(), *to_file).code == 0
    assert HOSTILE in file.read_bytes().decode().replace('""', '"')


@pytest.mark.parametrize(
    "arguments",
    [
        (HOSTILE,),
        (f"--{HOSTILE}",),
        ("jobs", "show", HOSTILE),
        ("jobs", "list", "--status", HOSTILE),
        ("jobs", "list", "--limit", HOSTILE),
        ("status", "--url", f"http://127.0.0.1:1/{HOSTILE}"),
        ("status", HOSTILE),
        ("map", "set", HOSTILE, HOSTILE),
        ("map", "import", HOSTILE),
        ("explain", HOSTILE),
        ("sale", "show", HOSTILE),
        ("schedules", "run", HOSTILE),
    ],
)
def test_an_argument_comes_back_as_text(dongbo: Callable[..., Screen], arguments: tuple[str, ...]) -> None:
    """Errors name what was wrong: the daemon's, the command's, and those of the library that reads the arguments."""
    screen = dongbo(*arguments)
    assert screen.code != 0
    assert steering(screen.out + screen.err) == set()


def test_a_path_comes_back_as_text(tmp_path: Path) -> None:
    """A configuration with a hostile name that is not there, or is and is wrong."""
    path = tmp_path / HOSTILE.replace("/", "")
    missing = on_terminal("status", "--config", str(path))
    path.write_text(f"{json.dumps(HOSTILE)} = 1\n")
    wrong = on_terminal("check", "--config", str(path))
    assert (missing.code, wrong.code) == (78, 78)
    assert steering(missing.err + wrong.err) == set()


def test_pruning_asks_at_a_terminal(shop: Shop, dongbo: Callable[..., Screen]) -> None:
    """It says what would be deleted and kept, and takes no word for no; nothing is gone then."""
    pull = [*DONGBO, "pull", "nhanh-inventory", "--wait", "--config", str(shop.config)]
    for _ in range(2):
        subprocess.run(pull, check=True, capture_output=True)
    refused = dongbo("jobs", "prune", "--older-than", "0", typed="n\n")
    assert refused.code == 1
    assert re.search(r"Kept, the newest of its store, type and status .*: \d+", refused.out)
    assert re.search(r"Permanently delete \d+ jobs? with their failed rows\? \[y/N\]", refused.err)
    assert "Nothing was changed." in refused.err
    planned = re.search(r"To be deleted, ended more than 0 days ago: (\d+) jobs?", refused.out)
    again = re.search(
        r"To be deleted, ended more than 0 days ago: (\d+) jobs?",
        dongbo("jobs", "prune", "--older-than", "0", "--dry-run").out,
    )
    assert planned is not None
    assert again is not None
    assert planned[1] == again[1]


def test_exposed_secrets_are_in_the_log_and_in_check(shop: Shop, dongbo: Callable[..., Screen]) -> None:
    """The password in the file, the file that everybody reads, and a token that a group reads: each with what to do."""
    logged = [json.loads(line) for line in shop.log.read_text().splitlines()]
    warned = [event["detail"] for event in logged if event["event"] == "secret_exposed"]
    checked = dongbo("check", COLUMNS="1000")
    assert len(warned) == 3
    assert checked.code == 0
    for said in (
        "database.url: its password stands in",
        f"everybody on this machine can read {shop.config}: chmod 600",
        "the group ",
    ):
        assert any(said in warning for warning in warned)
        assert said in checked.err
    assert "not checked" not in shop.log.read_text() + checked.out + checked.err
    assert "not%20checked" not in shop.log.read_text() + checked.out + checked.err


def test_a_store_without_product_sync_is_explained(dongbo: Callable[..., Screen], ids: dict[str, int]) -> None:
    """The command finds the store, and says first that nothing is pushed, and why."""
    screen = dongbo("explain", str(ids["product"]))
    assert screen.code == 0
    assert screen.out.startswith("No products of main are synced: the configuration has no [stores.main.pr")
    other = dongbo("explain", f"https://admin.shopify.com/store/other/products/{ids['product']}")
    assert other.code == 1
    assert "belongs to the shop other, and this store's shop is sandbox" in other.out
