"""What an entry of the route table is, and what the handlers find on the application."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from aiohttp import hdrs, web

from daemon.api.findings import Finding
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.model import Job
from daemon.jobs.steering import Role
from daemon.status.background import SharedReading
from daemon.status.checks import Checks
from daemon.status.metrics import Metrics
from daemon.status.parts import StatusParts
from daemon.status.problems import Problem
from daemon.status.reading import JSON_TYPE
from daemon.status.sse import EventStreams
from daemon.status.survey import Surveyor

PARTS = web.AppKey("parts", StatusParts)
CHECKS = web.AppKey("checks", Checks)
SURVEYOR = web.AppKey("surveyor", Surveyor)
STREAMS = web.AppKey("streams", EventStreams)
METRICS = web.AppKey("metrics", Metrics)
CREDENTIAL_CHECK = web.AppKey("credential_check", SharedReading[Sequence[Finding]])

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not a problem.

    Args:
        schema: the type of the JSON, if it is JSON.
        texts: media types that are text, each with an example.
        events: the types of the JSON in the data of server-sent events (EVENT_STREAM), by the events' names.
        prefers_text: whether it is text unless the request's Accept names JSON; programs take what is described first.
        headers: those of the answer with a meaning, of `openapi_answers.HEADERS`.
    """

    description: str
    schema: type | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, type] = field(default_factory=dict)
    prefers_text: bool = False
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path: its handler, and all that its description says.

    Args:
        own_problems: statuses of the problems that follow from what it does alone.
        is_open: whether anybody may ask for it.
        needs: the role of whoever asks; unless given, what GET answers needs READ, and the rest OPERATE.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answers: Mapping[int, Answer]
    own_problems: tuple[int, ...] = ()
    query: type | None = None
    body: type | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # request headers with a meaning
    is_open: bool = False
    needs: Role | None = None

    @property
    def role(self) -> Role:
        """The role that it needs, unless it is open."""
        return self.needs or (Role.READ if self.method == hdrs.METH_GET else Role.OPERATE)

    @property
    def name(self) -> str:
        """Unique in the table."""
        return self.handler.__name__

    @property
    def problems(self) -> frozenset[int]:
        """Statuses of the problems that it may answer with, beyond those that every operation may."""
        of_path = (404,) if "{" in self.path else ()
        of_method = () if self.method == hdrs.METH_GET else (415,)
        of_body = (413, 422) if self.body else ()
        return frozenset((*self.own_problems, *of_path, *of_method, *of_body, *self._conflicts))

    @property
    def _conflicts(self) -> tuple[int, ...]:
        is_ambiguous = "{ref}" in self.path  # sales of two stores may share a name
        is_change_of_job = "{id}" in self.path and self.method == "POST"  # which may have continued meanwhile
        return (409,) if is_ambiguous or is_change_of_job else ()


def json_response(
    data: object, status: int = 200, *, content_type: str = JSON_TYPE, location: str | None = None
) -> web.Response:
    """An answer in JSON."""
    headers = {"Location": location} if location else None
    return web.Response(status=status, body=orjson.dumps(data), content_type=content_type, headers=headers)


def accepted(job: Job) -> web.Response:
    """202 with the job and where to find it."""
    return json_response(job, 202, location=f"/api/jobs/{job.id}")


def known_store(request: web.Request, name: str, status: int) -> StoreName:
    """The store of the configuration. Raises Problem of this status where there is none of this name."""
    store = StoreName(name)
    stores = request.app[PARTS].stores()
    if store not in stores:
        raise Problem(
            status,
            _("The configuration has no such store: it has {stores}").format(
                stores=", ".join(sorted(stores)) or _("none")
            ),
        )
    return store
