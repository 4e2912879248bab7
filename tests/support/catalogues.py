"""The catalogues in `daemon/locale` and the source that they translate.

Run as a program (`python -m tests.support.catalogues`), it takes new sentences into the catalogues, drops those that
are gone, compiles, and lists what is to be translated.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from daemon.i18n import DOMAIN, Language

DAEMON = Path(__file__).parents[2] / "daemon"
LOCALE = DAEMON / "locale"
PAGE = "status/page/"
TRANSLATED = [language for language in Language if language is not Language.ENGLISH]
# `t` and `tn` are those of the page's scripts.
FUNCTIONS = {"_": None, "gettext": None, "mark": None, "t": None, "ngettext": (1, 2), "tn": (1, 2)}
PLACEHOLDER = re.compile(r"(?<!\{)\{(\w*)[^{}]*\}")


def extracted() -> Catalog:
    """All that the source gives to be translated, each with the files that say it."""
    with (LOCALE / "babel.cfg").open() as mapping:
        methods, options = parse_mapping_cfg(mapping)
    template = Catalog(
        header_comment="# What dongbo says: see daemon/locale/README.md.",
        project="dongbo",
        version="",
        msgid_bugs_address="",
        last_translator="",
        language_team="",
    )
    for file, _line, text, _comments, context in extract_from_dir(DAEMON, methods, options, FUNCTIONS):
        if text and text != ("",):
            template.add(text, locations=[(file, 0)], context=context)
    return template


def catalogue(language: Language) -> Catalog:
    """The catalogue as it is translated."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def compiled(language: Language, name: str) -> Path:
    """A file made of the catalogue."""
    return LOCALE / language / "LC_MESSAGES" / name


def po_file(language: Language) -> Path:
    """The catalogue that people edit."""
    return compiled(language, f"{DOMAIN}.po")


def forms(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The text, or its forms for one and for several."""
    return (text,) if isinstance(text, str) else tuple(text)


def messages(texts: Catalog) -> Iterator[Message]:
    """The catalogue without its header."""
    return (message for message in texts if message.id)


def untranslated(texts: Catalog) -> list[str]:
    """What has no translation, or one that somebody should look at."""
    return [forms(each.id)[0] for each in messages(texts) if each.fuzzy or not is_translated(each)]


def is_translated(message: Message) -> bool:
    """Whether there is a text for each of its forms."""
    return bool(message.string) and all(forms(message.string))


def placeholders(text: str) -> set[str]:
    """The names of the values that are put in."""
    return set(PLACEHOLDER.findall(text))


def page_words(texts: Catalog) -> dict[str, str | list[str]]:
    """What the page's scripts say: see `daemon.i18n.page_words`."""
    return {
        forms(each.id)[0]: list(each.string) if isinstance(each.string, (list, tuple)) else each.string
        for each in sorted(messages(texts), key=lambda message: forms(message.id))
        if is_translated(each) and any(file.startswith(PAGE) for file, _line in each.locations)
    }


def update(language: Language) -> list[str]:
    """Bring a catalogue and what is compiled of it up to the source; returns what is to be translated."""
    template = extracted()
    path = po_file(language)
    if path.exists():
        texts = catalogue(language)
        template.creation_date = texts.creation_date  # it would make each update a change
        texts.update(template, no_fuzzy_matching=True, update_header_comment=True)
    else:
        texts = template
        texts.locale, texts.fuzzy = language, False
    for message in messages(texts):
        message.flags.discard("python-format")  # a per cent sign is just that: values stand in braces
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as po:
        write_po(po, texts, width=120, include_lineno=False, ignore_obsolete=True, sort_by_file=True)
    with compiled(language, f"{DOMAIN}.mo").open("wb") as mo:
        write_mo(mo, texts)
    words = json.dumps(page_words(texts), ensure_ascii=False, indent=0)
    compiled(language, "page.json").write_text(f"{words}\n", "utf-8")
    return untranslated(texts)


if __name__ == "__main__":
    for each in TRANSLATED:
        for text in update(each):
            print(f"{each}: to be translated: {text}")  # noqa: T201 - it is a program
