"""The rows in a backup are counted right, however its script is cut into pieces."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.database.archive import RowCounter, clients_for
from daemon.errors import BackupError

# What COPY writes for a value: a backslash is doubled, so that no line of data is the end of one.
VALUES = st.sampled_from(
    ["", "1", "\\\\.", "\\\\", "\\.x", "đồng bộ", "COPY dongbo.other (id) FROM stdin;", "\\N", "x" * 300]
)
TABLES = st.dictionaries(st.sampled_from(["pushes", "jobs", "Odd"]), st.lists(VALUES, max_size=12), max_size=3)


@given(tables=TABLES, cuts=st.integers(1, 40))
def test_rows_are_counted_in_pieces_of_any_size(tables: dict[str, list[str]], cuts: int) -> None:
    """Neither the cuts nor the data, whatever it looks like, change the counts."""
    script = "\\restrict x\nSET statement_timeout = 0;\n\n"
    for name, values in tables.items():
        shown = f'"{name}"' if name.istitle() else name
        script += f"COPY dongbo.{shown} (id, text) FROM stdin;\n"
        script += "".join(f"{value}\n" for value in values)
        script += "\\.\n\n\nSELECT pg_catalog.setval('dongbo.x', 1);\n"
    counter, source = RowCounter(), io.BytesIO(script.encode())
    while piece := source.read(cuts):
        counter.feed(piece)
    assert counter.rows == {name: len(values) for name, values in tables.items()}


@pytest.mark.parametrize("content", [b"", b"PGDMP", b"SELECT 1;\n", b"\x1f\x8b" + bytes(100)])
async def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is told by its first bytes."""
    file = tmp_path / "some.file"
    file.write_bytes(content)
    with pytest.raises(BackupError, match=r"some\.file is no backup"):
        await clients_for(file, local=True)


async def test_missing_file_is_named(tmp_path: Path) -> None:
    """Not found is not the same as not a backup."""
    with pytest.raises(BackupError, match=r"gone\.dump can't be read: No such file or directory"):
        await clients_for(tmp_path / "gone.dump", local=True)
