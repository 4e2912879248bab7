"""A client of the running daemon's HTTP endpoint: what `dongbo` knows of jobs, it knows from there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import orjson

from daemon.cli.client.documents import (
    FailureDocument,
    JobDocument,
    PruningPlanDocument,
    PushDocument,
    ScheduleDocument,
    StatusDocument,
)
from daemon.cli.client.documents_sync import (
    ExplanationDocument,
    ManualOutcomeDocument,
    MappingDocument,
    ResolvedDocument,
)
from daemon.cli.client.sse import ServerEvent, read_events
from daemon.cli.client.target import DaemonTarget
from daemon.errors import DaemonUnreachable, DongboError, JobNotFound, LiveJobExists, SaleNotFound, ScheduleNotFound
from daemon.ids import JobId

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# The daemon says something at least every 15 s, be it only that it is there.
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=45)
PAGE = 200  # rows asked for at once


class DaemonRefused(DongboError):
    """The daemon did not do what it was asked for; the text is its own."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer other than a success: the members of RFC 9457, and whatever else came with them."""

    status: int
    detail: str
    extra: Mapping[str, Any] = field(default_factory=dict)


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

    async def status(self) -> StatusDocument:
        """The daemon at a glance."""
        return cast("StatusDocument", await self.call("GET", "/status"))

    async def jobs(
        self, *, store: str | None = None, job_type: str | None = None, status: str | None = None, limit: int = 50
    ) -> list[JobDocument]:
        """At most `limit` jobs, newest first."""
        wanted = {"store": store, "type": job_type, "status": status}
        query = {name: str(value) for name, value in wanted.items() if value is not None}
        return cast("list[JobDocument]", await self._list("/api/jobs", "jobs", query, limit))

    async def job(self, job_id: JobId) -> JobDocument:
        """One job. Raises JobNotFound."""
        return cast("JobDocument", await self.call("GET", f"/api/jobs/{job_id}"))

    async def failures(self, job_id: JobId, *, limit: int = 100) -> list[FailureDocument]:
        """At most `limit` rows that a job could not store, oldest first. Raises JobNotFound."""
        found = await self._list(f"/api/jobs/{job_id}/failures", "failures", {}, limit)
        return cast("list[FailureDocument]", found)

    async def steps(self, job_id: JobId) -> list[JobDocument]:
        """The jobs that are steps of this one, oldest first."""
        found = await self._list("/api/jobs", "jobs", {"parent": str(job_id)}, PAGE)
        return cast("list[JobDocument]", found[::-1])

    async def pushes(self, job_id: JobId, *, limit: int = 100) -> list[PushDocument]:
        """At most `limit` values that a job has pushed to Shopify, oldest first. Raises JobNotFound."""
        return cast("list[PushDocument]", await self._list(f"/api/jobs/{job_id}/pushes", "pushes", {}, limit))

    async def submit(self, job_type: str, store: str, params: Mapping[str, Any]) -> JobDocument:
        """Ask for a job. Raises LiveJobExists with the id of the one that runs already."""
        body = {"type": job_type, "store": store, "params": params}
        return cast("JobDocument", await self.call("POST", "/api/jobs", body=body))

    async def cancel(self, job_id: JobId) -> JobDocument:
        """Cancel a job. Raises JobNotFound."""
        return cast("JobDocument", await self.call("POST", f"/api/jobs/{job_id}/cancel"))

    async def approve(self, job_id: JobId) -> JobDocument:
        """Let a job do what it has asked about. Raises JobNotFound, LiveJobExists."""
        return cast("JobDocument", await self.call("POST", f"/api/jobs/{job_id}/approve"))

    async def reject(self, job_id: JobId) -> JobDocument:
        """End a job that has asked. Raises JobNotFound."""
        return cast("JobDocument", await self.call("POST", f"/api/jobs/{job_id}/reject"))

    async def retry(self, job_id: JobId, *, failed_rows: bool) -> JobDocument:
        """Run a job again, or just its failed rows. Raises JobNotFound, LiveJobExists."""
        return cast("JobDocument", await self.call("POST", f"/api/jobs/{job_id}/retry", body={"failed": failed_rows}))

    async def plan_pruning(self, older_than_days: float) -> PruningPlanDocument:
        """How many jobs `prune` would delete, and how many it would keep for what reason."""
        query = {"older_than_days": str(older_than_days)}
        return cast("PruningPlanDocument", await self.call("GET", "/api/jobs/prune", query=query))

    async def prune(self, older_than_days: float) -> int:
        """Delete jobs that ended longer ago; how many."""
        answer = await self.call("POST", "/api/jobs/prune", body={"older_than_days": older_than_days})
        return int(answer["deleted"])

    async def schedules(self) -> list[ScheduleDocument]:
        """All schedules with their last and next fires."""
        answer = await self.call("GET", "/api/schedules")
        return cast("list[ScheduleDocument]", answer["schedules"])

    async def run_schedule(self, name: str) -> JobDocument:
        """Submit a schedule's job now. Raises ScheduleNotFound, LiveJobExists."""
        return cast("JobDocument", await self.call("POST", f"/api/schedules/{quote(name, safe='')}/run"))

    async def pause_schedule(self, name: str) -> ScheduleDocument:
        """Keep a schedule from firing. Raises ScheduleNotFound."""
        return cast("ScheduleDocument", await self.call("POST", f"/api/schedules/{quote(name, safe='')}/pause"))

    async def resume_schedule(self, name: str) -> ScheduleDocument:
        """Let a paused schedule fire again. Raises ScheduleNotFound."""
        return cast("ScheduleDocument", await self.call("POST", f"/api/schedules/{quote(name, safe='')}/resume"))

    async def mappings(
        self, store: str, *, state: str | None = None, search: str | None = None, limit: int
    ) -> list[MappingDocument]:
        """At most `limit` variants with the products that they are, in the order of their ids."""
        query = {"store": store, "state": state, "search": search}
        given = {name: value for name, value in query.items() if value is not None}
        return cast("list[MappingDocument]", await self._list("/api/mappings", "mappings", given, limit))

    async def set_mappings(
        self, store: str, decisions: Mapping[int, int | None], note: str | None = None
    ) -> ManualOutcomeDocument:
        """Decide which product each variant is, {variant: product or None}; at most 500, all or none."""
        entries = [{"variant_id": variant, "nhanh_id": product} for variant, product in decisions.items()]
        body = {"store": store, "mappings": entries, "note": note}
        return cast("ManualOutcomeDocument", await self.call("POST", "/api/mappings", body=body))

    async def remove_mappings(self, store: str, variant_ids: Sequence[int]) -> int:
        """Take decisions about at most 500 variants back; how many there were."""
        body = {"store": store, "variant_ids": list(variant_ids)}
        return int((await self.call("POST", "/api/mappings/remove", body=body))["removed"])

    async def resolve(self, store: str, variants: Sequence[str], products: Sequence[str]) -> ResolvedDocument:
        """What at most 500 texts for variants and as many for products may mean."""
        body = {"store": store, "variants": list(variants), "products": list(products)}
        return cast("ResolvedDocument", await self.call("POST", "/api/mappings/resolve", body=body))

    async def explain(self, store: str, text: str) -> ExplanationDocument:
        """Why Shopify has the values that it has for an SKU."""
        query = {"store": store, "sku": text}
        return cast("ExplanationDocument", await self.call("GET", "/api/explain", query=query))

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

    async def _list(self, path: str, name: str, query: dict[str, str], limit: int) -> list[Any]:
        """The rows called `name`, page after page."""
        rows: list[Any] = []
        while len(rows) < limit:
            page = await self.call("GET", path, query=query | {"limit": str(min(limit - len(rows), PAGE))})
            rows += page[name]
            if page["next_cursor"] is None:
                break
            query = query | {"cursor": page["next_cursor"]}
        return rows

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Any:
        """Any other route; its JSON."""
        content = await self.fetch(method, path, query=query, body=body)
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            raise DaemonUnreachable(
                f"what answers at {self.target.name} is not dongbo: correct [status] listen, or --url"
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
            return DaemonUnreachable(f"the daemon at {self.target.name} did not answer in time: look into its log")
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PermissionError):
            return DaemonUnreachable(
                f"this user may not open {self.target.name}: run the command as the daemon's user (such as with sudo)"
            )
        return DaemonUnreachable(
            f"no daemon answers at {self.target.name}: start it with `dongbo run{self.target.config_option}`"
        )

    def _failure(self, path: str, problem: ErrorAnswer) -> DongboError:
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
                return DaemonUnreachable(f"{problem.detail} (said by the daemon at {self.target.name})")
            case 409 if "job_id" in problem.extra:
                return LiveJobExists(problem.detail, JobId(problem.extra["job_id"]))
            case _:
                return DaemonRefused(problem.detail)


def _problem(response: aiohttp.ClientResponse, content: bytes) -> ErrorAnswer:
    try:
        document = orjson.loads(content)
        detail = document.get("detail") or document["title"]
    except (orjson.JSONDecodeError, AttributeError, KeyError):
        return ErrorAnswer(response.status, f"the daemon answered with HTTP {response.status} {response.reason}")
    return ErrorAnswer(response.status, str(detail), document)
