"""Phone numbers as Vietnamese customers write them, brought to E.164 by the rules of the phonenumbers library."""

import re
import unicodedata
from collections.abc import Sequence

import phonenumbers

from daemon.texts import visible

RULES = f"3/{phonenumbers.__version__}"  # with other rules, or other metadata, every number is read again
REGION = "VN"
COUNTRY_CODE = 84
NOTHING = "(?!)"  # a pattern that matches nothing

# Mobile network codes of 11-digit numbers and what they became in 2018; the last seven digits stayed the same.
# Decision 798/QĐ-BTTTT of the Ministry of Information and Communications, 25 May 2018, in force from 15 September.
NETWORK_CODES_OF_2018 = {
    "120": "70", "121": "79", "122": "77", "126": "76", "128": "78",  # MobiFone
    "123": "83", "124": "84", "125": "85", "127": "81", "129": "82",  # VinaPhone
    "162": "32", "163": "33", "164": "34", "165": "35", "166": "36", "167": "37", "168": "38", "169": "39",  # Viettel
    "186": "56", "188": "58",  # Vietnamobile
    "199": "59",  # Gmobile
}  # fmt: skip
OLD_MOBILE_DIGITS = 10  # without the leading zero

# What people write between the digits of one number.
_SEPARATORS = r"\s().\-‐-―−_·•~"
_BETWEEN_DIGITS = re.compile(rf"[{_SEPARATORS}]+")
_DIGITS = re.compile(r"(\+?)([0-9]{8,17})")
_WITHOUT_PLUS = re.compile(r"84[0-9]{9,11}")  # no Vietnamese number is that long without its country code
_ZERO_BEFORE_IT = re.compile(r"^0(?=84[0-9]{9,10}$)")  # nor one that begins with 0; identity cards do
_RUN = re.compile(rf"(?:\+\s*|\()?[0-9](?:[0-9+{_SEPARATORS}]*[0-9])?")
_GROUP = re.compile(r"(?:\+\s*)?[0-9]+")
# What spreadsheets make of a number that they take for an amount: 912345678.0, 9.12345678E+8 and 912,345,678.
_FRACTION = re.compile(r"(\+?[0-9]{9,})[.,]0{1,2}")
_EXPONENT = re.compile(r"([0-9])[.,]([0-9]{8,11})e\+?([0-9]{1,2})", re.IGNORECASE)
_THOUSANDS = re.compile(r"(\+?[0-9]{1,4}(?:,[0-9]{3}){2,3})(?:\.0{1,2})?")
_DASH = re.compile(r"[\-‐-―−]")
# How nearly every mobile number is written. A group of three digits or more at the end: no spreadsheet's fraction.
_PLAIN_MOBILE = re.compile(r"(?:\+?84|0)[ .-]?([35789][0-9]{1,2})[ .-]?([0-9]{2,4})[ .-]?([0-9]{3,4})")
# Valid numbers that begin as such a one does, by the library's own metadata.
_METADATA = phonenumbers.PhoneMetadata.metadata_for_region(REGION)
_MOBILE = _METADATA.mobile if _METADATA is not None else None
_IS_MOBILE = re.compile(_MOBILE.national_number_pattern or NOTHING if _MOBILE is not None else NOTHING)
_LONGEST_EXTENSION = 4  # digits
_LONGEST_NUMBER = 40  # characters: some write each digit by itself
_MOST_GROUPS = 24  # of a run; each may begin a number
_STARTS_LIKE_A_NUMBER = ("+", "0", "84")
_MOBILE_DIGITS = 10  # with the leading zero
NOTE_LIMIT = 2_000  # characters: reading them takes some 3 ms at worst


def phone_numbers(text: str | None) -> list[str]:
    """The numbers in a field that is meant for a phone number, in E.164, without repetition.

    As a rule that is one; people also put two into one field ("0912 345 678 / 024 3825 1234"), an extension, or a word.
    None for what is no valid number by the phonenumbers library, and for placeholders whose digits are all the same.
    """
    if not text:
        return []
    if (mobile := _plain_mobile(text)) is not None:
        return [mobile]
    plain = _plain(text)
    number = _read(plain)
    if number is not None:
        return [number]
    is_strict = any(char.isalpha() for char in plain)  # a text, which has other numbers, too
    runs = (_read_run(match[0], is_strict=is_strict) for match in _RUN.finditer(plain[:NOTE_LIMIT]))
    return list(dict.fromkeys(number for numbers in runs for number in numbers)) or phones_in_note(text)


def phones_in_note(text: str | None) -> list[str]:
    """The numbers in a free text, in E.164, in the order of the text, without repetition.

    Stricter than `phone_numbers`: only what is written with a leading 0, 84 or +, for a text has other numbers, too.
    Looks at the first NOTE_LIMIT characters.
    """
    if not text:
        return []
    plain = _plain(text)[:NOTE_LIMIT]
    # Numbers of before 2018 are no longer valid: the matcher looks for possible ones, and `_read` judges them. What
    # it does not know are two numbers with no more than a blank or a dash between them.
    matches = phonenumbers.PhoneNumberMatcher(plain, REGION, leniency=phonenumbers.Leniency.POSSIBLE)
    candidates = {(match.start, match.end) for match in matches} | {match.span() for match in _RUN.finditer(plain)}
    found = [
        number
        for start, end in sorted(candidates)
        if not _is_within_a_word(plain, start, end)
        for number in _read_run(plain[start:end], is_strict=True)
    ]
    return list(dict.fromkeys(found))


def _plain_mobile(text: str) -> str | None:
    """What `_read` makes of a valid mobile number in one of the usual forms, in a thirtieth of its time.

    None where it is none, or none for certain.
    """
    written = _PLAIN_MOBILE.fullmatch(text)
    if written is None:
        return None
    national = "".join(written.groups())
    if _IS_MOBILE.fullmatch(national) is None or national.count(national[0]) == len(national):
        return None
    return f"+{COUNTRY_CODE}{national}"


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", visible(text))


def _read_run(run: str, *, is_strict: bool) -> Sequence[str]:
    """The numbers that digits and what people write between them consist of; none where that can be read in two ways.

    Args:
        is_strict: only numbers with a leading 0, 84 or +.
    """
    number = _read(run, is_strict=is_strict)
    if number is not None:
        return [number] if not is_strict or run.lstrip("( ").startswith(_STARTS_LIKE_A_NUMBER) else []
    groups = [match.span() for match in _GROUP.finditer(run)]
    if len(groups) == 1 and len(run) == 2 * _MOBILE_DIGITS:
        groups = [(0, _MOBILE_DIGITS), (_MOBILE_DIGITS, 2 * _MOBILE_DIGITS)]
    ways = _divide(run, groups, is_strict=is_strict) if len(groups) <= _MOST_GROUPS else []
    return ways[0] if len(ways) == 1 else []


def _divide(run: str, groups: Sequence[tuple[int, int]], *, is_strict: bool) -> list[list[str]]:
    """The ways to read groups of digits as numbers, one after the other, followed by extensions; two at most."""
    ways: list[list[list[str]]] = [[] for _ in groups] + [[[]]]  # from a group on
    for first in reversed(range(len(groups))):
        start = groups[first][0]
        for last in range(first, len(groups)):
            end = groups[last][1]
            part = run[start:end]
            if end - start > _LONGEST_NUMBER or not part.startswith(_STARTS_LIKE_A_NUMBER):
                break
            if (number := _read(part, is_strict=is_strict)) is not None:
                rest = last + 1
                while not ways[rest] and _is_extension(run, start, groups[last : rest + 1]):
                    rest += 1
                ways[first] += [[number, *others] for others in ways[rest]]
        del ways[first][2:]
    return ways[0]


def _is_extension(run: str, start: int, groups: Sequence[tuple[int, int]]) -> bool:
    """Whether the last of the groups follows a number as in 02838251234-12: by a dash, and the number has none.

    Args:
        start: of the number.
        groups: the last one of the number, and those after it.
    """
    first, last = groups[-1]
    if last - first > _LONGEST_EXTENSION or _DASH.search(run[start : groups[0][1]]):
        return False
    return _DASH.search(run[groups[-2][1] : first]) is not None


def _read(text: str, *, is_strict: bool = False) -> str | None:
    """The one number that a text consists of."""
    written = _DIGITS.fullmatch(_BETWEEN_DIGITS.sub("", _as_typed(text)))
    if written is None:
        return None
    plus, digits = written.groups()
    if not is_strict:
        digits = _ZERO_BEFORE_IT.sub("", digits)
    if digits.startswith("0"):
        plus = ""  # no country code starts with 0
    elif _WITHOUT_PLUS.fullmatch(digits):
        plus = "+"
    try:
        number = phonenumbers.parse(plus + digits, REGION)
    except phonenumbers.NumberParseException:
        return None
    national = phonenumbers.national_significant_number(number)
    if number.country_code == COUNTRY_CODE and len(national) == OLD_MOBILE_DIGITS:
        number.national_number = int(NETWORK_CODES_OF_2018.get(national[:3], national[:3]) + national[3:])
    if len(set(national)) == 1 or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _as_typed(text: str) -> str:
    """What stood in the cell before a spreadsheet took it for an amount."""
    if fraction := _FRACTION.fullmatch(text.strip()):
        return fraction[1]
    exponent = _EXPONENT.fullmatch(text.strip())
    if exponent is not None and len(exponent[2]) == int(exponent[3]):
        return exponent[1] + exponent[2]
    if thousands := _THOUSANDS.fullmatch(text.strip()):
        return thousands[1].replace(",", "")
    return text


def _is_within_a_word(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()
