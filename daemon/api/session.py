"""Who asks, and the session of the page."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar

from annotated_types import Len

from daemon.api.fields import STRICT
from daemon.jobs.steering import Role

LONGEST_TOKEN = 4_096  # characters


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks.

    Args:
        name: of the token, or as a trusted proxy gives it; null where none is known.
        role: what they may ask for: read (nothing that changes anything), or operate.
        known_by: token, session, proxy; or nothing, where nobody is asked who they are.
        session_ends_at: when the session ends unless it is used again; null where there is none.
    """

    name: str | None
    role: Role
    known_by: str
    session_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class LoginBody:
    """The token by which a session begins."""

    __pydantic_config__: ClassVar[Any] = STRICT

    token: Annotated[str, Len(1, LONGEST_TOKEN)] = field(metadata={"description": "As in the Authorization header."})
