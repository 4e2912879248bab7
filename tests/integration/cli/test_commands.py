"""The commands against a real daemon on the sandbox's shop: what they print, and how they end."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import app
from daemon.cli.exits import run_guarded
from tests.support.cli_processes import DONGBO, Dongbo, Outcome, start, stop

TOKEN = "a-status-token-of-some-length"
LAN = "the-token-of-lan-0123"
WALL = "the-token-of-the-wall"
UNKNOWN = "01a20971-aaad-752d-bd81-172a061e849c"


@pytest.fixture(scope="module")
def shop() -> Iterator[dict[str, Any]]:
    """A running `dongbo sandbox`: addresses and credentials as it prints them."""
    process, described = start("sandbox", "--products", "20", "--customers", "150", "--seed", "3")
    yield described
    assert stop(process, signal.SIGINT) == 130


@pytest.fixture(scope="module")
def config(
    shop: dict[str, Any], postgres_server: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The configuration of a running `dongbo run`."""
    directory = tmp_path_factory.mktemp("cli")
    nhanh, shopify = shop["nhanh"], shop["shopify"]
    secrets = {
        "token": TOKEN,
        "nhanh": nhanh["access_token"],
        "lan": LAN,
        "wall": WALL,
        "key": nhanh["secret_key"],
        "shopify": shopify["access_token"],
    }
    with postgres_server.new_database(migrated_template) as name:
        secrets["database"] = postgres_server.url(name)
        for key, value in secrets.items():
            (directory / key).write_text(value)
            (directory / key).chmod(0o600)
        path = directory / "dongbo.toml"
        path.write_text(
            f"""
[database]
url = {{ file = "{directory}/database" }}
[status]
listen = "unix:{directory}/s.sock"
token = {{ file = "{directory}/token" }}
tokens = [
  {{ name = "Lan", token = {{ file = "{directory}/lan" }}, role = "operate" }},
  {{ name = "wall", token = {{ file = "{directory}/wall" }}, role = "read" }},
]
[stores.main.nhanh]
app_id = {nhanh["app_id"]}
business_id = {nhanh["business_id"]}
access_token = {{ file = "{directory}/nhanh" }}
secret_key = {{ file = "{directory}/key" }}
base_url = "{nhanh["base_url"]}"
[stores.main.shopify]
shop = "sandbox"
access_token = {{ file = "{directory}/shopify" }}
base_url = "{shopify["base_url"]}"
[[schedules]]
name = "yearly"
kind = "cron"
cron = "0 0 1 1 *"
store = "main"
job = "PULL_NHANH_PRODUCTS"
"""
        )
        process, announced = start("run", "--config", str(path))
        assert announced["config"] == str(path)
        yield path
        assert stop(process) == 0


@pytest.fixture
def dongbo(config: Path, capsys: pytest.CaptureFixture[str]) -> Dongbo:
    """Runs a command with the daemon's configuration."""

    def run(*arguments: str) -> Outcome:
        code = run_guarded(lambda: app([*arguments, "--config", str(config)], prog_name="dongbo"))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


def test_a_pull_is_followed_to_its_end(dongbo: Dongbo) -> None:
    """--wait shows the progress on standard error and the counters on standard output."""
    ended = dongbo("pull", "nhanh-customers", "--full", "--wait")
    assert ended.code == 0
    assert re.fullmatch(
        r"✓ PULL_NHANH_CUSTOMERS of main: COMPLETED, 150 rows: "
        r"150 created, 0 updated, 0 skipped, 0 failed, in [\d.]+ s\n",
        ended.out,
    )
    lines = ended.err.splitlines()
    assert any("PENDING" in line or "RUNNING" in line for line in lines)
    assert "COMPLETED 100% 150 rows" in lines[-1]


def test_a_pull_with_json_is_one_document(dongbo: Dongbo) -> None:
    """The final job, with the filters that were asked for, and who asked."""
    ended = dongbo("pull", "nhanh-customers", "--type", "2", "--wait", "--json")
    assert ended.code == 0
    assert ended.document["status"] == "COMPLETED"
    assert ended.document["params"] == {"filters": {"type": 2}}
    assert ended.document["trigger"] == "cli"


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        (["nhanh-products", "--full", "--restart", "--allow-deletions"],
         {"full": True, "restart": True, "allow_deletions": True}),
        (["nhanh-customers", "--last-bought-from", "2025-01-01", "--last-bought-to", "2025-02-01"],
         {"filters": {"last_bought_from": "2025-01-01", "last_bought_to": "2025-02-01"}}),
        (["shopify-products", "--status", "active", "--status", "draft"], {"filters": {"status": ["active", "draft"]}}),
        (["shopify-products", "--query", "tag:sale"], {"query": "tag:sale"}),
        (["shopify-customers", "--query", "country:VN", "--store", "main"], {"query": "country:VN"}),
    ],
)  # fmt: skip
def test_options_become_the_job_s_parameters(dongbo: Dongbo, arguments: list[str], params: dict[str, Any]) -> None:
    """Each pull has its own options."""
    ended = dongbo("pull", *arguments, "--wait", "--json")
    assert ended.document["params"] == params
    assert ended.code == (0 if ended.document["status"] == "COMPLETED" else 1)


def test_a_wrong_filter_is_refused_in_the_daemon_s_words(dongbo: Dongbo) -> None:
    """Nothing is submitted, and the message names the filter."""
    ended = dongbo("pull", "nhanh-customers", "--last-bought-from", "2025-13-01")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("dongbo: ")
    assert "last_bought_from" in ended.err
    assert ended.err.count("\n") == 1


def test_an_unknown_store_is_refused(dongbo: Dongbo) -> None:
    """The message names those that there are."""
    ended = dongbo("pull", "nhanh-products", "--store", "nope")
    assert ended.code == 1
    assert "main" in ended.err


def test_jobs_are_listed_newest_first_and_filtered(dongbo: Dongbo) -> None:
    """Off a terminal the table has whole values and no blanks at the ends of lines."""
    dongbo("pull", "shopify-customers", "--wait")
    ended = dongbo("jobs", "list", "--type", "PULL_SHOPIFY_CUSTOMERS", "--status", "completed", "--limit", "1")
    header, row = ended.out.splitlines()
    assert header.split() == ["ID", "JOB", "STORE", "OUTCOME", "ASKED", "FOR", "TOOK", "RESULT"]
    assert re.fullmatch(r"[0-9a-f-]{36}  Customers of Shopify  main   completed  [\d-]+ [\d:]+  [\d.]+ s  \S.*", row), (
        row
    )
    assert row == row.rstrip()
    listed = dongbo("jobs", "list", "--type", "PULL_SHOPIFY_CUSTOMERS", "--json").document["jobs"]
    assert [job["id"] for job in listed] == sorted((job["id"] for job in listed), reverse=True)
    assert dongbo("jobs", "list", "--status", "failed", "--store", "nobody", "--json").document == {
        "jobs": [],
        "summaries": [],
    }


def test_jobs_are_found_by_time_text_and_outcome(dongbo: Dongbo) -> None:
    """Each option narrows the list; a time that is none is explained."""
    job = dongbo("pull", "shopify-products", "--query", "tag:evening", "--wait", "--json").document
    found = dongbo("jobs", "list", "--since", "1h", "--search", "tag:evening", "--trigger", "cli", "--json").document
    assert [each["id"] for each in found["jobs"]] == [job["id"]]
    assert [each["job_id"] for each in found["summaries"]] == [job["id"]]
    assert "There are no such jobs" in dongbo("jobs", "list", "--until", "1h").err
    assert "There are no such jobs" in dongbo("jobs", "list", "--failed", "--schedule", "nightly").err
    wrong = dongbo("jobs", "list", "--since", "evening")
    assert wrong.code == 2
    assert "22:00" in wrong.err


def test_a_job_is_named_by_the_beginning_of_its_id(dongbo: Dongbo) -> None:
    """Where one job has it; else the command says that none or several have."""
    job = dongbo("pull", "nhanh-products", "--wait", "--json").document
    assert dongbo("jobs", "show", job["id"][:18], "--json").document["id"] == job["id"]
    nobody = dongbo("jobs", "show", "00000000-0000")
    assert nobody.code == 1
    assert "There is no job whose id begins with 00000000-0000" in nobody.err
    dongbo("pull", "nhanh-customers", "--wait")
    several = dongbo("jobs", "show", job["id"][:8])
    assert several.code == 1
    assert "jobs begin with" in several.err


def test_one_job_is_shown_with_everything(dongbo: Dongbo) -> None:
    """Parameters, counters, costs, times in the shop's zone."""
    job = dongbo("pull", "nhanh-products", "--full", "--wait", "--json").document
    shown = dongbo("jobs", "show", job["id"])
    assert re.search(r"^status +COMPLETED$", shown.out, re.MULTILINE)
    assert re.search(r"^params +full = True$", shown.out, re.MULTILINE)
    assert re.search(r"^cost +\d+ pages, \d+ API calls", shown.out, re.MULTILINE)
    assert dongbo("jobs", "show", job["id"], "--json").document["failures"] == []


@pytest.mark.parametrize("command", ["show", "cancel", "retry", "watch"])
def test_a_job_that_is_not_there(dongbo: Dongbo, command: str) -> None:
    """A job's id that is well-formed but unknown, and one that is none."""
    unknown = dongbo("jobs", command, UNKNOWN)
    assert unknown.code == 1
    assert "There is no job" in unknown.err
    wrong = dongbo("jobs", command, "12")
    assert wrong.code == 2
    assert "is not a job's id" in wrong.err


def test_what_has_ended_can_neither_be_cancelled_nor_retried(dongbo: Dongbo) -> None:
    """The message says what the job is and what may be done."""
    job = dongbo("pull", "nhanh-products", "--wait", "--json").document
    cancelled = dongbo("jobs", "cancel", job["id"])
    assert cancelled.code == 1
    assert "already COMPLETED" in cancelled.err
    retried = dongbo("jobs", "retry", job["id"], "--failed")
    assert retried.code == 1
    assert "no failed rows left" in retried.err


def test_watching_a_job_that_has_ended_ends(dongbo: Dongbo) -> None:
    """With --json every state is a line."""
    job = dongbo("pull", "nhanh-products", "--wait", "--json").document
    watched = dongbo("jobs", "watch", job["id"], "--json")
    assert watched.code == 0
    assert [json.loads(line)["status"] for line in watched.out.splitlines()] == ["COMPLETED"]


@pytest.fixture
def watcher(config: Path) -> Iterator[subprocess.Popen[str]]:
    """`dongbo jobs watch` in the background."""
    with subprocess.Popen(
        [*DONGBO, "jobs", "watch", "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_watching_everything_writes_lines_until_it_is_interrupted(
    dongbo: Dongbo, watcher: subprocess.Popen[str]
) -> None:
    """Off a terminal there is a line per change; Ctrl-C is the usual end and has its own exit code."""
    assert watcher.stdout is not None
    assert watcher.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lines.extend, args=(watcher.stdout,))
    reader.start()
    while not any(" NOOP main COMPLETED " in line for line in lines):  # what came before it connected is not told
        assert dongbo("doctor", "--no-credentials", "--json").code == 0
        assert watcher.poll() is None, "the watcher has ended"
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(10) == 130
    reader.join(10)
    assert watcher.stderr.read() == ""


def test_writing_to_a_store_is_paused_and_resumed(dongbo: Dongbo) -> None:
    """Until a time of the shop, or until somebody resumes it; the doctor says so."""
    until = dongbo("sync", "pause", "main", "--until", "2099-01-28 20:00", "--reason", "stock-taking")
    assert until.out == "Nothing is written to main until 2099-01-28 20:00:00, or `dongbo sync resume main`\n"
    assert "the store is paused until" in dongbo("doctor", "--no-credentials").out
    paused = dongbo("sync", "pause", "main", "--json").document
    assert (paused["paused"], paused["until"]) == (True, None)
    assert dongbo("sync", "resume", "main").out == "main is written to again\n"
    refused = dongbo("sync", "pause", "nowhere")
    assert refused.code == 1
    assert "no such store" in refused.err


def test_schedules_are_listed_run_paused_and_resumed(dongbo: Dongbo) -> None:
    """A paused schedule has no next fire; one that is run submits its job."""
    assert dongbo("schedules", "pause", "yearly", "--json").document["paused"] is True
    assert re.search(r"^yearly .* paused ", dongbo("schedules", "list").out, re.MULTILINE)
    assert "Schedule yearly is paused" in dongbo("doctor", "--no-credentials").out
    resumed = dongbo("schedules", "resume", "yearly")
    assert re.fullmatch(r"yearly fires next at \d{4}-01-01 00:00:00\n", resumed.out)
    ran = dongbo("schedules", "run", "yearly", "--wait", "--json")
    assert (ran.code, ran.document["status"]) == (0, "COMPLETED")
    assert dongbo("schedules", "list", "--json").document["schedules"][0]["paused"] is False
    unknown = dongbo("schedules", "run", "no/such")
    assert unknown.code == 1
    assert "yearly" in unknown.err


def test_status_opens_with_the_verdict(dongbo: Dongbo) -> None:
    """The daemon is ready; but nothing is pushed with this configuration, and while a condition holds the code is 1."""
    ended = dongbo("status")
    assert ended.code == 1
    document = dongbo("--json", "status").document
    verdict = document["verdicts"][0]
    assert ended.out.splitlines()[0] == f"! {verdict['text']}"
    assert [condition["name"] for condition in document["conditions"] if condition["needs_person"]]
    for condition in document["conditions"]:
        assert f"! main: {condition['text']}" in ended.out
        assert condition["next_step"] in ended.out
    assert ": ready, process" in ended.out
    assert re.search(r"^✓ database: ", ended.out, re.MULTILINE)
    assert document["ready"] is True


def test_whoever_asks_is_told_who_they_are(dongbo: Dongbo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they start carries their name; a role that does not do is told as what it is, and nothing happens."""
    assert "asked by the token without a name, which may operate" in dongbo("status").out
    monkeypatch.setenv("DONGBO_TOKEN", LAN)
    assert "asked by Lan, which may operate" in dongbo("status").out
    ended = dongbo("pull", "nhanh-products", "--wait", "--json")
    assert "started by Lan in the terminal" in dongbo("jobs", "show", ended.document["id"]).out
    monkeypatch.setenv("DONGBO_TOKEN", WALL)
    assert "asked by wall, which may only read" in dongbo("status").out
    refused = dongbo("schedules", "pause", "yearly")
    assert refused.code == 1
    assert "This needs the role operate, and wall has the role read" in refused.err


def test_pruning_deletes_what_ended_long_ago(dongbo: Dongbo) -> None:
    """Without a number of days, that of the configuration holds."""
    for _ in range(2):
        dongbo("pull", "nhanh-products", "--wait")
    before = len(dongbo("jobs", "list", "--limit", "1000", "--json").document["jobs"])
    nothing = dongbo("jobs", "prune", "--yes", "--json").document
    assert (nothing["deleted"], nothing["older_than_days"]) == (0, 30)
    assert nothing["kept"]["unended"] + nothing["kept"]["recent"] == before
    planned = dongbo("jobs", "prune", "--older-than", "0", "--dry-run", "--json").document
    assert planned["deleted"] == 0
    assert planned["prunable"] == before - sum(planned["kept"].values()) > 0
    done = dongbo("jobs", "prune", "--older-than", "0", "--yes", "--json").document
    assert done == planned | {"deleted": planned["prunable"]}
    assert len(dongbo("jobs", "list", "--limit", "1000", "--json").document["jobs"]) == before - done["deleted"]


def test_pruning_without_a_terminal_wants_a_word(dongbo: Dongbo) -> None:
    """A script that does not say --yes deletes nothing, and ends as any bad usage; it says what would be deleted."""
    before = dongbo("jobs", "list", "--limit", "1000", "--json").out
    for as_json in ((), ("--json",)):
        refused = dongbo("jobs", "prune", "--older-than", "0", *as_json)
        assert refused.code == 2
        assert "this deletes jobs permanently, and there is no terminal to ask at: add --yes" in " ".join(
            refused.err.split()
        )
        assert refused.out.startswith("To be deleted, ended more than 0 days ago: ") != bool(as_json)
    assert dongbo("jobs", "list", "--limit", "1000", "--json").out == before


def test_the_doctor_follows_a_job_through_all_stations(dongbo: Dongbo) -> None:
    """Visible from another connection, in the endpoint, in the stream, through the listener, completed: each timed."""
    ended = dongbo("doctor", "--json")
    assert ended.code == 0, ended.out
    findings = {finding["subject"]: finding for finding in ended.document["findings"]}
    stations = ["seen in database", "seen in endpoint", "seen in event stream", "heard by listener", "completed"]
    for station in ["job submitted", *stations]:
        assert findings[station]["level"] == "ok", findings[station]
        assert 0 < findings[station]["milliseconds"] < 10_000
    for subject in ("daemon", "worker", "one pool", "clock", "stuck jobs", "schedules", "main nhanh", "main shopify"):
        assert subject in findings
    assert TOKEN not in ended.out


def test_the_doctor_in_words_says_the_same(dongbo: Dongbo) -> None:
    """A sign before each finding, and the time of each station."""
    ended = dongbo("doctor", "--no-credentials")
    assert re.search(r"^✓ seen in database +[\d.]+ ms +another connection sees it", ended.out, re.MULTILINE)
    assert "✗" not in ended.out


def test_check_live_tries_database_and_credentials(dongbo: Dongbo) -> None:
    """What each store's credentials allow is said by job type."""
    ended = dongbo("check", "--live", "--json")
    assert ended.code == 0, ended.out
    details = [finding["detail"] for finding in ended.document["live"]]
    for job_type in ("PULL_NHANH_PRODUCTS", "PULL_NHANH_CUSTOMERS", "PULL_SHOPIFY_PRODUCTS", "PULL_SHOPIFY_CUSTOMERS"):
        assert f"{job_type} can run" in details
    assert any(detail.startswith("the access token expires in 36") for detail in details)
    assert any(detail.startswith("PostgreSQL ") for detail in details)


def test_check_live_asks_the_daemon_for_what_it_can_not_read(dongbo: Dongbo, config: Path) -> None:
    """Whoever may not read the shop's secrets, but has the token, learns what they open all the same."""
    secret = config.with_name("shopify")
    elsewhere = secret.rename(secret.with_name("shopify.elsewhere"))
    try:
        ended = dongbo("check", "--live", "--json")
    finally:
        elsewhere.rename(secret)
    assert ended.code == 0, ended.out
    found = [(finding["subject"], finding["detail"]) for finding in ended.document["live"]]
    assert found[0][0] == "daemon"
    assert found[0][1].startswith("asked at unix:")
    assert "database" in dict(found)
    assert ("main shopify", "PULL_SHOPIFY_PRODUCTS can run") in found


def test_a_wrong_token_names_the_key(dongbo: Dongbo, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 is told as what it is."""
    monkeypatch.setenv("DONGBO_TOKEN", "not-the-token-of-the-daemon")
    ended = dongbo("jobs", "list")
    assert ended.code == 69
    assert "[status] token" in ended.err
    assert "not-the-token" not in ended.err


def test_without_a_daemon_every_command_says_how_to_start_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 69."""
    path = tmp_path / "a.toml"
    path.write_text(
        f"""
[status]
listen = "unix:{tmp_path}/none.sock"
[stores.a.shopify]
shop = "s"
access_token = {{ env = "X" }}
"""
    )
    for command in (
        ["status"],
        ["jobs", "list"],
        ["jobs", "watch"],
        ["schedules", "list"],
        ["pull", "shopify-products"],
    ):
        code = run_guarded(lambda command=command: app([*command, "--config", str(path)], prog_name="dongbo"))
        printed = capsys.readouterr()
        assert (code, printed.out) == (69, "")
        assert f"dongbo run --config {path}" in printed.err
        assert printed.err.count("\n") == 1


def test_the_doctor_without_a_daemon_says_so_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be found out without a daemon is found out all the same."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    path = tmp_path / "a.toml"
    path.write_text(f'[status]\nlisten = "unix:{tmp_path}/none.sock"\n')
    code = run_guarded(lambda: app(["doctor", "--json", "--config", str(path)], prog_name="dongbo"))
    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert document["ok"] is False
    assert document["findings"][0]["subject"] == "daemon"
    assert "no daemon answers" in document["findings"][0]["detail"]
    assert any(finding["subject"] == "database" for finding in document["findings"])
