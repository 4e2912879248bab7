"""From a TOML file to settings: everything that is wrong with the file at once, each in one line with its place."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from daemon.config.problems import describe, display
from daemon.config.references import check_references
from daemon.config.settings import Settings
from daemon.config.toml_lines import LineIndex
from daemon.errors import ConfigError

DEMO_CONFIG = Path(__file__).with_name("demo.toml")
EXAMPLE_CONFIG = Path(__file__).with_name("example.toml")

PLACE = re.compile(r"\s*\((?:at line (?P<line>\d+), column (?P<column>\d+)|at end of document)\)$")


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file.

    Raises `ConfigError` with all problems, sorted by line, each as `file:line: key: what is wrong`.
    """
    return parse_settings(_read(path), source=str(path))


def parse_settings(text: str, *, source: str) -> Settings:
    """Check the text of a configuration file, called `source` in messages. Raises `ConfigError` as `load_settings`."""
    try:
        document = tomllib.loads(text)
        lines = LineIndex(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_problem(error, text, source)) from None
    except (ValueError, RecursionError):  # such as a number of ten thousand digits
        raise ConfigError(f"{source}: not valid TOML: a value is too large or nested too deeply") from None

    found = list(check_references(document))
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        found += describe(error, document, json_schema())
    if found:
        located = sorted((lines.line(path), f"{display(path)}: {problem}") for path, problem in found)
        raise ConfigError(*(f"{source}:{line}: {problem}" for line, problem in located))
    return settings


def json_schema() -> dict[str, Any]:
    """The JSON schema of a configuration file, for editors that complete and check TOML."""
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **Settings.model_json_schema(schema_generator=_TomlJsonSchema),
        "title": "dongbo configuration",
    }


class _TomlJsonSchema(GenerateJsonSchema):
    """TOML has no null: a key that may be left out is simply not there."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        match described:
            case {"default": None}:
                del described["default"]
            case {"default": dict(default)}:
                described["default"] = {key: value for key, value in default.items() if value is not None}
        return described


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; name yours with --config") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: this is a directory; name the file in it") from None
    except PermissionError:
        raise ConfigError(f"{path}: this user may not read it; change its owner or mode") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file in this encoding") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, source: str) -> str:
    message = str(error)
    place = PLACE.search(message)
    if place is None:
        return f"{source}: {message}"
    line, column = place["line"] or text.count("\n") + 1, place["column"]
    return f"{source}:{line}{f':{column}' if column else ''}: not valid TOML: {message[: place.start()]}"
