"""Times, spans of time and names as people say them, in the language that is spoken."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext
from daemon.i18n import moment as in_full
from daemon.jobs.types import JobType, Source

WEEKDAYS: Final = (mark("Mon"), mark("Tue"), mark("Wed"), mark("Thu"), mark("Fri"), mark("Sat"), mark("Sun"))
SHORT: Final = 100  # minutes, up to which a span is said in minutes

SOURCE_NAMES: Final[Mapping[str, str]] = {Source.NHANH: "Nhanh.vn", Source.SHOPIFY: "Shopify"}

# As the subject within a sentence, in lower case where the language has it so.
STREAM_NOUNS: Final[Mapping[JobType, str]] = {
    JobType.PULL_NHANH_INVENTORY: mark("stock"),
    JobType.PULL_NHANH_PRODUCTS: mark("products of Nhanh.vn"),
    JobType.PULL_SHOPIFY_PRODUCTS: mark("products of Shopify"),
    JobType.SYNC_PRODUCTS: mark("push to Shopify"),
    JobType.PULL_NHANH_CUSTOMERS: mark("customers of Nhanh.vn"),
    JobType.PULL_SHOPIFY_CUSTOMERS: mark("customers of Shopify"),
    JobType.SYNC_CUSTOMERS: mark("customer totals"),
    JobType.BACKUP_DATABASE: mark("backup of the database"),
}


def source_name(source: str) -> str:
    """What a source is called."""
    return SOURCE_NAMES[source]


def stream_noun(job_type: JobType) -> str:
    """What a stream is called within a sentence."""
    return _(STREAM_NOUNS[job_type])


def time_of_day(moment: datetime, now: datetime, zone: ZoneInfo) -> str:
    """A time in the shop's zone: "02:14" today, "yesterday 23:10", "Fri 18:40" within the week, else with its date."""
    local, today = moment.astimezone(zone), now.astimezone(zone).date()
    time, days = f"{local:%H:%M}", (today - local.date()).days
    if days == 0:
        return time
    if days == 1:
        return _("yesterday {time}").format(time=time)
    if -7 < days < 7:
        return f"{_(WEEKDAYS[local.weekday()])} {time}"
    return in_full(moment, zone)


def span(length: timedelta) -> str:
    """How long: "40 minutes", "5 h 34 min", "3 days"; never less than a minute."""
    minutes = max(int(length.total_seconds() // 60), 1)
    if minutes < SHORT:
        return ngettext("{n} minute", "{n} minutes", minutes).format(n=minutes)
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return ngettext("{n} day", "{n} days", hours // 24).format(n=hours // 24)
    if rest == 0:
        return ngettext("{n} hour", "{n} hours", hours).format(n=hours)
    return _("{hours} h {minutes} min").format(hours=hours, minutes=rest)


def both(names: Sequence[str]) -> str:
    """Names one after the other: "Nhanh.vn and Shopify"."""
    if len(names) < 2:
        return "".join(names)
    return _("{names} and {last}").format(names=", ".join(names[:-1]), last=names[-1])


def as_sentence(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def clause(text: str) -> str:
    """What somebody else said, to go on behind: in one line, without a full stop."""
    return " ".join(text.split()).rstrip(".")
