"""What an access token may do: Nhanh's answer to app/checkaccesstoken, and, along with a new token, to
app/getaccesstoken."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from daemon.errors import SourceUnavailable
from daemon.i18n import gettext as _


class NhanhAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What the access token may do, and until when."""

    expires_at: datetime
    depot_ids: list[int]  # empty: all depots. With only some, stock silently looks lower than it is.
    permissions: list[str]
    business_id: int


class _Answer(msgspec.Struct, rename="camel"):
    expired_at: float
    business_id: int
    depot_ids: list[int | str] | str | None = None  # "All" and an empty list mean all of them
    permissions: Any = None


def read_access(source: str, action: str, data: bytes) -> NhanhAccess:
    """Read the `data` of an answer. `source` and `action` name it in errors.

    Raises:
        SourceUnavailable: it can't be read.
    """
    try:
        found = msgspec.json.decode(data, type=_Answer, strict=False)
        return NhanhAccess(
            expires_at=datetime.fromtimestamp(found.expired_at, UTC),
            depot_ids=_depot_ids(found.depot_ids),
            permissions=_names(found.permissions),
            business_id=found.business_id,
        )
    except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
        raise SourceUnavailable(
            _("{source} sent an answer to {action} that can't be read.").format(source=source, action=action)
        ) from error


def _depot_ids(found: list[int | str] | str | None) -> list[int]:
    """The depots that a token is limited to; none for all. Raises ValueError for anything but ids or "All"."""
    if isinstance(found, str):
        found = [] if found.strip().lower() in ("", "all") else list(found.split(","))
    return [int(depot) for depot in found or ()]


def _names(permissions: Any) -> list[str]:
    match permissions:
        case None | "":
            return []
        case str():
            return [name.strip() for name in permissions.split(",")]
        case dict():
            return [str(name) for name in permissions]
        case list():
            return [
                str(name.get("name", name.get("id", name))) if isinstance(name, dict) else str(name)
                for name in permissions
            ]
        case _:
            return [str(permissions)]
