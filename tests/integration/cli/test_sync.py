"""Matching, mapping, syncing and explaining by command, against a real daemon on the sandbox's shop."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import app
from daemon.cli.exits import run_guarded
from tests.support.cli_processes import Dongbo, Outcome
from tests.support.commanded_shop import commanded_daemon

UNKNOWN = "01a20971-aaad-752d-bd81-172a061e849c"
PRODUCT_SYNC = """
[stores.main.product_sync]
price = "retail"
large_price_change = 0.01
max_large_price_changes = 0
"""


@pytest.fixture(scope="module")
def config(postgres_server: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running daemon, whose shop was pulled and where a sync asks before it zeroes anything."""
    with (
        postgres_server.new_database(migrated_template) as name,
        commanded_daemon(tmp_path_factory.mktemp("sync"), postgres_server.url(name), 12, 8, PRODUCT_SYNC) as path,
    ):
        yield path


@pytest.fixture
def dongbo(config: Path, capsys: pytest.CaptureFixture[str]) -> Dongbo:
    """Runs a command with the daemon's configuration."""

    def run(*arguments: str) -> Outcome:
        code = run_guarded(lambda: app([*arguments, "--config", str(config)], prog_name="dongbo"))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def pulled(dongbo: Dongbo) -> Dongbo:
    """The same, after both sides were pulled and matched."""
    for command in (("pull", "nhanh-products"), ("pull", "shopify-products"), ("match", "products")):
        ended = dongbo(*command, "--wait")
        assert ended.code == 0, ended
    return dongbo


def mappings(dongbo: Dongbo, *options: str) -> list[Any]:
    """What `map list` lists."""
    found: list[Any] = dongbo("map", "list", "--limit", "1000", *options, "--json").document["mappings"]
    return found


def test_the_stock_alone_is_pulled(dongbo: Dongbo) -> None:
    """Quicker than the products."""
    ended = dongbo("pull", "nhanh-inventory", "--full", "--wait", "--json")
    assert (ended.code, ended.document["type"], ended.document["params"]) == (0, "PULL_NHANH_INVENTORY", {"full": True})


def test_a_dry_run_of_matching_shows_figures_and_sample(dongbo: Dongbo) -> None:
    """And changes nothing."""
    dongbo("pull", "nhanh-products", "--wait")
    dongbo("pull", "shopify-products", "--wait")
    before = mappings(dongbo, "--state", "mapped")
    ended = dongbo("match", "products", "--dry-run", "--wait")
    assert ended.code == 0, ended
    assert re.search(r"^\d+ mapped, \d+ excluded, \d+ ambiguous, \d+ unmatched", ended.out, re.MULTILINE)
    assert mappings(dongbo, "--state", "mapped") == before


def test_customers_are_matched(dongbo: Dongbo) -> None:
    """By phone; syncing them needs a table of the configuration, and says so."""
    assert dongbo("match", "customers", "--wait").code == 0
    refused = dongbo("sync", "customers")
    assert refused.code == 2
    assert "customer_sync" in refused.err


def test_mappings_are_listed_and_decided_by_sku(pulled: Dongbo) -> None:
    """set, exclude and remove take ids or SKUs, and say what they have done."""
    first, second = mappings(pulled, "--state", "mapped")[:2]
    listed = pulled("map", "list", "--state", "mapped", "--search", str(first["variant_id"]))
    assert listed.out.splitlines()[0].split() == [
        "VARIANT",
        "SKU",
        "TITLE",
        "STATE",
        "PRODUCT",
        "CODE",
        "NAME",
        "BY",
        "NOTE",
    ]
    assert str(first["nhanh_id"]) in listed.out.splitlines()[1]

    done = pulled("map", "set", str(first["variant_id"]), str(second["nhanh_id"]), "--note", "bộ đôi")
    assert done.out == f"variant {first['variant_id']} is product {second['nhanh_id']}\n"
    assert (
        f"variant {second['variant_id']}, which was matched to product {second['nhanh_id']}, has none now" in done.err
    )
    (changed,) = mappings(pulled, "--search", str(first["variant_id"]))
    assert (changed["nhanh_id"], changed["source"], changed["note"]) == (second["nhanh_id"], "manual", "bộ đôi")

    assert pulled("map", "exclude", str(second["variant_id"])).code == 0
    assert [one["variant_id"] for one in mappings(pulled, "--state", "excluded")] == [second["variant_id"]]
    both = [str(first["variant_id"]), str(second["variant_id"])]
    assert pulled("map", "remove", *both, "--json").document == {"removed": 2}
    pulled("match", "products", "--wait")
    assert mappings(pulled, "--state", "mapped")[:2] == [
        {**one, "changed_at": now["changed_at"]}
        for one, now in zip([first, second], mappings(pulled, "--state", "mapped"), strict=False)
    ]


def test_a_text_that_stands_for_none_or_several_is_refused(pulled: Dongbo) -> None:
    """With the candidates, and exit code 2."""
    none = pulled("map", "set", "no-such-sku", "no-such-code")
    assert (none.code, none.out) == (2, "")
    assert "there is no variant of Shopify no-such-sku" in none.err
    assert "there is no product of Nhanh.vn no-such-code" in none.err
    skus = [one["sku"] for one in mappings(pulled) if one["sku"]]
    twice = next((sku for sku in skus if skus.count(sku) > 1), None)
    if twice is not None:
        several = pulled("map", "exclude", twice)
        assert several.code == 2
        assert "more than one variant of Shopify" in several.err
    assert pulled("map", "list", "--state", "wrong").code == 2


def test_an_export_read_again_changes_nothing(pulled: Dongbo, tmp_path: Path) -> None:
    """Neither decisions nor automatic mappings; an edited line changes just that one."""
    file = tmp_path / "m.csv"
    before = mappings(pulled)
    assert pulled("map", "export", str(file)).out == f"{len(before)} variants in {file}\n"
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    again = pulled("map", "import", str(file), "--json").document
    mapped = sum(one["state"] == "mapped" for one in before)
    assert again == {
        "dry_run": False, "mapped": 0, "excluded": 0, "unchanged": mapped, "empty": len(before) - mapped,
        "overruled": 0,
    }  # fmt: skip
    assert mappings(pulled) == before

    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    row = next(row for row in rows if row["state"] == "mapped")
    row["nhanh_id"] = "exclude"
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, row, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    tried = pulled("map", "import", str(file), "--dry-run")
    assert tried.out.startswith("would be: 0 mapped, 1 excluded")
    assert mappings(pulled) == before
    assert pulled("map", "import", str(file)).out.startswith("0 mapped, 1 excluded")
    (excluded,) = mappings(pulled, "--state", "excluded")
    assert (str(excluded["variant_id"]), excluded["note"]) == (row["variant_id"], "from m.csv")
    pulled("map", "remove", row["variant_id"])
    assert pulled("map", "export", "--state", "excluded").out.count("\n") == 1


def test_a_wrong_file_is_told_whole_and_changes_nothing(pulled: Dongbo, tmp_path: Path) -> None:
    """Every wrong line with its number, before anything is sent."""
    first, second = mappings(pulled, "--state", "mapped")[:2]
    file = tmp_path / "m.csv"
    file.write_text(
        f"variant_id,nhanh_id\n{first['variant_id']},exclude\n5,7\n{first['variant_id']},{second['nhanh_id']}\n"
        f"{second['variant_id']},8\n"
    )
    refused = pulled("map", "import", str(file))
    assert (refused.code, refused.out) == (2, "")
    assert [line.partition(": ")[2].partition(": ")[0] for line in refused.err.splitlines()] == [
        f"{file}:3",
        f"{file}:4",
        f"{file}:5",
    ]
    assert "is already in line 2" in refused.err
    file.write_text("sku,nhanh_code\nN/A,không có\n")
    assert pulled("map", "import", str(file)).err == (
        f"dongbo: {file}:2: N/A is a placeholder, so it does not name a variant of Shopify: use the id\n"
    )
    assert mappings(pulled, "--state", "excluded") == []


def map_to_another_price(dongbo: Dongbo) -> int:
    """Give a variant a product of another price than its own; the variant."""
    prices = {}
    for one in mappings(dongbo, "--state", "mapped"):
        explained = dongbo("explain", str(one["variant_id"]), "--json").document["variants"][0]
        prices[one["variant_id"]] = (one["nhanh_id"], explained["product"]["retail_price"])
    (variant, (_, price)), *others = prices.items()
    product = next(product for product, other in (found for _, found in others) if other != price)
    assert dongbo("map", "set", str(variant), str(product)).code == 0
    return int(variant)


def test_a_sync_that_asks_is_shown_approved_and_explained(pulled: Dongbo) -> None:
    """--wait ends with exit code 1, the reason and the two commands; after the approval the pushes are there."""
    variant = map_to_another_price(pulled)
    tried = pulled("sync", "products", "--dry-run", "--wait")
    assert tried.code == 0, tried
    assert re.search(r"^\d+ stock changes, \d+ price changes", tried.out, re.MULTILINE)
    asked = pulled("sync", "products", "--wait")
    assert asked.code == 1, asked
    assert "? SYNC_PRODUCTS of main: AWAITING_APPROVAL" in asked.out
    (job_id,) = re.findall(r"dongbo jobs approve (\S+)$", asked.err, re.MULTILINE)
    assert f"dongbo jobs reject {job_id}" in asked.err
    assert f"dongbo jobs changes {job_id}" in asked.err
    waiting = pulled("jobs", "changes", job_id, "--json").document
    assert len(waiting["changes"]) == sum(waiting["approval"]["counts"].values()) > 0
    prices = pulled("jobs", "changes", job_id, "--kind", "price", "--limit", "1").out.splitlines()
    assert prices[0].startswith("This sync would change ")
    assert prices[-1] == f"1 of {waiting['approval']['counts']['price']} changes"
    watched = pulled("jobs", "watch", job_id)
    assert watched.code == 1
    assert f"dongbo jobs approve {job_id}" in watched.err
    shown = pulled("status")
    assert shown.code == 1
    assert "? main: 1 change waits for your approval · since" in shown.out
    assert f"dongbo jobs reject {job_id}" in shown.out
    doctor = pulled("doctor", "--no-credentials", "--json").document
    assert any(
        finding["subject"] == "main approval waiting" and finding["level"] == "warning"
        for finding in doctor["findings"]
    )
    explained = pulled("explain", str(variant))
    assert explained.code == 0
    assert "Last complete pull: nhanh_products" in explained.err

    approved = pulled("jobs", "approve", job_id, "--wait", "--json")
    assert (approved.code, approved.document["status"]) == (0, "COMPLETED"), approved
    pushed = pulled("jobs", "pushes", job_id, "--json").document["pushes"]
    assert {push["result"] for push in pushed} == {"applied"}
    table = pulled("jobs", "pushes", job_id, "--limit", "1").out.splitlines()
    assert table[0].split() == ["PUSH", "TIME", "WHAT", "OF", "WHERE", "OLD", "NEW", "RESULT", "REASON"]
    price = next(push for push in pushed if push["kind"] == "price")
    explained = pulled("explain", str(price["owner_id"]), "--json")
    values = explained.document["variants"][0]["values"]
    (value,) = [value for value in values if value["kind"] == "price"]
    assert f"job {job_id} set it from {price['old_value']} to {price['new_value']} on" in value["verdict"]
    assert pulled("jobs", "reject", job_id).code == 1
    assert pulled("jobs", "changes", job_id, "--json").document["approval"]["state"] == "carried_out"
    assert pulled("explain", "no such thing").code == 1


def test_a_few_items_are_pushed_and_shown(pulled: Dongbo) -> None:
    """Item by item: what was done, or what there is to say of it; the exit code tells of one that is not there."""
    first, second = [mapping for mapping in mappings(pulled, "--state", "mapped") if mapping["sku"]][-2:]
    ended = pulled("sync", "products", first["sku"], "NO-SUCH-SKU")
    assert ended.code == 1, ended
    lines = ended.out.splitlines()
    assert any(line.startswith(first["sku"]) for line in lines), ended
    place = lines.index("NO-SUCH-SKU")
    assert lines[place + 1].strip().startswith("Shopify has no variant with the SKU NO-SUCH-SKU")
    shown = pulled("sync", "products", "--variant", str(second["variant_id"]), "--json")
    assert (shown.code, shown.document["params"]) == (0, {"variants": [second["variant_id"]]})
    again = pulled("sync", "products", "--variant", str(second["variant_id"]))
    assert (again.code, any(line.startswith(second["sku"]) for line in again.out.splitlines())) == (0, True)
    tried = pulled("sync", "products", second["sku"], "--dry-run")
    assert tried.code == 0, tried
    refused = pulled("sync", "products", " ")
    assert (refused.code, "params.skus" in refused.err) == (1, True)


def test_what_is_not_there_can_not_be_decided(dongbo: Dongbo) -> None:
    """A job's id that is well-formed but unknown."""
    for command in ("approve", "reject", "pushes"):
        ended = dongbo("jobs", command, UNKNOWN)
        assert ended.code == 1
        assert "There is no job" in ended.err


def test_items_are_found_and_shown(pulled: Dongbo) -> None:
    """A table of several, all of a single one, and exit code 1 where there is none."""
    first, second = mappings(pulled, "--state", "mapped")[:2]
    many = pulled("items", "--state", "mapped", "--limit", "2")
    assert many.code == 0
    assert many.out.splitlines()[0].split()[:4] == ["VARIANT", "PRODUCT", "SKU", "TITLE"]
    assert [line.split()[0] for line in many.out.splitlines()[1:]] == [
        str(first["variant_id"]), str(second["variant_id"])
    ]  # fmt: skip
    one = pulled("items", f"gid://shopify/ProductVariant/{first['variant_id']}")
    assert f"mapped to product {first['nhanh_id']}" in one.out.replace("Mapped", "mapped")
    assert "VALUE" in one.out
    assert pulled("items", str(first["variant_id"]), "--json").document["variant"]["variant_id"] == first["variant_id"]
    none = pulled("items", "không có hàng này")
    assert (none.code, none.out) == (1, "")
    assert "There are no such items." in none.err


def test_customers_are_decided_about(pulled: Dongbo) -> None:
    """list, set, exclude and remove, by ids."""
    for source in ("nhanh-customers", "shopify-customers"):
        assert pulled("pull", source, "--wait").code == 0
    listed = pulled("map", "customers", "list", "--limit", "500", "--json").document["customers"]
    mine = next(one["shopify_id"] for one in listed if one["state"] != "mapped")
    theirs = pulled("map", "customers", "list", "--state", "nhanh_only", "--json").document["customers"][0]["nhanh_id"]
    done = pulled("map", "customers", "set", str(mine), str(theirs), "--note", "chị ấy nói")
    assert done.out == f"customer {mine} is {theirs} at Nhanh.vn\n"
    (found,) = [
        one
        for one in pulled("map", "customers", "list", "--search", str(mine), "--json").document["customers"]
        if one["shopify_id"] == mine
    ]
    assert (found["nhanh_id"], found["source"], found["state"]) == (theirs, "manual", "mapped")
    assert "chị ấy nói" in pulled("map", "customers", "list", "--search", str(mine)).out
    assert pulled("map", "customers", "exclude", str(mine)).out == f"customer {mine} is excluded\n"
    assert pulled("map", "customers", "remove", str(mine), "--json").document == {"removed": 1}
    wrong = pulled("map", "customers", "set", "999999999", str(theirs))
    assert wrong.code != 0
    assert "no such customer is known of Shopify" in wrong.err
