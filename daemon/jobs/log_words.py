"""Lines of a job's log in words: the events that people meet most; others as they are named."""

from collections.abc import Mapping
from typing import Any, Final

from daemon.i18n import gettext as _
from daemon.i18n import mark

EVENTS: Final[Mapping[str, str]] = {
    "job_submitted": mark("asked for"),
    "job_started": mark("an attempt begins"),
    "job_ended": mark("ended"),
    "job_attempt_failed": mark("the attempt failed"),
    "job_released": mark("stopped; it goes on later"),
    "job_crashed": mark("a bug in the program"),
    "job_cancel_requested": mark("cancelling was asked for"),
    "job_approved": mark("approved"),
    "job_rejected": mark("rejected"),
    "approval_needed": mark("asks for approval"),
    "run_taken_over": mark("another run has taken it over"),
    "run_lost_database": mark("lost the database"),
    "pull_continued": mark("goes on where an earlier pull stopped"),
    "pull_begun_afresh": mark("begins afresh"),
    "pull_made_full": mark("reads everything"),
    "deletions_not_sought": mark("does not look for what was deleted"),
    "page_refused": mark("stores the rows of a page one by one"),
    "source_notice": mark("the source says"),
    "source_warned": mark("the source warns"),
    "places_left_out": mark("places are left out"),
    "key_lost": mark("plans anew"),
}

DETAILS: Final = ("error", "reason", "notice")
"""What else a line says, in the first of these fields that it has."""


def line_text(event: str, fields: Mapping[str, Any]) -> str:
    """A line for people: "the attempt failed: Nhanh.vn did not answer"."""
    what = _(EVENTS[event]) if event in EVENTS else event.replace("_", " ")
    detail = next((fields[name] for name in DETAILS if isinstance(fields.get(name), str)), None)
    return _("{what}: {detail}").format(what=what, detail=detail) if detail else what
