"""Hands on what is logged about a job, besides the log itself, to whoever keeps it with the job."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from daemon.logging.values import plain_event


class JobLine(NamedTuple):
    """A line of the log that names a job. `fields` are plain values without secrets."""

    at: datetime
    job_id: str
    level: str
    event: str
    fields: Mapping[str, Any]


Keeper = Callable[[JobLine], None]

_keeper: Keeper | None = None
OWN_PLACE = frozenset(("job_id", "event", "level", "logger", "store", "type", "schedule"))  # said elsewhere


@contextmanager
def kept_by(keeper: Keeper) -> Iterator[None]:
    """Hand on lines to `keeper`, which must return at once."""
    global _keeper  # one a process, like the log
    _keeper = keeper
    try:
        yield
    finally:
        _keeper = None


def hand_on(event: Mapping[str, Any]) -> None:
    """Hand on an event if it names a job and somebody keeps such lines."""
    if _keeper is None or "job_id" not in event:
        return
    fields = plain_event({name: value for name, value in event.items() if name not in OWN_PLACE})
    _keeper(JobLine(datetime.now(UTC), str(event["job_id"]), str(event["level"]), str(event["event"]), fields))
