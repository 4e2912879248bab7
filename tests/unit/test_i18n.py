"""Which language is spoken when, and how times and numbers are written in it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from daemon.i18n import Language, configure, gettext, language, mark, moment, ngettext, number_text, spoken, stored

LOST = "The connection to the database was lost"
LOST_IN_VIETNAMESE = "Mất kết nối cơ sở dữ liệu"
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
NIGHT = datetime(2026, 11, 29, 19, 14, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    """What is configured is the process's."""
    yield
    configure(Language.ENGLISH)


def test_the_configured_language_is_spoken_unless_another_one_is_asked_for() -> None:
    """A request in English is answered in English by a daemon that is configured to speak Vietnamese."""
    assert gettext(LOST) == LOST
    configure(Language.VIETNAMESE)
    assert gettext(LOST) == LOST_IN_VIETNAMESE
    with spoken(Language.ENGLISH):
        assert gettext(LOST) == LOST
    assert language() is Language.VIETNAMESE


def test_an_unknown_text_is_said_as_it_is() -> None:
    """Such as one of a source."""
    with spoken(Language.VIETNAMESE):
        assert gettext("SKU not found (ERR_1)") == "SKU not found (ERR_1)"


def test_vietnamese_has_one_form() -> None:
    """One price and two prices are said alike."""
    with spoken(Language.VIETNAMESE):
        texts = {ngettext("{n} price set", "{n} prices set", n) for n in (0, 1, 2)}
    assert texts == {"đã đặt {n} giá bán"}


def test_stored_texts_are_looked_up_when_they_are_shown() -> None:
    """What was stored as it was marked is in the reader's language; what has values in it stays as it was written."""
    kept = mark("started by a person")
    with spoken(Language.VIETNAMESE):
        assert stored(kept) == "được người bắt đầu"
        assert stored("on sale: 3 variants") == "on sale: 3 variants"
        assert stored("") == ""
        assert stored(None) is None
    assert stored(kept) == kept


def test_times_and_numbers_are_written_as_the_language_does() -> None:
    """A day comes before its month; what separates thousands differs."""
    assert (moment(NIGHT, HANOI), number_text(1_234_567)) == ("30 Nov 2026 02:14:05", "1,234,567")
    with spoken(Language.VIETNAMESE):
        assert (moment(NIGHT, HANOI), number_text(1_234_567)) == ("02:14:05 30/11/2026", "1.234.567")
