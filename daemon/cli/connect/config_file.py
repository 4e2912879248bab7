"""The configuration file while it is being made: it may be missing or not yet valid."""

import re
import tomllib
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.cli.connect.toml_edit import CannotEdit, lines_of, set_keys
from daemon.cli.installation.credential_files import replace_file
from daemon.cli.options import find_config
from daemon.config import parse_settings
from daemon.config.address import check_base_url
from daemon.config.fields import NAME_PATTERN
from daemon.errors import ConfigError
from daemon.ids import StoreName

FIRST_STORE = StoreName("main")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to the file. `text` is None where only a person can make it: then `lines` are what belongs in it."""

    text: str | None
    lines: str


class ConfigFile:
    """The file that `--config` names, or one of the usual ones; one that is named but missing begins empty."""

    def __init__(self, given: Path | None) -> None:
        """Raises ConfigError where there is none, or it can't be read or is not TOML."""
        self.path = find_config(given)
        self._is_windows = self._has_mark = False  # its line endings, and a byte order mark
        try:
            self.text = self._read()
        except FileNotFoundError:
            self.text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: can't be read: {error}") from None
        try:
            self._document: dict[str, Any] = tomllib.loads(self.text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise ConfigError(f"{self.path}: not valid TOML: {error}") from None

    def store(self, given: str | None) -> StoreName:
        """The store that is meant: the one named, else the only one, else the first of a new file.

        Raises:
            ConfigError: several can be meant, or the name can't be one.
        """
        stores = self._stores()
        if given is not None:
            if not re.fullmatch(NAME_PATTERN, given):
                raise ConfigError(f'--store "{given}" is not a name: 1 to 63 of a-z, 0-9, - and _')
            return StoreName(given)
        if len(stores) > 1:
            raise ConfigError(f"{self.path} has several stores: name one with --store ({', '.join(sorted(stores))})")
        return StoreName(next(iter(stores))) if stores else FIRST_STORE

    def table(self, store: StoreName, source: str) -> Mapping[str, Any]:
        """What is in a store's table of a source; empty where it has none."""
        tables = self._stores().get(store)
        found = tables.get(source) if isinstance(tables, dict) else None
        return found if isinstance(found, dict) else {}

    def base_url(self, store: StoreName, source: str) -> str | None:
        """Where the source is reached, if the file says so.

        Raises:
            ConfigError: no secret may be sent there.
        """
        configured = self.table(store, source).get("base_url")
        if configured is None:
            return None
        try:
            return check_base_url(configured if isinstance(configured, str) else "")
        except ValueError as error:
            raise ConfigError(f"{self.path}: stores.{store}.{source}.base_url: {error}") from None

    def edit(self, store: StoreName, source: str, keys: Mapping[str, object], *, without: Sequence[str] = ()) -> Edit:
        """The change that sets these keys of a store's table.

        Raises:
            ConfigError: the table would not be right with them.
        """
        table = ("stores", str(store), source)
        present = self.table(store, source)
        lines = lines_of(table, {key: value for key, value in keys.items() if present.get(key) != value} or keys)
        try:
            text = set_keys(self.text, table, keys, without=without)
        except CannotEdit:
            return Edit(None, lines)
        _check(text, self.path, f"stores.{store}.{source}")
        return Edit(text, lines)

    def write(self, edit: Edit) -> bool:
        """Replace the old file with the changed one. Returns whether that could be done."""
        if edit.text is None:
            return False
        if edit.text == self.text:
            return True
        try:
            there = self.path if self.path.exists() else self.path.absolute().parent
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
            # Through a link, so that the file it leads to is replaced and not the link.
            replace_file(self.path.resolve(), self._encoded(edit.text), mode=mode, like=there)
        except OSError:
            return False
        self.text = edit.text
        return True

    def _read(self) -> str:
        content = self.path.read_bytes()
        self._has_mark = content.startswith(BOM_UTF8)
        text = content.decode("utf-8-sig")
        self._is_windows = "\r\n" in text
        return text.replace("\r\n", "\n")

    def _encoded(self, text: str) -> bytes:
        """The text with the line endings and the mark that the file had."""
        content = (text.replace("\n", "\r\n") if self._is_windows else text).encode()
        return BOM_UTF8 + content if self._has_mark else content

    def _stores(self) -> dict[str, Any]:
        stores = self._document.get("stores")
        return stores if isinstance(stores, dict) else {}


def _check(text: str, path: Path, table: str) -> None:
    """Raise ConfigError for what is wrong with the table itself: the rest of a new file may still be to come."""
    try:
        parse_settings(text, source=str(path))
    except ConfigError as error:
        of_table = re.compile(rf":\d+: {re.escape(table)}[.:]")
        problems = [problem for problem in error.problems if of_table.search(problem)]
        if problems:
            raise ConfigError(*problems) from None
