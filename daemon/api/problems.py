"""Why a request was not served."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Mistake:
    """A thing that is wrong with a request; `at` is the path of the member, empty where it is the whole."""

    at: str
    detail: str


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """The answer of status 4xx or 5xx (RFC 9457).

    Args:
        type: about:blank, or urn:dongbo:problem: and a name.
        detail: what is wrong and what to do, for a person.
        instance: this occurrence.
        job_id: the live job that stands in the way, where one does.
        errors: each thing that is wrong with the request, where it is one's content.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    job_id: UUID | None = None
    errors: Sequence[Mistake] = ()
