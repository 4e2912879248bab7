"""The catalogues hold what the source says, whole, and what is compiled of them holds what they hold."""

import ast
import json
import re
from gettext import GNUTranslations
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from daemon import i18n
from daemon.i18n import Language
from tests.support import catalogues
from tests.support.catalogues import DAEMON, TRANSLATED, compiled, forms, messages, placeholders

SCRIPTS = sorted(
    script
    for script in (DAEMON / "status" / "page").rglob("*.js")
    if "vendor" not in script.parts and '/words.js"' in script.read_text("utf-8")
)
# Two words in lower case may be names of a kind.
SENTENCE = re.compile(r"(?:[A-Z][a-z']*(?:,? [a-zA-Z']+)+|[a-z']+(?:,? [a-zA-Z']+){2,})[.:?!…]?")
WORD = re.compile(r"[A-Z][a-z]{2,}[:…]?")
TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|\w+|\S""", re.DOTALL)
MODULES = sorted(
    module
    for folder in ("conditions", "jobs", "sales", "sources", "sync", "tasks")
    for module in (DAEMON / folder).rglob("*.py")
)
ALL_MODULES = sorted(DAEMON.rglob("*.py"))
NOT_FOR_PEOPLE = {"AssertionError", "LookupError", "RuntimeError", "TypeError", "ValueError"}
NO_TEXT = {"Bearer", "Accept"}  # of headers


@pytest.fixture(scope="module")
def template() -> Catalog:
    """What the source says."""
    return catalogues.extracted()


@pytest.fixture(scope="module", params=TRANSLATED)
def language(request: pytest.FixtureRequest) -> Language:
    """One that is translated into."""
    return Language(request.param)


@pytest.fixture(scope="module")
def texts(language: Language) -> Catalog:
    """Its catalogue."""
    return catalogues.catalogue(language)


def test_everything_is_translated(texts: Catalog) -> None:
    """Nobody reads half of a page in another language."""
    assert catalogues.untranslated(texts) == []


def test_the_catalogue_is_that_of_the_source(template: Catalog, texts: Catalog) -> None:
    """A sentence that has been changed is translated anew: `python -m tests.support.catalogues` takes it over."""
    assert {forms(each.id) for each in messages(texts)} == {forms(each.id) for each in messages(template)}


def test_values_have_their_places_in_the_translation(texts: Catalog) -> None:
    """`{sku}` may stand elsewhere, but it may neither be lost nor renamed."""
    for each in messages(texts):
        named = placeholders(forms(each.id)[-1])
        assert [placeholders(form) for form in forms(each.string)] == [named] * len(forms(each.string)), each.id


def test_what_is_compiled_is_what_is_written(language: Language, texts: Catalog) -> None:
    """The daemon reads the .mo file, and the page the words in `page.json`."""
    with compiled(language, "dongbo.mo").open("rb") as file:
        spoken = GNUTranslations(file)
    for each in messages(texts):
        one, *several = forms(each.id)
        found = [spoken.ngettext(one, several[0], n) for n in (1, 2)] if several else [spoken.gettext(one)]
        assert set(found) == set(forms(each.string))
    assert json.loads(i18n.page_words(language)) == catalogues.page_words(texts)


def test_english_is_as_written() -> None:
    """It needs no catalogue."""
    assert i18n.page_words(Language.ENGLISH) == b"{}"
    with i18n.spoken(Language.ENGLISH):
        assert i18n.gettext("Nothing to do.") == "Nothing to do."
        assert [i18n.ngettext("{n} row", "{n} rows", n) for n in (1, 2)] == ["{n} row", "{n} rows"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_say_nothing_untranslated(script: Path) -> None:
    """A sentence, or a capitalised word, is an argument of t() or tn()."""
    assert bare_texts(script.read_text("utf-8")) == []


def test_bare_texts_are_found() -> None:
    """The test above can tell a text from a name."""
    script = """
        a("Cancel", t("Retry"), tn("{n} row failed", "{n} rows failed", n), `chip ${x}`); b("nothing has been pulled");
        const NAMES = { "as it is called": 1 };
        element("div", { class: "rows of many kinds" });
        throw new TypeError("This is for programmers");
        if (event.key === "Enter") { go(); }
    """
    assert bare_texts(script) == ["Cancel", "nothing has been pulled"]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(DAEMON).as_posix())
def test_errors_are_told_in_the_language_that_is_spoken(module: Path) -> None:
    """What an error of ours says, people read: in the job, in the answer to a request."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[ast.Constant() | ast.JoinedStr() as said, *_])):
                assert name in NOT_FOR_PEOPLE or " " not in _literal(said), f"line {node.lineno}: {ast.unparse(said)}"


@pytest.mark.parametrize(
    "module", sorted(DAEMON.rglob("*.py")), ids=lambda module: module.relative_to(DAEMON).as_posix()
)
def test_no_text_is_looked_up_within_another(module: Path) -> None:
    """Whether Babel finds one within an f-string depends on the version of Python."""
    wholes = [node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.JoinedStr)]
    for part in (part for whole in wholes for part in ast.walk(whole)):
        match part:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(), *_]):
                assert name not in catalogues.FUNCTIONS, f"line {part.lineno}: {ast.unparse(part)}"


def _literal(said: ast.Constant | ast.JoinedStr) -> str:
    """What stands in the source of a text; values in it are nothing."""
    parts = [said] if isinstance(said, ast.Constant) else said.values
    return "".join(str(part.value) for part in parts if isinstance(part, ast.Constant)).strip(": .")


def bare_texts(script: str) -> list[str]:
    """Literals that look like words for people and are not looked up."""
    tokens = [token for token in TOKEN.findall(script) if not token.startswith(("//", "/*"))]
    return [
        token[1:-1]
        for place, token in enumerate(tokens)
        if token[0] in "\"'`"
        and _is_text(token[1:-1])
        and not _is_key(tokens, place)
        and not _is_compared(tokens, place)
        and tokens[place - 2 : place] != ["class", ":"]
        and _callee(tokens[:place]) not in ("t", "tn", "Error", "TypeError")
    ]


def _is_text(literal: str) -> bool:
    return literal not in NO_TEXT and bool(SENTENCE.fullmatch(literal) or WORD.fullmatch(literal))


def _is_key(tokens: list[str], place: int) -> bool:
    return tokens[place - 1] in ("{", ",") and tokens[place + 1 : place + 2] == [":"]


def _is_compared(tokens: list[str], place: int) -> bool:
    """As in `event.key === "Enter"` and `case "Enter":`."""
    return (
        tokens[place - 1] == "case"
        or tokens[place - 2 : place] == ["=", "="]
        or tokens[place + 1 : place + 3] == ["=", "="]
    )


def _callee(before: list[str]) -> str | None:
    """Whose arguments the token behind these is among."""
    depth = 0
    for place in reversed(range(1, len(before))):
        if before[place] == ")":
            depth += 1
        elif before[place] == "(" and depth:
            depth -= 1
        elif before[place] == "(":
            return before[place - 1]
    return None
