"""What is asked of something within a store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from daemon.api.fields import LENIENT, STORE_PATTERN


@dataclass(frozen=True, slots=True)
class StoreQuery:
    """Of which store."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
