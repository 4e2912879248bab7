"""Sets keys in a TOML file without damaging what people have written in it."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item

from daemon.config.toml_lines import LineIndex

Table = tuple[str, ...]


class CannotEdit(Exception):
    """The file is written in a way that only a person can change safely."""


def set_keys(text: str, table: Table, keys: Mapping[str, object], *, without: Sequence[str] = ()) -> str:
    """The document with these keys of a table set, in this order where they are new, and others commented out.

    All other lines stay as they are. A new table begins where the document has it commented out, else at the end.

    Raises:
        CannotEdit: the result would not be what was asked for; also for a document that is not TOML.
    """
    try:
        wanted = _changed(tomllib.loads(text), table, keys, without)
        edited = _edited(text, table, keys, without)
        if tomllib.loads(edited) != wanted:
            raise CannotEdit("the keys would end up in another place")
    except (TOMLKitError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CannotEdit(str(error)) from error
    return edited


def lines_of(table: Table, keys: Mapping[str, object]) -> str:
    """The keys as a person would write them into a file."""
    return "\n".join([_header(table), *(_line(key, value) for key, value in keys.items())])


def _changed(
    document: dict[str, Any], table: Table, keys: Mapping[str, object], without: Sequence[str]
) -> dict[str, Any]:
    changed = deepcopy(document)
    place = changed
    for part in table:
        place = place.setdefault(part, {})
    for key in without:
        place.pop(key, None)
    place.update(keys)
    return changed


def _edited(text: str, table: Table, keys: Mapping[str, object], without: Sequence[str]) -> str:
    document = tomllib.loads(text)
    place: Any = document
    for part in table:
        if part not in place:
            return _begun(text, table, keys, without)
        place = place[part]
    order = list(keys)
    for key, value in keys.items():
        if key not in place:
            text = _insert(text, table, order[: order.index(key)], key, value)
        elif place[key] != value:
            text = _replace(text, table, key, value)
    for key in without:
        if key in place:
            text = _comment_out(text, table, key)
    return text


def _begun(text: str, table: Table, keys: Mapping[str, object], without: Sequence[str]) -> str:
    """The document with a new table. The header of one that is commented out is taken out of its comment, and so are
    the lines of these keys below it."""
    lines, header = text.split("\n"), _header(table)
    if f"# {header}" not in lines:
        return f"{text.rstrip()}\n\n{lines_of(table, keys)}\n".lstrip("\n")
    number = lines.index(f"# {header}")
    lines[number] = header
    while (number := number + 1) < len(lines) and (found := re.match(r"# (\S[^=]*)", lines[number])):
        if found[1].strip() in keys:
            lines[number] = lines[number].removeprefix("# ")
    return _edited("\n".join(lines), table, keys, without)


def _header(table: Table) -> str:
    return f"[{'.'.join(_key(part) for part in table)}]"


def _replace(text: str, table: Table, key: str, value: object) -> str:
    """The line of a key with another value; its comment stays."""
    lines, number = text.split("\n"), _line_of(text, table, key)
    line = tomlkit.parse(lines[number])
    line[key] = _item(value)
    lines[number] = line.as_string()
    return "\n".join(lines)


def _comment_out(text: str, table: Table, key: str) -> str:
    """What a person has written is kept, but has no effect."""
    lines, number = text.split("\n"), _line_of(text, table, key)
    lines[number] = f"# {lines[number]}"
    return "\n".join(lines)


def _line_of(text: str, table: Table, key: str) -> int:
    """Where a key that takes one line is. Raises CannotEdit where it takes more, or has another form."""
    number = LineIndex(text).lines[*table, key] - 1
    line = text.split("\n")[number]
    if not re.match(rf"\s*{re.escape(key)}\s*=", line) or key not in tomllib.loads(line):
        raise CannotEdit(f"{key} is not on a line of its own")
    return number


def _insert(text: str, table: Table, earlier: Sequence[str], key: str, value: object) -> str:
    """The new key after the nearest one that comes before it, else after the table's header.

    Not at the table's end: what follows the last key may be comments that belong to the next table.
    """
    lines, index = text.split("\n"), LineIndex(text)
    for anchor in reversed(earlier):
        line = index.lines.get((*table, anchor))
        if line is not None and (found := re.match(rf"(\s*){re.escape(anchor)}\s*=", lines[line - 1])):
            lines.insert(line, f"{found[1]}{_line(key, value)}")
            return "\n".join(lines)
    header = index.lines[table]
    if not lines[header - 1].lstrip().startswith("["):
        raise CannotEdit("the table has no header of its own")
    lines.insert(header, _line(key, value))
    return "\n".join(lines)


def _line(key: str, value: object) -> str:
    return f"{_key(key)} = {_item(value).as_string()}"


def _key(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else tomlkit.item(part).as_string()


def _item(value: object) -> Item:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} = {tomlkit.item(part).as_string()}" for name, part in value.items())
        return tomlkit.value(f"{{ {inner} }}")
    return tomlkit.item(value)
