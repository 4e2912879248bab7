"""Jobs in words for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from daemon.cli.render import values
from daemon.cli.render.ids import short_id
from daemon.cli.render.output import plain
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.jobs.model import Job
from daemon.jobs.phases import WORDS as PHASE_WORDS
from daemon.jobs.sentences import gathering

WORTH_SAYING = 0.1  # seconds of waiting
STATUS_STYLES = {
    "PENDING": "cyan",
    "RUNNING": "blue",
    "AWAITING_APPROVAL": "magenta",
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
}


def is_live(job: Job) -> bool:
    """Whether the job is running or has yet to run."""
    return job.status.is_live


def waits_for_approval(job: Job) -> bool:
    """Whether a person must decide before anything more happens."""
    return job.status == "AWAITING_APPROVAL"


def how_to_look(job_id: UUID) -> str:
    """The command that lists all that is asked."""
    return _("see all that waits: dongbo jobs changes {job}").format(job=short_id(job_id))


def how_to_decide(job_id: UUID) -> str:
    """The two commands that end the waiting."""
    shown = short_id(job_id)
    return _("let it continue: dongbo jobs approve {job}\nend it: dongbo jobs reject {job}").format(job=shown)


def job_duration(job: Job) -> float | None:
    """Seconds from a job's start to its end, to its question, or to now; None before its start."""
    if job.started_at is None:
        return None
    ended = job.updated_at if waits_for_approval(job) else job.completed_at
    return max(((ended or datetime.now(UTC)) - job.started_at).total_seconds(), 0.0)


def is_estimate(job: Job) -> bool:
    """Whether the job's total is a guess, such as the count of the last full pull."""
    return bool(job.metadata.get("total_is_estimate"))


def share(job: Job) -> float | None:
    """How much of the job is done, 0 to 1; None where the total is unknown. An estimate never reaches 1."""
    total = job.total
    if job.status == "COMPLETED":
        return 1.0
    if total is None:
        return None
    done = job.processed / total if total else 0.0
    return min(done, 0.99 if is_estimate(job) else 1.0)


def percent(job: Job) -> str:
    """`42%`, `~42%` where the total is an estimate, nothing where it is unknown."""
    done = share(job)
    if done is None:
        return ""
    return f"{'~' if is_estimate(job) and is_live(job) else ''}{int(done * 100)}%"


def rows(job: Job) -> str:
    """`1,200 of ~3,000 rows`"""
    done = values.number(job.processed)
    if job.total is None or job.status == "COMPLETED":
        return ngettext("{n} row", "{n} rows", job.processed).format(n=done)
    total = f"{'~' if is_estimate(job) else ''}{values.number(job.total)}"
    return _("{n} of {all} rows").format(n=done, all=total)


def rate(job: Job) -> str:
    """`480 rows/s`, or nothing."""
    per_second = job.metadata.get("rows_per_second")
    return _("{n} rows/s").format(n=values.number(per_second)) if per_second else ""


def counters(job: Job) -> str:
    """The outcome of the rows."""
    return _("{created} created, {updated} updated, {skipped} skipped, {failed} failed").format(
        **{name: values.number(getattr(job, name)) for name in ("created", "updated", "skipped", "failed")}
    )


def note(job: Job, before: Job | None = None) -> str:
    """What a person should know besides: why it waits, why it failed.

    `before` is an earlier state of the same job: the wait for a rate limit shows in the difference.
    """
    if job.error and job.status == "PENDING":
        return _("tries again {when}: {cause}").format(when=values.ago(job.not_before), cause=plain(job.error))
    if job.error:
        return plain(job.error)
    if job.status == "PENDING":
        return _("waiting for its turn")
    if job.status == "RUNNING" and job.cancel_requested:
        return _("cancelling")
    if text := gathering(job):
        return plain(text)
    if job.status == "RUNNING" and (waiting := job.metadata.get("waiting")):
        what, lasting = plain(_(waiting["for"])), values.lasting(waiting["since"])
        return _("has waited {duration} for {what}").format(what=what, duration=lasting)
    if job.status == "RUNNING" and (phase := job.metadata.get("phase")):
        return phase_words(phase)
    waited = job.metadata.get("rate_limit_wait_seconds", 0)
    earlier = before.metadata.get("rate_limit_wait_seconds", 0) if before else waited
    if job.status == "RUNNING" and waited - earlier >= WORTH_SAYING:
        return _("waiting for rate limit ({time} so far)").format(time=values.duration(waited))
    return ""


def phase_words(phase: Mapping[str, Any]) -> str:
    """What a job does at the moment: `comparing both sides: 120,000`; of a newer daemon, the phase's own name."""
    name = phase["name"]
    said = _(PHASE_WORDS[name]) if name in PHASE_WORDS else plain(name)
    if not phase["done"]:
        return said
    done = values.number(phase["done"])
    if phase["of"] is None:
        return _("{phase}: {n}").format(phase=said, n=done)
    return _("{phase}: {n} of {all}").format(phase=said, n=done, all=values.number(phase["of"]))


def notices(job: Job) -> list[str]:
    """What a person must know though the job continues: a closed location, protected data, half of a shop."""
    return [f"! {plain(notice)}" for notice in job.metadata.get("notices") or []]


def summary(job: Job) -> str:
    """An ended job in one line."""
    took = job_duration(job)
    job_of = _("{type} of {store}: {status}").format(type=job.type, store=job.store, status=job.status)
    parts = [job_of, f"{rows(job)}: {counters(job)}"]
    if took is not None:
        parts.append(_("in {duration}").format(duration=values.duration(took)))
    waited = job.metadata.get("rate_limit_wait_seconds", 0)
    if waited >= WORTH_SAYING:
        parts.append(_("of which {time} waiting for the rate limit").format(time=values.duration(waited)))
    return ", ".join(parts)
