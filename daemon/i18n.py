"""The languages in which the daemon speaks to people: GNU gettext catalogues in `daemon/locale`, English as written.

A sentence is looked up when it is made, in the language of whoever will read it: that of a request (the page's switch
or the browser's), else that of the configuration, in which stored texts such as the error of a job are written.
`daemon/locale/README.md` says how the catalogues are extracted and translated.
"""

import gettext as catalogues
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, tzinfo
from enum import StrEnum
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

DOMAIN: Final = "dongbo"


class Language(StrEnum):
    """What the daemon speaks."""

    ENGLISH = "en"
    VIETNAMESE = "vi"


_configured = Language.ENGLISH
_spoken: ContextVar[Language | None] = ContextVar("spoken_language", default=None)


def configure(language: Language) -> None:
    """The language of all that is written or sent without anybody's asking: that of the configuration."""
    global _configured  # one a process, like the locale
    _configured = language


def configured_language() -> Language:
    """What the daemon writes and sends by itself."""
    return _configured


def language() -> Language:
    """The language that is spoken here and now."""
    return _spoken.get() or _configured


@contextmanager
def spoken(spoken_language: Language) -> Iterator[None]:
    """Speak a language, in this task and those that it starts."""
    token = _spoken.set(spoken_language)
    try:
        yield
    finally:
        _spoken.reset(token)


@contextmanager
def as_stored() -> Iterator[None]:
    """Speak the language of the configuration, whoever asks: what is stored is for everybody."""
    with spoken(_configured):
        yield


def gettext(message: str) -> str:
    """The message in the language that is spoken; values are filled in afterwards: `_("{n} rows").format(n=…)`."""
    return _catalogue(language()).gettext(message)


def stored(text: str | None) -> str | None:
    """A text that was stored as it was marked, in the language that is spoken; any other stays as it is."""
    return gettext(text) if text else text


def ngettext(singular: str, plural: str, count: int) -> str:
    """As `gettext`, of one thing or of several."""
    return _catalogue(language()).ngettext(singular, plural, count)


def page_words(spoken_language: Language) -> bytes:
    """What the page's scripts say, as a JSON object: the text by its English; of a counted one, the list of its plural
    forms by the English of one thing. English is as written, so its object is empty.
    """
    return b"{}" if spoken_language is Language.ENGLISH else _compiled(spoken_language, "page.json").read_bytes()


def moment(time: datetime, zone: tzinfo) -> str:
    """A time in a zone, to the second: "23 Nov 2026 14:03:22" or "14:03:22 23/11/2026"."""
    clock, day = f"{time.astimezone(zone):%H:%M:%S}", day_text(time, zone)
    return f"{clock} {day}" if language() is Language.VIETNAMESE else f"{day} {clock}"


def day_text(time: datetime, zone: tzinfo) -> str:
    """The day of a time in a zone: "23 Nov 2026" or "23/11/2026"."""
    local = time.astimezone(zone)
    if language() is Language.VIETNAMESE:
        return f"{local.day}/{local.month}/{local.year}"
    return f"{local.day} {local:%b %Y}"


def number_text(value: int) -> str:
    """A number with its thousands apart: "1,234" or "1.234"."""
    text = f"{value:,}"
    return text.replace(",", ".") if language() is Language.VIETNAMESE else text


def size_text(size: int) -> str:
    """A number of bytes: "312 MiB" or "1.4 GiB"."""
    if size < 2**30:
        return f"{number_text(size // 2**20)} MiB"
    text = f"{size / 2**30:.1f} GiB"
    return text.replace(".", ",") if language() is Language.VIETNAMESE else text


def mark(message: str) -> str:
    """The message as it is, to be extracted for the catalogues and looked up later: a row of a table, say."""
    return message


@cache
def _catalogue(spoken_language: Language) -> catalogues.NullTranslations:
    if spoken_language is Language.ENGLISH:
        return catalogues.NullTranslations()  # as written
    with _compiled(spoken_language, f"{DOMAIN}.mo").open("rb") as file:
        return catalogues.GNUTranslations(file)


def _compiled(spoken_language: Language, name: str) -> Traversable:
    return resources.files("daemon") / "locale" / spoken_language / "LC_MESSAGES" / name
