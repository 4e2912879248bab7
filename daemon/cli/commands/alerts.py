"""`dongbo alerts`: who is told what is not right, and whether it gets through."""

from datetime import tzinfo
from typing import Annotated

import typer
from rich.text import Text

from daemon.api.alerts import AlertChannel, AlertList, AlertTest, HeartbeatState, SentAlert
from daemon.cli.context import CommandContext, Commands
from daemon.cli.render import output, values
from daemon.i18n import gettext as _

ALERTS_SHOWN = 20

app = Commands()


@app.command("list")
async def list_alerts(
    context: CommandContext,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many alerts.")] = ALERTS_SHOWN,
) -> None:
    """Show the channels, what they were told, and what did not go."""
    async with context.daemon() as client:
        found = await client.alerts(limit=limit)
    if context.as_json:
        output.write_json(found)
    elif found.channels or found.heartbeat is not None or found.alerts:
        _write(found, context.zone)
    else:
        output.say(_("Nobody is told anything: add [[alerts]] to the configuration."))


@app.command("test")
async def send_test(
    context: CommandContext,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The channel; without it, all.")] = None,
) -> None:
    """Send a test message, and show what the services answer.

    The exit code is 1 where one did not go out.
    """
    async with context.daemon() as client:
        tests = await client.test_alerts(name)
    if context.as_json:
        output.write_json({"tests": tests})
    elif tests:
        columns = (_("channel"), _("service"), _("sent"), _("answer"))
        output.write_table(columns, [_test_row(each) for each in tests])
    else:
        output.say(_("Nobody is told anything: add [[alerts]] to the configuration."))
    if not all(each.went for each in tests):
        raise typer.Exit(1)


def _write(found: AlertList, zone: tzinfo) -> None:
    if found.channels:
        channels = (_("channel"), _("service"), _("least"), _("after"), _("quiet"), _("language"), _("state"))
        output.write_table(channels, [_channel_row(each, zone) for each in found.channels])
    if found.heartbeat is not None:
        output.write_text("\n" + _heartbeat_line(found.heartbeat, zone))
    if found.alerts:
        output.write_text("")
        alerts = (_("channel"), _("store"), _("what"), _("since"), _("told"), _("over"))
        output.write_table(alerts, [_alert_row(each, zone) for each in found.alerts])


def _channel_row(channel: AlertChannel, zone: tzinfo) -> list[Text]:
    return [
        Text(channel.name),
        Text(channel.service),
        Text(channel.severity),
        Text(_("{n} min").format(n=channel.after_minutes)),
        Text(channel.quiet_hours or "-"),
        Text(channel.language),
        _state(channel.works, channel.problem, values.moment(channel.failing_since, zone)),
    ]


def _state(works: bool | None, problem: str | None, since: str) -> Text:
    if works is None:
        return Text(_("not tried yet"), style="dim")
    if works:
        return Text(_("works"), style="green")
    said = _("fails since {time}: {problem}").format(time=since, problem=output.plain(problem or ""))
    return Text(said, style="red")


def _heartbeat_line(heartbeat: HeartbeatState, zone: tzinfo) -> str:
    called = _("heartbeat: called last at {time}").format(time=values.moment(heartbeat.called_at, zone))
    if heartbeat.held_back is not None:
        return _("{called}; not called now: {reason}").format(called=called, reason=heartbeat.held_back)
    if heartbeat.works is False:
        return _("{called}; fails: {problem}").format(called=called, problem=heartbeat.problem)
    return called


def _alert_row(alert: SentAlert, zone: tzinfo) -> list[Text]:
    if alert.told_at is not None:
        told = Text(values.moment(alert.told_at, zone))
    else:
        told = Text(output.plain(alert.problem or _("not yet")), style="" if alert.closed_at else "red")
    return [
        Text(alert.channel),
        Text(alert.store or "-"),
        Text(output.plain(alert.text)),
        Text(values.moment(alert.since, zone)),
        told,
        Text(values.moment(alert.closed_at, zone)),
    ]


def _test_row(test: AlertTest) -> list[Text]:
    sent = (
        Text(_("in {duration}").format(duration=values.duration(test.seconds)), style="green")
        if test.went
        else Text(_("no"), style="red")
    )
    return [Text(test.channel), Text(test.service), sent, Text(output.plain(test.answer))]
