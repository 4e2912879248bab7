"""What people have done, in words: what, who, and by which way."""

from collections.abc import Mapping
from typing import Final

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.steering import ActionKind, Way

DONE: Final[Mapping[ActionKind, str]] = {
    ActionKind.SUBMIT: mark("started {way}"),
    ActionKind.CANCEL: mark("cancelled {way}"),
    ActionKind.RETRY: mark("retried {way}"),
    ActionKind.RETRY_ROWS: mark("failed rows retried {way}"),
    ActionKind.RUN_AGAIN: mark("run again {way}"),
    ActionKind.APPROVE: mark("approved {way}"),
    ActionKind.REJECT: mark("rejected {way}"),
    ActionKind.RUN_SCHEDULE: mark("run by hand {way}"),
    ActionKind.PAUSE: mark("paused {way}"),
    ActionKind.RESUME: mark("resumed {way}"),
    ActionKind.PAUSE_STORE: mark("paused {way}"),
    ActionKind.RESUME_STORE: mark("resumed {way}"),
    ActionKind.MAP: mark("mapped {way}"),
    ActionKind.EXCLUDE: mark("said to have no counterpart {way}"),
    ActionKind.UNMAP: mark("decision taken back {way}"),
    ActionKind.CREATE_SALE: mark("sale created {way}"),
    ActionKind.START_SALE: mark("sale started or planned {way}"),
    ActionKind.END_SALE: mark("sale ended {way}"),
    ActionKind.CANCEL_SALE: mark("sale cancelled {way}"),
    ActionKind.DECIDE_SALE: mark("decided about the sale {way}"),
}

WAYS: Final[Mapping[Way, str]] = {
    Way.PAGE: mark("on the page"),
    Way.API: mark("over the API"),
    Way.CLI: mark("in the terminal"),
}

if missing := [kind for kind in ActionKind if kind not in DONE]:
    raise RuntimeError(f"DONE has no row for {', '.join(missing)}")


def action_text(kind: ActionKind, way: Way, who: str | None) -> str:
    """What a person did, and how it came: "cancelled by Lan on the page"."""
    return _(DONE[kind]).format(way=way_text(way, who))


def way_text(way: Way, who: str | None) -> str:
    """Who asked, where a name is known, and how it came: "by Lan on the page"."""
    said = _(WAYS[way])
    return said if who is None else _("by {who} {way}").format(who=who, way=said)
