"""What people choose from in forms, as it was last pulled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, MaxLen

from daemon.api.fields import LENIENT, STORABLE, STORE_PATTERN


class ChoiceKind(StrEnum):
    """What is chosen."""

    COLLECTIONS = "collections"
    TYPES = "types"
    VENDORS = "vendors"
    TAGS = "tags"
    LOCATIONS = "locations"
    DEPOTS = "depots"
    PRODUCTS = "products"


@dataclass(frozen=True, slots=True)
class ChoicesQuery:
    """What to choose from."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
    kind: ChoiceKind
    q: Annotated[str, MaxLen(300), STORABLE] = field(
        default="", metadata={"description": "A part of the name, whatever its case, accents and spaces; or an id."}
    )
    limit: Annotated[int, Ge(1), Le(100)] = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them."""

    value: str  # as a configuration, a campaign or a job takes it
    label: str
    count: int | None  # products that it stands for; None where that is not known


@dataclass(frozen=True, slots=True)
class ChoiceList:
    """Those that were found, the most common or best known first."""

    choices: Sequence[Choice]
