"""Sale campaigns by command, against a real daemon on the sandbox's shop."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.cli import app
from daemon.cli.exits import run_guarded
from tests.support.cli_processes import DONGBO, Dongbo, Outcome, start, stop

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")  # the daemon's default
SET_PRICE = """mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
    productVariantsBulkUpdate(productId: $product, variants: $variants) { userErrors { message } } }"""
SALE_JOBS = ("APPLY_SALE", "REVERT_SALE")


@dataclass(frozen=True)
class Shop:
    """A daemon's configuration, and the shop that it works on."""

    config: Path
    base_url: str
    token: str

    def set_price(self, product_id: int, variant_id: int, price: int) -> None:
        """Change a price as somebody else would, in Shopify's admin."""
        variant = {"id": f"gid://shopify/ProductVariant/{variant_id}", "price": str(price), "compareAtPrice": None}
        variables = {"product": f"gid://shopify/Product/{product_id}", "variants": [variant]}
        request = urllib.request.Request(
            f"{self.base_url}/admin/api/2026-10/graphql.json",
            json.dumps({"query": SET_PRICE, "variables": variables}).encode(),
            {"X-Shopify-Access-Token": self.token, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        assert answer["data"]["productVariantsBulkUpdate"]["userErrors"] == []


@pytest.fixture(scope="module")
def shop(postgres_server: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A running daemon that has pulled its shop."""
    directory = tmp_path_factory.mktemp("sale")
    sandbox, ready = start("sandbox", "--products", "12", "--customers", "2", "--seed", "5", "--no-limits")
    shopify = ready["shopify"]
    with postgres_server.new_database(migrated_template) as name:
        environment = {"TEST_DATABASE": postgres_server.url(name), "TEST_SHOPIFY": shopify["access_token"]}
        path = directory / "dongbo.toml"
        path.write_text(
            f"""
[database]
url = {{ env = "TEST_DATABASE" }}
[status]
listen = "unix:{directory}/s.sock"
[stores.main.shopify]
shop = "sandbox"
access_token = {{ env = "TEST_SHOPIFY" }}
base_url = "{shopify["base_url"]}"
"""
        )
        daemon, _ = start("run", "--config", str(path), **environment)
        try:
            pulled = subprocess.run(
                [*DONGBO, "pull", "shopify-products", "--wait", "--config", str(path)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert pulled.returncode == 0, pulled.stderr
            yield Shop(path, shopify["base_url"], shopify["access_token"])
        finally:
            stop(daemon, signal.SIGTERM)
            stop(sandbox, signal.SIGINT)


@pytest.fixture
def dongbo(shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Dongbo]:
    """Runs a command with the daemon's configuration and no terminal; all campaigns are over afterwards."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*arguments: str) -> Outcome:
        code = run_guarded(lambda: app([*arguments, "--config", str(shop.config)], prog_name="dongbo"))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    yield run
    for campaign in run("sale", "list", "--json").document["sales"]:
        if campaign["state"] in ("DRAFT", "SCHEDULED", "APPLYING", "ACTIVE"):
            assert run("sale", "cancel", campaign["id"], "--yes").code == 0
        settled(run, campaign["id"])
        if run("sale", "show", campaign["id"], "--json").document["state"] == "NEEDS_ATTENTION":
            run("sale", "resume", campaign["id"], "--restore", "all")
            settled(run, campaign["id"])
    assert run("sale", "list", "--json").document == {"sales": []}


def settled(dongbo: Dongbo, name: str) -> Any:
    """A campaign after all that is being done to any has been done."""
    for job in dongbo("jobs", "list", "--limit", "50", "--json").document["jobs"]:
        if job["type"] in SALE_JOBS and job["status"] in ("PENDING", "RUNNING"):
            assert dongbo("jobs", "watch", job["id"]).code == 0
    return dongbo("sale", "show", name, "--json").document


def started(dongbo: Dongbo, name: str, *options: str) -> Any:
    """A campaign that is on."""
    created = dongbo("sale", "create", name, "--percent", "10", *(options or ("--all",)), "--yes")
    assert created.code == 0, created
    campaign = settled(dongbo, name)
    assert campaign["state"] == "ACTIVE", campaign
    return campaign


def on_sale(dongbo: Dongbo, name: str) -> list[Any]:
    """The variants that a campaign has put on sale."""
    found: list[Any] = dongbo("sale", "show", name, "--items", "applied", "--json").document["items"]
    return found


def has_line(text: str, pattern: str) -> bool:
    """Whether there is such a line."""
    return re.search(rf"^{pattern}$", text, re.MULTILINE) is not None


def in_hours(hours: float) -> str:
    """A time as a person types it."""
    return f"{datetime.now(ZONE) + timedelta(hours=hours):%Y-%m-%d %H:%M}"


def test_a_campaign_is_shown_before_it_is_created(dongbo: Dongbo) -> None:
    """Totals, a sample, what is skipped; a campaign of the future needs no yes where there is no terminal."""
    starts, ends = in_hours(3), in_hours(5)
    created = dongbo(
        "sale", "create", "tet", "--percent", "20", "--round-to", "1000", "--all", "--starts", starts, "--ends", ends
    )
    assert created.code == 0, created
    first, when, *_ = created.out.splitlines()
    assert first == "20% off the compare-at price where it is above the price, rounded down to 1,000"
    assert when == f"from {starts}:00 until {ends}:00"
    assert has_line(created.out, r"\d+ of \d+ variants on sale: [\d,]+ → [\d,]+ \([\d.]+% less on average\)")
    assert has_line(created.out, r"VARIANT +SKU +TITLE +PRICE +COMPARE AT +SALE PRICE +SALE COMPARE AT +NOTE")
    assert has_line(created.out, rf"sale tet of main is SCHEDULED: \d+ variants, from {starts}:00 until {ends}:00")
    campaign = dongbo("sale", "show", "tet", "--json").document
    assert (campaign["origin"], campaign["state"], campaign["drifted"]) == ("cli", "SCHEDULED", [])
    assert datetime.fromisoformat(campaign["starts_at"]) == datetime.fromisoformat(starts).replace(tzinfo=ZONE)


def test_what_starts_at_once_needs_a_yes(dongbo: Dongbo) -> None:
    """Without a terminal nobody can be asked: exit code 2, and nothing is created."""
    refused = dongbo("sale", "create", "now", "--percent", "20", "--all")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert dongbo("sale", "list", "--json").document == {"sales": []}
    assert dongbo("sale", "list").err == "No campaign is open; try --all.\n"
    draft = dongbo("sale", "create", "later", "--percent", "20", "--all", "--draft")
    assert draft.code == 0
    assert "start it now: dongbo sale apply later --store main" in draft.err
    for command in ("apply", "resume"):
        assert dongbo("sale", command, "later").code == 2
    assert dongbo("sale", "show", "later", "--json").document["state"] == "DRAFT"


def at_terminal(shop: Shop, answer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a terminal as standard input, at which a person types the answer."""
    person, terminal = pty.openpty()
    try:
        os.write(person, f"{answer}\n".encode())
        return subprocess.run(
            [*DONGBO, *arguments, "--config", str(shop.config)],
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(person)
        os.close(terminal)


def test_a_person_at_a_terminal_is_asked(shop: Shop, dongbo: Dongbo) -> None:
    """The question says what would happen; no leaves all as it is with exit code 1, yes does it."""
    arguments = ("sale", "create", "asked", "--amount", "1000", "--all", "--starts", in_hours(2))
    declined = at_terminal(shop, "n", *arguments)
    assert declined.returncode == 1, declined
    assert re.search(r"Put \d+ variants of main on sale as asked, from .* until a person ends it\?", declined.stderr)
    assert declined.stderr.endswith("Nothing was changed.\n")
    assert dongbo("sale", "list", "--json").document == {"sales": []}
    agreed = at_terminal(shop, "y", *arguments, "--json")
    assert agreed.returncode == 0, agreed
    assert json.loads(agreed.stdout)["state"] == "SCHEDULED"


def test_a_preview_creates_nothing(dongbo: Dongbo, tmp_path: Path) -> None:
    """As table, JSON and CSV, of a definition and of a campaign."""
    skus = sorted({item["sku"] for item in whole_shop(dongbo) if item["sku"]})
    file = tmp_path / "skus.txt"
    file.write_bytes(f"\ufeff# the first three\r\n{skus[0]}\r\n\r\n{skus[1]}\r\n".encode())
    options = ("--percent", "50", "--skus", str(file), "--sku", skus[2], "--exclude-sku", skus[1])
    found = dongbo("sale", "preview", "idea", *options, "--json").document
    assert {item["sku"] for item in found["items"]} == {skus[0], skus[2]}
    rows = list(csv.DictReader(io.StringIO(dongbo("sale", "preview", "idea", *options, "--csv").out)))
    assert [row["variant_id"] for row in rows] == [str(item["variant_id"]) for item in found["items"]]
    table = dongbo("sale", "preview", "idea", *options)
    assert f"for SKUs {skus[2]}, {skus[0]}, {skus[1]}\nexcept SKUs {skus[1]}\n" in table.out
    assert dongbo("sale", "preview", "idea", *options, "--csv", "--json").code == 2
    assert dongbo("sale", "list", "--all", "--state", "draft", "--json").document["sales"] == []
    missing = dongbo("sale", "preview", "idea")
    assert (missing.code, missing.out) == (1, "")
    assert "no such sale" in missing.err

    dongbo("sale", "create", "kept", *options, "--draft")
    again = dongbo("sale", "preview", "kept", "--json").document
    assert [item["variant_id"] for item in again["items"]] == [item["variant_id"] for item in found["items"]]
    assert dongbo("sale", "preview", "kept", "--csv").out.count("\n") == len(rows) + 1


def whole_shop(dongbo: Dongbo) -> list[Any]:
    """Every variant."""
    found: list[Any] = dongbo("sale", "preview", "all", "--percent", "1", "--all", "--json").document["items"]
    return found


def test_wrong_options_are_told_all_at_once(dongbo: Dongbo, tmp_path: Path) -> None:
    """By the names that they have on the command line; exit code 2, and nothing is sent."""
    wrong = dongbo("sale", "create", "A b", "--percent", "120", "--ends", "soon", "--skus", str(tmp_path / "none"))
    assert (wrong.code, wrong.out) == (2, "")
    lines = wrong.err.splitlines()
    assert len(lines) == 4, wrong.err
    for line, option in zip(sorted(lines), ("--ends: ", "--percent: ", "--skus: ", "NAME: "), strict=True):
        assert line.startswith(f"dongbo: {option}")


def test_a_refusal_is_in_the_daemon_s_words(dongbo: Dongbo) -> None:
    """Such as of a time that has passed: one line, exit code 1."""
    refused = dongbo("sale", "create", "old", "--percent", "5", "--all", "--starts", "2020-01-01 00:00", "--yes")
    assert refused.code == 1
    assert "has passed" in refused.err
    nothing = dongbo("sale", "create", "none", "--percent", "5", "--vendor", "nobody", "--starts", in_hours(1))
    assert nothing.code == 1
    assert "No variant would be on sale" in nothing.err
    for command in ("show", "apply", "revert", "cancel", "resume", "report"):
        unknown = dongbo("sale", command, "nope")
        assert unknown.code == 1, command
        assert "no such sale" in unknown.err


def test_campaigns_that_conflict_are_refused_with_both_names(dongbo: Dongbo) -> None:
    """Before anybody is asked; as a draft it is kept."""
    dongbo("sale", "create", "first", "--percent", "5", "--all", "--starts", in_hours(1), "--ends", in_hours(3))
    second = ("sale", "create", "second", "--percent", "6", "--all", "--starts", in_hours(2))
    refused = dongbo(*second)
    assert refused.code == 1
    assert "The sale second can't hold variants" in refused.err
    assert has_line(refused.out, r"\d+ held at that time by the sale first")
    assert has_line(refused.out, r".*  held by the sale first")
    assert dongbo(*second, "--draft").code == 0
    touching = dongbo("sale", "create", "third", "--percent", "6", "--all", "--starts", in_hours(3))
    assert touching.code == 0, touching


def test_a_campaign_from_start_to_proof(dongbo: Dongbo, tmp_path: Path) -> None:
    """Applied, shown, reverted, reported; prices are back, and every write is to be seen."""
    before = {item["variant_id"]: (item["price"], item["compare_at_price"]) for item in whole_shop(dongbo)}
    started(dongbo, "flash")
    shown = dongbo("sale", "show", "flash")
    assert has_line(shown.out, r"state +ACTIVE")
    assert has_line(shown.out, r"starts +\d{4}-.*")
    assert has_line(shown.out, r"on sale +first \S+ \S+ \([\d.]+ s late\), last \S+ \S+ \([\d.]+ s late\)")
    assert has_line(shown.out, r"variants +\d+: .*\d+ APPLIED.*")
    held = on_sale(dongbo, "flash")
    table = dongbo("sale", "show", "flash", "--items", "applied").out.splitlines()
    assert len(table) == len(held) + 1
    one = held[0]["variant_id"]
    assert has_line(
        dongbo("sale", "show", "flash", "--variant", str(one)).out, r"  \S+ \S+  apply  .* → .*  applied  job \S+"
    )
    listed = dongbo("sale", "list").out.splitlines()
    assert listed[0].split() == ["NAME", "STORE", "STATE", "STARTS", "ENDS", "VARIANTS", "NOTE"]
    assert listed[1].split()[:3] == ["flash", "main", "ACTIVE"]

    assert dongbo("sale", "apply", "flash", "--yes").code == 1, "it runs already"
    assert dongbo("sale", "revert", "flash").code == 2, "nobody to ask"
    ended = dongbo("sale", "revert", "flash", "--yes")
    assert ended.out.startswith("sale flash of main is REVERTING")
    assert settled(dongbo, "flash")["state"] == "COMPLETED"
    assert {item["variant_id"]: (item["price"], item["compare_at_price"]) for item in whole_shop(dongbo)} == before

    report = dongbo("sale", "report", "flash")
    assert has_line(report.out, rf"outcome +.*{len(held)} restored.*")
    document = dongbo("sale", "report", "flash", "--json").document
    assert document["counts"]["verified"] == len(held)
    file = tmp_path / "flash.csv"
    assert dongbo("sale", "report", "flash", "-o", str(file)).err == f"The report of flash is in {file}.\n"
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(document["items"])
    assert dongbo("sale", "report", "flash", "--json", "-o", str(tmp_path / "f.txt")).code == 0
    assert json.loads((tmp_path / "f.txt").read_text())["name"] == "flash"
    assert dongbo("sale", "report", "flash", "-o", str(tmp_path / "f.xls")).code == 2
    assert dongbo("sale", "report", "flash", "-o", str(tmp_path / "no" / "f.csv")).code == 1


def test_drifted_prices_are_shown_and_decided(shop: Shop, dongbo: Dongbo) -> None:
    """With both values and the commands that decide; one is kept, the rest restored."""
    started(dongbo, "drift")
    one, two = on_sale(dongbo, "drift")[:2]
    for place, item in enumerate((one, two)):
        shop.set_price(item["product_id"], item["variant_id"], 1234500 + place)
    assert dongbo("sale", "revert", "drift", "--yes").code == 0
    assert settled(dongbo, "drift")["state"] == "NEEDS_ATTENTION"
    shown = dongbo("sale", "show", "drift")
    assert has_line(shown.out, r"VARIANT +SKU +TITLE +WITHOUT THE SALE +DURING IT +FOUND")
    assert has_line(shown.out, rf"{one['variant_id']} .* 1,234,500")
    assert "dongbo sale resume drift --store main --keep all" in shown.err
    assert [item["variant_id"] for item in dongbo("sale", "show", "drift", "--json").document["drifted"]] == [
        one["variant_id"],
        two["variant_id"],
    ]

    assert dongbo("sale", "resume", "drift", "--keep", "all", "--restore", "all").code == 2
    assert dongbo("sale", "resume", "drift", "--keep", "sku-1").code == 2
    foreign = dongbo("sale", "resume", "drift", "--keep", "7")
    assert (foreign.code, "7" in foreign.err) == (1, True)
    assert dongbo("sale", "resume", "drift", "--keep", str(one["variant_id"])).code == 0
    assert settled(dongbo, "drift")["state"] == "NEEDS_ATTENTION"
    assert dongbo("sale", "resume", "drift", "--restore", "all").code == 0
    assert settled(dongbo, "drift")["state"] == "COMPLETED"
    kept = dongbo("sale", "show", "drift", "--variant", str(one["variant_id"])).out
    assert has_line(kept, r"state +KEPT")
    now = {item["variant_id"]: item["price"] for item in whole_shop(dongbo)}
    assert now[one["variant_id"]] == "1234500"
    assert now[two["variant_id"]] == two["base_price"]


def test_a_campaign_is_called_off(dongbo: Dongbo) -> None:
    """One that has not begun needs no yes; one that is over can't be called off."""
    dongbo("sale", "create", "off", "--percent", "5", "--all", "--starts", in_hours(1))
    cancelled = dongbo("sale", "cancel", "off", "--json")
    assert cancelled.document["state"] == "CANCELLED"
    again = dongbo("sale", "cancel", "off", "--store", "main")
    assert (again.code, again.err) == (1, "dongbo: The sale off is CANCELLED: it can't be cancelled.\n")
    listed = dongbo("sale", "list", "--state", "cancelled", "--json").document["sales"]
    assert listed[0]["name"] == "off"
    assert dongbo("sale", "list", "--state", "wrong").code == 2


def test_a_draft_is_started_early(dongbo: Dongbo) -> None:
    """By apply, whatever start it has; overdue or not, the times are the true ones."""
    dongbo("sale", "create", "early", "--percent", "5", "--all", "--starts", in_hours(30), "--draft")
    assert dongbo("sale", "resume", "early").out.startswith("sale early of main is SCHEDULED: ")
    begun = dongbo("sale", "apply", "early", "--yes")
    assert begun.code == 0, begun
    assert "variants on sale: " in begun.err, "what it comes to is said beside the result"
    campaign = settled(dongbo, "early")
    assert campaign["state"] == "ACTIVE"
    assert abs(datetime.fromisoformat(campaign["starts_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
