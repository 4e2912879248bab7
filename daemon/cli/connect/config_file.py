"""The configuration file while it is being made: it may be missing, or not right yet."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.cli.connect.secret_places import replace_file
from daemon.cli.connect.toml_edit import CannotEdit, lines_of, set_keys
from daemon.cli.options import find_config
from daemon.config import Settings, parse_settings
from daemon.errors import ConfigError
from daemon.ids import StoreName

FIRST_STORE = StoreName("main")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to the file. `text` is None where only a person can make it: then `lines` are what belongs into it."""

    text: str | None
    lines: str


class ConfigFile:
    """The file that `--config` names, or one of the usual ones; one that is named and not there begins empty."""

    def __init__(self, given: Path | None) -> None:
        """Raises ConfigError where there is none, or it can't be read or is not TOML."""
        self.path = find_config(given)
        try:
            self.text = self.path.read_text("utf-8-sig")
        except FileNotFoundError:
            self.text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: can't be read: {error}") from None
        try:
            self._document: dict[str, Any] = tomllib.loads(self.text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise ConfigError(f"{self.path}: not valid TOML: {error}") from None

    @property
    def settings(self) -> Settings | None:
        """What it says, once it is right."""
        try:
            return parse_settings(self.text, source=str(self.path))
        except ConfigError:
            return None

    def store(self, given: str | None) -> StoreName:
        """The store that is meant: the one named, else the only one, else the first of a new file.

        Raises:
            ConfigError: several can be meant.
        """
        stores = self._stores()
        if given is not None:
            return StoreName(given)
        if len(stores) > 1:
            raise ConfigError(f"{self.path} has several stores: name one with --store ({', '.join(sorted(stores))})")
        return StoreName(next(iter(stores))) if stores else FIRST_STORE

    def table(self, store: StoreName, source: str) -> Mapping[str, Any]:
        """What is in a store's table of a source; empty where it has none."""
        tables = self._stores().get(store)
        found = tables.get(source) if isinstance(tables, dict) else None
        return found if isinstance(found, dict) else {}

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
        _check(text, self.path, f"stores.{store}")
        return Edit(text, lines)

    def write(self, edit: Edit) -> bool:
        """Put the changed file in the place of the old one. Whether that could be done."""
        if edit.text is None:
            return False
        if edit.text == self.text:
            return True
        try:
            there = self.path if self.path.exists() else self.path.absolute().parent
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
            # Through a link, so that the file it leads to is replaced and not the link.
            replace_file(self.path.resolve(), edit.text.encode(), mode=mode, like=there)
        except OSError:
            return False
        self.text = edit.text
        return True

    def _stores(self) -> dict[str, Any]:
        stores = self._document.get("stores")
        return stores if isinstance(stores, dict) else {}


def _check(text: str, path: Path, store: str) -> None:
    """Raise ConfigError for what is wrong with the store's own tables: the rest of a new file may be yet to come."""
    try:
        parse_settings(text, source=str(path))
    except ConfigError as error:
        problems = [problem for problem in error.problems if f": {store}" in problem]
        if problems:
            raise ConfigError(*problems) from None
