"""The file of a bulk operation: every line once, in no order, on disk."""

import random
from itertools import pairwise

import pytest

from daemon.sandbox.shopify.bulk_file import BUCKETS, HELD_BYTES, BulkFile

LINES = [f"line {number} {'x' * 500}".encode() for number in range(20_000)]


def gathered(lines: list[bytes], *, grouped: bool, limit: int | None = None) -> list[bytes]:
    """The lines as they are in the file."""
    file = BulkFile(random.Random(7), grouped=grouped)
    for line in lines:
        file.add(line)
    for _ in file.gather(limit):
        pass
    content = file.read(0, file.size)
    assert len(content) == file.size
    file.close()
    return content.splitlines()


def test_each_line_is_there_once_in_no_order() -> None:
    """More than is held in memory."""
    assert sum(map(len, LINES)) > BUCKETS * HELD_BYTES
    found = gathered(LINES, grouped=False)
    assert found != LINES
    assert sorted(found) == sorted(LINES)
    assert sum(one < other for one, other in pairwise(found)) < 0.6 * len(LINES)


def test_grouped_lines_stay_in_order() -> None:
    """As they were added."""
    assert gathered(LINES, grouped=True) == LINES


@pytest.mark.parametrize("grouped", [False, True])
def test_a_part_of_the_lines(grouped: bool) -> None:
    """So many, and each of them whole."""
    found = gathered(LINES, grouped=grouped, limit=12_345)
    assert len(set(found) & set(LINES)) == len(found) == 12_345


def test_nothing() -> None:
    """No lines, no bytes."""
    assert gathered([], grouped=False) == []
