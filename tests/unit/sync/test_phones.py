"""Phone numbers: every spelling of a number is the same number, and what is none is none."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.sync.matching import phones
from daemon.sync.matching.phones import NETWORK_CODES_OF_2018, phone_numbers, phones_in_note

# Decision 798/QĐ-BTTTT, written out with the zero, as people know it.
CONVERSIONS = {
    "0120": "070", "0121": "079", "0122": "077", "0126": "076", "0128": "078",
    "0123": "083", "0124": "084", "0125": "085", "0127": "081", "0129": "082",
    "0162": "032", "0163": "033", "0164": "034", "0165": "035", "0166": "036", "0167": "037", "0168": "038",
    "0169": "039", "0186": "056", "0188": "058", "0199": "059",
}  # fmt: skip

networks = st.sampled_from(["90", "91", "93", "96", "98", "32", "39", "56", "58", "59", "70", "77", "83", "84", "86"])
subscribers = st.from_regex(r"[0-9]{7}", fullmatch=True)
separators = st.sampled_from(["", " ", ".", "-", "\u00a0", " - ", "\u200b", "–", "·"])


@st.composite
def spellings(draw: st.DrawFn, national: str) -> str:
    """A way to write the number whose digits without the zero are given."""
    prefix = draw(
        st.sampled_from(["0", "84", "+84", "0084", "(+84) ", "+84 (0) ", "(0)", "840", "+840", "00840", "+ 84"])
    )
    text = prefix
    for digit in national:
        text += draw(separators) + digit
    if draw(st.booleans()):
        text = text.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})  # full-width
    return (
        draw(st.sampled_from(["", " ", "\t", "\u202a"])) + text + draw(st.sampled_from(["", " ", ".", "\u202c", "\n"]))
    )


@given(data=st.data(), network=networks, subscriber=subscribers)
def test_every_spelling_gives_the_same_number(data: st.DataObject, network: str, subscriber: str) -> None:
    """However a mobile number is written, it is the same in E.164."""
    assume(len(set(network + subscriber)) > 1)  # else it is a placeholder
    text = data.draw(spellings(network + subscriber))
    assert phone_numbers(text) == [f"+84{network}{subscriber}"]


@given(data=st.data(), old=st.sampled_from(sorted(CONVERSIONS)), subscriber=subscribers)
def test_numbers_from_before_2018_are_converted(data: st.DataObject, old: str, subscriber: str) -> None:
    """An 11-digit mobile number in any spelling is the 10-digit number that it became."""
    text = data.draw(spellings(old[1:] + subscriber))
    assert phone_numbers(text) == [f"+84{CONVERSIONS[old][1:]}{subscriber}"]


def test_conversion_table_is_the_decree_s() -> None:
    """All 21 network codes of the decision are in the table, and no other."""
    assert {f"0{old}": f"0{new}" for old, new in NETWORK_CODES_OF_2018.items()} == CONVERSIONS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("024 3825 1234", "+842438251234"),
        ("(028) 3823-4567", "+842838234567"),
        ("+1 650 253 0000", "+16502530000"),
        ("001 650 253 0000", "+16502530000"),
        ("+33 1 42 68 53 00", "+33142685300"),
        ("912345678", "+84912345678"),  # a spreadsheet has eaten the zero
        ("0841234567", "+84841234567"),  # VinaPhone's 084 is no country code
        ("841234567", "+84841234567"),
        ("84841234567", "+84841234567"),
        ("+0912345678", "+84912345678"),
        ("SĐT: 0912.345.678", "+84912345678"),
    ],
)  # fmt: skip
def test_landlines_foreign_numbers_and_slips(text: str, number: str) -> None:
    """Landlines stay as they are, foreign numbers need + or 00, and common slips are understood."""
    assert phone_numbers(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        None, "", "   ", "không có", "0", "0000000000", "00000000000", "1111111111", "0999999999", "+84999999999",
        "12345", "091234567", "09123456789", "0123456789", "0912345678901234567", "650 253 0000", "++", "-", "(+84)",
        "01191234567",
    ],
)  # fmt: skip
def test_nonsense_is_no_number(text: str | None) -> None:
    """What is too short, too long, of an unknown network or a placeholder is no number."""
    assert phone_numbers(text) == []


def test_field_may_hold_two_numbers() -> None:
    """Two numbers in one field are both found, once each."""
    assert phone_numbers("0912 345 678 / 01234567890, +84912345678") == ["+84912345678", "+84834567890"]


def test_numbers_are_found_in_a_note() -> None:
    """A note's numbers are found in its text, old ones converted; dates, amounts and order numbers are none."""
    note = (
        "Khách quen từ 05/10/2018, đã mua 12.345.678 đ. SĐT phụ 0912 345 678 (vợ), cũ: 0123.456.7890; "
        "mã đơn 912345679, SP0912345670, 0912345671A, zalo +84 98 765 4321"
    )
    assert phones_in_note(note) == ["+84912345678", "+84834567890", "+84987654321"]
    assert phones_in_note(None) == []


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading(text: str) -> None:
    """Any text gives a list of numbers in E.164, each of which is read as itself."""
    for number in {*phone_numbers(text), *phones_in_note(text)}:
        assert phone_numbers(number) == [number]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("084912345678", ["+84912345678"]),  # a zero before the country code
        ("084-912-345-678", ["+84912345678"]),
        ("84-912-345-678", ["+84912345678"]),
        ("+84 (0) 912 345 678", ["+84912345678"]),
        ("912345678.0", ["+84912345678"]),
        ("84912345678,00", ["+84912345678"]),
        ("9.12345678E+8", ["+84912345678"]),
        ("9.12E+08", []),  # digits are lost
        ("912,345,678", ["+84912345678"]),
        ("0912,345,678", ["+84912345678"]),
        ("84,912,345,678.00", ["+84912345678"]),
        ("100,000,000", []),
        ("0912345678 ext 12", ["+84912345678"]),
        ("0912345678 máy lẻ 12", ["+84912345678"]),
        ("02838251234-12", ["+842838251234"]),
        ("028 38251234 - 35 - 36", ["+842838251234"]),
        ("0912-345-678-12", []),  # too long a number, or an extension: nobody knows
        ("Lan0912345678", ["+84912345678"]),
        ("912345678/987654321", ["+84912345678", "+84987654321"]),
        ("\u202a+84912345678\u202c", ["+84912345678"]),
        ("09123\ufe0f45678\u2063", ["+84912345678"]),
    ],
)  # fmt: skip
def test_a_field_holds_what_people_and_spreadsheets_make_of_a_number(text: str, numbers: list[str]) -> None:
    """The obvious number is read, and none is made up."""
    assert phone_numbers(text) == numbers


between_numbers = st.sampled_from(
    [
        "-",
        " - ",
        " ",
        "  ",
        "/",
        " / ",
        ",",
        ", ",
        ";",
        ".",
        "\n",
        "\t",
        "|",
        "&",
        "+",
        " hoặc ",
        " và ",
        "~",
        "_",
        "\\",
        "",
    ]
)
between_groups = st.sampled_from(["", " ", ".", "-"])


@given(
    first=st.tuples(networks, subscribers), second=st.tuples(networks, subscribers), inner=between_groups,
    other=between_groups, outer=between_numbers,
)  # fmt: skip
def test_two_numbers_in_one_field_are_both_read(
    first: tuple[str, str], second: tuple[str, str], inner: str, other: str, outer: str
) -> None:
    """Whatever stands between two numbers, and within each of them."""
    spelt = [
        separator.join((f"0{network}", subscriber[:3], subscriber[3:]))
        for (network, subscriber), separator in ((first, inner), (second, other))
    ]
    if outer == "":  # without a separator only where each number is one group
        spelt = [f"0{network}{subscriber}" for network, subscriber in (first, second)]
    if outer == "+":
        spelt[1] = f"84{spelt[1][1:]}"
    numbers = list(dict.fromkeys(f"+84{network}{subscriber}" for network, subscriber in (first, second)))
    assert phone_numbers(outer.join(spelt)) == numbers


@given(st.from_regex(r"[0-9]{11,19}", fullmatch=True))
def test_long_digits_are_at_most_one_number(digits: str) -> None:
    """Cards, accounts and order numbers are not taken apart."""
    found = phone_numbers(digits)
    assert len(found) <= 1
    national = [number.removeprefix("+84") for number in found]
    assert all(digits.endswith(number[-7:]) for number in national)


@pytest.mark.parametrize(
    "note",
    ["CCCD 084301234567", "mã 912345678/987654321", "STK 19012345678901", "SP0912345678", "05-10-2018", "912345678.0"],
)
def test_numbers_of_other_things_in_a_note_stay_unread(note: str) -> None:
    """Identity cards, accounts, codes, dates and amounts are no phone numbers."""
    assert phones_in_note(f"Khách {note}.") == []


def test_two_numbers_and_extensions_in_a_note_are_read() -> None:
    """With nothing but a dash or a blank between them, too."""
    assert phones_in_note("gọi 0912345678-0987654321 nhé") == ["+84912345678", "+84987654321"]
    assert phones_in_note("gọi 0912 345 678 0987 654 321 nhé") == ["+84912345678", "+84987654321"]
    assert phones_in_note("văn phòng 02838251234-12, 0912345678 ext 3") == ["+842838251234", "+84912345678"]


def test_the_short_way_reads_as_the_long_one() -> None:
    """A plain mobile number that is read without the library is what the library reads, whatever its network code."""
    forms = ("0{}{}{}", "84{}{}{}", "+84{}{}{}", "0{}.{}{}", "+84 {} {} {}", "0{} {} {}", "84-{}-{}-{}")
    read = 0
    for code in range(100, 1_000):
        for rest in ("345678", "000000", "900900"):
            for form in forms:
                text = form.format(code, rest[:3], rest[3:])
                mobile = phones._plain_mobile(text)
                assert mobile in (None, phones._read(text)), text
                read += mobile is not None
    assert read > 7 * 3 * 300
