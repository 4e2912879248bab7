"""What is wrong with jobs, schedules, connections and the clock, and what to do about it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import asyncpg

from daemon.api.schedules import Schedule
from daemon.api.status import Status
from daemon.cli.checks.clocks import judge_offset
from daemon.cli.checks.findings import Finding, Severity, failed, ok, warning
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.target import DaemonTarget
from daemon.cli.jobs.wording import how_to_decide, is_live, waits_for_approval
from daemon.cli.render.values import duration, moment
from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs import listing
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType

STUCK_AFTER = timedelta(minutes=10)
FAILURES_SINCE = timedelta(days=1)
OVERDUE_AFTER = timedelta(minutes=2)
JOBS_LOOKED_AT = 500
MOST_LISTED = 5  # failed jobs
CLOCK_TOLERANCE = 2.0  # seconds

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


def judge_jobs(jobs: Sequence[Job], now: datetime) -> list[Finding]:
    """Jobs that make no progress, jobs that wait for a person, and jobs that failed recently."""
    running = {(job.store, job.type): job.id for job in jobs if job.status == JobStatus.RUNNING}
    live = [job for job in jobs if is_live(job)]
    stuck = [finding for job in live if (finding := _stuck(job, running, now)) is not None]
    waiting = [_waiting(job) for job in jobs if waits_for_approval(job)]
    return [*(stuck or [ok("stuck jobs", "none")]), *waiting, *_failed_lately(jobs, now)]


def _waiting(job: Job) -> Finding:
    since = f"since {moment(job.updated_at, UTC)} UTC"
    detail = f"{job.type} of {job.store} has been waiting for a person {since}: {job.error}"
    return warning("approvals", detail, how_to_decide(job.id))


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
            detail = f"{name}: PENDING for {since}, behind other work of its type, job {first}"
            return warning("stuck jobs", detail, f"it starts once that has ended: dongbo jobs show {first}")
        advice = "no worker is taking it: is a daemon running whose configuration has this store?"
        return failed("stuck jobs", f"{name}: PENDING for {since}", advice)
    waited = job.metadata.get("rate_limit_wait_seconds", 0)
    if waiting.get("for") == "the rate limit" or waited * 2 > job.metadata.get("active_seconds", 0) > 0:
        return warning(
            "stuck jobs",
            f"{name}: RUNNING, no page for {since}, mostly waiting for the rate limit",
            "the source makes it wait: does another program use the same access token?",
        )
    return failed(
        "stuck jobs",
        f"{name}: RUNNING on {job.worker} without a page for {since}",
        f"look for its id in the daemon's log; dongbo jobs cancel {job.id} ends it",
    )


def _failed_lately(jobs: Sequence[Job], now: datetime) -> list[Finding]:
    """One finding per failed job; bad only if no later job of the same kind went well."""
    recovered = {}
    findings: list[Finding] = []
    for job in sorted(jobs, key=lambda job: job.id, reverse=True):
        kind = (job.store, job.type)
        if job.status == JobStatus.COMPLETED:
            recovered[kind] = True
        ended = job.completed_at
        if job.status != JobStatus.FAILED or ended is None or now - ended > FAILURES_SINCE:
            continue
        detail = f"{job.type} of {job.store}, {moment(ended, UTC)} UTC: {job.error}"
        if kind in recovered:
            findings.append(
                warning("failed jobs", detail, "a later one went well; look into it only if it happens again")
            )
        else:
            advice = f"fix the cause, then: dongbo jobs retry {job.id}"
            findings.append(failed("failed jobs", detail, advice))
    if not findings:
        return [ok("failed jobs", "none in the last day")]
    if len(findings) > MOST_LISTED:
        more = len(findings) - MOST_LISTED
        rest = warning("failed jobs", f"and {more} more in the last day", "dongbo jobs list --status failed")
        findings = [*findings[:MOST_LISTED], rest]
    return findings


def judge_schedules(status: Status) -> list[Finding]:
    """Schedules that are overdue, paused, or failed to submit their last job."""
    if not status.schedules:
        advice = "add a table [[schedules]] if jobs should run by themselves"
        return [warning("schedules", "none is configured", advice)]
    findings = [one for schedule in status.schedules if (one := _judge_schedule(schedule, status.now)) is not None]
    return findings or [ok("schedules", f"{len(status.schedules)}, none overdue")]


def _judge_schedule(schedule: Schedule, now: datetime) -> Finding | None:
    name, next_fire = schedule.name, schedule.next_fire
    if schedule.paused:
        return warning("schedules", f"{name} is paused", f"dongbo schedules resume {name}")
    if next_fire is not None and now - next_fire > OVERDUE_AFTER:
        late = duration((now - next_fire).total_seconds())
        advice = "look for schedule entries in the daemon's log; a restart makes up for the fire"
        return failed("schedules", f"{name} should have fired {late} ago", advice)
    if schedule.last_outcome == "failed":
        detail = f"{name}: its last fire submitted no job: {schedule.last_detail}"
        return failed("schedules", detail, f"fix the cause, then: dongbo schedules run {name}")
    return None


def judge_credentials(status: Status) -> list[Finding]:
    """What the daemon has noticed about the credentials that it works with."""
    findings = []
    for report in status.credentials:
        for problem in report.problems:
            subject = f"{report.store} {report.source}"
            since = f" (since {moment(report.refused_since, UTC)} UTC)" if report.refused_since else ""
            is_refused = report.refused_since is not None
            findings.append(Finding(Severity.FAILED if is_refused else Severity.WARNING, subject, f"{problem}{since}"))
    if findings or not status.credentials:
        return findings
    return [ok("credentials", "none needs attention, as far as the daemon has used them")]


def judge_clocks(status: Status) -> list[Finding]:
    """Whether the clocks of the sources agree with that of the daemon's machine."""
    findings = [judge_offset(f"{clock.store} {clock.source}", clock.offset_seconds) for clock in status.clocks]
    found = [finding for finding in findings if finding.level is not Severity.OK]
    if found or not status.clocks:
        return found
    return [ok("source clocks", "agree with this machine's, as far as the sources have answered")]


async def check_pool(connection: asyncpg.Connection, status: Status | None) -> list[Finding]:
    """Whether the daemon has no more connections than its one pool may have."""
    if status is None:
        return []
    count, most = await connection.fetchval(CONNECTIONS), status.pool.max
    detail = f"{count} connections of dongbo from this machine; one daemon may have at most {most}"
    if count > most:
        advice = "is a second daemon running on this machine? If not, please report this as a bug"
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
        detail = f"the database's clock differs by {difference:+.1f} s from this machine's; here it is {local}"
        return [warning("clock", detail, "let both machines set their clocks by NTP: timedatectl set-ntp true")]
    return [ok("clock", f"{local}; the database's clock agrees")]
