"""Mappings as a CSV file that spreadsheets read and write: one row a variant, with the product that it is.

Spreadsheets leave their marks: a byte order mark or UTF-16, semicolons or tabs for commas, a first line `sep=;`, ids
shortened to 4.4E+13. What can be understood is taken; for the rest the message says what to do.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.api.mappings import Mapping
from daemon.cli.render.output import EXCEL_MARK
from daemon.errors import DongboError, ExitCode
from daemon.texts import visible

COLUMNS = ("variant_id", "sku", "title", "nhanh_id", "nhanh_code", "nhanh_name", "source", "state", "candidates")
EXCLUDE = "exclude"
DELIMITERS = (",", ";", "\t")
# A cell that begins like this would be run (OWASP, CSV injection). Written after an apostrophe, as spreadsheets do.
RUN = ("=", "+", "-", "@", "\t", "\r")
APOSTROPHE = "'"
SHORTENED = re.compile(r"\d([.,]\d+)?[eE]\+?\d+")
ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


class MappingFileError(DongboError):
    """The file can't be used as it is; one line for each problem, with file and line."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class CsvDecision:
    """A line of the file that decides about a variant.

    Args:
        line: in the file, from 1.
        variant: as `POST /api/mappings/resolve` takes it.
        product: likewise; None: the variant is excluded.
    """

    line: int
    variant: str
    product: str | None


def write_mappings(mappings: Iterable[Mapping]) -> str:
    """The mappings as CSV, with the mark that lets Excel read Vietnamese."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for mapping in mappings:
        writer.writerow([_harmless(cell) for cell in _cells(mapping)])
    return EXCEL_MARK + text.getvalue()


def read_decisions(path: Path) -> tuple[list[CsvDecision], int]:
    """The lines that decide something, and how many decide nothing.

    Raises MappingFileError with every line that is wrong.
    """
    problems: list[str] = []
    decisions: list[CsvDecision] = []
    empty = 0
    for line, row in _rows(path):
        try:
            decision = _decision(line, row)
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
            continue
        if decision is None:
            empty += 1
        else:
            decisions.append(decision)
    if problems:
        raise MappingFileError("\n".join(problems))
    return decisions, empty


def _cells(mapping: Mapping) -> list[str]:
    # A retired mapping no longer holds: read back, its line must decide nothing.
    product = mapping.nhanh_id if mapping.state == "mapped" else None
    return [
        str(mapping.variant_id),
        mapping.sku or "",
        mapping.variant_title or "",
        EXCLUDE if mapping.state == "excluded" else str(product or ""),
        (mapping.nhanh_code or "") if product else "",
        (mapping.nhanh_name or "") if product else "",
        mapping.source or "",
        mapping.state,
        " ".join(map(str, mapping.candidates)),
    ]


def _harmless(cell: str) -> str:
    return f"{APOSTROPHE}{cell}" if cell.startswith((*RUN, APOSTROPHE)) else cell


def _restored(cell: str) -> str:
    bare = cell.strip().removeprefix(APOSTROPHE)
    return bare if bare.startswith((*RUN, APOSTROPHE)) else cell.strip()


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines below the header by column, with their numbers."""
    text = _text(path)
    lines = text.splitlines(keepends=True)
    skipped = 1 if lines and lines[0].lower().startswith("sep=") else 0
    if not lines[skipped:]:
        raise MappingFileError(f"{path}: the file is empty; `dongbo map export {path}` writes one to start from")
    header_line = lines[skipped]
    delimiter = max(DELIMITERS, key=header_line.count)
    reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), delimiter=delimiter, strict=True)
    begin = skipped + 1
    try:
        header = [visible(name).strip().lower() for name in next(reader)]
        _check_header(path, begin, header)
        begin = skipped + reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin, dict(zip(header, map(_restored, cells), strict=False))
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        raise MappingFileError(f"{path}:{begin}: this is not valid CSV: {error}") from None


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MappingFileError(f"{path}: can't be read: {error.strerror}") from None
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise MappingFileError(f'{path}:{line}: this is not UTF-8: save the file as "CSV UTF-8"') from None


def _check_header(path: Path, line: int, header: list[str]) -> None:
    if not {"variant_id", "sku"} & set(header) or not {"nhanh_id", "nhanh_code"} & set(header):
        raise MappingFileError(
            f"{path}:{line}: the first line must name the columns: variant_id or sku, and nhanh_id or nhanh_code"
        )
    twice = sorted({name for name in header if name in COLUMNS and header.count(name) > 1})
    if twice:
        raise MappingFileError(f"{path}:{line}: the column {', '.join(twice)} is named twice")


def _decision(line: int, row: dict[str, str]) -> CsvDecision | None:
    """What a line decides; None where it names no product. Raises ValueError with what is wrong."""
    variant = _meaning(row, "variant_id", "sku")
    is_excluded = EXCLUDE in (visible(row.get(name, "")).strip().lower() for name in ("nhanh_id", "nhanh_code"))
    product = None if is_excluded else _meaning(row, "nhanh_id", "nhanh_code")
    if product is None and not is_excluded:
        return None
    if variant is None:
        raise ValueError("it does not name a variant: fill in variant_id or sku")
    return CsvDecision(line, variant, product)


def _meaning(row: dict[str, str], column: str, other: str) -> str | None:
    """What the column of ids says, else the other one."""
    number, key = visible(row.get(column, "")).strip(), row.get(other, "")
    if not number:
        return f"sku:{key}" if key else None
    if SHORTENED.fullmatch(number):
        raise ValueError(
            f"{column} {number} was shortened by a spreadsheet: format the column as text and enter the whole id, "
            f"or empty the cell, so that {other} counts"
        )
    if not ID.fullmatch(number):
        raise ValueError(f"{column} {number} is not an id: enter a number, or empty the cell, so that {other} counts")
    return f"id:{number}"
