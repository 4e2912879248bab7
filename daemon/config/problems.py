"""What is wrong with a document, in sentences for people: pydantic's findings are written for programmers."""

import json
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daemon.config import fields
from daemon.config.rules import RULE_NAME_PATTERN
from daemon.config.toml_lines import KeyPath

LONGEST_QUOTE = 80  # characters

PATTERNS = {
    fields.NAME_PATTERN: "must be 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit",
    fields.VARIABLE_PATTERN: "must be the name of an environment variable, such as NHANH_TOKEN",
    fields.CREDENTIAL_PATTERN: 'must be the name of a credential, such as "nhanh-token", not a path',
    fields.ABSOLUTE_PATH_PATTERN: "must be an absolute path, beginning with /",
    fields.LOCATION_PATTERN: 'must be the number of a Shopify location in quotes, such as "68000032768"',
    fields.METAFIELD_PATTERN: 'must be the namespace and the key of a metafield, such as "custom.total_spent"',
    fields.QUIET_HOURS_PATTERN: 'must be two times of a day, such as "22:00-07:00"',
    fields.TIER_PATTERN: "must be 1 to 39 characters without a comma, for it is a tag, too",
    RULE_NAME_PATTERN: "must be 1 to 63 characters without commas and semicolons, and no space at its ends",
    fields.HOST_PATTERN: (
        'must be a host name without port, such as "dongbo.example.com" (http or https on its default port),'
        ' or an origin without path, such as "https://dongbo.example.com:8443"'
    ),
}
LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
WANTED = {
    "string": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "an array",
    "list": "an array",
    "datetime": "a date and time",
    "dict": "a table",
    "model": "a table",
    "model_attributes": "a table",
}


def describe(
    error: ValidationError, document: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[KeyPath, str]]:
    """Each finding as the path of its key in the document and a sentence.

    Args:
        error: from validating `document`.
        document: as `tomllib` reads it.
        schema: the JSON schema of the model, which knows the keys of each table.
    """
    for details in error.errors(include_url=False):
        path = _path(details, document)
        yield path, _sentence(details, path, schema)


def display(path: KeyPath) -> str:
    """A path as people write it: `stores.main.nhanh`, `schedules[1].cron`, `stores."my shop"`."""
    text = ""
    for part in path:
        match part:
            case int():
                text += f"[{part}]"
            case _ if part.isascii() and part.replace("-", "").replace("_", "").isalnum():
                text += f".{part}"
            case _:
                text += "." + quote(part)
    return text.removeprefix(".")


def quote(value: object) -> str:
    """A value in one short line of printable characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def _path(details: ErrorDetails, document: Mapping[str, Any]) -> KeyPath:
    """pydantic's location without what is not in the document: the tags of unions and its marks for keys."""
    here: Any = document
    path: KeyPath = ()
    *parents, last = details["loc"] or ("",)
    for part in parents:
        is_tag_of_kind = isinstance(here, dict) and part == here.get("kind")
        if is_tag_of_kind or not _contains(here, part):
            continue
        here = here[part]
        path = (*path, part)
    if details["type"] == "missing" or _contains(here, last):
        path, here = (*path, last), here.get(last) if isinstance(here, dict) else here[last]
    if details["type"].startswith("union_tag_") and isinstance(here, dict):
        path = (*path, "kind")
    return path


def _contains(container: object, key: str | int) -> bool:
    match container:
        case dict():
            return key in container
        case list():
            return isinstance(key, int) and key < len(container)
        case _:
            return False


def _sentence(details: ErrorDetails, path: KeyPath, schema: Mapping[str, Any]) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return f"unknown key{_suggest(str(path[-1]), _keys_at(path[:-1], schema))}"
        case "missing":
            return f"is missing{_meaning(path, schema)}"
        case "value_error":
            return str(context["error"])
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
            return f"{_show(value)} is unknown{_suggest(str(value), expected)}"
        case "union_tag_invalid":
            return f"{_show(context['tag'])} is unknown{_suggest(str(context['tag']), _kinds(path, schema))}"
        case "union_tag_not_found" if isinstance(value, dict):
            return f"is missing; known here: {', '.join(_kinds(path, schema))}"
        case "string_pattern_mismatch":
            return PATTERNS[context["pattern"]]
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must be at most {context['max_length']} characters long"
        case "too_long":
            return f"has {context['actual_length']:,} entries, and may have {context['max_length']:,}"
        case "is_instance_of" if context["class"] == "Decimal":
            return f"must be a number, not {_toml_type(value)}"
        case "finite_number":
            return "must be a finite number"
        case "int_from_float":
            return f"must be a whole number, not {_show(value)}"
        case _ if kind in LIMITS:
            wording, key = LIMITS[kind]
            return f"must be {wording} {context[key]:g}, not {_show(value)}"
        case _ if (wanted := WANTED.get(kind.removesuffix("_type"))) is not None:
            return f"must be {wanted}, not {_toml_type(value)}"
        case _:
            return details["msg"]


def _suggest(word: str, known: list[str]) -> str:
    close = get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1)
    if close:
        return f"; did you mean {quote(next(name for name in known if name.lower() == close[0]))}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _kinds(path: KeyPath, schema: Mapping[str, Any]) -> list[str]:
    return [table["properties"]["kind"]["const"] for table in _tables_at(path[:-1], schema)]


def _meaning(path: KeyPath, schema: Mapping[str, Any]) -> str:
    descriptions = (
        table["properties"][path[-1]].get("description", "")
        for table in _tables_at(path[:-1], schema)
        if path[-1] in table.get("properties", {})
    )
    description = next(descriptions, "").rstrip(".")
    return f": {description[0].lower()}{description[1:]}" if description else ""


def _keys_at(path: KeyPath, schema: Mapping[str, Any]) -> list[str]:
    return sorted({key for table in _tables_at(path, schema) for key in table.get("properties", {})})


def _tables_at(path: KeyPath, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas that a value at `path` may follow."""
    found = _alternatives(schema, schema)
    for part in path:
        below = []
        for table in found:
            if isinstance(part, int):
                below.append(table.get("items", {}))
            else:
                names = next(iter(table.get("patternProperties", {}).values()), table.get("additionalProperties") or {})
                below.append(table.get("properties", {}).get(part, names))
        found = [alternative for table in below for alternative in _alternatives(table, schema)]
    return found


def _alternatives(node: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in node:
        return _alternatives(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    if "oneOf" in node or "anyOf" in node:
        choices = node.get("oneOf") or node.get("anyOf") or []
        return [alternative for choice in choices for alternative in _alternatives(choice, schema)]
    return [node]


def _show(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return quote(value) if isinstance(value, str | int | float) else _toml_type(value)


def _toml_type(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case str():
            return "text"
        case int():
            return "a whole number"
        case float():
            return "a number with a decimal point"
        case dict():
            return "a table"
        case list():
            return "an array"
        case date() | time():
            return "a date or time"
        case _:
            return type(value).__name__
