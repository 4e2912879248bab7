"""A timetable in words, in the language that is spoken: "at 02:30, Monday to Friday".

Only what can be said briefly and exactly is put into words; an expression of any other shape stands for itself. The
words of one expression are never those of another that fires at other times.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from daemon.i18n import Language, language, mark, ngettext
from daemon.i18n import gettext as _
from daemon.schedules.cron import CronCalendar, calendar_of
from daemon.schedules.interval import MINUTES_OF_DAY, interval_of

SHORT_LIST = 3  # times of the day that are listed before a rhythm is looked for
LONGEST_LIST = 6
ALL_MINUTES, ALL_HOURS, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS = 60, 24, 31, 12, 7

WEEKDAYS: Final = (  # from Monday, as weeks are read
    mark("Monday"),
    mark("Tuesday"),
    mark("Wednesday"),
    mark("Thursday"),
    mark("Friday"),
    mark("Saturday"),
    mark("Sunday"),
)
MONTHS: Final = (
    mark("January"),
    mark("February"),
    mark("March"),
    mark("April"),
    mark("May"),
    mark("June"),
    mark("July"),
    mark("August"),
    mark("September"),
    mark("October"),
    mark("November"),
    mark("December"),
)


def in_words(expression: str) -> str:
    """When a schedule fires; `expression` is that of a `ScheduleSpec`, "" of a preset."""
    return _in_words(expression, language())


@lru_cache(maxsize=4096)  # of a thousand schedules in both languages, which every status tells of
def _in_words(expression: str, _language: Language) -> str:
    if not expression:
        return _("when a person starts it")
    minutes = interval_of(expression)
    if minutes is not None:
        return _interval(minutes)
    return _cron(calendar_of(expression)) or expression


def _interval(minutes: int) -> str:
    if MINUTES_OF_DAY % minutes:
        return _("every {n} min, counted anew from midnight UTC").format(n=minutes)
    if minutes == 1:
        return _("every minute")
    if minutes == ALL_MINUTES:
        return _("every hour")
    return _every_hours(minutes // 60) if minutes % 60 == 0 else _every_minutes(minutes)


def _cron(calendar: CronCalendar) -> str | None:
    day = _day(calendar)
    rhythm = _rhythm(calendar)
    if day is None:
        return None
    if rhythm is None:
        times = _times(calendar)
        if times is None:
            return None
        rhythm, day = times, day or _("every day")
    if len(calendar.months) == ALL_MONTHS:
        return _("{times}, {days}").format(times=rhythm, days=day) if day else rhythm
    months = _in_months(calendar.months)
    if months is None:
        return None
    if not day:
        return _("{times}, {months}").format(times=rhythm, months=months)
    return _("{times}, {days}, {months}").format(times=rhythm, days=day, months=months)


def _rhythm(calendar: CronCalendar) -> str | None:
    """How often it fires, where that is how people would say it."""
    minutes, hours = sorted(calendar.minutes), sorted(calendar.hours)
    step = _step(minutes, ALL_MINUTES) if minutes[0] == 0 else None
    if len(hours) == ALL_HOURS:
        return _every_hour(minutes, step)
    if len(minutes) * len(hours) <= SHORT_LIST:
        return None
    if len(minutes) == 1:
        return _some_hours(hours, minutes[0])
    if step is not None and _are_consecutive(hours):
        often = _("every minute") if step == 1 else _every_minutes(step)
        return _from_to(often, _clock(hours[0], minutes[0]), _clock(hours[-1], minutes[-1]))
    return None


def _every_hour(minutes: Sequence[int], step: int | None) -> str | None:
    if step is not None:
        return _("every minute") if step == 1 else _every_minutes(step)
    if minutes == [0]:
        return _("every hour, on the hour")
    if len(minutes) > LONGEST_LIST:
        return None
    shown = _listed([str(minute) for minute in minutes])
    return ngettext("every hour, at minute {minutes}", "every hour, at minutes {minutes}", len(minutes)).format(
        minutes=shown
    )


def _some_hours(hours: Sequence[int], minute: int) -> str | None:
    """Several hours, each at the same minute: the whole day at one distance, or a part of it."""
    distance = hours[1] - hours[0]
    if any(later - earlier != distance for earlier, later in pairwise(hours)):
        return None
    often = _("every hour") if distance == 1 else _every_hours(distance)
    if hours[-1] + distance == hours[0] + ALL_HOURS:
        return _("{often} from {start}").format(often=often, start=_clock(hours[0], minute))
    return _from_to(often, _clock(hours[0], minute), _clock(hours[-1], minute))


def _times(calendar: CronCalendar) -> str | None:
    if len(calendar.minutes) * len(calendar.hours) > LONGEST_LIST:
        return None
    times = [_clock(hour, minute) for hour in sorted(calendar.hours) for minute in sorted(calendar.minutes)]
    return _("at {times}").format(times=_listed(times))


def _day(calendar: CronCalendar) -> str | None:
    """The days that it fires on; "" for every day, None where they can't be said briefly."""
    any_day, any_weekday = len(calendar.days) == ALL_DAYS, len(calendar.weekdays) == ALL_WEEKDAYS
    if any_day and any_weekday:
        return ""
    if any_day:
        return _on_weekdays(calendar.weekdays) if calendar.needs_both else ""
    if any_weekday:
        return _on_days(calendar.days) if calendar.needs_both else ""
    days, weekdays = _on_days(calendar.days), _on_weekdays(calendar.weekdays)
    if calendar.needs_both or days is None:
        return None
    return _("{days}, and {weekdays} too").format(days=days, weekdays=weekdays)


def _on_weekdays(weekdays: Collection[int]) -> str:
    from_monday = sorted((day - 1) % ALL_WEEKDAYS for day in weekdays)
    names = [_(WEEKDAYS[day]) for day in from_monday]
    if len(names) >= SHORT_LIST and _are_consecutive(from_monday):
        return _("{first} to {last}").format(first=names[0], last=names[-1])
    return _("on {days}").format(days=_listed(names))


def _on_days(days: Collection[int]) -> str | None:
    in_order = sorted(days)
    if len(in_order) >= SHORT_LIST and _are_consecutive(in_order):
        return _("on days {first} to {last} of the month").format(first=in_order[0], last=in_order[-1])
    if len(in_order) > LONGEST_LIST:
        return None
    shown = _listed([str(day) for day in in_order])
    return ngettext("on day {days} of the month", "on days {days} of the month", len(in_order)).format(days=shown)


def _in_months(months: Collection[int]) -> str | None:
    in_order = sorted(months)
    names = [_(MONTHS[month - 1]) for month in in_order]
    if len(names) >= SHORT_LIST and _are_consecutive(in_order):
        return _("from {first} to {last}").format(first=names[0], last=names[-1])
    return _("in {months}").format(months=_listed(names)) if len(names) <= LONGEST_LIST else None


def _every_minutes(minutes: int) -> str:
    return _("every {n} min").format(n=minutes)


def _every_hours(hours: int) -> str:
    return _("every {n} h").format(n=hours)


def _from_to(often: str, start: str, end: str) -> str:
    return _("{often} from {start} to {end}").format(often=often, start=start, end=end)


def _listed(items: Sequence[str]) -> str:
    if len(items) == 1:
        return items[0]
    return _("{items} and {last}").format(items=", ".join(items[:-1]), last=items[-1])


def _clock(hour: int, minute: int) -> str:
    return f"{hour:02d}:{minute:02d}"


def _step(values: Sequence[int], cycle: int) -> int | None:
    """The distance between values that stand evenly around a cycle; None where they don't, or where there is one."""
    if len(values) == 1 or cycle % len(values):
        return None
    step = cycle // len(values)
    return step if list(values) == list(range(values[0], cycle, step)) else None


def _are_consecutive(values: Sequence[int]) -> bool:
    return values[-1] - values[0] == len(values) - 1
