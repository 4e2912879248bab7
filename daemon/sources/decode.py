"""Rows one by one out of an answer: what fits becomes a typed value, what doesn't a `BadRow` with a plain sentence.

Numbers may come as int, float or numeric string, and absent, null, `""`, `[]` and `{}` all mean none. A row is first
tried as it is, which nearly all pass; one that fails is stripped of empty values and tried once more.
"""

import codecs
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
import orjson

from daemon.i18n import gettext as _
from daemon.i18n import mark, number_text
from daemon.sources.page import BadRow, SourceRow

T = TypeVar("T", bound=msgspec.Struct)

MAX_DOCUMENT_BYTES = 512 * 1024
MAX_NESTING = 250  # arrays and objects nested in each other; a row of either API has fewer than ten levels
MAX_TEXT = 4096  # characters
MAX_NOTE = 65_536  # characters; Shopify allows 5,000 in a customer's note

Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Reference = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # other rows' ids, for which 0 and -1 have meanings
Small = Annotated[int, msgspec.Meta(ge=-(2**15), le=2**15 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Note = Annotated[str, msgspec.Meta(max_length=MAX_NOTE)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = Decimal(0)

_TEXT = re.compile(rb'"(?:\\.|[^"\\])*"')
_BRACKET = re.compile(rb"[\[\]{}]")
_LONE_SURROGATE = re.compile(
    rb"\\\\|(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# PostgreSQL's jsonb keeps numbers as numeric, which ends at 131,072 digits before the point and 16,383 after it.
_HUGE_NUMBER = re.compile(rb"[:\[,]\s*-?[0-9.]+[eE][+-]?0*[1-9][0-9]{3,}|[0-9]{10000}")
_ROOM_FOR_NESTING = 2 * MAX_NESTING  # bytes; a shorter row can't open and close as many
_ROOM_FOR_HUGE_NUMBER = 10_000  # bytes; a shorter row can only hold one by its exponent

codecs.register_error("dongbo.nul", lambda error: ("\\u0000", getattr(error, "end")))  # noqa: B009 - typed as Exception


_WORDS = {
    "int": mark("a whole number"),
    "float": mark("a number"),
    "decimal": mark("a number"),
    "str": mark("a text"),
    "bool": mark("true or false"),
    "array": mark("a list"),
    "object": mark("an object"),
    "null": mark("nothing"),
    "datetime": mark("a time"),
}


class UnfitRowError(ValueError):
    """A row doesn't fit; the text is a plain sentence."""


def check_amount(name: str, value: Decimal | None, *, negative: bool = False) -> Decimal | None:
    """The value, if it fits numeric(20, 4); else `UnfitRowError`. Finer fractions are for the database to round."""
    if value is None:
        return None
    if not value:
        return ZERO
    if not value.is_finite():
        raise UnfitRowError(_("The field {name} is not a number: {value}.").format(name=name, value=value))
    if not -20 <= value.adjusted() <= 15:
        raise UnfitRowError(
            _("The field {name} is too large or too small to be stored: {value:.6E}.").format(name=name, value=value)
        )
    if not negative and value < 0:
        raise UnfitRowError(_("The field {name} is negative: {value}.").format(name=name, value=value))
    return value


def split_list(body: bytes, decode: Callable[[bytes], Any]) -> tuple[Any, bool]:
    """Decode an envelope, and say whether all of its rows are valid JSON without a character that is none.

    Lone surrogates and broken UTF-8 are replaced by U+0000, which no row may have either, so that only their own row is
    lost.

    Raises:
        msgspec.DecodeError, RecursionError: the body is cut off, not JSON, or nested too deeply.
    """
    if b"\\u0000" not in body:
        with suppress(UnicodeDecodeError, msgspec.DecodeError, RecursionError):
            body.decode()  # what the decoders skip over need not be UTF-8
            return decode(body), True
    return decode(mend(body)), False


def mend(body: bytes) -> bytes:
    """The body with every lone surrogate and every broken UTF-8 byte replaced by an escaped U+0000."""
    text = body.decode("utf-8", errors="dongbo.nul").encode()
    return _LONE_SURROGATE.sub(lambda match: rb"\u0000" if match[2] else match[0], text)


def read_json(body: bytes) -> Any:
    """What the body holds, repaired where necessary; None if it is not valid JSON, or only a part of it."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(mend(body))
    except orjson.JSONDecodeError:
        return None


class RowDecoder(Generic[T]):
    """Decodes single rows of one type. `source_id` reads the id out of a row that otherwise doesn't fit."""

    def __init__(
        self,
        kind: type[T],
        *,
        id_field: str = "id",
        dec_hook: Callable[[type, Any], Any] | None = None,
        source_id: Callable[[object], str | None] = lambda value: _plain_id(value),
    ) -> None:
        self._decode = msgspec.json.Decoder(kind, strict=False, dec_hook=dec_hook).decode
        self._kind = kind
        self._texts = _text_fields(kind)
        self._id_field = id_field
        self._source_id = source_id

    def rows(self, rows: Iterable[bytes | msgspec.Raw]) -> tuple[list[SourceRow[T]], list[BadRow]]:
        """Decode each row by itself, and check that its JSON can be stored."""
        good: list[SourceRow[T]] = []
        bad: list[BadRow] = []
        for row in rows:
            document = bytes(row)
            try:
                check_document(document)
                good.append(SourceRow(self.value(document), document))
            except UnfitRowError as error:
                bad.append(self.bad(document, str(error)))
        return good, bad

    def sound_rows(self, documents: Iterable[bytes]) -> tuple[list[SourceRow[T]], list[BadRow]]:
        """Decode rows that `split_list` found sound, quickly where all of them fit.

        A number that PostgreSQL can't hold is not always noticed: PostgreSQL refuses the row then, and
        `check_document` tells why.
        """
        sound = list(documents)
        if any(len(document) > _ROOM_FOR_NESTING and _needs_a_look(document) for document in sound):
            return self.rows(sound)
        try:
            return list(map(SourceRow, map(self._decode, sound), sound)), []
        except (msgspec.DecodeError, UnfitRowError, RecursionError):
            return self.rows(sound)

    def checked(self, document: bytes) -> T:
        """The typed value of a row that was written by orjson, if it can be stored.

        Raises:
            UnfitRowError: it doesn't fit, with a sentence that names the field.
        """
        if b"\\u0000" in document or len(document) > _ROOM_FOR_HUGE_NUMBER:
            check_document(document)
        return self.value(document)

    def value(self, document: bytes) -> T:
        """The typed value of one row.

        Raises:
            UnfitRowError: it doesn't fit, with a sentence that names the field.
        """
        if is_nested_too_deeply(document):
            raise UnfitRowError(_("The row is nested too deeply."))
        try:
            return self._decode(document)
        except (msgspec.ValidationError, UnfitRowError):
            pass
        except (msgspec.DecodeError, RecursionError) as error:
            raise UnfitRowError(_("The row is not valid JSON: {error}.").format(error=error)) from error
        try:
            return self._decode(self._cleaned(document))
        except msgspec.DecodeError as error:
            raise UnfitRowError(_sentence(error)) from error
        except RecursionError as error:
            raise UnfitRowError(_("The row is nested too deeply.")) from error

    def bad(self, document: bytes, reason: str) -> BadRow:
        """A dead letter for this row, with its id if that can be read."""
        try:
            row = _loads_exactly(document)
        except (msgspec.DecodeError, RecursionError):
            row = None
        identifier = self._source_id(row.get(self._id_field)) if isinstance(row, dict) else None
        return BadRow(identifier, reason, document)

    def _cleaned(self, document: bytes) -> bytes:
        """The row without empty values, and with text where text is wanted. Numbers keep every digit."""
        row = _loads_exactly(document)
        if not isinstance(row, dict):
            raise UnfitRowError(_("The row is not an object."))
        row = _without_empty(row)
        for name in self._texts & row.keys():
            if isinstance(row[name], int | Decimal) and not isinstance(row[name], bool):
                row[name] = str(row[name])
        return _dumps_exactly(row)


def _needs_a_look(document: bytes) -> bool:
    return len(document) > _ROOM_FOR_HUGE_NUMBER or is_nested_too_deeply(document)


def is_nested_too_deeply(document: bytes) -> bool:
    """Whether arrays and objects are nested more than MAX_NESTING deep.

    Decided here, since how deep the decoders go depends on the version of Python.
    """
    if document.count(b"[") + document.count(b"{") <= MAX_NESTING:
        return False
    depth = deepest = 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", document)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING


def check_document(document: bytes) -> None:
    """Raise `UnfitRowError` if the document is too large or holds what PostgreSQL's jsonb refuses."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise UnfitRowError(
            _("The row is too large: {n} bytes; the limit is {most}.").format(
                n=number_text(len(document)), most=number_text(MAX_DOCUMENT_BYTES)
            )
        )
    if _NUL.search(document):
        raise UnfitRowError(_("The row contains a NUL or invalid character, which PostgreSQL can't store."))
    if _HUGE_NUMBER.search(document):
        raise UnfitRowError(_("The row contains a number with more digits than PostgreSQL can store."))
    try:
        orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise UnfitRowError(_("The row is not valid JSON: {msg}.").format(msg=error.msg)) from error


def _exact(number: str) -> Decimal:
    try:
        return Decimal(number)
    except ArithmeticError as error:  # an exponent beyond what Decimal supports
        raise ValueError(f"not a valid number: {number[:50]}") from error


_loads_exactly = msgspec.json.Decoder(float_hook=_exact).decode
_dumps_exactly = msgspec.json.Encoder(decimal_format="number").encode


def _without_empty(value: Any) -> Any:
    match value:
        case dict():
            cleaned = {key: _without_empty(item) for key, item in value.items()}
            return {key: item for key, item in cleaned.items() if not _is_empty(item)}
        case list():
            return [_without_empty(item) for item in value]
        case _:
            return value


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _plain_id(value: object) -> str | None:
    return str(value)[:100] if isinstance(value, int | str) and not isinstance(value, bool) else None


def _text_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    hints = get_type_hints(kind)
    wanted: Mapping[str, Sequence[object]] = {name: get_args(hint) or (hint,) for name, hint in hints.items()}
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind) if str in wanted[field.name])


def _sentence(error: msgspec.DecodeError) -> str:
    """What msgspec says, as a sentence for people: "Expected `int`, got `str` - at `$.id`" and its kin."""
    if isinstance(error.__cause__, UnfitRowError):
        return str(error.__cause__)
    text, _at, path = str(error).partition(" - at `$")
    field = path.rstrip("`").removeprefix(".")
    if missing := re.fullmatch(r"Object missing required field `(.+)`", text):
        return _("The field {field} is missing.").format(field=f"{field}.{missing[1]}" if field else missing[1])
    said = re.sub(r"`(\w+)( \| null)?`", lambda word: _(_WORDS.get(word[1], word[1])), text).rstrip()
    if expected := re.fullmatch(r"Expected (.+), got (.+)", said):
        said = _("expected {wanted}, got {given}").format(wanted=expected[1], given=expected[2])
    said = said[:1].lower() + said[1:]
    if field:
        return _("The field {field} doesn't fit: {said}.").format(field=field, said=said)
    return _("The row doesn't fit: {said}.").format(said=said)
