"""Shopify's search syntax: `status:active AND (tag:'sale' OR -vendor:x) updated_at:>='2026-10-01T00:00:00Z'`.

Rules from https://shopify.dev/docs/api/usage/search-syntax. Filters that a list does not know are ignored, and the
answer says so in `extensions.search`. A bare value ends at a colon, so that an unquoted time falls apart into two
terms, which has been seen with the real API as well.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

_DEEPEST = 50  # parentheses and negations within each other; what is deeper is ignored

T = TypeVar("T")
Predicate = Callable[[T], bool]


class Comparator(StrEnum):
    """How a value is compared; `EQUAL` is what a filter without a sign means."""

    EQUAL = ""
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="

    @property
    def relation(self) -> Callable[[Any, Any], bool]:
        """The relation between two values of one ordered type."""
        match self:
            case Comparator.EQUAL:
                return operator.eq
            case Comparator.LESS:
                return operator.lt
            case Comparator.LESS_OR_EQUAL:
                return operator.le
            case Comparator.GREATER:
                return operator.gt
            case Comparator.GREATER_OR_EQUAL:
                return operator.ge


@dataclass(frozen=True, slots=True)
class Term:
    """`field:>value`; without a field, a word to be found anywhere. Several values are alternatives."""

    field: str | None
    comparator: Comparator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What its operand does not match."""

    operand: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """What all operands match; everything, if there are none."""

    operands: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What any operand matches."""

    operands: tuple["Query", ...]


Query = Term | Not | And | Or


class InvalidValueError(Exception):
    """A filter does not understand its value."""


@dataclass(frozen=True, slots=True)
class SearchFilters(Generic[T]):
    """The filters of one list.

    `named` makes a predicate out of a comparator and a value, raising InvalidValueError where it makes no sense of the
    value; `anywhere` does so for a word without a field.
    """

    named: Mapping[str, Callable[[Comparator, str], Predicate[T]]]
    anywhere: Callable[[str], Predicate[T]]


@dataclass(frozen=True, slots=True)
class Search(Generic[T]):
    """A compiled query: what it matches, and the filters that it had to ignore."""

    matches: Predicate[T] | None  # None: everything
    warnings: tuple[dict[str, str], ...]
    parsed: dict[str, Any]


def compile_query(text: str, filters: SearchFilters[T]) -> Search[T]:
    """Understand `text` as far as `filters` allow. Never fails: what makes no sense is ignored, as Shopify does."""
    query = parse(text)
    warnings: list[dict[str, str]] = []
    return Search(_predicate(query, filters, warnings), tuple(warnings), _described(query))


def parse(text: str) -> Query:
    """The structure of a search query."""
    return _Parser(text).query()


def _predicate(query: Query, filters: SearchFilters[T], warnings: list[dict[str, str]]) -> Predicate[T] | None:
    """None where nothing in `query` was understood: an ignored filter must not decide anything, negated or not."""
    match query:
        case Term():
            return _term_predicate(query, filters, warnings)
        case Not(operand):
            negated = _predicate(operand, filters, warnings)
            return None if negated is None else lambda row: not negated(row)
        case And(operands):
            return _combined([_predicate(operand, filters, warnings) for operand in operands], all)
        case Or(operands):
            return _combined([_predicate(operand, filters, warnings) for operand in operands], any)


def _combined(predicates: list[Predicate[T] | None], combine: Callable[[Iterable[bool]], bool]) -> Predicate[T] | None:
    understood = [predicate for predicate in predicates if predicate is not None]
    if len(understood) <= 1:
        return understood[0] if understood else None
    return lambda row: combine(predicate(row) for predicate in understood)


def _term_predicate(term: Term, filters: SearchFilters[T], warnings: list[dict[str, str]]) -> Predicate[T] | None:
    if term.field is None:
        return _combined([filters.anywhere(value) for value in term.values], any)
    named = filters.named.get(term.field.lower())
    if named is None:
        warnings.append(
            {"field": term.field, "message": "Invalid search field for this query.", "code": "invalid_field"}
        )
        return None
    choices: list[Predicate[T] | None] = []
    for value in term.values:
        try:
            choices.append(named(term.comparator, value))
        except (InvalidValueError, OverflowError):  # a time at the edge of the calendar has no equal in another zone
            message = f"Input `{value}` is not an accepted value."
            warnings.append({"field": term.field, "message": message, "code": "invalid_value"})
    return _combined(choices, any)


def _described(query: Query) -> dict[str, Any]:
    """The `parsed` of `extensions.search`."""
    match query:
        case Term(field, comparator, values):
            suffixes = {"": "match_all", "<": "range_lt", "<=": "range_lte", ">": "range_gt", ">=": "range_gte"}
            return {"field": field or "default", suffixes[comparator.value]: ",".join(values)}
        case Not(operand):
            return {"not": _described(operand)}
        case And((only,)) | Or((only,)):
            return _described(only)
        case And(operands):
            return {"and": [_described(operand) for operand in operands]}
        case Or(operands):
            return {"or": [_described(operand) for operand in operands]}


class _Parser:
    """Recursive descent over the text; what does not fit the grammar is skipped."""

    _SPACE = re.compile(r"\s*")
    _FIELD = re.compile(r"([\w.-]+):\s*(<=|>=|<|>)?\s*")
    _QUOTED = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)
    _BARE_VALUE = re.compile(r"""[^\s()"':,]+""")
    _WORD = re.compile(r"""[^\s()"':]+""")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def query(self) -> Query:
        operands = [self._alternatives()]
        while self._at < len(self._text):  # at a closing parenthesis that was never opened
            self._at += 1
            operands.append(self._alternatives())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _alternatives(self) -> Query:
        operands = [self._conjunction()]
        while self._take(re.compile(r"OR\b")):
            operands.append(self._conjunction())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _conjunction(self) -> Query:
        operands: list[Query] = []
        while (operand := self._operand()) is not None:
            operands.append(operand)
            self._take(re.compile(r"AND\b"))
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _operand(self) -> Query | None:
        self._take(self._SPACE)
        if self._at == len(self._text) or re.compile(r"\)|OR\b").match(self._text, self._at):
            return None
        if self._depth == _DEEPEST:
            self._at = len(self._text)
            return None
        self._depth += 1
        try:
            return self._negation_group_or_term()
        finally:
            self._depth -= 1

    def _negation_group_or_term(self) -> Query | None:
        if self._take(re.compile(r"NOT\b|-")):
            operand = self._operand()
            return None if operand is None else Not(operand)
        if self._take(re.compile(r"\(")):
            inner = self._alternatives()
            self._take(re.compile(r"\)"))
            return inner
        return self._term()

    def _term(self) -> Query:
        if field := self._take(self._FIELD):
            return Term(field[1], Comparator(field[2] or ""), tuple(self._values()))
        word = self._value(self._WORD)
        if word is None:
            self._at += 1  # a stray quote or colon
            return And(())
        return Term(None, Comparator.EQUAL, (word,))

    def _values(self) -> Iterator[str]:
        while (value := self._value(self._BARE_VALUE)) is not None:
            yield value
            if not self._take(re.compile(",")):
                break
        self._take(re.compile(":"))

    def _value(self, bare: re.Pattern[str]) -> str | None:
        if quoted := self._take(self._QUOTED):
            return re.sub(r"\\(.)", r"\1", quoted[2])
        found = self._take(bare)
        return None if found is None else re.sub(r"\\(.)", r"\1", found[0])

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if pattern is not self._SPACE:
            self._at = self._SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found
