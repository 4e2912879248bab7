"""What the eye does not see in a text: invisible characters, case, accents, control sequences."""

import re
import unicodedata

# Unicode's format characters (general category Cf) and its Default_Ignorable_Code_Point (DerivedCoreProperties.txt:
# soft hyphen, fillers, variation selectors, tags …), control characters other than white space, and two that
# are drawn as nothing: the blank of Braille, and the stand-in for an object that was not copied. They come along from
# spreadsheets, chats, web pages and scanners.
INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffc\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
# Letters, digits and printable ASCII need no second look.
_SUSPECT = re.compile(r"[^\w\x20-\x7e]")
_WITHOUT_MARKS = {ord("đ"): "d", ord("Đ"): "D"}  # the one Vietnamese letter that Unicode does not decompose


def visible(text: str) -> str:
    """The text without the characters that nobody sees; spaces, which separate words, stay."""
    return _INVISIBLE.sub("", text)


def escaped(text: str, *, keep: str = "") -> str:
    """The text as it may go to a terminal: control and format characters, which could control, reverse or hide it, are
    escaped as in Python (`\\x1b`, `\\u202e`).

    Args:
        keep: characters to leave as they are, such as the newlines of a text with several lines.
    """
    return _SUSPECT.sub(lambda found: found[0] if found[0] in keep or _is_seen(found[0]) else _spelt(found[0]), text)


def escaped_json(document: str) -> str:
    """A JSON document of the same value in which these characters appear as `\\uXXXX`; line breaks between its tokens
    stay. JSON itself (RFC 8259, 7) requires that only up to U+001F."""
    return _SUSPECT.sub(
        lambda found: found[0] if found[0] == "\n" or _is_seen(found[0]) else _spelt_in_json(found[0]), document
    )


def _is_seen(character: str) -> bool:
    """Whether it is drawn, if only as one of Unicode's spaces, which differ only in width."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _spelt(character: str) -> str:
    return ascii(character)[1:-1]


def _spelt_in_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def unaccented(text: str) -> str:
    """The text in lower case, without accents and other marks: "Áo Dài ĐỎ" and "ao dai do" become the same."""
    apart = unicodedata.normalize("NFKD", visible(text)).casefold().translate(_WITHOUT_MARKS)
    return "".join(char for char in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(char))
