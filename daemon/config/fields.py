"""What the tables of a configuration are made of: patterns of names, secrets by reference, addresses, time zones."""

from datetime import date, datetime, time
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    WithJsonSchema,
    model_validator,
)

from daemon.config.address import check_base_url, check_database_url
from daemon.config.zones import to_zone

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
CREDENTIAL_PATTERN = r"^[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,254}$"
ABSOLUTE_PATH_PATTERN = r"^/"
LOCATION_PATTERN = r"^[1-9][0-9]{0,17}$"
METAFIELD_PATTERN = r"^[A-Za-z0-9_-]{3,255}\.[A-Za-z0-9_-]{2,64}$"
TIER_PATTERN = r"^[^,\s][^,]{0,38}$"
HEADER_PATTERN = r"^[A-Za-z][A-Za-z0-9-]{0,62}$"
QUIET_HOURS_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
HOST_PATTERN = r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])$|^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"

REFERENCE_FORMS = '{ env = "NAME" }, { credential = "name" } or { file = "/path" }'


LONGEST_PERSON = 100  # characters


def is_person(name: str) -> bool:
    """Whether a name of a person, or of a program that asks like one, can be shown as it is."""
    return 0 < len(name) <= LONGEST_PERSON and name == name.strip() and name.isprintable()


def _check_person(name: str) -> str:
    if not is_person(name):
        raise ValueError(f"a name has 1 to {LONGEST_PERSON} printable characters, and no space at its ends")
    return name


class Section(BaseModel):
    """What all tables have in common. TOML has types of its own, so none is taken for another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class SecretRef(Section):
    """Where a secret is kept: exactly one of the three keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    env: str | None = Field(default=None, pattern=VARIABLE_PATTERN, description="Name of an environment variable.")
    credential: str | None = Field(
        default=None, pattern=CREDENTIAL_PATTERN, description="Name of a systemd credential (LoadCredential=)."
    )
    file: str | None = Field(
        default=None, pattern=ABSOLUTE_PATH_PATTERN, description="Absolute path of a file that holds it."
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_the_secret_itself(cls, value: object) -> object:
        if isinstance(value, dict | SecretRef):
            return value
        raise ValueError(f"a secret does not belong in this file: say where it is kept, as {REFERENCE_FORMS}")

    @model_validator(mode="after")
    def _require_one_place(self) -> Self:
        if sum(place is not None for place in (self.env, self.credential, self.file)) != 1:
            raise ValueError(f"say exactly one place where the secret is kept: {REFERENCE_FORMS}")
        return self


def _form_of_url(value: object) -> str:
    return "reference" if isinstance(value, dict | SecretRef) else "text"


def _check_secret_url(value: SecretStr) -> SecretStr:
    check_database_url(value.get_secret_value())
    return value


def quote_dates(value: object) -> object:
    """TOML's dates and times as JSON has them, in text."""
    match value:
        case dict():
            return {key: quote_dates(element) for key, element in value.items()}
        case list():
            return [quote_dates(element) for element in value]
        case date() | datetime() | time():
            return value.isoformat()
        case _:
            return value


TimeZone = Annotated[
    ZoneInfo, BeforeValidator(to_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Ho_Chi_Minh", "UTC"]})
]
Person = Annotated[str, AfterValidator(_check_person)]
BaseUrl = Annotated[str, AfterValidator(check_base_url)]
DatabaseUrl = Annotated[
    Annotated[SecretStr, AfterValidator(_check_secret_url), Tag("text")] | Annotated[SecretRef, Tag("reference")],
    Discriminator(_form_of_url),
]
