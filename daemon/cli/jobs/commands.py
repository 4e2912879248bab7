"""`dongbo jobs`: list, follow, approve, cancel, retry and prune jobs."""

import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from daemon.api.jobs import JobFilterQuery
from daemon.api.pushes import PushKind
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.confirmation import confirm
from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs import following, pruning, tables
from daemon.cli.jobs.moments import read_moment
from daemon.cli.jobs.progress import JsonView, open_view
from daemon.cli.jobs.request import show_requested
from daemon.cli.options import FollowOption
from daemon.cli.render import output
from daemon.cli.render.output import members
from daemon.i18n import gettext as _
from daemon.jobs.model import JobOutcome, JobStatus, JobTrigger
from daemon.jobs.types import JobType

app = Commands()

FAILINGS = (JobOutcome.FAILED, JobOutcome.COMPLETED_WITH_FAILURES)
ID_BEGINNING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{0,4}|(-[0-9a-f]{4}){1,3}(-[0-9a-f]{0,12})?)?")

JobIdArgument = Annotated[
    str, typer.Argument(metavar="JOB_ID", help="The job's id, or its beginning, as `jobs list` shows it.")
]


@app.command("list")
async def list_jobs(
    context: CommandContext,
    store: Annotated[str | None, typer.Option(help="Only this store's jobs.")] = None,
    job_type: Annotated[JobType | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    status: Annotated[JobStatus | None, typer.Option(case_sensitive=False, help="Only jobs with this status.")] = None,
    outcome: Annotated[JobOutcome | None, typer.Option(case_sensitive=False, help="Only with this outcome.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what failed, or has rows that failed, and is not repaired since.")
    ] = False,
    schedule: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this schedule.")] = None,
    trigger: Annotated[JobTrigger | None, typer.Option(case_sensitive=False, help="Only jobs asked for so.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help='From then on: "22:00", "2026-11-28", 2h.')] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="In the error or the parameters; or how an id begins."),
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="The steps of chains, too, and test jobs; JSON always has them.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 20,
) -> None:
    """List jobs, newest first, each with its result."""
    now = datetime.now(context.zone)
    wanted = JobFilterQuery(
        store=store,
        type=job_type,
        status=status,
        outcome=outcome,
        schedule=schedule,
        trigger=trigger,
        since=read_moment(since, now) if since is not None else None,
        until=read_moment(until, now) if until is not None else None,
        search=search,
        runs=not (steps or job_type or search or context.as_json),
    )
    each = [replace(wanted, outcome=bad) for bad in FAILINGS] if failed else [wanted]
    async with context.daemon() as client:
        listed = [result for query in each for result in await client.results(query, limit=limit)]
    listed = sorted(listed, key=lambda result: result[0].id, reverse=True)[:limit]
    jobs, summaries = [job for job, _summary in listed], [summary for _job, summary in listed]
    if context.as_json:
        output.write_json({"jobs": jobs, "summaries": summaries})
    elif jobs:
        tables.write_list(jobs, summaries, context.zone)
    else:
        output.say(_("There are no such jobs."))


@app.command()
async def show(
    context: CommandContext,
    job_id: JobIdArgument,
    failures: Annotated[int, typer.Option(min=0, max=1000, help="Show at most this many failed rows.")] = 10,
) -> None:
    """Show one job with counters, costs and failed rows."""
    async with context.daemon() as client:
        wanted = await client.find_job(_read_id(job_id))
        story = await client.story(wanted)
        job = story.job
        steps = await client.steps(wanted) if job.type == JobType.PRODUCT_CHAIN else []
        letters = await client.failures(wanted, limit=failures) if failures and job.failed else []
    if context.as_json:
        told = {"attempts": story.attempts, "actions": story.actions, "failures": letters}
        output.write_json({**members(job), **told, **({"steps": steps} if steps else {})})
    else:
        tables.write_one(story, letters, steps, context.zone)


@app.command()
async def watch(
    context: CommandContext,
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB_ID]...", help="Follow these to their end; else all, forever."),
    ] = None,
) -> None:
    """Follow jobs live, through restarts of the daemon."""
    # What it shows is the command's result, so it goes to standard output.
    shown = nullcontext(JsonView()) if context.as_json else open_view(sys.stdout, zone=context.zone, summarise=True)
    async with context.daemon() as client:
        wanted = [await client.find_job(_read_id(job_id)) for job_id in job_ids or []]
        with shown as view:
            if not wanted:
                await following.watch(client, view)
                return
            ended = await following.follow_until_ended(client, wanted, view)
    for job in ended:
        tables.say_what_is_asked(job)
    if not all(job.status == JobStatus.COMPLETED for job in ended):
        raise typer.Exit(1)


@app.command()
async def cancel(context: CommandContext, job_id: JobIdArgument) -> None:
    """Cancel a job; a running one stops within a page."""
    async with context.daemon() as client:
        wanted = await client.find_job(_read_id(job_id))
        job = await client.cancel(wanted)
    done = _("is cancelled") if job.completed_at else _("will stop at its next page")
    tables.write_outcome(job, context.as_json, done)


@app.command()
async def approve(context: CommandContext, job_id: JobIdArgument, wait: FollowOption = False) -> None:
    """Let a job do what it asked about."""
    async with context.daemon() as client:
        wanted = await client.find_job(_read_id(job_id))
        what = _("is approved and continues")
        await show_requested(context, client, lambda: client.approve(wanted), wait=wait, what=what)


@app.command()
async def reject(context: CommandContext, job_id: JobIdArgument) -> None:
    """End a job that asks for approval; nothing is done."""
    async with context.daemon() as client:
        wanted = await client.find_job(_read_id(job_id))
        tables.write_outcome(await client.reject(wanted), context.as_json, _("is rejected"))


@app.command()
async def changes(
    context: CommandContext,
    job_id: JobIdArgument,
    kind: Annotated[PushKind | None, typer.Option(help="Only changes of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most this many.")] = 100,
) -> None:
    """List what waits for your approval, the largest first."""
    async with context.daemon() as client:
        question = await client.question_of(await client.find_job(_read_id(job_id)))
        found = await client.changes(question.id, kind, limit=limit) if question is not None else []
    if context.as_json:
        output.write_json({"approval": question, "changes": found})
    elif question is None:
        output.say(_("This job has asked nothing, or a newer run asks in its place."))
    else:
        tables.write_changes(question, found, kind)


@app.command()
async def pushes(
    context: CommandContext,
    job_id: JobIdArgument,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many.")] = 100,
) -> None:
    """List what a job has pushed to Shopify, and why."""
    async with context.daemon() as client:
        wanted = await client.find_job(_read_id(job_id))
        found = await client.pushes(wanted, limit=limit)
    if context.as_json:
        output.write_json({"pushes": found})
    elif found:
        tables.write_pushes(found, context.zone)
    else:
        output.say(_("It has pushed nothing."))


@app.command()
async def retry(
    context: CommandContext,
    job_id: JobIdArgument,
    failed: Annotated[bool, typer.Option("--failed", help="Process only the rows that failed, in a new job.")] = False,
    wait: FollowOption = False,
) -> None:
    """Run a failed or cancelled job again, or just failed rows.

    It continues from where it stopped. With --failed, a new job processes the rows that could not be stored.
    """
    async with context.daemon() as client:
        wanted = await client.find_job(_read_id(job_id))
        await show_requested(context, client, lambda: client.retry(wanted, failed_rows=failed), wait=wait)


@app.command()
def prune(
    context: CommandContext,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", min=0, metavar="DAYS", help="Number of days; else [jobs] retention_days."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing: show what would be deleted.")] = False,
) -> None:
    """Delete jobs that ended long ago, with their failed rows.

    Asks first. Jobs that have not ended stay, and so do the newest job of each store, type and status and those that
    an unended job builds on. Pushes, mappings and campaigns are not touched.
    """

    async def look(client: DaemonClient) -> pruning.PlannedPruning:
        days = older_than if older_than is not None else pruning.configured_days(context.target)
        return pruning.PlannedPruning(days, await client.plan_pruning(days))

    planned = context.talk(look)
    if not context.as_json:
        output.write_text("\n".join(pruning.sentences(planned)))
    if dry_run:
        if context.as_json:
            output.write_json(pruning.to_json(planned, deleted=0))
        return
    # A script must say yes whatever there is to delete, so that it fails on the first day and not on the thirtieth.
    if planned.plan.prunable or not sys.stdin.isatty():
        confirm(pruning.question(planned), yes=yes, why="this deletes jobs permanently")
    deleted = context.talk(lambda client: client.prune(planned.days))
    if context.as_json:
        output.write_json(pruning.to_json(planned, deleted=deleted))
    else:
        output.write_text(f"{pruning.jobs(deleted)} deleted")


def _read_id(text: str) -> str:
    """A job's id, or its beginning, as the API writes it."""
    beginning = text.strip().lower()
    if not ID_BEGINNING.fullmatch(beginning):
        raise typer.BadParameter(
            _("{text!r} is not a job's id, nor its beginning: `dongbo jobs list` shows them").format(text=text)
        )
    return beginning
