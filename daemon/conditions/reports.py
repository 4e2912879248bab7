"""How each stream stands, in words: a line of the page's "how fresh", and of `dongbo status`."""

from collections.abc import Iterator

from daemon.api.conditions import StreamReport, StreamState
from daemon.conditions.scene import Scene
from daemon.conditions.streams import Standing
from daemon.conditions.words import clause, source_name, span, time_of_day
from daemon.i18n import gettext as _
from daemon.i18n import ngettext, number_text
from daemon.jobs.words import job_name
from daemon.schedules.words import in_words
from daemon.tone import Tone


def report(stream: Standing, scene: Scene) -> StreamReport:
    """The line of one stream."""
    trouble, unstored, expectation = stream.facts.trouble, stream.facts.unstored, stream.expectation
    schedule = expectation.schedule if expectation is not None else next(iter(stream.schedules), None)
    return StreamReport(
        store=stream.key.store,
        type=stream.key.type,
        name=job_name(stream.key.type),
        schedule=schedule.name if schedule is not None else None,
        rhythm=in_words(schedule.expression) if schedule is not None else None,
        complete_to=stream.complete_to,
        expected_by=expectation.by if expectation is not None else None,
        state=stream.state,
        tone=tone_of(stream),
        text=" · ".join(_said(stream, scene)),
        since=trouble.since if trouble is not None else stream.late_since,
        job_id=stream.facts.newest,
        failed_rows=unstored.rows if unstored is not None else 0,
    )


def tone_of(stream: Standing) -> Tone:
    """How loud a stream's line is."""
    match stream.state:
        case StreamState.FAILING:
            is_bad = stream.is_late or (stream.facts.trouble is not None and stream.facts.trouble.has_failed)
            return Tone.BAD if is_bad else Tone.WARN
        case _ if stream.question is not None:
            return Tone.ASK
        case StreamState.LATE:
            return Tone.WARN
        case StreamState.ON_TIME:
            return Tone.WARN if stream.facts.unstored is not None else Tone.OK
        case _:
            return Tone.WARN if stream.is_late else Tone.OFF


def _said_of_trouble(stream: Standing, scene: Scene) -> str:
    """Since when a stream fails, and why."""
    trouble = stream.facts.trouble
    if trouble is None:
        return ""
    said = _("failing since {time}: {cause}") if trouble.has_failed else _("tried again since {time}: {cause}")
    return said.format(time=time_of_day(trouble.since, scene.facts.now, scene.facts.zone), cause=clause(trouble.cause))


def _said(stream: Standing, scene: Scene) -> Iterator[str]:
    now, zone = scene.facts.now, scene.facts.zone
    match stream.state:
        case StreamState.ON_TIME:
            yield _("on time")
        case StreamState.NEVER:
            yield _("not complete yet")
        case StreamState.UNSCHEDULED:
            yield _("no schedule")
        case StreamState.PAUSED:
            yield _("paused")
    if stream.late_since is not None:
        yield _("late by {length}").format(length=span(now - stream.late_since))
    if stream.facts.trouble is not None:
        yield _said_of_trouble(stream, scene)
    elif stream.is_late and stream.unreachable:
        yield from (_("{source} unreachable").format(source=source_name(source)) for source in stream.unreachable)
    if stream.question is not None:
        yield _("waits for your approval since {time}").format(time=time_of_day(stream.question.since, now, zone))
    if (unstored := stream.facts.unstored) is not None:
        yield ngettext("{n} row failed", "{n} rows failed", unstored.rows).format(n=number_text(unstored.rows))
    if stream.facts.is_running:
        yield _("running now")
