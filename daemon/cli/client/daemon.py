"""A client of the running daemon's HTTP endpoint: whatever `dongbo` knows about jobs comes from there."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from uuid import UUID

import aiohttp
import orjson

from daemon.api.alerts import AlertList, AlertTest, AlertTestBody, AlertTests
from daemon.api.approvals import Approval, ApprovalList, Change, ChangeList
from daemon.api.decoding import UnexpectedShape, decode
from daemon.api.explanation import Explanation
from daemon.api.findings import Finding, Findings
from daemon.api.jobs import FailureList, JobFilterQuery, JobList, JobStory, PruneBody, Pruned, RetryBody, SubmitBody
from daemon.api.mappings import (
    Entry,
    ManualOutcome,
    MappingList,
    RemoveBody,
    Removed,
    ResolveBody,
    Resolved,
    SetBody,
)
from daemon.api.mappings import Mapping as ProductMapping
from daemon.api.problems import ProblemDetails
from daemon.api.pushes import Push, PushList
from daemon.api.schedules import Schedule, ScheduleList
from daemon.api.session import Caller
from daemon.api.status import Status
from daemon.api.stores import PauseBody, StorePausing
from daemon.api.webhooks import Webhooks
from daemon.cli.client.sse import ServerEvent, read_events
from daemon.cli.client.target import DaemonTarget
from daemon.errors import DaemonUnreachable, DongboError, JobNotFound, LiveJobExists, SaleNotFound, ScheduleNotFound
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs.model import Job, JobFailure, JobStatus, JobSummary, PruningPlan
from daemon.jobs.types import JobType

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# The daemon sends something at least every 15 s, if only a sign of life.
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=45)
PAGE = 200  # rows asked for at once
MOST_SCHEDULES = 100_000
WHOLE_ID = 36  # characters

T = TypeVar("T")


class DaemonRefused(DongboError):
    """The daemon did not do what it was asked to; the text is its own."""


class ListPage(Protocol):
    """A page of a list."""

    @property
    def next_cursor(self) -> str | None: ...


P = TypeVar("P", bound=ListPage)


@asynccontextmanager
async def connect(target: DaemonTarget) -> AsyncIterator["DaemonClient"]:
    """A client of the daemon at `target`. Nothing is sent before its first method is called."""
    connector = aiohttp.UnixConnector(target.socket) if target.socket else aiohttp.TCPConnector()
    headers = {"X-Dongbo-Client": "cli", "Accept": "application/json"}
    if target.token is not None:
        headers["Authorization"] = f"Bearer {target.token.get_secret_value()}"
    async with aiohttp.ClientSession(target.base_url, connector=connector, headers=headers, timeout=TIMEOUT) as session:
        yield DaemonClient(session, target)


class DaemonClient:
    """The endpoint's routes as methods.

    All of them raise DaemonUnreachable where no daemon answers or the token is refused, and DaemonRefused with the
    daemon's own words for any other failure.
    """

    def __init__(self, session: aiohttp.ClientSession, target: DaemonTarget) -> None:
        self._session = session
        self.target = target

    async def status(self) -> Status:
        """The daemon at a glance."""
        return await self.ask(Status, "GET", "/status")

    async def caller(self) -> Caller:
        """Who the daemon takes this for."""
        return await self.ask(Caller, "GET", "/api/session")

    async def check_credentials(self) -> Sequence[Finding]:
        """What the daemon finds when it tries the credentials that it works with."""
        return (await self.ask(Findings, "POST", "/api/checks/credentials")).findings

    async def jobs(self, *, status: JobStatus | None = None, limit: int = 50) -> list[Job]:
        """At most `limit` jobs, newest first."""
        return await self._list(JobList, "/api/jobs", given(status=status), limit, lambda page: page.jobs)

    async def results(self, wanted: JobFilterQuery, *, limit: int) -> list[tuple[Job, JobSummary]]:
        """At most `limit` jobs with what came of them, newest first."""
        query = given(**{field.name: _in_query(getattr(wanted, field.name)) for field in fields(wanted)})
        return await self._list(
            JobList, "/api/jobs", query, limit, lambda page: list(zip(page.jobs, page.summaries, strict=True))
        )

    async def find_job(self, beginning: str) -> JobId:
        """The job whose id begins so, in lower case. Raises JobNotFound where none or several do."""
        if len(beginning) == WHOLE_ID:
            return JobId(UUID(beginning))
        found = await self._list(JobList, "/api/jobs", {"search": beginning}, PAGE, lambda page: page.jobs)
        ids = [job.id for job in found if str(job.id).startswith(beginning)]
        if not ids:
            raise JobNotFound(
                _("There is no job whose id begins with {beginning}: `dongbo jobs list` shows them").format(
                    beginning=beginning
                )
            )
        if len(ids) > 1:
            raise JobNotFound(
                _("{n} jobs begin with {beginning}: {ids}. Say more of it").format(
                    n=len(ids), beginning=beginning, ids=", ".join(map(str, ids[:5]))
                )
            )
        return ids[0]

    async def job(self, job_id: JobId) -> Job:
        """One job. Raises JobNotFound."""
        return await self.ask(Job, "GET", f"/api/jobs/{job_id}")

    async def story(self, job_id: JobId) -> JobStory:
        """A job with all that happened to it. Raises JobNotFound."""
        return await self.ask(JobStory, "GET", f"/api/jobs/{job_id}/story")

    async def failures(self, job_id: JobId, *, limit: int = 100) -> list[JobFailure]:
        """At most `limit` rows that a job could not store, oldest first. Raises JobNotFound."""
        return await self._list(FailureList, f"/api/jobs/{job_id}/failures", {}, limit, lambda page: page.failures)

    async def steps(self, job_id: JobId) -> list[Job]:
        """The jobs that are steps of this one, oldest first."""
        found = await self._list(JobList, "/api/jobs", {"parent": str(job_id)}, PAGE, lambda page: page.jobs)
        return found[::-1]

    async def pushes(self, job_id: JobId, *, limit: int = 100) -> list[Push]:
        """At most `limit` values that a job has pushed to Shopify, oldest first. Raises JobNotFound."""
        return await self._list(PushList, f"/api/jobs/{job_id}/pushes", {}, limit, lambda page: page.pushes)

    async def question_of(self, job_id: JobId) -> Approval | None:
        """The last question that a job or a step of it has asked, unless a newer run asks it by now."""
        found = await self.ask(ApprovalList, "GET", "/api/approvals", query={"job": str(job_id)})
        return found.approvals[0] if found.approvals else None

    async def changes(self, approval_id: int, kind: str | None, *, limit: int) -> list[Change]:
        """At most `limit` changes that wait for the answer to a question, the largest first."""
        path = f"/api/approvals/{approval_id}/changes"
        return await self._list(ChangeList, path, given(kind=kind), limit, lambda page: page.changes)

    async def submit(self, job_type: JobType, store: str, params: Mapping[str, Any]) -> Job:
        """Ask for a job. Raises LiveJobExists with the id of the one already running."""
        return await self.ask(Job, "POST", "/api/jobs", body=SubmitBody(job_type, store, dict(params)))

    async def cancel(self, job_id: JobId) -> Job:
        """Cancel a job. Raises JobNotFound."""
        return await self.ask(Job, "POST", f"/api/jobs/{job_id}/cancel")

    async def approve(self, job_id: JobId) -> Job:
        """Let a job do what it asked about. Raises JobNotFound, LiveJobExists."""
        return await self.ask(Job, "POST", f"/api/jobs/{job_id}/approve")

    async def reject(self, job_id: JobId) -> Job:
        """End a job that asks for approval. Raises JobNotFound."""
        return await self.ask(Job, "POST", f"/api/jobs/{job_id}/reject")

    async def retry(self, job_id: JobId, *, failed_rows: bool) -> Job:
        """Run a job again, or just its failed rows. Raises JobNotFound, LiveJobExists."""
        return await self.ask(Job, "POST", f"/api/jobs/{job_id}/retry", body=RetryBody(failed=failed_rows))

    async def plan_pruning(self, older_than_days: float) -> PruningPlan:
        """How many jobs `prune` would delete, and how many it would keep for which reason."""
        return await self.ask(PruningPlan, "GET", "/api/jobs/prune", query={"older_than_days": str(older_than_days)})

    async def prune(self, older_than_days: float) -> int:
        """Delete jobs that ended longer ago than this; returns how many."""
        return (await self.ask(Pruned, "POST", "/api/jobs/prune", body=PruneBody(older_than_days))).deleted

    async def schedules(self) -> Sequence[Schedule]:
        """All schedules with their last and next fires."""
        return await self._list(ScheduleList, "/api/schedules", {}, MOST_SCHEDULES, lambda page: page.schedules)

    async def run_schedule(self, name: str) -> Job:
        """Submit a schedule's job now. Raises ScheduleNotFound, LiveJobExists."""
        return await self.ask(Job, "POST", f"/api/schedules/{quote(name, safe='')}/run")

    async def pause_schedule(self, name: str) -> Schedule:
        """Keep a schedule from firing. Raises ScheduleNotFound."""
        return await self.ask(Schedule, "POST", f"/api/schedules/{quote(name, safe='')}/pause")

    async def resume_schedule(self, name: str) -> Schedule:
        """Let a paused schedule fire again. Raises ScheduleNotFound."""
        return await self.ask(Schedule, "POST", f"/api/schedules/{quote(name, safe='')}/resume")

    async def pause_store(self, store: str, body: PauseBody) -> StorePausing:
        """Write nothing to a store for now."""
        return await self.ask(StorePausing, "POST", f"/api/stores/{quote(store, safe='')}/pause", body=body)

    async def resume_store(self, store: str) -> StorePausing:
        """Write to a store again."""
        return await self.ask(StorePausing, "POST", f"/api/stores/{quote(store, safe='')}/resume")

    async def alerts(self, *, limit: int) -> AlertList:
        """Who is told what is not right, and at most `limit` of what they have been told, newest first."""
        return await self.ask(AlertList, "GET", "/api/alerts", query={"limit": str(limit)})

    async def test_alerts(self, channel: str | None) -> Sequence[AlertTest]:
        """Send a test message by one channel, or by all; what came of it."""
        return (await self.ask(AlertTests, "POST", "/api/alerts/test", body=AlertTestBody(channel))).tests

    async def webhooks(self, store: str | None = None, *, limit: int) -> Webhooks:
        """How the webhooks of a store stand, or of all, and at most `limit` of what came, newest first."""
        return await self.ask(Webhooks, "GET", "/api/webhooks", query=given(store=store, limit=str(limit)))

    async def mappings(
        self, store: str, *, state: str | None = None, search: str | None = None, limit: int
    ) -> list[ProductMapping]:
        """At most `limit` variants with the products that they are, in the order of their ids."""
        query = given(store=store, state=state, search=search)
        return await self._list(MappingList, "/api/mappings", query, limit, lambda page: page.mappings)

    async def set_mappings(
        self, store: str, decisions: Mapping[int, int | None], note: str | None = None
    ) -> ManualOutcome:
        """Decide which product each variant is, {variant: product or None}; at most 500, all or none."""
        body = SetBody(store, [Entry(variant, product) for variant, product in decisions.items()], note)
        return await self.ask(ManualOutcome, "POST", "/api/mappings", body=body)

    async def remove_mappings(self, store: str, variant_ids: Sequence[int]) -> int:
        """Take back decisions about at most 500 variants; returns how many there were."""
        body = RemoveBody(store, list(variant_ids))
        return (await self.ask(Removed, "POST", "/api/mappings/remove", body=body)).removed

    async def resolve(self, store: str, variants: Sequence[str], products: Sequence[str]) -> Resolved:
        """What at most 500 texts for variants and as many for products may mean."""
        body = ResolveBody(store, list(variants), list(products))
        return await self.ask(Resolved, "POST", "/api/mappings/resolve", body=body)

    async def explain(self, store: str, text: str) -> Explanation:
        """Why Shopify has the values that it has for an SKU."""
        return await self.ask(Explanation, "GET", "/api/explain", query={"store": store, "sku": text})

    @asynccontextmanager
    async def events(self, last_event_id: str | None = None) -> AsyncIterator[AsyncIterator[ServerEvent]]:
        """The stream of events: a snapshot, then every change of a job, until the daemon ends it."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        try:
            async with self._session.get("/api/events", headers=headers, timeout=STREAM_TIMEOUT) as response:
                if response.status != 200:
                    raise self._failure("/api/events", _problem(response, await response.read()))
                yield read_events(response.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def _list(
        self, record: type[P], path: str, query: Mapping[str, str], limit: int, rows: Callable[[P], Sequence[T]]
    ) -> list[T]:
        """The rows of a list, page after page."""
        found: list[T] = []
        while len(found) < limit:
            size = {"limit": str(min(limit - len(found), PAGE))}
            page = await self.ask(record, "GET", path, query={**query, **size})
            found += rows(page)
            if page.next_cursor is None:
                break
            query = {**query, "cursor": page.next_cursor}
        return found

    async def ask(
        self,
        record: type[T],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object | None = None,
    ) -> T:
        """The answer of a route, which is a record of this type."""
        return self.read(record, await self.fetch(method, path, query=query, body=body))

    def read(self, record: type[T], content: bytes | str) -> T:
        """What the daemon has sent, as a record of this type."""
        try:
            return decode(record, content)
        except UnexpectedShape as error:
            raise DaemonRefused(
                _(
                    "the daemon at {name} and this command are of different versions: its answer has {error}. Restart "
                    "the daemon if dongbo has been updated here; else update it here, too"
                ).format(name=self.target.name, error=error)
            ) from None
        except ValueError:
            raise DaemonUnreachable(
                _("what answers at {name} is not dongbo: correct [status] listen, or --url").format(
                    name=self.target.name
                )
            ) from None

    async def fetch(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> bytes:
        """Any other route; its answer as it comes."""
        data = None if body is None else orjson.dumps(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(method, path, params=query, data=data, headers=headers) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise self._failure(path, _problem(response, content))
        return content

    def _unreachable(self, error: Exception) -> DaemonUnreachable:
        if isinstance(error, TimeoutError):
            return DaemonUnreachable(
                _("the daemon at {name} did not answer in time: look in its log").format(name=self.target.name)
            )
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PermissionError):
            return DaemonUnreachable(
                _("this user may not open {name}: run the command as the daemon's user (such as with sudo)").format(
                    name=self.target.name
                )
            )
        return DaemonUnreachable(
            _("no daemon answers at {name}: start it with `{command}`").format(
                name=self.target.name, command=self.target.start_command
            )
        )

    def _failure(self, path: str, problem: ProblemDetails) -> DongboError:
        match problem.status:
            case 401:
                return DaemonUnreachable(self.target.refused_token())
            case 404 if path.startswith("/api/jobs/"):
                return JobNotFound(problem.detail)
            case 404 if path.startswith("/api/schedules/"):
                return ScheduleNotFound(problem.detail)
            case 404 if path.startswith("/api/sales/"):
                return SaleNotFound(problem.detail)
            case 503:
                return DaemonUnreachable(
                    _("{detail} (said by the daemon at {name})").format(detail=problem.detail, name=self.target.name)
                )
            case 409 if problem.job_id is not None:
                return LiveJobExists(problem.detail, JobId(problem.job_id))
            case _:
                return DaemonRefused(problem.detail)


def given(**query: str | None) -> dict[str, str]:
    """The parameters of a query that have a value."""
    return {name: str(value) for name, value in query.items() if value is not None}


def _in_query(value: object) -> str | None:
    match value:
        case None | False:
            return None
        case True:
            return "true"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _problem(response: aiohttp.ClientResponse, content: bytes) -> ProblemDetails:
    try:
        return decode(ProblemDetails, content)
    except ValueError:  # a proxy's, such as a page in HTML
        title = f"HTTP {response.status} {response.reason}"
        return ProblemDetails(
            "about:blank", title, response.status, _("the daemon answered with {title}").format(title=title), ""
        )
