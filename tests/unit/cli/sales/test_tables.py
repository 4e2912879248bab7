"""Campaigns, their variants and previews as text."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.api.sales import SaleDetail, SaleItem, SalePreview
from daemon.cli.sales import previews, reports, tables, wording
from daemon.errors import ExitCode
from tests.support.records import record_of

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def campaign(**changes: Any) -> Any:
    return record_of(
        SaleDetail,
        {
            "id": "01a20aea-7fc6-7935-acf5-a9a11e77aca5",
            "store": "main",
            "name": "tet",
            "origin": "file",
            "state": "ACTIVE",
            "definition": {"name": "tet", "store": "main", "percent": "20", "targets": {"tags": ["a"]}},
            "starts_at": "2027-01-28T13:00:00Z",
            "ends_at": None,
            "is_cancelled": False,
            "notice": None,
            "variants": 1200,
            "overdue": {"start_seconds": 0.0, "end_seconds": 0.0},
            "counts": {"APPLIED": 1180, "SKIPPED": 20, "REFUSED": 0},
            "drifting": 0,
            "times": {
                "first_applied": "2027-01-28T13:00:01Z",
                "last_applied": "2027-01-28T13:02:05Z",
                "first_reverted": None,
                "last_reverted": None,
                "last_verified": None,
            },
            "late": {
                "first_on_sale_seconds": 1.0,
                "last_on_sale_seconds": 125.0,
                "first_restored_seconds": None,
                "last_restored_seconds": None,
            },
            "events": [{"state": "ACTIVE", "detail": "on sale\x1b[2J", "at": "2027-01-28T13:02:05Z"}],
            **changes,
        },
    )


def item(**changes: Any) -> Any:
    return record_of(
        SaleItem,
        {
            "variant_id": 42,
            "sku": "A\x1b[2J",
            "title": "Áo",
            "state": "DRIFTED",
            "base_price": "100000",
            "base_compare_at_price": None,
            "sale_price": "80000",
            "sale_compare_at_price": "100000",
            "found_price": "70000.5",
            "found_compare_at_price": None,
            "note": None,
            "applied_at": "2027-01-28T13:00:01Z",
            "closed_at": None,
            **changes,
        },
    )


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"percent": "20"}, "20% off the compare-at price where it is above the price"),
        (
            {"amount": "50000", "discount_from": "price", "round_to": "1000", "ending": "900", "floor": "12.5"},
            "50,000 off the price, rounded down to 1,000, ending in 900, never below 12.5",
        ),
    ],
)
def test_a_discount_in_words(definition: dict[str, str], words: str) -> None:
    """Only what differs from the defaults is said."""
    assert wording.discount(definition) == words


def test_targets_in_words() -> None:
    """Long lists are cut, with the number of the rest."""
    assert wording.selection({"all": True}) == "all variants"
    assert wording.selection({}) == "-"
    chosen = {"skus": [f"S{number}" for number in range(1205)], "collections": ["tet"]}
    assert wording.selection(chosen) == "collections tet; SKUs S0, S1, S2, S3, S4 and 1,200 more"


def test_lateness_has_a_direction() -> None:
    """A person may end a campaign early."""
    assert [wording.lateness(seconds) for seconds in (None, 0.25, -75)] == ["", " (0.2 s late)", " (1:15 early)"]


def test_a_campaign_starts_at_once_without_a_start_and_with_one_that_has_passed() -> None:
    """These need a yes."""
    now = datetime.now(UTC)
    assert wording.starts_at_once({})
    assert wording.starts_at_once({"starts": None})
    assert wording.starts_at_once({"starts": (now - timedelta(seconds=1)).isoformat()})
    assert not wording.starts_at_once({"starts": (now + timedelta(minutes=1)).isoformat()})


def test_one_campaign_has_planned_and_actual_times(capsys: pytest.CaptureFixture[str]) -> None:
    """In the shop's zone, with the lateness of first and last; nothing steers the terminal."""
    tables.write_one(campaign(), [], ZONE)
    shown = capsys.readouterr()
    lines = {line[:9].strip(): line[9:].strip() for line in shown.out.splitlines()}
    assert lines["starts"] == "2027-01-28 20:00:00"
    assert lines["on sale"] == "first 2027-01-28 20:00:01 (1.0 s late), last 2027-01-28 20:02:05 (2:05 late)"
    assert (lines["ends"], lines["restored"], lines["overdue"]) == ("-", "-", "-")
    assert lines["variants"] == "1,200: 1,180 APPLIED, 20 SKIPPED"
    assert lines["from"] == "the configuration file"
    assert "\x1b" not in shown.out
    assert shown.err == ""


def test_what_is_overdue_is_loud(capsys: pytest.CaptureFixture[str]) -> None:
    """In the list and with the one, also beside a notice."""
    late = campaign(
        state="SCHEDULED", overdue={"start_seconds": 75.0, "end_seconds": 0.0}, notice="removed", drifting=3
    )
    tables.write_list([late], ZONE)
    assert capsys.readouterr().out.splitlines()[1].endswith("start overdue by 1:15; removed")
    tables.write_one(late, [], ZONE)
    out = capsys.readouterr().out
    assert "start overdue by 1:15\n" in out
    assert "; 3 with a different price\n" in out


def test_drifted_variants_have_both_values(capsys: pytest.CaptureFixture[str]) -> None:
    """And the commands that decide; where there are more, how to see them."""
    waiting = campaign(state="NEEDS_ATTENTION", counts={"DRIFTED": 30, "STUCK": 1}, notice="decide")
    tables.write_one(waiting, [item()], ZONE)
    shown = capsys.readouterr()
    row = shown.out.splitlines()[-1]
    assert row.split() == ["42", r"A\x1b[2J", "Áo", "100,000", "80,000", "(100,000)", "70,000.5"]
    assert "These are the first 1 of 30: dongbo sale show tet --store main --items DRIFTED" in shown.err
    for option in ("--keep all", "--restore all", ""):
        assert f"dongbo sale resume tet --store main {option}".rstrip() in shown.err


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("DRAFT", "dongbo sale apply tet --store main"),
        ("APPLYING", "dongbo jobs watch"),
        ("ACTIVE", None),
        ("COMPLETED", None),
    ],
)
def test_what_to_do_next_depends_on_the_state(state: str, command: str | None) -> None:
    """Nothing where nothing is to be done."""
    steps = " ".join(wording.next_steps(campaign(state=state, counts={})))
    assert (command in steps) if command else steps == ""


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("SCHEDULED", "sale tet of main is SCHEDULED: 1,200 variants, from 2027-01-28 20:00:00 until a person ends it"),
        ("REVERTING", "sale tet of main is REVERTING: 1,200 variants"),
        ("CANCELLED", "sale tet of main is CANCELLED"),
    ],
)
def test_an_outcome_in_one_line(state: str, line: str) -> None:
    """After something was asked of a campaign."""
    assert wording.outcome(campaign(state=state), ZONE) == line


def preview(rows: int) -> Any:
    row = {
        "variant_id": 42,
        "product_id": 7,
        "sku": None,
        "title": "Áo",
        "price": "100000",
        "compare_at_price": None,
        "new_price": None,
        "new_compare_at_price": None,
        "skipped": "its price is 0",
        "conflict": None,
        "is_held": False,
    }
    return record_of(
        SalePreview,
        {
            "definition": {"percent": "20", "targets": {"all": True}, "excludes": {"tags": ["x"]}},
            "totals": {
                "variants": rows,
                "on_sale": 0,
                "skipped": rows,
                "conflicts": 0,
                "old_total": "0",
                "new_total": "0",
                "average_discount_percent": None,
            },
            "skipped": {"its price is 0": rows},
            "conflicts": {},
            "unmatched": {"targets": {"skus": ["AO-9"]}, "excludes": {"tags": ["x"]}},
            "items": [row | {"variant_id": number} for number in range(rows)],
        },
    )


def test_a_preview_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The totals are those of all."""
    previews.write(preview(60), ZONE, rows=50)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:8] == [
        "20% off the compare-at price where it is above the price",
        "from now until a person ends it",
        "for all variants",
        "except tags x",
        "0 of 60 variants on sale: 0 → 0",
        "60 skipped: its price is 0",
        "targets that match nothing in the shop: SKUs AO-9",
        "excludes that match nothing in the shop: tags x",
    ]
    assert len(shown.out.splitlines()) == 8 + 1 + 1 + 50
    assert "first 50 of 60" in shown.err
    previews.write(preview(50), ZONE, rows=50)
    assert capsys.readouterr().err == ""
    previews.say(preview(0), ZONE)
    assert capsys.readouterr().out == ""


def test_a_report_that_can_t_be_written_is_no_crash(tmp_path: Any) -> None:
    """The message names the file; a table has the mark that Excel needs, once."""
    with pytest.raises(reports.ReportFileError, match=r"r\.csv: can't be written") as caught:
        reports.save(b"", tmp_path / "no" / "r.csv", is_table=True)
    assert caught.value.exit_code == ExitCode.FAILED
    for content in (b"a", b"\xef\xbb\xbfa"):
        reports.save(content, tmp_path / "r.csv", is_table=True)
        assert (tmp_path / "r.csv").read_bytes() == b"\xef\xbb\xbfa"
    reports.save(b"{}", tmp_path / "r.json", is_table=False)
    assert (tmp_path / "r.json").read_bytes() == b"{}"
