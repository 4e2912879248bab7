"""Why Shopify has the value that it has, in plain sentences: what set it, what happened to it, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation

from daemon.api.pushes import PushKind, PushResult
from daemon.i18n import gettext as _
from daemon.i18n import mark, moment
from daemon.ids import JobId
from daemon.sync.pushes import RecordedPush

NOTHING = mark("nothing")  # in place of a value that does not exist


@dataclass(frozen=True, slots=True)
class Approval:
    """A sync that waits for a person, and holds all changes back meanwhile."""

    job_id: JobId
    reason: str


@dataclass(frozen=True, slots=True)
class LastSync:
    """The last sync that has completed."""

    job_id: JobId
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class SetBySale:
    """A value that a sale has set last; `at` is aware UTC."""

    sale: str
    is_restored: bool  # to what it was before the sale
    value: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Present:
    """A value at Shopify by the mirror.

    Args:
        subject: the value in words, such as "at Kho Hà Nội" or "as price".
        absence: what to say where there is none, such as "It is not stocked at Kho Hà Nội".
        value: None where there is none.
        since: since when the mirror has it.
    """

    subject: str
    absence: str
    value: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Nhanh.vn asks for.

    Args:
        value: None for none.
        since: since when at the earliest.
        basis: what it is made of, in words.
        is_right: whether Shopify has it.
    """

    value: str | None
    since: datetime | None
    basis: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one value at Shopify.

    Args:
        obstacle: why it is not pushed, in words; None where nothing is in the way.
        sale: what a sale has set last, if any has.
        approval: a sync that holds the change back.
        is_asked: whether the approval is about this very value.
        pushes: of this value, newest first.
    """

    present: Present
    wanted: Wanted
    obstacle: str | None
    sale: SetBySale | None
    approval: Approval | None
    is_asked: bool
    last_sync: LastSync | None
    pushes: Sequence[RecordedPush]


def verdict(facts: Facts, zone: tzinfo) -> str:
    """The sentences on one value; times are in `zone`."""
    return " ".join(filter(None, [_origin(facts, zone), _last_attempt(facts, zone), _outlook(facts, zone)]))


def same(one: str | None, other: str | None) -> bool:
    """Whether two values are equal as numbers: "199000" is "199000.00"."""
    if one is None or other is None:
        return one == other
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return one == other


def _origin(facts: Facts, zone: tzinfo) -> str:
    """What Shopify has, and who has set it."""
    has = (
        facts.present.absence
        if facts.present.value is None
        else _("Shopify has {value} {subject}").format(value=facts.present.value, subject=facts.present.subject)
    )
    applied = next((push for push in facts.pushes if _sets_value(push)), None)
    seen = (
        _("seen {time}").format(time=moment(facts.present.since, zone))
        if facts.present.since
        else _("when is not known")
    )
    sale = facts.sale
    if sale is not None and (applied is None or sale.at > (applied.settled_at or applied.intended_at)):
        act = (
            _("the sale {sale} set it back to {value} on {time}")
            if sale.is_restored
            else _("the sale {sale} set it to {value} on {time}")
        )
        cause = act.format(sale=sale.sale, value=sale.value or _(NOTHING), time=moment(sale.at, zone))
        if same(sale.value, facts.present.value):
            return f"{has}: {cause}."
        changed = f"{sale.value or _(NOTHING)} → {facts.present.value or _(NOTHING)}, {seen}"
        return _("{has}; {cause}, but it has been changed at Shopify since ({changed}).").format(
            has=has, cause=cause, changed=changed
        )
    if applied is None:
        if facts.present.value is None:
            return f"{has}."
        return _("{has} ({seen}); dongbo has never set it.").format(has=has, seen=seen)
    push, when = applied.push, moment(applied.settled_at or applied.intended_at, zone)
    new = push.new_value or _(NOTHING)
    if same(push.new_value, facts.present.value):
        cause = _("job {job_id} set it from {old} to {new} on {when}").format(
            job_id=applied.job_id, old=push.old_value or _(NOTHING), new=new, when=when
        )
        return _("{has}: {cause}, because “{reason}”.").format(has=has, cause=cause, reason=_clause(push.reason))
    changed = f"{new} → {facts.present.value or _(NOTHING)}, {seen}"
    return _(
        "{has}. Job {job_id} set it to {new} on {when}, but it has been changed at Shopify since ({changed})."
    ).format(has=has, job_id=applied.job_id, new=new, when=when, changed=changed)


def _sets_value(recorded: RecordedPush) -> bool:
    """Whether the push has set the value: to be stocked at a location says nothing of how many there are."""
    return recorded.result is PushResult.APPLIED and recorded.push.kind is not PushKind.ACTIVATION


def _last_attempt(facts: Facts, zone: tzinfo) -> str:
    """The outcome of the last push, where it was not applied."""
    if not facts.pushes:
        return ""
    last = facts.pushes[0]
    when = moment(last.settled_at or last.intended_at, zone)
    change = _("{old} → {new}, job {job_id}, {when}").format(
        old=last.push.old_value or _(NOTHING), new=last.push.new_value or _(NOTHING), job_id=last.job_id, when=when
    )
    detail = f": {_clause(last.detail)}" if last.detail else ""
    match last.result:
        case PushResult.APPLIED:
            return ""
        case PushResult.REFUSED:
            return _("The last push ({change}) was refused{detail}.").format(change=change, detail=detail)
        case PushResult.STALE:
            return _(
                "The last push ({change}) changed nothing, because Shopify had another value by then{detail}."
            ).format(change=change, detail=detail)
        case PushResult.UNKNOWN:
            return _("The last push ({change}) was interrupted, and its outcome is unknown{detail}.").format(
                change=change, detail=detail
            )
        case PushResult.INTENDED:
            return _("A push ({change}) is under way, or its answer was lost: the next sync will find out.").format(
                change=change
            )


def _outlook(facts: Facts, zone: tzinfo) -> str:
    """What a sync would do, and why it has not."""
    if facts.obstacle is not None:
        return _("Not pushed: {obstacle}.").format(obstacle=_clause(facts.obstacle))
    if facts.wanted.is_right:
        return _("That is what Nhanh.vn says: {basis}.").format(basis=facts.wanted.basis)
    if facts.approval is not None:
        waits = (
            _("The change to {value} ({basis}) waits for approval, asked by job {job_id}: “{reason}”.")
            if facts.is_asked
            else _("The change to {value} ({basis}) waits for the approval of other changes, asked by job {job_id}.")
        )
        return waits.format(
            value=facts.wanted.value or _(NOTHING),
            basis=facts.wanted.basis,
            job_id=facts.approval.job_id,
            reason=_clause(facts.approval.reason),
        )
    would = _("A sync would set it to {value} now: {basis}").format(
        value=facts.wanted.value or _(NOTHING), basis=facts.wanted.basis
    )
    since = max(filter(None, [facts.wanted.since, facts.present.since]), default=None)
    last = facts.last_sync
    if last is None:
        return _("{would}; no SYNC_PRODUCTS has completed yet.").format(would=would)
    if since is not None and last.started_at < since:
        return _("{would}; no SYNC_PRODUCTS has completed since that change.").format(would=would)
    return _(
        "{would}; the last SYNC_PRODUCTS, job {job_id}, which completed {completed_at}, has not done so: "
        "dongbo jobs show {job_id} lists the rows that failed."
    ).format(would=would, job_id=last.job_id, completed_at=moment(last.completed_at, zone))


def _clause(text: str) -> str:
    """A sentence as a part of another one."""
    return text.strip().rstrip(".")
