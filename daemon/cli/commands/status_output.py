"""The daemon's status and its schedules as text."""

from collections.abc import Sequence
from datetime import tzinfo

from rich.text import Text

from daemon.cli.client.documents import ScheduleDocument, StatusDocument
from daemon.cli.client.target import Target
from daemon.cli.jobs import wording
from daemon.cli.render import output, values


def write_status(status: StatusDocument, target: Target) -> None:
    """The daemon at a glance."""
    console = output.data_console()
    state = Text("ready", style="green") if status["ready"] else Text("not ready", style="red")
    up = values.duration(status["uptime_seconds"])
    text = Text.assemble(f"dongbo {status['version']} at {target.name}: ", state, f", process {status['pid']}, up {up}")
    console.print(text, soft_wrap=True)
    for check in status["checks"]:
        sign = ("✓ ", "green") if check["ok"] else ("✗ ", "red")
        console.print(Text.assemble(sign, f"{check['name']}: {output.plain(check['detail'])}"), soft_wrap=True)
    for credential in status.get("credentials", ()):
        for problem in credential["problems"]:
            style = "red" if credential["refused_since"] else "yellow"
            console.print(
                Text.assemble(("! ", style), f"{credential['store']}: {output.plain(problem)}"), soft_wrap=True
            )
    _write_waiting(status, target)
    pool, lag = status["pool"], status["notification_lag_seconds"]
    known_lag = "not measured" if lag is None else f"{lag * 1000:.1f} ms"
    console.print(
        f"  connections: {pool['in_use']} in use, {pool['size']} open, at most {pool['max']}; "
        f"notification lag: {known_lag}; readers of the event stream: {status['subscribers']}",
        soft_wrap=True,
    )
    if status["running"] is not None:
        _write_running(status)
    if status["schedules"]:
        output.write_text("")
        write_schedules(status["schedules"], target.zone)
    if status["freshness"]:
        output.write_text("")
        rows = [
            (line["type"], line["store"], f"{values.duration(line['age_seconds'])} ago") for line in status["freshness"]
        ]
        output.write_table(("last completed", "store", "when"), rows)


def write_schedules(schedules: Sequence[ScheduleDocument], zone: tzinfo) -> None:
    """Schedules as a table, or where that has no room as two lines each; times in the shop's zone."""
    if output.is_narrow():
        for schedule in schedules:
            output.write_renderable(_lines(schedule, zone))
        return
    columns = ("schedule", "job", "store", "cron", "next fire", "last fire", "outcome")
    output.write_table(columns, [_row(schedule, zone) for schedule in schedules])


def _lines(schedule: ScheduleDocument, zone: tzinfo) -> Text:
    return Text.assemble(
        (schedule["name"], "bold"),
        ": ",
        _next_fire(schedule, zone, "next "),
        f"\n  {schedule['type']} of {schedule['store']}, {schedule['cron']}; ",
        f"last {values.moment(schedule['last_fire'], zone)}, {_outcome(schedule)}",
    )


def _next_fire(schedule: ScheduleDocument, zone: tzinfo, prefix: str = "") -> Text:
    if schedule["paused"]:
        return Text("paused", style="yellow")
    return Text(f"{prefix}{values.moment(schedule['next_fire'], zone)}")


def _outcome(schedule: ScheduleDocument) -> str:
    return " ".join(filter(None, [schedule["last_outcome"], output.plain(schedule["last_detail"] or "")])) or "-"


def _row(schedule: ScheduleDocument, zone: tzinfo) -> list[Text]:
    return [
        Text(schedule["name"]),
        Text(schedule["type"]),
        Text(schedule["store"]),
        Text(schedule["cron"]),
        _next_fire(schedule, zone),
        Text(values.moment(schedule["last_fire"], zone)),
        Text(_outcome(schedule), style="red" if schedule["last_outcome"] == "failed" else ""),
    ]


def _write_waiting(status: StatusDocument, target: Target) -> None:
    """What waits for a person comes before all that goes on by itself."""
    console = output.data_console()
    for job in status["awaiting_approval"] or []:
        since = values.moment(job["since"], target.zone)
        heading = f"{job['type']} of {job['store']} waits for approval since {since}"
        console.print(Text.assemble(("? ", "bold magenta"), (heading, "bold magenta")), soft_wrap=True)
        console.print(f"    {output.plain(job['reason'])}", soft_wrap=True)
        for line in wording.how_to_decide(job["id"]).splitlines():
            console.print(f"    {line}", soft_wrap=True)
    for places in status.get("left_out") or []:
        named = [f"location {number}" for number in places["locations"]]
        named += [f"depot {number}" for number in places["depots"]]
        heading = f"The last product sync of {places['store']} had to leave out {', '.join(named)}"
        console.print(Text.assemble(("! ", "bold yellow"), (heading, "bold yellow")), soft_wrap=True)
        console.print(
            "    Its job says why: dongbo jobs list --type SYNC_PRODUCTS, dongbo jobs show ID", soft_wrap=True
        )


def _write_running(status: StatusDocument) -> None:
    running = status["running"] or []
    output.write_text(f"\nrunning jobs: {len(running) or 'none'}")
    for job in running:
        of_total = f" of {values.number(job['total'])}" if job["total"] is not None else ""
        eta = f", ETA {values.duration(job['eta_seconds'])}" if job["eta_seconds"] is not None else ""
        wait = f", waiting for {job['waits_for']} since {values.ago(job['waiting_since'])}" if job["waits_for"] else ""
        rows = f"{values.number(job['processed'])}{of_total} rows"
        output.write_text(f"  {job['id']}  {job['type']} of {job['store']}: {rows}{eta}{wait}")
