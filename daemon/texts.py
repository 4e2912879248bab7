"""What tells two texts apart to a program and not to the eye: invisible characters, case, accents. Stated once."""

import re
import unicodedata

# Unicode's format characters (general category Cf) and its Default_Ignorable_Code_Point (DerivedCoreProperties.txt:
# soft hyphen, fillers, variation selectors, tags …), control characters that are no white space, and two that are
# drawn as nothing: the blank of Braille, and what stands for an object that was not copied. They come along from
# spreadsheets, chats, web pages and scanners.
INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffc\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
_WITHOUT_MARKS = {ord("đ"): "d", ord("Đ"): "D"}  # the one letter of Vietnamese that Unicode does not take apart


def visible(text: str) -> str:
    """The text without the characters that nobody sees; blanks, which tell words apart, stay."""
    return _INVISIBLE.sub("", text)


def unaccented(text: str) -> str:
    """The text in lower case, without accents and other marks: "Áo Dài ĐỎ" and "ao dai do" are one."""
    apart = unicodedata.normalize("NFKD", visible(text)).casefold().translate(_WITHOUT_MARKS)
    return "".join(char for char in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(char))
