"""Keys of SKUs and barcodes: what people take for one is one, and nothing else is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mirror.keys import match_key

forms = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
blanks = st.sampled_from(["", " ", "\t", "\u00a0", "\u200b", "\ufeff", "\u3000"])


@pytest.mark.parametrize(
    "text", ["Áo-01 ", "áo-01", "A\u0301O\u00a0-01", "ÁO\u200b-01", "\ufeffáo -０１", "áo-\u00ad01"]
)
def test_spellings_of_one_sku_have_one_key(text: str) -> None:
    """Case, space, characters without width and Unicode form tell no two SKUs apart."""
    assert match_key(text) == "áo-01"


@pytest.mark.parametrize("text", [None, "", "  ", "\u200b\ufeff", "\u00a0\t\n"])
def test_nothing_has_no_key(text: str | None) -> None:
    """What is empty to the eye matches nothing, not even another that is empty."""
    assert match_key(text) is None


@pytest.mark.parametrize("other", ["ao-01", "áo-1", "áo01", "áo_01", "áo-01-"])
def test_different_skus_have_different_keys(other: str) -> None:
    """Accents, zeros and punctuation do tell SKUs apart."""
    assert match_key(other) != match_key("áo-01")


@given(text=st.text(max_size=20), form=forms, before=blanks, after=blanks)
def test_key_does_not_depend_on_the_form(text: str, form: str, before: str, after: str) -> None:
    """Any text has the key of its other Unicode forms, with or without blanks around it."""
    assert match_key(f"{before}{unicodedata.normalize(form, text)}{after}") == match_key(text)
