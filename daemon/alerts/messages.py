"""What a person reads, in the language that is spoken: short enough for any service, and of use without the page."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from daemon.alerts.delivery import Message, MessageKind
from daemon.alerts.store import Told
from daemon.api.conditions import Condition, ConditionSeverity, Verdict
from daemon.conditions.words import both, clause, span, time_of_day
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.ids import StoreName

MOST_TOLD: Final = 8  # in one message; Zalo takes 2,000 characters
LONGEST_CAUSE: Final = 160  # characters
NAME: Final = "dongbo"


def of_beginning(
    conditions: Sequence[Condition], verdicts: Sequence[Verdict], now: datetime, zone: ZoneInfo
) -> Message:
    """That these hold; those that are bad come first."""
    shown = sorted(conditions, key=lambda each: each.severity is not ConditionSeverity.BAD)
    is_bad = shown[0].severity is ConditionSeverity.BAD
    stores = _stores(shown)
    if len(shown) == 1:
        title = f"{_subject(stores)}: {shown[0].text}"
    else:
        said = ngettext("{subject}: {n} thing is not right", "{subject}: {n} things are not right", len(shown))
        title = said.format(subject=_subject(stores), n=len(shown))
    parts = [_paragraph(each, now, zone) for each in shown[:MOST_TOLD]]
    return Message(
        title,
        "\n\n".join([*parts, *_rest(len(shown)), *_verdicts(verdicts, stores)]),
        MessageKind.FAILURE if is_bad else MessageKind.WARNING,
    )


def of_end(told: Sequence[Told], verdicts: Sequence[Verdict], now: datetime, zone: ZoneInfo) -> Message:
    """That these are over."""
    stores = sorted({each.store for each in told if each.store is not None})
    if len(told) == 1:
        title = _("{subject}: over: {text}").format(subject=_subject(stores), text=told[0].text)
    else:
        said = ngettext("{subject}: {n} thing is over", "{subject}: {n} things are over", len(told))
        title = said.format(subject=_subject(stores), n=len(told))
    parts = [_ended(each, now, zone) for each in told[:MOST_TOLD]]
    return Message(title, "\n\n".join([*parts, *_rest(len(told)), *_verdicts(verdicts, stores)]), MessageKind.SUCCESS)


def of_return(undelivered: Condition, now: datetime, zone: ZoneInfo) -> Message:
    """That messages get through again, whose own arrival is what shows it."""
    title = _("{subject}: over: {text}").format(subject=NAME, text=undelivered.text)
    return Message(title, f"{undelivered.text}\n{_times(undelivered.since, now, now, zone)}", MessageKind.SUCCESS)


def of_test(channel: str) -> Message:
    """That nothing is wrong, and a person only tries the channel."""
    return Message(
        _("{name}: a test").format(name=NAME),
        _("This is a test of the channel {channel}. Whatever is not right will be told here.").format(channel=channel),
        MessageKind.INFO,
    )


def _paragraph(condition: Condition, now: datetime, zone: ZoneInfo) -> str:
    lines = [_located(condition.store, condition.text)]
    since = time_of_day(condition.since, now, zone)
    lines.append(_("Since {time} ({length})").format(time=since, length=span(now - condition.since)))
    if condition.cause:
        lines.append(_("Cause: {cause}").format(cause=_shortened(clause(condition.cause))))
    lines.append(_("What to do: {step}").format(step=condition.next_step))
    return "\n".join(lines)


def _ended(told: Told, now: datetime, zone: ZoneInfo) -> str:
    end = now - max(told.unseen, timedelta(0))
    return f"{_located(told.store, told.text)}\n{_times(told.since, end, now, zone)}"


def _times(begin: datetime, end: datetime, now: datetime, zone: ZoneInfo) -> str:
    return _("From {begin} to {end} ({length})").format(
        begin=time_of_day(begin, now, zone),
        end=time_of_day(end, now, zone),
        length=span(max(end - begin, timedelta(0))),
    )


def _located(store: StoreName | None, text: str) -> str:
    return text if store is None else f"{store}: {text}"


def _subject(stores: Sequence[StoreName]) -> str:
    return both(stores) if 0 < len(stores) <= 3 else NAME


def _stores(conditions: Sequence[Condition]) -> Sequence[StoreName]:
    return sorted({each.store for each in conditions if each.store is not None})


def _verdicts(verdicts: Sequence[Verdict], stores: Sequence[StoreName]) -> Iterator[str]:
    """The one sentence of each store that the message is about."""
    about = [verdict for verdict in verdicts if verdict.store in stores]
    if about:
        yield "\n".join(_located(verdict.store, verdict.text) for verdict in about[:MOST_TOLD])


def _rest(count: int) -> Iterator[str]:
    if (more := count - MOST_TOLD) > 0:
        yield _("and {n} more: see `dongbo status`").format(n=more)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"
