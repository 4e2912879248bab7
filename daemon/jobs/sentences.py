"""A job in one sentence: its result in the words of the business, in the language that is spoken.

Made of what the job's row says: its counters, its parameters and the figures that its task has noted in its metadata.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext, number_text
from daemon.jobs.model import Job, JobOutcome, JobStatus, JobStep
from daemon.jobs.types import JOB_TYPES, JobType

Counting = Callable[[int], str]
"""A text with `{n}`, of one and of several."""

LONGEST_FILTER = 80  # characters shown of one

AWAITED: Final = (
    mark("the source"),
    mark("the rate limit"),
    mark("an answer from the source"),
    mark("an access token"),
    mark("a bulk operation"),
    mark("bulk operations of others"),
)
"""What a job may wait for, as `metadata.waiting.for` says it."""

STORED: Final[Mapping[JobType, Counting]] = {
    JobType.PULL_NHANH_PRODUCTS: lambda n: ngettext("{n} product stored", "{n} products stored", n),
    JobType.PULL_NHANH_INVENTORY: lambda n: ngettext("{n} stock value stored", "{n} stock values stored", n),
    JobType.PULL_NHANH_CUSTOMERS: lambda n: ngettext("{n} customer stored", "{n} customers stored", n),
    JobType.PULL_SHOPIFY_PRODUCTS: lambda n: ngettext("{n} product stored", "{n} products stored", n),
    JobType.PULL_SHOPIFY_CUSTOMERS: lambda n: ngettext("{n} customer stored", "{n} customers stored", n),
}
"""What a pull has written."""

PUSHED: Final[Mapping[str, Counting]] = {
    "stock": lambda n: ngettext("{n} stock value set", "{n} stock values set", n),
    "activation": lambda n: ngettext("{n} item stocked at a location", "{n} items stocked at a location", n),
    "price": lambda n: ngettext("{n} price set", "{n} prices set", n),
    "compare_at_price": lambda n: ngettext("{n} compare-at price set", "{n} compare-at prices set", n),
    "metafield": lambda n: ngettext("{n} customer value set", "{n} customer values set", n),
    "tags": lambda n: ngettext("tags of {n} customer set", "tags of {n} customers set", n),
}
"""What a sync has pushed, by the kind of push (`metadata.applied`)."""


PAUSED: Final = mark("the store is paused: nothing was written")


def sentence(job: Job, outcome: JobOutcome, steps: Sequence[JobStep] = ()) -> str:
    """What came of a job; of one that runs what it does, or what it waits for."""
    match outcome:
        case JobOutcome.PENDING:
            return _("waits for its turn")
        case JobOutcome.RETRYING:
            return _("tries again by itself: {cause}").format(cause=_cause(job) or _("the cause is not known"))
        case JobOutcome.RUNNING:
            return _running(job, steps)
        case JobOutcome.AWAITING_APPROVAL:
            return _step_in_words(steps) or _cause(job) or _("waits for a person's approval")
        case JobOutcome.FAILED:
            return _step_in_words(steps) or _cause(job) or _("failed")
        case JobOutcome.REPAIRED if job.status is JobStatus.FAILED:
            return _("failed, and made up for since: {cause}").format(cause=_cause(job) or _("the cause is not known"))
        case JobOutcome.CANCELLED:
            if job.metadata.get("rejected_at"):
                return _("rejected by a person: nothing of it was carried out")
            return _joined(_("cancelled"), _so_far(job))
        case JobOutcome.SUPERSEDED:
            return _("a newer run took its place")
        case JobOutcome.COMPLETED | JobOutcome.COMPLETED_WITH_FAILURES | JobOutcome.REPAIRED:
            return _completed(job, steps)


def next_step(job: Job, outcome: JobOutcome) -> str | None:
    """What a person should do about a job; None where there is nothing to do."""
    match outcome:
        case JobOutcome.AWAITING_APPROVAL:
            return _("Look at the changes, then approve or reject them.")
        case JobOutcome.FAILED if job.schedule is not None:
            return _("Mend the cause. The next run of the schedule tries anew; to run it at once, retry it.")
        case JobOutcome.FAILED:
            return _("Mend the cause, then retry the job.")
        case JobOutcome.COMPLETED_WITH_FAILURES if job.type in STORED:
            return _("Look at the failed rows, mend them at the source, then retry them.")
        case JobOutcome.COMPLETED_WITH_FAILURES:
            return _("Look at why the rows failed; the next run tries them anew.")
        case _:
            return None


def gathering(job: Job) -> str | None:
    """How far Shopify, or the download, is with what a running job reads in bulk; None where it has other work."""
    bulk = job.metadata.get("bulk")
    if job.status is not JobStatus.RUNNING or not isinstance(bulk, Mapping):
        return None
    match bulk["state"]:
        case "storing":
            return None
        case "downloading":
            done, all_of_it = _megabytes(bulk["bytes"]), _megabytes(bulk["file_bytes"])
            return _("downloading what Shopify has gathered: {done} of {all} MB").format(done=done, all=all_of_it)
        case "sorting":
            return _("sorting what was downloaded")
        case _:
            gathered = _counted(lambda n: ngettext("{n} object", "{n} objects", n), bulk["objects"])
            return _("Shopify gathers everything: {objects} so far").format(objects=gathered)


def filters_of(job: Job) -> str | None:
    """What a pull was narrowed to; None where it was to read all."""
    parts = []
    filters = job.params.get("filters")
    if isinstance(filters, Mapping):
        parts += [f"{name}: {_value(value)}" for name, value in filters.items()]
    if query := job.params.get("query"):
        parts.append(_('search "{query}"').format(query=_cut(str(query))))
    return _("only {filters}").format(filters=", ".join(parts)) if parts else None


# ── What is under way ───────────────────────────────────────────────────────────────────────────────────────────────


def _running(job: Job, steps: Sequence[JobStep]) -> str:
    if text := gathering(job):
        return _joined(text, filters_of(job), _last_error(job))
    waiting = job.metadata.get("waiting")
    if isinstance(waiting, Mapping) and waiting.get("for"):
        return _("waits for {what}").format(what=_(str(waiting["for"])))
    if job.type is JobType.BACKUP_DATABASE:
        return _joined(_("{size} written so far").format(size=_size(job)), _last_error(job))
    if steps:
        place = next((n for n, step in enumerate(steps, 1) if step.status is not JobStatus.COMPLETED), len(steps))
        return _("step {n} of {all}: {name}").format(n=place, all=len(steps), name=steps[place - 1].name)
    if job.total:
        text = _("{n} of {all} rows").format(n=number_text(job.processed), all=number_text(job.total))
    else:
        text = _counted(lambda n: ngettext("{n} row so far", "{n} rows so far", n), job.processed)
    return _joined(text, filters_of(job), _failed(job), _last_error(job))


def _last_error(job: Job) -> str | None:
    cause = _cause(job)
    return _("before that: {cause}").format(cause=cause) if cause else None


def _cause(job: Job) -> str | None:
    """Why it does not go on; None where that is not said, or by nothing that could be read."""
    return (job.error or "").strip() or None


# ── What is done ────────────────────────────────────────────────────────────────────────────────────────────────────


def _completed(job: Job, steps: Sequence[JobStep]) -> str:
    if steps:
        others = [_named(step) for step in steps[:-1] if step.unresolved_rows]
        return _joined(steps[-1].text or _("completed"), *others)
    return _joined(RESULTS[job.type](job), _failed(job))


def _so_far(job: Job) -> str | None:
    return _completed(job, ()) if job.processed else None


def _step_in_words(steps: Sequence[JobStep]) -> str | None:
    """The step at which a chain stands or has ended."""
    stopped = next((step for step in steps if step.status not in (None, JobStatus.COMPLETED)), None)
    return _named(stopped) if stopped is not None else None


def _named(step: JobStep) -> str:
    return _("{name}: {result}").format(name=step.name, result=step.text)


def _pulled(job: Job) -> str:
    if job.successful:
        text = _counted(STORED[job.type], job.successful)
        if job.created:
            text = _("{stored}, {n} of them new").format(stored=text, n=number_text(job.created))
    elif job.processed:
        text = _("nothing had changed")
    else:
        text = _("there was nothing to read")
    if "retry_of" in job.params:
        text = _("failed rows of an earlier job: {result}").format(result=text)
    if ids := job.params.get("ids"):
        text = ngettext("{n} row by its id: {result}", "{n} rows by their ids: {result}", len(ids)).format(
            n=number_text(len(ids)), result=text
        )
    deleted: int = job.metadata.get("deleted") or 0
    gone = _("{n} gone at the source").format(n=number_text(deleted)) if deleted else None
    return _joined(text, gone, filters_of(job))


def _matched(counting: Counting) -> Callable[[Job], str]:
    def matched(job: Job) -> str:
        figures = job.metadata
        if "mapped" not in figures:
            return _dry(job) + _changed_mappings(job)
        parts = [_counted(counting, figures["mapped"]), _changed_mappings(job)]
        if unmatched := figures.get("unmatched"):
            parts.append(_("{n} without a counterpart").format(n=number_text(unmatched)))
        if ambiguous := figures.get("ambiguous"):
            parts.append(_("{n} ambiguous").format(n=number_text(ambiguous)))
        return _dry(job) + ", ".join(parts)

    return matched


def _changed_mappings(job: Job) -> str:
    if not job.successful:
        return _("none of them new")
    return _("{n} of them new or changed").format(n=number_text(job.successful))


def _synced(job: Job) -> str:
    figures = job.metadata
    if job.params.get("dry_run"):
        counts = {"stock": figures.get("stock_changes", 0), "price": figures.get("price_changes", 0)}
        counts |= {"metafield": sum((figures.get("would_change") or {}).values())}
        return _dry(job) + (_pushed(counts) or _("nothing differs"))
    applied = figures.get("applied")
    if isinstance(applied, Mapping):
        text = _pushed(applied)
    else:  # a run that was cut short, or of an earlier version: how many, if not of what
        text = _counted(lambda n: ngettext("{n} value set", "{n} values set", n), job.updated) if job.updated else None
    if figures.get("paused"):
        return _joined(text, _("the store is paused: the rest was only planned") if text else _(PAUSED))
    unmapped = figures.get("unmapped")  # of those that somebody has named
    left = _counted(lambda n: ngettext("{n} without a counterpart", "{n} without a counterpart", n), unmapped or 0)
    if text is None and (job.processed or not unmapped):
        text = _("Shopify had all of it already")
    return _joined(text, left if unmapped else None)


def _changed(job: Job) -> str:
    events: int = job.metadata.get("events") or 0
    told = _counted(lambda n: ngettext("{n} webhook", "{n} webhooks", n), events)
    result = _synced(job) if job.processed else _("nothing was to be pushed")
    return _("{result} ({webhooks})").format(result=result, webhooks=told)


def _pushed(counts: Mapping[str, Any]) -> str | None:
    found = [_counted(PUSHED[kind], counts[kind]) for kind in PUSHED if counts.get(kind)]
    if not found:
        return None
    return found[0] if len(found) == 1 else _("{some} and {last}").format(some=", ".join(found[:-1]), last=found[-1])


def _sale(counting: Counting) -> Callable[[Job], str]:
    def sale(job: Job) -> str:
        names = job.metadata.get("campaigns") or []
        of = _("for {names}").format(names=", ".join(map(str, names))) if names else None
        text = _counted(counting, job.successful) if job.successful else None
        if job.metadata.get("paused"):
            return _joined(text, _(PAUSED), of)
        return _joined(text or _("there was nothing to change"), of)

    return sale


def _chain(job: Job) -> str:
    return _counted(lambda n: ngettext("{n} step completed", "{n} steps completed", n), job.processed)


def _backed_up(job: Job) -> str:
    rows: int = job.metadata.get("rows") or 0
    text = _counted(lambda n: ngettext("{n} row backed up and read back", "{n} rows backed up and read back", n), rows)
    return _("{rows}, {size}").format(rows=text, size=_size(job))


def _size(job: Job) -> str:
    return _("{n} MB").format(n=_megabytes(job.metadata.get("bytes") or 0))


def _megabytes(size: int) -> str:
    return number_text(math.ceil(size / 10**6))


def _tested(_job: Job) -> str:
    return _("all stations passed")


RESULTS: Final[Mapping[JobType, Callable[[Job], str]]] = {
    **dict.fromkeys(STORED, _pulled),
    JobType.MATCH_PRODUCTS: _matched(lambda n: ngettext("{n} item matched", "{n} items matched", n)),
    JobType.MATCH_CUSTOMERS: _matched(lambda n: ngettext("{n} customer matched", "{n} customers matched", n)),
    JobType.SYNC_PRODUCTS: _synced,
    JobType.SYNC_CUSTOMERS: _synced,
    JobType.SYNC_CHANGED_PRODUCTS: _changed,
    JobType.SYNC_CHANGED_CUSTOMERS: _changed,
    JobType.PRODUCT_CHAIN: _chain,
    JobType.PREPARE_SALE: _sale(lambda n: ngettext("{n} price noted", "{n} prices noted", n)),
    JobType.APPLY_SALE: _sale(lambda n: ngettext("{n} price set to the sale's", "{n} prices set to the sale's", n)),
    JobType.REVERT_SALE: _sale(lambda n: ngettext("{n} price set back", "{n} prices set back", n)),
    JobType.BACKUP_DATABASE: _backed_up,
    JobType.NOOP: _tested,
}

if missing := [job_type for job_type in JOB_TYPES if job_type not in RESULTS]:
    raise RuntimeError(f"RESULTS has no row for {', '.join(missing)}")


def _failed(job: Job) -> str | None:
    if not job.failed or job.type is JobType.PRODUCT_CHAIN:  # whose rows are steps, which tell of their own
        return None
    return _counted(lambda n: ngettext("{n} row failed", "{n} rows failed", n), job.failed)


def _dry(job: Job) -> str:
    return _("Trial run: ") if job.params.get("dry_run") else ""


def _counted(counting: Counting, count: int) -> str:
    return counting(count).format(n=number_text(count))


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)


def _value(value: object) -> str:
    return _cut(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_FILTER else f"{text[:LONGEST_FILTER]}…"
