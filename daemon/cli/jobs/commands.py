"""`dongbo jobs`: look at jobs, follow, approve, cancel, retry and prune them."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.options import ConfigOption, JsonOption, UrlOption
from daemon.jobs.model import JobStatus, JobType

if TYPE_CHECKING:
    from daemon.cli.client.daemon import DaemonClient
    from daemon.cli.client.target import Target
    from daemon.ids import JobId

app = typer.Typer(help="Look at jobs, follow, approve, cancel, retry and prune them.", no_args_is_help=True)

JobIdArgument = Annotated[str, typer.Argument(metavar="JOB_ID", help="The job's id, as `jobs list` shows it.")]


@app.command("list")
def list_jobs(
    store: Annotated[str | None, typer.Option(help="Only jobs of this store.")] = None,
    job_type: Annotated[JobType | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    status: Annotated[JobStatus | None, typer.Option(case_sensitive=False, help="Only jobs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables
    from daemon.cli.render import output

    async def ask(client: "DaemonClient", target: "Target") -> None:
        found = await client.jobs(store=store, job_type=job_type, status=status, limit=limit)
        if as_json:
            output.write_json({"jobs": found})
        elif found:
            tables.write_list(found, target.zone)
        else:
            output.say("There are no such jobs.")

    talk(config, url, ask)


@app.command()
def show(
    job_id: JobIdArgument,
    failures: Annotated[int, typer.Option(min=0, max=1000, help="Show at most so many rows that failed.")] = 10,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one job with counters, costs and failed rows."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables
    from daemon.cli.render import output

    wanted = _job_id(job_id)

    async def ask(client: "DaemonClient", target: "Target") -> None:
        job = await client.job(wanted)
        steps = await client.steps(wanted) if job["type"] == JobType.PRODUCT_CHAIN else []
        letters = await client.failures(wanted, limit=failures) if failures and job["failed"] else []
        if as_json:
            output.write_json({**job, "failures": letters, **({"steps": steps} if steps else {})})
        else:
            tables.write_one(job, letters, steps, target.zone)

    talk(config, url, ask)


@app.command()
def watch(
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB_ID]...", help="Follow these to their end; else all, for ever."),
    ] = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow jobs live, through restarts of the daemon."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import following, tables

    wanted = [_job_id(job_id) for job_id in job_ids or []]

    async def follow(client: "DaemonClient", target: "Target") -> bool:
        with tables.open_watch_view(target.zone, as_json=as_json) as view:
            if not wanted:
                await following.watch(client, view)
                return True
            ended = await following.follow_until_ended(client, wanted, view)
        for job in ended:
            tables.say_what_is_asked(job)
        return all(job["status"] == JobStatus.COMPLETED for job in ended)

    if not talk(config, url, follow):
        raise typer.Exit(1)


@app.command()
def cancel(
    job_id: JobIdArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Cancel a job; a running one stops within a page."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables

    wanted = _job_id(job_id)

    async def ask(client: "DaemonClient", _target: "Target") -> None:
        job = await client.cancel(wanted)
        tables.write_outcome(job, as_json, "is cancelled" if job["completed_at"] else "will stop at its next page")

    talk(config, url, ask)


@app.command()
def approve(
    job_id: JobIdArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a job do what it has asked about."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables

    wanted = _job_id(job_id)

    async def ask(client: "DaemonClient", target: "Target") -> bool:
        what = "is approved and goes on"
        return await tables.show_requested(
            client, target, lambda: client.approve(wanted), wait=wait, as_json=as_json, what=what
        )

    if not talk(config, url, ask):
        raise typer.Exit(1)


@app.command()
def reject(
    job_id: JobIdArgument, config: ConfigOption = None, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """End a job that has asked; nothing of it is done."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables

    wanted = _job_id(job_id)

    async def ask(client: "DaemonClient", _target: "Target") -> None:
        tables.write_outcome(await client.reject(wanted), as_json, "is rejected")

    talk(config, url, ask)


@app.command()
def pushes(
    job_id: JobIdArgument,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what a job has pushed to Shopify, and why."""
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables
    from daemon.cli.render import output

    wanted = _job_id(job_id)

    async def ask(client: "DaemonClient", target: "Target") -> None:
        found = await client.pushes(wanted, limit=limit)
        if as_json:
            output.write_json({"pushes": found})
        elif found:
            tables.write_pushes(found, target.zone)
        else:
            output.say("It has pushed nothing.")

    talk(config, url, ask)


@app.command()
def retry(
    job_id: JobIdArgument,
    failed: Annotated[bool, typer.Option("--failed", help="Take up just the rows that failed, in a new job.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a failed or cancelled job again, or just failed rows.

    It goes on from where it stopped. With --failed, a new job takes up the rows that could not be stored.
    """
    from daemon.cli.context import talk
    from daemon.cli.jobs import tables

    wanted = _job_id(job_id)

    async def ask(client: "DaemonClient", target: "Target") -> bool:
        return await tables.show_requested(
            client, target, lambda: client.retry(wanted, failed_rows=failed), wait=wait, as_json=as_json
        )

    if not talk(config, url, ask):
        raise typer.Exit(1)


@app.command()
def prune(
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, metavar="DAYS", help="Days; else [jobs] retention_days.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing: say what would go.")] = False,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete jobs that ended long ago, with their failed rows.

    Asks first. What has not ended stays, and so do the newest job of each store, type and status and those that a job
    which has not ended builds on. Pushes, mappings and campaigns are not touched.
    """
    from daemon.cli.context import talk
    from daemon.cli.jobs import pruning
    from daemon.cli.prompts import confirm
    from daemon.cli.render import output

    async def look(client: "DaemonClient", target: "Target") -> "pruning.Pruning":
        days = older_than if older_than is not None else pruning.configured_days(target)
        return pruning.Pruning(days, await client.plan_pruning(days))

    planned = talk(config, url, look)
    if not as_json:
        output.write_text("\n".join(pruning.sentences(planned)))
    if dry_run:
        if as_json:
            output.write_json(pruning.to_json(planned, deleted=0))
        return
    # A script must say yes whatever there is to delete: it fails on the first day, and not on the thirtieth.
    if planned.plan["prunable"] or not sys.stdin.isatty():
        confirm(pruning.question(planned), yes=yes, why="this deletes jobs for good")
    deleted = talk(config, url, lambda client, _: client.prune(planned.days))
    if as_json:
        output.write_json(pruning.to_json(planned, deleted=deleted))
    else:
        output.write_text(f"{pruning.jobs(deleted)} deleted")


def _job_id(text: str) -> "JobId":
    from uuid import UUID

    from daemon.ids import JobId

    try:
        return JobId(UUID(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a job's id: `dongbo jobs list` shows them") from None
