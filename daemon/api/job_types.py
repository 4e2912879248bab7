"""Which jobs can be asked for, and what may be said of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.jobs.types import JobType


@dataclass(frozen=True, slots=True)
class JobTypeForm:
    """A type of job, described well enough to make a form of it.

    Args:
        params: JSON Schema of its params; titles and descriptions are in the language of the request.
        retries_rows: whether the failed rows of such a job can be retried alone; else it is run again.
        stores: those that have all that such a job needs.
    """

    type: JobType
    name: str
    description: str
    params: Mapping[str, Any]
    retries_rows: bool
    stores: Sequence[str]


@dataclass(frozen=True, slots=True)
class JobTypeList:
    """All types of jobs."""

    types: Sequence[JobTypeForm]
