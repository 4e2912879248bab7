"""`dongbo status`: whether the shop is right, and the daemon at a glance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import typer
from rich.text import Text

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity, StreamReport
from daemon.api.session import Caller
from daemon.api.status import FleetMember, RunningJob, Status
from daemon.cli.client.target import DaemonTarget
from daemon.cli.commands.schedules import write_schedules
from daemon.cli.context import CommandContext, Commands
from daemon.cli.jobs import wording
from daemon.cli.render import output, values
from daemon.cli.render.ids import short_ids
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.jobs.steering import Role
from daemon.tone import Tone

app = Commands()

SIGNS: Final[Mapping[Tone, tuple[str, str]]] = {
    Tone.OK: ("✓", "green"),
    Tone.WARN: ("!", "yellow"),
    Tone.BAD: ("✗", "red"),
    Tone.RUN: ("▸", "cyan"),
    Tone.ASK: ("?", "magenta"),
    Tone.OFF: ("·", "dim"),
}


@app.command()
async def status(context: CommandContext) -> None:
    """Show whether the shop is right, and what the daemon is doing.

    The exit code is 1 while a condition holds, however slight, and unless the daemon is ready.
    """
    async with context.daemon() as client:
        found, caller = await client.status(), await client.caller()
    if context.as_json:
        output.write_json(found)
    else:
        write_status(found, context.target)
        _write_caller(caller)
    if found.conditions or not found.ready:
        raise typer.Exit(1)


def write_status(status: Status, target: DaemonTarget) -> None:
    """The verdicts first, then what is wrong, how fresh everything is, what runs, and the daemon itself."""
    for verdict in status.verdicts:
        sign, style = SIGNS[verdict.tone]
        _write(Text(f"{sign} {output.plain(verdict.text)}", style=f"bold {style}"))
        _write(Text(f"  {output.plain(verdict.detail)}", style="dim"))
    _write_conditions(status, target)
    if status.streams:
        output.write_text("")
        _write_streams(status.streams, target)
    if status.running is not None:
        _write_running(status)
    if status.schedules:
        output.write_text("")
        write_schedules(status.schedules, target.zone)
    output.write_text("")
    _write_daemon(status, target)
    if status.fleet is not None and len(status.fleet) > 1:
        _write_fleet(status.fleet)


def _write_conditions(status: Status, target: DaemonTarget) -> None:
    """What waits for a person comes before what only should be known."""
    for heading, conditions in (
        (_("Needs you"), [each for each in status.conditions if each.needs_person]),
        (_("Not right"), [each for each in status.conditions if not each.needs_person]),
    ):
        if conditions:
            output.write_text("")
            _write(Text(f"{heading}: {len(conditions)}", style="bold"))
        for condition in conditions:
            _write_condition(condition, target)


def _write_condition(condition: Condition, target: DaemonTarget) -> None:
    if condition.name is ConditionName.APPROVAL_WAITING:
        sign, style = SIGNS[Tone.ASK]
    else:
        sign, style = SIGNS[Tone.BAD if condition.severity is ConditionSeverity.BAD else Tone.WARN]
    where = f"{condition.store}: " if condition.store is not None else ""
    since = _("since {time}").format(time=values.moment(condition.since, target.zone))
    _write(Text.assemble((f"{sign} ", style), (f"{where}{output.plain(condition.text)}", style), f" · {since}"))
    for line in _below(condition):
        _write(Text(f"    {output.plain(line)}"))


def _below(condition: Condition) -> Iterator[str]:
    if condition.cause is not None:
        yield condition.cause
    if condition.name is ConditionName.APPROVAL_WAITING and condition.job_id is not None:
        yield from wording.how_to_decide(condition.job_id).splitlines()
    else:
        yield condition.next_step


def _write_streams(streams: Sequence[StreamReport], target: DaemonTarget) -> None:
    columns = (_("data"), _("store"), _("complete to"), _("expected by"), _("schedule"), _("state"))
    output.write_table(columns, [_stream_row(stream, target) for stream in streams])


def _stream_row(stream: StreamReport, target: DaemonTarget) -> list[Text | str]:
    sign, style = SIGNS[stream.tone]
    return [
        stream.name,
        stream.store,
        values.moment(stream.complete_to, target.zone),
        values.moment(stream.expected_by, target.zone),
        stream.rhythm or "-",
        Text(f"{sign} {output.plain(stream.text)}", style=style),
    ]


def _write_running(status: Status) -> None:
    running = status.running or []
    output.write_text("\n" + _("running jobs: {n}").format(n=len(running) or _("none")))
    ids = short_ids([job.id for job in running])
    for job in running:
        output.write_text(f"  {ids[job.id]}  {_running_job(job)}")


def _running_job(job: RunningJob) -> str:
    done = values.number(job.processed)
    rows = (
        ngettext("{n} row", "{n} rows", job.processed).format(n=done)
        if job.total is None
        else _("{n} of {all} rows").format(n=done, all=values.number(job.total))
    )
    said = [_("{type} of {store}: {rows}").format(type=job.type, store=job.store, rows=rows)]
    if job.eta_seconds is not None:
        said.append(_("ETA {eta}").format(eta=values.duration(job.eta_seconds)))
    if job.waits_for is not None:
        since = values.ago(job.waiting_since)
        said.append(_("waiting for {what} since {time}").format(what=job.waits_for, time=since))
    return ", ".join(said)


def _write_daemon(status: Status, target: DaemonTarget) -> None:
    state = Text(_("ready"), style="green") if status.ready else Text(_("not ready"), style="red")
    name = _("dongbo {version} at {address}").format(version=status.version, address=target.name)
    life = _("process {pid}, up {duration}").format(pid=status.pid, duration=values.duration(status.uptime_seconds))
    _write(Text.assemble(f"{name}: ", state, f", {life}"))
    for check in status.checks:
        sign = ("✓ ", "green") if check.ok else ("✗ ", "red")
        _write(Text.assemble(sign, f"{check.name}: {output.plain(check.detail)}"))
    pool, lag = status.pool, status.notification_lag_seconds
    figures = _(
        "connections: {in_use} in use, {open} open, at most {most}; notification lag: {lag}; readers of the event "
        "stream: {readers}"
    ).format(
        in_use=pool.in_use,
        open=pool.size,
        most=pool.max,
        lag=_("not measured") if lag is None else f"{lag * 1000:.1f} ms",
        readers=status.subscribers,
    )
    _write(Text(f"  {figures}"))


def _write_fleet(fleet: Sequence[FleetMember]) -> None:
    """The daemons on the database, this one among them."""
    output.write_text("")
    columns = (_("daemon"), _("version"), _("roles"), _("jobs"), _("state"))
    output.write_table(columns, [_fleet_row(member) for member in fleet])


def _fleet_row(member: FleetMember) -> list[Text | str]:
    sign, style = SIGNS[Tone.OK if member.is_live and member.takes_no_jobs_since is None else Tone.BAD]
    if not member.is_live:
        said = _("gone: seen {time}").format(time=values.ago(member.seen_at))
    elif member.takes_no_jobs_since is not None:
        said = _("took jobs {time}").format(time=values.ago(member.takes_no_jobs_since))
    else:
        said = _("this one") if member.is_self else _("there")
    return [
        output.plain(member.name),
        output.plain(member.version),
        ", ".join(member.roles),
        values.number(member.running_jobs),
        Text(f"{sign} {said}", style=style),
    ]


def _write_caller(caller: Caller) -> None:
    """Who is noted with what this shell asks for, and what it may; nothing where nobody is asked."""
    if caller.known_by == "nothing":
        return
    name = output.plain(caller.name) if caller.name is not None else _("the token without a name")
    match caller.role:
        case Role.OPERATE:
            said = _("asked by {name}, which may operate")
        case Role.READ:
            said = _("asked by {name}, which may only read")
    _write(Text(f"  {said.format(name=name)}"))


def _write(line: Text) -> None:
    output.data_console().print(line, soft_wrap=True)
