"""Records of the API out of the few members that a test is about."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from types import NoneType
from typing import Any, NewType, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

import orjson

from daemon.api.decoding import decode
from daemon.jobs.model import Job

T = TypeVar("T")

NOTHING: dict[Any, Any] = {
    str: "",
    int: 0,
    float: 0.0,
    bool: False,
    UUID: UUID(int=0),
    datetime: datetime(2026, 10, 1, tzinfo=UTC),
    Any: None,
}


def record_of(kind: type[T], members: Mapping[str, Any]) -> T:
    """The record that an answer of these members is; whatever else it has is nothing."""
    return decode(kind, orjson.dumps(_nothing(kind) | dict(members)))


def _nothing(kind: Any) -> Any:
    if isinstance(kind, NewType):
        return _nothing(kind.__supertype__)
    if dataclasses.is_dataclass(kind):
        return {name: _nothing(hint) for name, hint in get_type_hints(kind).items()}
    if NoneType in get_args(kind):
        return None
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if get_origin(kind) in (Sequence, list):
        return []
    if get_origin(kind) is Mapping:
        return {}
    return NOTHING[kind]


def job_record(**changes: Any) -> Any:
    """A pull under way, but for `changes`."""
    return record_of(
        Job,
        {
            "id": "01a20971-aaad-752d-bd81-172a061e849c",
            "type": "PULL_NHANH_PRODUCTS",
            "store": "main",
            "status": "RUNNING",
            "total": None,
            "processed": 0,
            "created": 0,
            "updated": 0,
            "skipped": 0,
            "failed": 0,
            "metadata": {},
            "error": None,
            "not_before": None,
            "cancel_requested": False,
            "started_at": None,
            "completed_at": None,
            "version": 1,
            "eta_seconds": None,
            **changes,
        },
    )
