"""`dongbo sync customers` and `dongbo pull … --id` for what somebody has named, against a real daemon."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import app
from daemon.cli.exits import run_guarded
from tests.support.cli_processes import Dongbo, Outcome
from tests.support.commanded_shop import commanded_daemon

NOBODYS = "0911222333"
CUSTOMER_SYNC = "[stores.main.customer_sync]"


@pytest.fixture(scope="module")
def config(postgres_server: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running daemon that pushes totals and tiers of customers."""
    with (
        postgres_server.new_database(migrated_template) as name,
        commanded_daemon(tmp_path_factory.mktemp("named"), postgres_server.url(name), 5, 30, CUSTOMER_SYNC) as path,
    ):
        yield path


@pytest.fixture
def dongbo(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Dongbo:
    """Runs a command with the daemon's configuration, for an output of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Outcome:
        code = run_guarded(lambda: app([*arguments, "--config", str(config)], prog_name="dongbo"))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def mapped(dongbo: Dongbo) -> list[Any]:
    """The mapped customers, after both sides were pulled and matched."""
    for command in (("pull", "nhanh-customers"), ("pull", "shopify-customers"), ("match", "customers")):
        assert dongbo(*command, "--wait").code == 0
    found: list[Any] = dongbo("map", "customers", "list", "--state", "mapped", "--json").document["customers"]
    return [customer for customer in found if customer["phone"]]


def test_what_came_of_each_customer_is_told(dongbo: Dongbo, mapped: list[Any]) -> None:
    """What was pushed and why; the same again, that nothing differed; a number that is nobody's fails the command."""
    one, other = mapped[:2]
    first = dongbo("sync", "customers", one["phone"], "--id", str(other["shopify_id"]))
    assert first.code == 1
    assert "one says which" in first.err
    first = dongbo("sync", "customers", one["phone"])
    assert first.code == 0, first
    assert str(one["shopify_id"]) in first.out
    assert "custom.total_spent: – → " in first.out
    assert "of Nhanh.vn has spent" in " ".join(first.out.split())
    assert max(map(len, first.out.splitlines())) <= 120
    again = dongbo("sync", "customers", one["phone"], NOBODYS)
    assert again.code == 1
    assert "nothing differed" in again.out
    assert "has this phone number" in " ".join(again.out.split())
    by_id = dongbo("sync", "customers", "--id", str(other["shopify_id"]))
    assert by_id.code == 0, by_id
    assert "custom.total_spent: – → " in by_id.out


def test_a_dry_run_shows_what_it_would_push(dongbo: Dongbo, mapped: list[Any]) -> None:
    """Of those who are named alone."""
    ended = dongbo("sync", "customers", "--id", str(mapped[3]["shopify_id"]), "--dry-run")
    assert ended.code == 0, ended
    assert str(mapped[3]["shopify_id"]) in ended.out
    assert str(mapped[4]["shopify_id"]) not in ended.out


def test_rows_are_pulled_by_their_ids(dongbo: Dongbo, mapped: list[Any]) -> None:
    """Several at once, at either side."""
    ids = [str(customer["nhanh_id"]) for customer in mapped[:2]]
    ended = dongbo("pull", "nhanh-customers", "--id", ids[0], "--id", ids[1], "--wait", "--json")
    assert (ended.code, ended.document["processed"], ended.document["skipped"]) == (0, 2, 2)


def test_a_text_that_is_no_number_is_refused(dongbo: Dongbo) -> None:
    """At once, with what to write."""
    refused = dongbo("sync", "customers", "nobody")
    assert refused.code == 1
    assert "0912 345 678" in refused.err
