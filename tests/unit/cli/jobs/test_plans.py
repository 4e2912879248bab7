"""What matching and syncing come to, as text."""

from typing import Any

import pytest

from daemon.cli.jobs import plans
from daemon.jobs.model import Job
from tests.support.records import record_of


def job(**metadata: Any) -> Any:
    return record_of(Job, {"metadata": metadata, "status": "COMPLETED"})


def test_figures_come_in_one_line_in_a_fixed_order() -> None:
    """Nested ones are listed by name; what is no figure is left out."""
    done = job(left_alone={"untracked": 3}, pages=7, stock_changes=1200, zeroed=0, waiting=None, tiers={})
    assert plans.figures(done) == "1,200 stock changes, 0 zeroed, left alone: 3 untracked"
    assert plans.figures(job(pages=7)) == ""


def test_a_sample_is_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason comes last, whatever order the database gave; nothing steers the terminal."""
    row = {"reason": "Nhanh.vn has 0", "new": "0", "old": "7", "sku": "A\x1b[2J", "kind": "stock", "variant_id": 5}
    plans.write_plan(job(stock_changes=1, would_ask="Zero 30 items?", sample=[row, {**row, "old": None}]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["1 stock changes", "It would ask first: Zero 30 items?"]
    assert lines[3].split() == ["VARIANT", "ID", "SKU", "KIND", "OLD", "NEW", "REASON"]
    assert lines[4].split() == ["5", r"A\x1b[2J", "stock", "7", "0", "Nhanh.vn", "has", "0"]
    assert lines[5].split()[3] == "–"


def test_samples_of_several_kinds_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """As matching makes them; nothing is written for a job that has no such thing."""
    plans.write_plan(job(sample={"matched": [{"variant_id": 1}], "ambiguous": [{"nhanh_ids": [1, 2]}], "moved": []}))
    text = capsys.readouterr().out
    assert "matched:\nVARIANT ID\n1\n" in text
    assert "ambiguous:\nNHANH IDS\n[1, 2]\n" in text
    assert "moved" not in text
    plans.write_plan(job(pages=1))
    assert capsys.readouterr().out == ""


def test_what_was_left_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples of what it left alone, by reason."""
    plans.write_plan(job(left_alone_examples={"vat_unknown": ["AO-1", "AO-2"]}))
    assert "Left alone (vat unknown): AO-1, AO-2" in capsys.readouterr().out
