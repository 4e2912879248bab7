"""Phone numbers as Vietnamese customers write them, brought to E.164 by the rules of the phonenumbers library."""

import re
import unicodedata

import phonenumbers

RULES = f"1/{phonenumbers.__version__}"  # with other rules, or other metadata, every number is read anew
REGION = "VN"
COUNTRY_CODE = 84

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

# What people write between the digits of one number. Characters without width come along from web pages and contacts.
_BETWEEN_DIGITS = re.compile(r"[\s().\-‐-―−_·•\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_DIGITS = re.compile(r"(\+?)([0-9]{8,17})")
_WITHOUT_PLUS = re.compile(r"84[0-9]{9,11}")  # no Vietnamese number is that long without its country code
_STARTS_LIKE_A_NUMBER = ("+", "0", "84")
NOTE_LIMIT = 2_000  # characters: reading them takes some 3 ms at worst


def phone_numbers(text: str | None) -> list[str]:
    """The numbers in a field that is meant for a phone number, in E.164, without repetition.

    As a rule that is one; people also put two into one field ("0912 345 678 / 024 3825 1234"). None for what is no
    valid number by the phonenumbers library, and for placeholders whose digits are all the same.
    """
    if not text:
        return []
    number = _read(text)
    return [number] if number is not None else phones_in_note(text)


def phones_in_note(text: str | None) -> list[str]:
    """The numbers in a free text, in E.164, in the order of the text, without repetition.

    Stricter than `phone_numbers`: only what is written with a leading 0, 84 or +, for a text has other numbers, too.
    Looks at the first NOTE_LIMIT characters.
    """
    if not text:
        return []
    plain = unicodedata.normalize("NFKC", text[:NOTE_LIMIT])
    # Numbers of before 2018 are not valid any more: the matcher looks for possible ones, and `_read` judges them.
    matches = phonenumbers.PhoneNumberMatcher(plain, REGION, leniency=phonenumbers.Leniency.POSSIBLE)
    candidates = [match.raw_string for match in matches if not _is_within_a_word(plain, match.start, match.end)]
    found = [_read(text) for text in candidates if text.lstrip("( ").startswith(_STARTS_LIKE_A_NUMBER)]
    return list(dict.fromkeys(number for number in found if number is not None))


def _read(text: str) -> str | None:
    """The one number that a text consists of."""
    written = _DIGITS.fullmatch(_BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", text)))
    if written is None:
        return None
    plus, digits = written.groups()
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


def _is_within_a_word(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()
