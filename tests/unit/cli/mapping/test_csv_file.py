"""Mappings as CSV: what a spreadsheet makes of a file is understood, or refused with its line."""

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.api.mappings import Mapping
from daemon.cli.mapping.csv_file import EXCLUDE, CsvDecision, MappingFileError, read_decisions, write_mappings
from tests.support.records import record_of


def mapping(**changes: Any) -> Any:
    return record_of(
        Mapping,
        {
            "state": "mapped",
            "variant_id": 44123456789012,
            "sku": "ÁO-01",
            "variant_title": "Áo thun / Đỏ",
            "nhanh_id": 77,
            "nhanh_code": "ao-01",
            "nhanh_name": "Áo thun đỏ",
            "source": "sku",
            "note": None,
            "candidates": [],
            "reason": None,
            **changes,
        },
    )


def read(directory: Path, content: str | bytes) -> tuple[list[CsvDecision], int]:
    path = directory / "m.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_decisions(path)


def problems(directory: Path, content: str | bytes) -> list[str]:
    with pytest.raises(MappingFileError) as caught:
        read(directory, content)
    return [line.removeprefix(f"{directory}/") for line in str(caught.value).splitlines()]


def test_an_export_has_the_mark_that_excel_needs_and_all_columns() -> None:
    """Without the byte order mark Excel shows rubbish for Vietnamese."""
    text = write_mappings([mapping(), mapping(state="ambiguous", nhanh_id=None, source=None, candidates=[7, 8])])
    assert text.startswith("\ufeffvariant_id,sku,title,nhanh_id,nhanh_code,nhanh_name,source,state,candidates\r\n")
    assert "44123456789012,ÁO-01,Áo thun / Đỏ,77,ao-01,Áo thun đỏ,sku,mapped,\r\n" in text
    assert text.endswith(",,,,ambiguous,7 8\r\n")


def test_an_export_read_again_says_what_holds(tmp_path: Path) -> None:
    """Mapped lines name their product, excluded ones the word, and all others decide nothing."""
    states = [
        mapping(variant_id=1),
        mapping(variant_id=2, state="excluded", nhanh_id=None),
        mapping(variant_id=3, state="unmatched", nhanh_id=None),
        mapping(variant_id=4, state="retired", nhanh_id=9),
    ]
    assert read(tmp_path, write_mappings(states)) == (
        [CsvDecision(2, "id:1", "id:77"), CsvDecision(3, "id:2", None)],
        2,
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, encoding: str, delimiter: str, newline: str) -> None:
    """Delimiter, mark and line ends differ by program and country."""
    lines = [["SKU", " Nhanh_ID "], ["ÁO-01", "77"], ["ÁO;02", "exclude"], ["", ""]]
    quoted = [delimiter.join(f'"{cell}"' for cell in line) for line in lines]
    assert read(tmp_path, newline.join(quoted).encode(encoding)) == (
        [CsvDecision(2, "sku:ÁO-01", "id:77"), CsvDecision(3, "sku:ÁO;02", None)],
        0,
    )


def test_the_line_that_names_the_separator_is_skipped(tmp_path: Path) -> None:
    """Excel writes it, and counts it."""
    assert read(tmp_path, "sep=;\nsku;nhanh_code\nA;B\n") == ([CsvDecision(3, "sku:A", "sku:B")], 0)


def test_every_wrong_line_is_told_at_once_with_its_number(tmp_path: Path) -> None:
    """Lines count as an editor shows them, also behind a cell of several lines."""
    content = (
        "variant_id,sku,title,nhanh_id,nhanh_code\n"
        '1,A,"two\nlines",77,\n'
        "4.4123E+13,A,,77,\n"
        "1,A,,x7,\n"
        ",,,77,\n"
        '"4,41E+13",,,exclude,\n'
    )
    assert problems(tmp_path, content) == [
        "m.csv:4: variant_id 4.4123E+13 was shortened by a spreadsheet: format the column as text and enter the whole "
        "id, or empty the cell, so that sku counts",
        "m.csv:5: nhanh_id x7 is not an id: enter a number, or empty the cell, so that nhanh_code counts",
        "m.csv:6: it does not name a variant: fill in variant_id or sku",
        "m.csv:7: variant_id 4,41E+13 was shortened by a spreadsheet: format the column as text and enter the whole "
        "id, or empty the cell, so that sku counts",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"sep=;\n", "the file is empty"),
        (b"a,b\n1,2\n", "m.csv:1: the first line must name the columns"),
        (b"sku,sku,nhanh_id\n", "m.csv:1: the column sku is named twice"),
        ("sku,nhanh_id\nÁo,1\n".encode("cp1258"), "m.csv:2: this is not UTF-8"),
        (b'sku,nhanh_id\n"A,1\n', "m.csv:2: this is not valid CSV"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """With what to do about it."""
    (problem,) = problems(tmp_path, content)
    assert said in problem


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """No stack trace."""
    with pytest.raises(MappingFileError, match="can't be read: No such file"):
        read_decisions(tmp_path / "none.csv")


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(sku=WORDS | st.just("'=1"), title=WORDS, code=WORDS.filter(lambda text: text.lower() != EXCLUDE))
def test_no_cell_runs_as_a_formula_and_all_come_back(tmp_path: Path, sku: str, title: str, code: str) -> None:
    """A title that begins with = would be run by the spreadsheet."""
    text = write_mappings([mapping(sku=sku, variant_title=title, nhanh_code=code)])
    (row,) = list(csv.reader(text.splitlines()[1:]))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    without_ids = text.replace("variant_id", "number").replace("nhanh_id", "product")
    assert read(tmp_path, without_ids) == ([CsvDecision(2, f"sku:{sku}", f"sku:{code}")], 0)
