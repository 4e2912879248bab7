"""A bulk operation as Shopify tells of it, and why its file may not be of use.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API".
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class BulkStatus(StrEnum):
    """What Shopify says about an operation: BulkOperationStatus in its schema."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class BulkState:
    """An operation as it was last seen."""

    id: str
    status: BulkStatus
    error_code: str | None
    objects: int  # lines so far
    roots: int  # of them without a parent
    file_bytes: int
    url: str | None = field(repr=False)  # as good as a password; None where nothing was found


class NotReadInBulk(Exception):
    """The rows must be read in another way. `notice` tells a person what they can do about it, if anything."""

    def __init__(self, message: str, notice: str | None = None) -> None:
        super().__init__(message)
        self.notice = notice


class BulkBusy(NotReadInBulk):
    """As many operations as may run at once are under way: those of others may end."""


def read_state(node: dict[str, Any]) -> BulkState:
    """An operation out of an answer.

    Raises:
        KeyError, TypeError, ValueError: it can't be read.
    """
    url, has_part = node["url"], node["partialDataUrl"] is not None
    return BulkState(
        id=str(node["id"]),
        # Partial data counts as no data, whatever the status.
        status=BulkStatus.FAILED if has_part else BulkStatus(node["status"]),
        error_code=node["errorCode"],
        objects=int(node["objectCount"]),
        roots=int(node["rootObjectCount"]),
        file_bytes=int(node["fileSize"] or 0),
        url=str(url) if url is not None else None,
    )
