"""What is sought, as patterns: phone numbers in whatever way they are written, and wildcards that are none."""

import pytest

from daemon.mirror.search_texts import Sought, holds


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("0912345678", ["912345678"]),
        ("+84912345678", ["912345678"]),
        ("84912345678", ["912345678"]),
        ("0912.345.678", ["912345678"]),
        ("(091)2345678", ["912345678"]),
        ("345678", ["345678"]),
        ("0912", ["0912"]),
        ("an", ["an"]),
    ],
)
def test_phone_numbers_are_sought_without_what_may_stand_before_them(phrase: str, words: list[str]) -> None:
    """A number with 0 is found where it is kept with +84, and the other way round."""
    assert Sought(phrase, [phrase]).with_bare_numbers.words == words


def test_a_name_with_a_number_is_both() -> None:
    """Only words that are numbers are taken for numbers."""
    assert Sought("an0912345678", ["0912345678", "an"]).with_bare_numbers.words == ["912345678", "an"]


def test_wildcards_are_sought_themselves() -> None:
    """Who looks for 100% does not mean anything that begins with 100."""
    sought = Sought("100%_\\", ["100%_\\"])
    assert sought.parts == ["%100\\%\\_\\\\%"]
    assert sought.beginning == "%|100\\%\\_\\\\%"


def test_all_words_are_parameters() -> None:
    """None stands in the statement itself."""
    assert holds(2, first=5) == "text LIKE $5 AND text LIKE $6"
