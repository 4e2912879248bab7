"""From what a person types to the definition of a campaign."""

import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli.context import CommandContext, Commands
from daemon.cli.sales import prompts
from daemon.cli.sales.actions import read_variants
from daemon.cli.sales.definition import SaleOptionsError, definition_of
from daemon.cli.sales.options import DiscountFrom, Newcomers, SaleCommand, SaleOptions, given_options
from daemon.config import SaleSettings


def refused(options: SaleOptions, name: str = "tet") -> list[str]:
    with pytest.raises(SaleOptionsError) as caught:
        definition_of(name, "main", options)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_every_option_becomes_a_key_of_the_definition(tmp_path: Path) -> None:
    """What is sent is read by the daemon as the same campaign; a file's SKUs go as SKUs."""
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    file.write_bytes("\ufeff# áo\r\n\r\nÁO-01\r\n ÁO-02 \r\n".encode())
    other.write_text("X-1\n")
    options = SaleOptions(
        percent="12.5%",
        discount_from=DiscountFrom.PRICE,
        round_to="1000",
        ending="900",
        floor="50000",
        starts="2027-01-28 20:00",
        ends="2027-02-01T00:00:00+07:00",
        newcomers=Newcomers.IGNORE,
        product=[7],
        collection=["tet"],
        product_type=["Áo"],
        vendor=["V"],
        tag=["t"],
        sku=["ÁO-02", "S"],
        skus=file,
        exclude_product=[8],
        exclude_collection=["old"],
        exclude_type=["Quà"],
        exclude_vendor=["W"],
        exclude_tag=["u"],
        exclude_sku=["Y"],
        exclude_skus=other,
    )
    definition = definition_of("tet", "main", options)
    assert definition.to_json() == {
        "name": "tet",
        "store": "main",
        "percent": "12.5",
        "discount_from": "price",
        "round_to": "1000",
        "ending": "900",
        "floor": "50000",
        "starts": "2027-01-28T20:00:00",
        "ends": "2027-02-01T00:00:00+07:00",
        "newcomers": "ignore",
        "targets": {
            "products": [7],
            "collections": ["tet"],
            "product_types": ["Áo"],
            "vendors": ["V"],
            "tags": ["t"],
            "skus": ["ÁO-02", "S", "ÁO-01"],
        },
        "excludes": {
            "products": [8],
            "collections": ["old"],
            "product_types": ["Quà"],
            "vendors": ["W"],
            "tags": ["u"],
            "skus": ["Y", "X-1"],
        },
    }
    assert SaleSettings.model_validate(definition.to_json()) == definition


def test_what_is_not_said_is_left_to_the_defaults() -> None:
    """The daemon's defaults hold, not some of the command line."""
    definition = definition_of("tet", "main", SaleOptions(amount="5000", everything=True))
    assert definition.to_json() == {"name": "tet", "store": "main", "amount": "5000", "targets": {"all": True}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"everything": True}, ["give either --percent or --amount"]),
        ({"percent": "5", "amount": "5", "everything": True}, ["give either --percent or --amount"]),
        (
            {"percent": "5"},
            ["which variants is it for? Give --all, --product, --collection, --type, --vendor, --tag, --sku or --skus"],
        ),
        (
            {"percent": "5", "everything": True, "tag": ["a"]},
            ["--all already means every variant: leave out the other targets, or --all"],
        ),
        ({"percent": "100", "everything": True}, ["--percent: must be less than 100, not 100"]),
        ({"percent": "abc", "everything": True}, ["--percent: is not a number"]),
        ({"amount": "-1", "everything": True}, ["--amount: must be more than 0, not -1"]),
        ({"percent": "5", "product": [0]}, ["--product: must be at least 1, not 0"]),
        ({"percent": "5", "everything": True, "exclude_type": [""]}, ["--exclude-type: must not be empty"]),
    ],
)
def test_what_is_wrong_is_said_by_option(options: dict[str, Any], expected: list[str]) -> None:
    """One line for each problem, none for what follows from another."""
    assert [line.replace('"', "") for line in refused(SaleOptions(**options))] == [
        line.replace('"', "") for line in expected
    ]


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Name, numbers, times and files."""
    empty = tmp_path / "none.txt"
    empty.write_text("# nothing\n\n")
    lines = refused(
        SaleOptions(round_to="0", ends="soon", skus=empty, exclude_skus=tmp_path / "missing.txt"), name="Tết 2027"
    )
    assert {line.partition(":")[0] for line in lines} == {
        "--skus",
        "--exclude-skus",
        "give either --percent or --amount",
        "NAME",
        "--round-to",
        "--ends",
    }


def test_a_command_takes_each_option_by_itself() -> None:
    """typer sees all of them, before the command's own; the command gets them together."""
    got: list[tuple[str, SaleOptions, bool]] = []
    app = Commands()

    @app.command(cls=SaleCommand)
    def make(context: CommandContext, name: str, flag: Annotated[bool, typer.Option("--flag")] = False) -> None:
        """Make one."""
        got.append((name, given_options(context), flag))

    app(["tet", "--tag", "a", "--tag", "b", "--from", "price", "--all", "--flag"], standalone_mode=False)
    app(["bare"], standalone_mode=False)
    options = SaleOptions(tag=["a", "b"], discount_from=DiscountFrom.PRICE, everything=True)
    assert got[0] == ("tet", options, True)
    assert got[0][1].are_given
    assert (got[1][0], got[1][1].are_given, got[1][2]) == ("bare", False, False)


@given(st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=20), st.data())
def test_variants_are_named_one_by_one_or_with_commas(ids: list[int], data: st.DataObject) -> None:
    """However they are spread over options."""
    cut = data.draw(st.integers(0, len(ids)))
    texts = [",".join(map(str, part)) for part in (ids[:cut], ids[cut:]) if part]
    assert read_variants("--keep", texts) == ids


def test_variants_may_be_all_and_nothing_else() -> None:
    """All is no id beside others; no option is all, too, but then there is no decision."""
    assert read_variants("--keep", ["ALL"]) is None
    assert read_variants("--keep", []) is None
    for wrong in (["all", "7"], ["sku-1"], ["-7"], ["٧"]):
        with pytest.raises(typer.BadParameter):
            read_variants("--keep", wrong)


class Terminal:
    """Standard input that is one."""

    def isatty(self) -> bool:
        """It is."""
        return True

    def readline(self) -> str:
        """Nobody types."""
        raise AssertionError("asked")


def test_nobody_is_asked_after_a_yes_or_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """--yes holds at a terminal; where there is none, only what happens at once needs it."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    prompts.confirm_change("Sure?", yes=True, is_at_once=True)
    with open("/dev/null") as nobody:  # noqa: PTH123 - as a shell does it
        monkeypatch.setattr(sys, "stdin", nobody)
        prompts.confirm_change("Sure?", yes=True, is_at_once=True)
        prompts.confirm_change("Sure?", yes=False, is_at_once=False)
        with pytest.raises(typer.BadParameter, match="add --yes"):
            prompts.confirm_change("Sure?", yes=False, is_at_once=True)
