"""Why a mapping ended is stored in English, and read in any language."""

import re
from itertools import chain
from pathlib import Path

import pytest

from daemon.i18n import Language, spoken
from daemon.sync import matching
from daemon.sync.matching.reasons import in_words

SOURCES = sorted(Path(str(matching.__file__)).parent.glob("*.py"))
# What is stored as a reason: `format('…'` of the statements, and what `Decisions` puts into them.
STORED = re.compile(
    r"""(?:format\(\s*|source, |phone,\s*|retired_reason = |replaced=|overruled=)['"]([a-z][^'"{]* [^'"]*)['"]"""
)
REASONS = sorted(set(chain.from_iterable(STORED.findall(source.read_text("utf-8")) for source in SOURCES)))


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_known(reason: str) -> None:
    """A statement that retires a mapping for another reason must be told of in `reasons.py`."""
    written = reason.replace("{word}", "SKU").replace("the %s %s", "the SKU %s").replace("the %s of", "the SKUs of")
    stored = written.replace("%s", "42")
    assert in_words(stored) == stored
    with spoken(Language.VIETNAMESE):
        assert in_words(stored) != stored


def test_others_stay_as_they_are() -> None:
    """Such as those of a release that knew more of them."""
    with spoken(Language.VIETNAMESE):
        assert in_words("the moon was full") == "the moon was full"
        assert in_words(None) is None
