"""What is wrong with jobs, schedules, connections and the clock, and what to do about it."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import cast

import asyncpg

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.api.findings import Finding, Severity, failed, ok, warning
from daemon.api.schedules import Schedule
from daemon.api.status import Status, Storage
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.target import DaemonTarget
from daemon.cli.jobs.wording import how_to_decide, is_live, waits_for_approval
from daemon.cli.render.values import duration, moment
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import size_text
from daemon.ids import JobId, StoreName
from daemon.jobs import listing
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType
from daemon.tone import Tone

STUCK_AFTER = timedelta(minutes=10)
FAILURES_SINCE = timedelta(days=1)
OVERDUE_AFTER = timedelta(minutes=2)
JOBS_LOOKED_AT = 500
MOST_LISTED = 5  # failed jobs
CLOCK_TOLERANCE = 2.0  # seconds
OF_CREDENTIALS = frozenset(
    {ConditionName.CREDENTIAL_REFUSED, ConditionName.CREDENTIAL_EXPIRING, ConditionName.SCOPES_MISSING}
)
_PASSING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+(?:[.,][0-9]+)*")

# Several daemons may share a database: ours is on this machine.
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'dongbo' AND datname = current_database()
  AND client_addr IS NOT DISTINCT FROM inet_client_addr()
"""
CLOCK = "SELECT clock_timestamp()"
HAS_JOBS = "SELECT to_regclass('dongbo.background_jobs') IS NOT NULL"


async def jobs_of_daemon(client: DaemonClient) -> list[Job]:
    """The newest jobs, and those that are live or wait for approval."""
    found = [
        *await client.jobs(limit=JOBS_LOOKED_AT),
        *await client.jobs(status=JobStatus.RUNNING, limit=JOBS_LOOKED_AT),
        *await client.jobs(status=JobStatus.PENDING, limit=JOBS_LOOKED_AT),
        *await client.jobs(status=JobStatus.AWAITING_APPROVAL, limit=JOBS_LOOKED_AT),
    ]
    return list({job.id: job for job in found}.values())


async def jobs_in_database(connection: asyncpg.Connection) -> list[Job]:
    """The newest jobs as the database has them, where no daemon runs."""
    if not await connection.fetchval(HAS_JOBS):
        return []
    return (await listing.find(cast("Connection", connection), listing.ALL_JOBS, limit=JOBS_LOOKED_AT)).jobs


def judge_jobs(jobs: Sequence[Job], now: datetime, zone: tzinfo) -> list[Finding]:
    """Jobs that make no progress, and jobs that failed recently."""
    running = {(job.store, job.type): job.id for job in jobs if job.status == JobStatus.RUNNING}
    live = [job for job in jobs if is_live(job)]
    stuck = [finding for job in live if (finding := _stuck(job, running, now)) is not None]
    return [*(stuck or [ok("stuck jobs", "none")]), *_failed_lately(jobs, now, zone)]


def judge_waiting(jobs: Sequence[Job], zone: tzinfo) -> list[Finding]:
    """Jobs that wait for a person, where no daemon runs that could tell of it."""
    return [
        warning(
            "approvals",
            _("{type} of {store} waits for a person since {time}: {error}").format(
                type=job.type, store=job.store, time=moment(job.updated_at, zone), error=job.error
            ),
            how_to_decide(job.id),
        )
        for job in jobs
        if waits_for_approval(job)
    ]


def _stuck(job: Job, running: Mapping[tuple[StoreName, JobType], JobId], now: datetime) -> Finding | None:
    waiting = job.metadata.get("waiting") or {}  # reported again and again, which is no progress
    still_for = now - (datetime.fromisoformat(waiting["since"]) if "since" in waiting else job.updated_at)
    if still_for < STUCK_AFTER:
        return None
    name = f"{job.type} of {job.store}, job {job.id}"
    since = duration(still_for.total_seconds())
    if job.status == JobStatus.PENDING:
        if job.not_before and job.not_before > now:
            return None  # it waits for its next attempt, as it should
        if (first := running.get((job.store, job.type))) is not None:
            detail = _("{name}: PENDING for {since}, behind other work of its type, job {first}").format(
                name=name, since=since, first=first
            )
            return warning(
                "stuck jobs", detail, _("it starts once that has ended: dongbo jobs show {first}").format(first=first)
            )
        advice = _("no worker is taking it: is a daemon running whose configuration has this store?")
        return failed("stuck jobs", _("{name}: PENDING for {since}").format(name=name, since=since), advice)
    waited = job.metadata.get("rate_limit_wait_seconds", 0)
    if waiting.get("for") == "the rate limit" or waited * 2 > job.metadata.get("active_seconds", 0) > 0:
        return warning(
            "stuck jobs",
            _("{name}: RUNNING, no page for {since}, mostly waiting for the rate limit").format(name=name, since=since),
            _("the source makes it wait: does another program use the same access token?"),
        )
    return failed(
        "stuck jobs",
        _("{name}: RUNNING on {worker} without a page for {since}").format(name=name, worker=job.worker, since=since),
        _("look for its id in the daemon's log; dongbo jobs cancel {id} ends it").format(id=job.id),
    )


def _failed_lately(jobs: Sequence[Job], now: datetime, zone: tzinfo) -> list[Finding]:
    """One finding for each way in which jobs of a type failed; bad only if no later job of the kind went well."""
    recovered = set()
    alike: dict[tuple[StoreName, JobType, str, bool], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.id, reverse=True):
        kind = (job.store, job.type)
        if job.status == JobStatus.COMPLETED:
            recovered.add(kind)
        ended = job.completed_at
        if job.status == JobStatus.FAILED and ended is not None and now - ended <= FAILURES_SINCE:
            alike.setdefault((*kind, _same_failure(job), kind in recovered), []).append(job)
    findings = [_failure(same, is_mended, zone) for (_, _, _, is_mended), same in alike.items()]
    if not findings:
        return [ok("failed jobs", _("none in the last day"))]
    if len(findings) > MOST_LISTED:
        more = len(findings) - MOST_LISTED
        rest = warning(
            "failed jobs",
            _("and {more} more kinds in the last day").format(more=more),
            "dongbo jobs list --status failed",
        )
        findings = [*findings[:MOST_LISTED], rest]
    return findings


def _failure(same: Sequence[Job], is_mended: bool, zone: tzinfo) -> Finding:
    """What jobs that failed in the same way, newest first, have to say."""
    newest = same[0]
    when = moment(newest.completed_at, zone)
    if len(same) > 1:
        when = _("{n} times since {first}, last {when}").format(
            n=len(same), first=moment(same[-1].completed_at, zone), when=when
        )
    detail = _("{type} of {store}, {when}: {error}").format(
        type=newest.type, store=newest.store, when=when, error=newest.error
    )
    if is_mended:
        return warning("failed jobs", detail, _("a later one went well; look into it only if it happens again"))
    return failed("failed jobs", detail, _("fix the cause, then: dongbo jobs retry {id}").format(id=newest.id))


def _same_failure(job: Job) -> str:
    """What is the same of an error from time to time: ids of requests and counts are not."""
    return _PASSING.sub("", job.error or "")


def judge_schedules(status: Status) -> list[Finding]:
    """Schedules that are overdue, or failed to submit their last job; of those that are paused the conditions tell."""
    if not status.schedules:
        advice = _("add a table [[schedules]] if jobs should run by themselves")
        return [warning("schedules", _("none is configured"), advice)]
    findings = [one for schedule in status.schedules if (one := _judge_schedule(schedule, status.now)) is not None]
    return findings or [ok("schedules", _("{n}, none overdue").format(n=len(status.schedules)))]


def _judge_schedule(schedule: Schedule, now: datetime) -> Finding | None:
    name, next_fire = schedule.name, schedule.next_fire
    if next_fire is not None and now - next_fire > OVERDUE_AFTER:
        late = duration((now - next_fire).total_seconds())
        advice = _("look for schedule entries in the daemon's log; a restart makes up for the fire")
        return failed("schedules", _("{name} should have fired {late} ago").format(name=name, late=late), advice)
    if schedule.last_outcome == "failed":
        detail = _("{name}: its last fire submitted no job: {reason}").format(name=name, reason=schedule.last_detail)
        return failed("schedules", detail, _("fix the cause, then: dongbo schedules run {name}").format(name=name))
    return None


def judge_conditions(status: Status, zone: tzinfo) -> list[Finding]:
    """Everything that the daemon says is wrong, as `/status`, the page and the metrics have it."""
    return [
        Finding(
            Severity.FAILED if condition.severity is ConditionSeverity.BAD else Severity.WARNING,
            " ".join(filter(None, (condition.store, condition.name.replace("_", " ")))),
            f"{_reason(condition)} (since {moment(condition.since, zone)})",
            condition.next_step,
        )
        for condition in status.conditions
    ] or [ok("conditions", _("none holds"))]


def judge_storage(storage: Storage) -> list[Finding]:
    """How much the database takes up, and how much room it has; what is wrong with that, the conditions say."""
    if storage.database_bytes is None:
        return []
    detail = _("the database takes up {size}").format(size=size_text(storage.database_bytes))
    if storage.disk_free_bytes is not None and storage.disk_bytes is not None:
        detail = _("{detail}; {free} of {size} are free on its disk").format(
            detail=detail, free=size_text(storage.disk_free_bytes), size=size_text(storage.disk_bytes)
        )
    return [ok("storage", detail)]


def judge_streams(status: Status) -> list[Finding]:
    """The streams that are late, fail, or are being tried again."""
    if status.streams is None:
        return []
    wrong = [stream for stream in status.streams if stream.tone in (Tone.WARN, Tone.BAD)]
    return [
        Finding(
            Severity.FAILED if stream.tone is Tone.BAD else Severity.WARNING,
            f"{stream.store} stream",
            f"{stream.name}: {stream.text}",
        )
        for stream in wrong
    ] or [ok("streams", _("{n}, none late or failing").format(n=len(status.streams)))]


def judge_remarks(status: Status) -> list[Finding]:
    """What the daemon has noticed about credentials beyond the conditions, such as a version of an API that ends."""
    told = {condition.store for condition in status.conditions if condition.name in OF_CREDENTIALS}
    return [
        Finding(Severity.WARNING, f"{report.store} {report.source}", problem)
        for report in status.credentials
        if report.store not in told
        for problem in report.problems
    ]


def _reason(condition: Condition) -> str:
    return f"{condition.text}: {condition.cause}" if condition.cause else condition.text


async def check_pool(connection: asyncpg.Connection, status: Status | None) -> list[Finding]:
    """Whether the daemon has no more connections than its one pool may have."""
    if status is None:
        return []
    count, most = await connection.fetchval(CONNECTIONS), status.pool.max
    detail = _("{count} connections of dongbo from this machine; one daemon may have at most {most}").format(
        count=count, most=most
    )
    if count > most:
        advice = _("is a second daemon running on this machine? If not, please report this as a bug")
        return [failed("one pool", detail, advice)]
    return [ok("one pool", detail)]


async def check_clock(connection: asyncpg.Connection, target: DaemonTarget) -> list[Finding]:
    """Whether the clocks of this machine and of the database agree; schedules go by the one, jobs by the other."""
    before = datetime.now(UTC)
    theirs = await connection.fetchval(CLOCK)
    after = datetime.now(UTC)
    difference = (theirs - (before + (after - before) / 2)).total_seconds()
    local = f"{moment(after, target.zone)} in {target.zone}"
    if abs(difference) > CLOCK_TOLERANCE:
        detail = _(
            "the database's clock differs by {difference:+.1f} s from this machine's; here it is {local}"
        ).format(difference=difference, local=local)
        return [warning("clock", detail, _("let both machines set their clocks by NTP: timedatectl set-ntp true"))]
    return [ok("clock", _("{local}; the database's clock agrees").format(local=local))]
