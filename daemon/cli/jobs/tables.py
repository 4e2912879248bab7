"""Jobs as tables and as one, what they have pushed, and what a request has done to one."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from rich.text import Text

from daemon.api.approvals import Approval, Change
from daemon.api.jobs import JobStory
from daemon.api.pushes import Push, PushKind
from daemon.cli.jobs import plans, wording
from daemon.cli.jobs.wording import is_live
from daemon.cli.render import output, values
from daemon.cli.render.ids import short_id, short_ids
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext
from daemon.jobs.model import Job, JobAttempt, JobFailure, JobStatus, JobSummary
from daemon.jobs.types import JOB_TYPES
from daemon.jobs.words import attempt_result_name, outcome_name

COSTS = {
    "pages": mark("pages"),
    "api_calls": mark("API calls"),
    "retries": mark("repeated calls"),
    "rate_limited": mark("times told to wait"),
    "rate_limit_wait_seconds": mark("s waited for the rate limit"),
    "retry_wait_seconds": mark("s waited after failures"),
    "deleted": mark("rows found deleted"),
}


def write_list(jobs: Sequence[Job], summaries: Sequence[JobSummary], zone: tzinfo) -> None:
    """Jobs as a table, each with its result in a sentence; `summaries` are of the same jobs in the same order."""
    ids = short_ids([job.id for job in jobs])
    output.write_table(
        (_("id"), _("job"), _("store"), _("outcome"), _("asked for"), _("took"), _("result")),
        [_row(job, summary, ids[job.id], zone) for job, summary in zip(jobs, summaries, strict=True)],
    )


def write_one(story: JobStory, failures: Sequence[JobFailure], steps: Sequence[Job], zone: tzinfo) -> None:
    """All there is to know about one job, what came of it first; `steps` are the jobs that are its steps."""
    job, summary = story.job, story.summary
    took = wording.job_duration(job)
    console = output.data_console()
    sentence = Text.assemble(
        (outcome_name(summary.outcome), values.TONE_STYLES[summary.tone]), f": {output.plain(summary.text)}"
    )
    console.print(sentence, soft_wrap=True)
    if summary.next_step:
        console.print(Text(output.plain(summary.next_step), "bold"), soft_wrap=True)
    output.write_fields(
        {
            _("job"): str(job.id),
            _("type"): job.type,
            _("store"): job.store,
            _("status"): " ".join(filter(None, [job.status, wording.percent(job) if is_live(job) else ""])),
            _("asked by"): _("schedule {name}").format(name=job.schedule) if job.schedule else job.trigger,
            _("step of"): str(job.parent_id or "-"),
            _("params"): ", ".join(
                f"{output.plain(name)} = {output.plain(value)}" for name, value in job.params.items()
            )
            or "-",
            _("rows"): f"{wording.rows(job)}: {wording.counters(job)}",
            _("figures"): plans.figures(job) or "-",
            _("cost"): ", ".join(
                f"{job.metadata[name]:,} {_(word)}" for name, word in COSTS.items() if job.metadata.get(name)
            )
            or "-",
            _("rate"): wording.rate(job) or "-",
            _("attempt"): _("{n} of {most}").format(n=job.attempt, most=job.max_attempts),
            _("worker"): job.worker or "-",
            _("created"): values.moment(job.created_at, zone),
            _("started"): values.moment(job.started_at, zone),
            _("ended"): values.moment(job.completed_at, zone),
            _("took"): values.duration(took) if took is not None else "-",
            _("note"): wording.note(job) or "-",
        }
    )
    for notice in wording.notices(job):
        console.print(Text(notice, style="bold yellow"), soft_wrap=True)
    for _at, event in sorted([*_attempts(story, zone), *_actions(story, zone)], key=lambda each: each[0]):
        console.print(Text(f"  {event}"), soft_wrap=True)
    for step in steps:
        error = f": {output.plain(step.error)}" if step.error else ""
        called = _("step {id}").format(id=short_id(step.id))
        console.print(Text.assemble(f"  {called}  {step.type}  ", _status(step), error), soft_wrap=True)
        for notice in wording.notices(step):
            console.print(Text(f"    {notice}", style="bold yellow"), soft_wrap=True)
    for failure in failures:
        state = _("being retried") if failure.resolved_at else _("not stored")
        text = _("row {id}, {state}: {reason}").format(
            id=output.plain(failure.source_id or _("(no id)")), state=state, reason=output.plain(failure.reason)
        )
        console.print(Text(f"  {text}"), soft_wrap=True)
    if JOB_TYPES[job.type].retries_rows and any(failure.resolved_at is None for failure in failures):
        advice = ngettext(
            "{n} row failed. To retry only it: dongbo jobs retry {job} --failed",
            "{n} rows failed. To retry only these: dongbo jobs retry {job} --failed",
            job.failed,
        )
        output.say(advice.format(n=values.number(job.failed), job=short_id(job.id)))

    say_what_is_asked(job)


def _attempts(story: JobStory, zone: tzinfo) -> list[tuple[datetime, str]]:
    """When each attempt began and how it ended; nothing of one that went well at once."""
    if all(attempt.error is None for attempt in story.attempts) and len(story.attempts) < 2:
        return []
    return [(attempt.started_at, _attempt(attempt, zone)) for attempt in story.attempts]


def _attempt(attempt: JobAttempt, zone: tzinfo) -> str:
    ended = f" – {values.moment(attempt.ended_at, zone)}" if attempt.ended_at is not None else ""
    result = _("attempt {n}: {result}").format(n=attempt.number, result=attempt_result_name(attempt.result))
    error = f": {output.plain(attempt.error)}" if attempt.error else ""
    return f"{values.moment(attempt.started_at, zone)}{ended}  {result}{error}"


def _actions(story: JobStory, zone: tzinfo) -> list[tuple[datetime, str]]:
    return [(each.at, f"{values.moment(each.at, zone)}  {output.plain(each.text)}") for each in story.actions]


def say_what_is_asked(job: Job) -> None:
    """How to decide about a job that waits for approval."""
    if wording.waits_for_approval(job):
        output.say(wording.how_to_look(job.id))
        output.say(wording.how_to_decide(job.id))


def write_changes(question: Approval, changes: Sequence[Change], kind: PushKind | None) -> None:
    """What waits for the answer to a question, and of how many changes that is."""
    headings = (_("what"), _("SKU"), _("variant"), _("location"), _("now"), _("then"), _("change"), _("why"))
    output.write_text(question.question)
    output.write_table(headings, [_change(change) for change in changes])
    all_changes = question.counts.get(kind, 0) if kind is not None else sum(question.counts.values())
    shown = _("{shown} of {n} changes").format(shown=values.number(len(changes)), n=values.number(all_changes))
    output.write_text(shown)


def write_pushes(pushes: Sequence[Push], zone: tzinfo) -> None:
    """Pushes as a table."""
    output.write_table(
        ("push", "time", "what", "of", "where", "old", "new", "result", "reason"),
        [_push(push, zone) for push in pushes],
    )


def write_outcome(job: Job, as_json: bool, what: str) -> None:
    """What a request has done to a job."""
    if as_json:
        output.write_json(job)
    else:
        outcome = _("{type} of {store}, job {id}, {what}")
        output.write_text(outcome.format(type=job.type, store=job.store, id=short_id(job.id), what=what))


def _status(job: Job) -> Text:
    status = Text(job.status, style=wording.STATUS_STYLES[job.status])
    if is_live(job) and (done := wording.percent(job)):
        status.append(f" {done}")
    return status


def _change(change: Change) -> list[Text]:
    place = change.location_name or ("" if change.location_id is None else str(change.location_id))
    share = "" if change.share is None else f"{change.share:.0%}"
    shown = [change.kind, change.sku or "–", str(change.variant_id), place, change.old or "–", change.new or "–"]
    return [Text(output.plain(text)) for text in (*shown, share, change.reason)]


def _push(push: Push, zone: tzinfo) -> list[Text]:
    what = push.kind if push.name is None else f"{push.kind} {push.name}"
    result = push.result if push.detail is None else f"{push.result}: {push.detail}"
    return [
        Text(str(push.id)),
        Text(values.moment(push.settled_at or push.intended_at, zone)),
        Text(output.plain(what)),
        Text(str(push.owner_id)),
        Text(str(push.location_id or "–")),
        Text(values.value(push.old_value)),
        Text(values.value(push.new_value)),
        Text(output.plain(result), style=values.RESULT_STYLES.get(push.result, "")),
        Text(output.plain(push.reason)),
    ]


def _row(job: Job, summary: JobSummary, shown_id: str, zone: tzinfo) -> list[Text]:
    took = wording.job_duration(job)
    done = wording.percent(job) if job.status is JobStatus.RUNNING else ""
    return [
        Text(shown_id),
        Text(summary.name),
        Text(job.store),
        Text(f"{outcome_name(summary.outcome)} {done}".rstrip(), style=values.TONE_STYLES[summary.tone]),
        Text(values.moment(job.created_at, zone)),
        Text(values.duration(took) if took is not None else "-"),
        Text("\n").join([Text(output.plain(summary.text)), *(Text(each, "yellow") for each in wording.notices(job))]),
    ]
