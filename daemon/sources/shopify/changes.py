"""What has changed in a list, found by ids and times of change."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import orjson

from daemon.i18n import gettext as _
from daemon.sources.decode import Moment
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify.models import gid_number
from daemon.sources.shopify.partial import Unreadable

# Gives the times of change at which the rows of these ids were read whole.
Known = Callable[[Sequence[int]], Awaitable[Mapping[int, datetime | None]]]

_DOCUMENT = b"{}"  # nothing is kept of these


class Version(msgspec.Struct, frozen=True):
    """A row of a list in short."""

    id: int
    updated_at: datetime | None  # None where it can't be read: then the row itself shows what is wrong with it


async def read_versions(nodes: list[Any]) -> tuple[list[SourceRow[Version]], list[BadRow]]:
    """The rows of a list, and those without a readable id."""
    good: list[SourceRow[Version]] = []
    bad: list[BadRow] = []
    for node in nodes:
        version = read_version(node)
        if version is not None:
            good.append(SourceRow(version, _DOCUMENT))
        else:
            bad.append(BadRow(None, _("The row has no readable id."), orjson.dumps(getattr(node, "row", node))))
    return good, bad


def read_version(node: Any) -> Version | None:
    """A row in short; None where it has no readable id."""
    if isinstance(node, Unreadable):
        number = gid_number(node.row.get("id"))
        return Version(number, None) if number is not None else None
    number = gid_number(node.get("id")) if isinstance(node, dict) else None
    if number is None:
        return None
    try:
        return Version(number, msgspec.convert(node.get("updatedAt"), Moment | None))
    except msgspec.ValidationError:
        return Version(number, None)


def may_be_one_of(node: Any, ids: Collection[str]) -> bool:
    """Whether a row is one of these ids, or may be one because its own can't be read."""
    version = read_version(node)
    return version is None or str(version.id) in ids
