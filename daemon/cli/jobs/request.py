"""How commands ask the running daemon for a job, and follow it on request."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import typer

from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.stores import only_store
from daemon.cli.context import CommandContext
from daemon.cli.jobs import plans, wording
from daemon.cli.jobs.following import follow_until_ended
from daemon.cli.jobs.progress import ended, open_view
from daemon.cli.jobs.tables import say_what_is_asked, write_outcome
from daemon.cli.render import output
from daemon.cli.render.ids import short_id
from daemon.errors import LiveJobExists
from daemon.i18n import gettext as _
from daemon.jobs.model import Job, JobStatus
from daemon.jobs.types import JobType

Detail = Callable[[DaemonClient, Job], Awaitable[None]]


async def request_job(
    context: CommandContext, job_type: JobType, store: str | None, params: Mapping[str, Any], *, wait: bool
) -> None:
    """Ask for a job. `store` is None for the only one that the job can be for. Raises as `show_requested`."""
    async with context.daemon() as client:
        wanted = store or await only_store(client, job_type)
        await show_requested(context, client, lambda: client.submit(job_type, wanted, params), wait=wait)


async def request_items(
    context: CommandContext, job_type: JobType, store: str | None, params: Mapping[str, Any], detail: Detail
) -> None:
    """Ask for a job about a few items, follow it, and show what became of each of them with `detail`.

    Raises:
        typer.Exit: it has not completed, or not for all of them.
    """
    async with context.daemon() as client:
        wanted = store or await only_store(client, job_type)
        await show_requested(context, client, lambda: client.submit(job_type, wanted, params), wait=True, detail=detail)


async def show_requested(
    context: CommandContext,
    client: DaemonClient,
    ask: Callable[[], Awaitable[Job]],
    *,
    wait: bool,
    what: str | None = None,
    detail: Detail | None = None,
) -> None:
    """Ask for a job and, if wanted, follow it until it has ended or waits for approval.

    Where a live job stands in its place, that one is followed. What a dry run has found out, or what is to be approved,
    is shown, too. `what` says what has become of the job that nobody waits for; by default, that it is submitted.
    `detail` shows people more of a job that has ended, and then none of its rows may have failed.

    Raises:
        LiveJobExists: a live job stands in its place, and nobody waits.
        typer.Exit: the job that was waited for has not completed.
    """
    try:
        job = await ask()
    except LiveJobExists as live:
        if not wait:
            raise LiveJobExists(
                _("{live} (follow it: dongbo jobs watch {job_id})").format(live=live, job_id=short_id(live.job_id)),
                live.job_id,
            ) from None
        output.say("dongbo: " + _("{live}; following that one").format(live=live))
        job = await client.job(live.job_id)
    if not wait:
        write_outcome(job, context.as_json, what or _("is submitted"))
        if not context.as_json:
            output.say(_("Follow it: dongbo jobs watch {id}").format(id=short_id(job.id)))
        return
    with open_view(sys.stderr, zone=context.zone, summarise=False) as view:
        (job,) = await follow_until_ended(client, [job.id], view)
    if context.as_json:
        output.write_json(job)
    else:
        output.data_console().print(ended(job), soft_wrap=True)
        if wording.waits_for_approval(job) or job.params.get("dry_run"):
            plans.write_plan(job)
        if detail is not None:
            await detail(client, job)
    say_what_is_asked(job)
    if job.status != JobStatus.COMPLETED or (detail is not None and job.failed):
        raise typer.Exit(1)


def given(**options: object) -> dict[str, Any]:
    """The options that were given, as params of a job."""
    return {name: value for name, value in options.items() if value}
