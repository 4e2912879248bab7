"""`dongbo status`: the daemon at a glance."""

import typer
from rich.text import Text

from daemon.api.status import Status
from daemon.cli.client.target import DaemonTarget
from daemon.cli.commands.schedules import write_schedules
from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs import wording
from daemon.cli.render import output, values

app = Commands()


@app.command()
async def status(context: CommandContext) -> None:
    """Show what the daemon is doing, and whether it is healthy.

    The exit code is 1 unless it is ready.
    """
    async with context.daemon() as client:
        found = await client.status()
    if context.as_json:
        output.write_json(found)
    else:
        write_status(found, context.target)
    if not found.ready:
        raise typer.Exit(1)


def write_status(status: Status, target: DaemonTarget) -> None:
    """The daemon at a glance."""
    console = output.data_console()
    state = Text("ready", style="green") if status.ready else Text("not ready", style="red")
    up = values.duration(status.uptime_seconds)
    text = Text.assemble(f"dongbo {status.version} at {target.name}: ", state, f", process {status.pid}, up {up}")
    console.print(text, soft_wrap=True)
    for check in status.checks:
        sign = ("✓ ", "green") if check.ok else ("✗ ", "red")
        console.print(Text.assemble(sign, f"{check.name}: {output.plain(check.detail)}"), soft_wrap=True)
    for credential in status.credentials:
        for problem in credential.problems:
            style = "red" if credential.refused_since else "yellow"
            console.print(Text.assemble(("! ", style), f"{credential.store}: {output.plain(problem)}"), soft_wrap=True)
    _write_waiting(status, target)
    pool, lag = status.pool, status.notification_lag_seconds
    known_lag = "not measured" if lag is None else f"{lag * 1000:.1f} ms"
    console.print(
        f"  connections: {pool.in_use} in use, {pool.size} open, at most {pool.max}; "
        f"notification lag: {known_lag}; readers of the event stream: {status.subscribers}",
        soft_wrap=True,
    )
    if status.running is not None:
        _write_running(status)
    if status.schedules:
        output.write_text("")
        write_schedules(status.schedules, target.zone)
    if status.freshness:
        output.write_text("")
        rows = [(line.type, line.store, f"{values.duration(line.age_seconds)} ago") for line in status.freshness]
        output.write_table(("last completed", "store", "when"), rows)


def _write_waiting(status: Status, target: DaemonTarget) -> None:
    """What waits for a person comes before everything that runs by itself."""
    console = output.data_console()
    for job in status.awaiting_approval or []:
        since = values.moment(job.since, target.zone)
        heading = f"{job.type} of {job.store} has been waiting for approval since {since}"
        console.print(Text.assemble(("? ", "bold magenta"), (heading, "bold magenta")), soft_wrap=True)
        console.print(f"    {output.plain(job.reason)}", soft_wrap=True)
        for line in wording.how_to_decide(job.id).splitlines():
            console.print(f"    {line}", soft_wrap=True)
    for places in status.left_out or []:
        named = [f"location {number}" for number in places.locations]
        named += [f"depot {number}" for number in places.depots]
        heading = f"The last product sync of {places.store} had to leave out {', '.join(named)}"
        console.print(Text.assemble(("! ", "bold yellow"), (heading, "bold yellow")), soft_wrap=True)
        console.print(
            "    Its job says why: dongbo jobs list --type SYNC_PRODUCTS, dongbo jobs show ID", soft_wrap=True
        )


def _write_running(status: Status) -> None:
    running = status.running or []
    output.write_text(f"\nrunning jobs: {len(running) or 'none'}")
    for job in running:
        of_total = f" of {values.number(job.total)}" if job.total is not None else ""
        eta = f", ETA {values.duration(job.eta_seconds)}" if job.eta_seconds is not None else ""
        wait = f", waiting for {job.waits_for} since {values.ago(job.waiting_since)}" if job.waits_for else ""
        rows = f"{values.number(job.processed)}{of_total} rows"
        output.write_text(f"  {job.id}  {job.type} of {job.store}: {rows}{eta}{wait}")
