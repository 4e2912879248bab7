"""Keys of SKUs and barcodes: what people take for one is one, and nothing else is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mirror.keys import LONGEST_KEY, match_key, why_no_key
from daemon.texts import unaccented, visible

forms = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
blanks = st.sampled_from(
    ["", " ", "\t", "\u00a0", "\u200b", "\ufeff", "\u3000", "\u202a", "\u202c", "\ufe0f", "\u2063"]
)


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


# Other_Default_Ignorable_Code_Point and Variation_Selector of Unicode 16 (PropList.txt), first and last.
IGNORABLE = [
    (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
]  # fmt: skip


def test_all_that_nobody_sees_is_dropped_from_keys() -> None:
    """Every format character and default-ignorable code point that Unicode has, and every control character."""
    unseen = {char for char in map(chr, range(0x110000)) if unicodedata.category(char) in ("Cf", "Cc")}
    unseen |= {chr(code) for first, last in IGNORABLE for code in range(first, last + 1)}
    assert {char for char in unseen if match_key(f"áo{char}-01") != "áo-01"} == set()
    assert {char for char in unseen if not char.isspace() and visible(f"áo{char} 01") != "áo 01"} == set()


PLACEHOLDERS = [
    "N/A", "n.a.", "NA", "#N/A", "NaN", "none", "NONE", "null", "(null)", "nil", "Unknown", "undefined", "no sku",
    "NO BARCODE", "without barcode", "Does not apply", "not available", "không", "KHÔNG", "khong", "không có",
    "Không Có Mã", "ko", "ko có", "chưa có", "Chưa có mã vạch", "chưa cập nhật", "đang cập nhật", "trống", "thử",
    "-", "--", ".", "...", "?", "/", "_", "*", "x", "X", "xxx", "0", "00", "0.00", "0,00E+00", "0000000000000", "０",
    "٠", "1111111111111", "aaaaaa", "123456", "1234567890123", "0123456789", "test", "Testing", "TBD", "t.b.d.",
    "TBA", "todo", "sku", "Barcode", "mã vạch", "#REF!", "8.93E+12", "8,93E+12", "Default Title",
    "\u200bN\u00a0/ A", "nǎ", "không xác định", "Chưa có thông tin", "hàng không có mã", "chờ cập nhật", "mặc định",
    "not specified", "no data", "to be determined", "null-null", "N/A - N/A", "none/none/none", "没有",
]  # fmt: skip


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_placeholder_is_no_key_and_says_why(text: str) -> None:
    """What stands for "nothing" tells no goods apart, however it is written."""
    assert match_key(text) is None
    assert why_no_key(text) in ("is a placeholder", "was shortened by a spreadsheet", "is an error of a spreadsheet")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "1",
        "12",
        "1234",
        "0123",
        "k",
        "x1",
        "TEST01",
        "N-A1",
        "AO-00",
        "noma",
        "8936000000001",
        "1E5",
        "thun",
        "nana",
        "papa-papa",
        "cho",
        "đang-01",
        "áo",
    ],
)
def test_short_and_simple_codes_are_keys(text: str) -> None:
    """Only what is certain to be none is refused."""
    assert match_key(text) is not None
    assert why_no_key(text) is None


def test_what_is_too_long_is_no_key() -> None:
    """An index can't hold it."""
    assert match_key("a1" * LONGEST_KEY) is None
    assert why_no_key("a1" * LONGEST_KEY) == "is longer than 255 characters"
    assert why_no_key(" ") is None is why_no_key(None)


@given(st.text(max_size=20))
def test_a_text_is_a_key_or_blank_or_has_a_reason(text: str) -> None:
    """Exactly one of the three."""
    is_blank = match_key(f"{text}7q7") == "7q7"
    assert [match_key(text) is not None, is_blank, why_no_key(text) is not None].count(True) == 1


def test_accents_case_and_the_barred_d_are_folded() -> None:
    """As people type without a Vietnamese keyboard."""
    assert unaccented("Áo DÀI Đỏ đậm, cỡ Ư\u031b") == "ao dai do dam, co u"
