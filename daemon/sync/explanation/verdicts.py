"""Why Shopify has the value that it has, in plain sentences: what set it, what happened to it, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation

from daemon.api.pushes import PushKind, PushResult
from daemon.ids import JobId
from daemon.sync.pushes import RecordedPush

NOTHING = "nothing"  # in place of a value that does not exist


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


def moment(time: datetime, zone: tzinfo) -> str:
    """A time for people: "23 Nov 2026 14:03:22"."""
    local = time.astimezone(zone)
    return f"{local.day} {local:%b %Y %H:%M:%S}"


def _origin(facts: Facts, zone: tzinfo) -> str:
    """What Shopify has, and who has set it."""
    has = (
        facts.present.absence
        if facts.present.value is None
        else f"Shopify has {facts.present.value} {facts.present.subject}"
    )
    applied = next((push for push in facts.pushes if _sets_value(push)), None)
    seen = f"seen {moment(facts.present.since, zone)}" if facts.present.since else "when is not known"
    sale = facts.sale
    if sale is not None and (applied is None or sale.at > (applied.settled_at or applied.intended_at)):
        act = "set it back to" if sale.is_restored else "set it to"
        cause = f"the sale {sale.sale} {act} {sale.value or NOTHING} on {moment(sale.at, zone)}"
        if same(sale.value, facts.present.value):
            return f"{has}: {cause}."
        changed = f"{sale.value or NOTHING} → {facts.present.value or NOTHING}, {seen}"
        return f"{has}; {cause}, but it has been changed at Shopify since ({changed})."
    if applied is None:
        return f"{has}." if facts.present.value is None else f"{has} ({seen}); dongbo has never set it."
    push, when = applied.push, moment(applied.settled_at or applied.intended_at, zone)
    new = push.new_value or NOTHING
    if same(push.new_value, facts.present.value):
        cause = f"job {applied.job_id} set it from {push.old_value or NOTHING} to {new} on {when}"
        return f"{has}: {cause}, because “{_clause(push.reason)}”."
    changed = f"{new} → {facts.present.value or NOTHING}, {seen}"
    return (
        f"{has}. Job {applied.job_id} set it to {new} on {when}, but it has been changed at Shopify since ({changed})."
    )


def _sets_value(recorded: RecordedPush) -> bool:
    """Whether the push has set the value: to be stocked at a location says nothing of how many there are."""
    return recorded.result is PushResult.APPLIED and recorded.push.kind is not PushKind.ACTIVATION


def _last_attempt(facts: Facts, zone: tzinfo) -> str:
    """The outcome of the last push, where it was not applied."""
    if not facts.pushes:
        return ""
    last = facts.pushes[0]
    when = moment(last.settled_at or last.intended_at, zone)
    change = f"{last.push.old_value or NOTHING} → {last.push.new_value or NOTHING}, job {last.job_id}, {when}"
    detail = f": {_clause(last.detail)}" if last.detail else ""
    match last.result:
        case PushResult.APPLIED:
            return ""
        case PushResult.REFUSED:
            return f"The last push ({change}) was refused{detail}."
        case PushResult.STALE:
            return f"The last push ({change}) changed nothing, because Shopify had another value by then{detail}."
        case PushResult.UNKNOWN:
            return f"The last push ({change}) was interrupted, and its outcome is unknown{detail}."
        case PushResult.INTENDED:
            return f"A push ({change}) is under way, or its answer was lost: the next sync will find out."


def _outlook(facts: Facts, zone: tzinfo) -> str:
    """What a sync would do, and why it has not."""
    if facts.obstacle is not None:
        return f"Not pushed: {_clause(facts.obstacle)}."
    if facts.wanted.is_right:
        return f"That is what Nhanh.vn says: {facts.wanted.basis}."
    if facts.approval is not None:
        change = f"The change to {facts.wanted.value or NOTHING} ({facts.wanted.basis}) waits"
        if not facts.is_asked:
            return f"{change} for the approval of other changes, asked by job {facts.approval.job_id}."
        return f"{change} for approval, asked by job {facts.approval.job_id}: “{_clause(facts.approval.reason)}”."
    would = f"A sync would set it to {facts.wanted.value or NOTHING} now: {facts.wanted.basis}"
    since = max(filter(None, [facts.wanted.since, facts.present.since]), default=None)
    last = facts.last_sync
    if last is None:
        return f"{would}; no SYNC_PRODUCTS has completed yet."
    if since is not None and last.started_at < since:
        return f"{would}; no SYNC_PRODUCTS has completed since that change."
    return (
        f"{would}; the last SYNC_PRODUCTS, job {last.job_id}, which completed {moment(last.completed_at, zone)}, has "
        f"not done so: dongbo jobs show {last.job_id} lists the rows that failed."
    )


def _clause(text: str) -> str:
    """A sentence as a part of another one."""
    return text.strip().rstrip(".")
