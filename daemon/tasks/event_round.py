"""One round of a job that webhooks have started: the events that it has taken, and what came of each.

A round is what waited when its job began, whatever comes later: the next round takes that. A run that goes on with an
interrupted one works on the very same events, so that the counters, and the place from which it resumes, stay true.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import Any

from daemon.errors import CredentialRefused, SourceRefused
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext, number_text
from daemon.inbox import events
from daemon.inbox.events import TakenEvent
from daemon.inbox.topics import Concern, EventState, Subject
from daemon.jobs import failures
from daemon.jobs.context import JobContext
from daemon.sources.shopify.models import QuantityName
from daemon.sync import pushes
from daemon.tasks import echoes
from daemon.tasks.item_reading import ItemsRead

MOST_ATTEMPTS = 3  # jobs that take an event before it is given up: the schedules read and push all the same
PATIENCE = timedelta(hours=2)  # for which jobs that fail take it nevertheless: a source that is away comes back

UNMAPPED = mark("Nothing on the other side is mapped to it.")
GONE = mark("It is gone at its source.")
UNKNOWN = mark("The product that it belongs to has not been read yet: its own webhook, or the next pull, reads both.")
NOT_PUSHED = mark("It was read again: nothing was to be pushed.")
LEFT = mark("It was read again. Something of it was left alone: its job says why.")
PLANNED = mark("It was read again. Writing to the store is paused: the sync after that pushes what differs.")

Named = tuple[Subject, int]
"""What an event names: what kind of thing, and its id."""


@dataclass
class Findings:
    """What a round has found out about what its events name.

    Args:
        failed: why it could not be read.
        owners: the variants, or customers of Shopify, that were looked at because of it.
        notes: what else there is to say of it where nothing was looked at.
        left: the owners of which something was left alone.
    """

    failed: dict[Named, str] = field(default_factory=dict)
    owners: dict[Named, set[int]] = field(default_factory=dict)
    notes: dict[Named, str] = field(default_factory=dict)
    left: frozenset[int] = frozenset()

    async def read(
        self, subject: Subject, numbers: Collection[int], read: Callable[[Collection[int]], Awaitable[ItemsRead]]
    ) -> None:
        """Read what is named of one kind, and note what became of it. What a source refuses holds up nothing else.

        Raises CredentialRefused, RateLimited, SourceUnavailable: after the retries.
        """
        if not numbers:
            return
        try:
            found = await read(numbers)
        except CredentialRefused:
            raise
        except SourceRefused as error:
            found = ItemsRead(failed=dict.fromkeys(numbers, str(error)))
        self.failed |= {(subject, number): reason for number, reason in found.failed.items()}
        self.notes |= {(subject, number): _(GONE) for number in found.gone}
        self.notes |= {(subject, number): _(UNKNOWN) for number in found.unknown}

    def lead_to(self, named: Named, owner: int) -> None:
        """Note that something leads to a variant, or a customer of Shopify; what could not be read leads nowhere."""
        if named in self.failed:
            return
        self.owners.setdefault(named, set()).add(owner)

    @property
    def all_owners(self) -> set[int]:
        """All that the events lead to."""
        return set().union(*self.owners.values())


class EventRound:
    """The events of one job, and how they end."""

    def __init__(self, context: JobContext, taken: Sequence[TakenEvent]) -> None:
        self._context = context
        self.events = taken

    @classmethod
    async def begin(cls, context: JobContext, concern: Concern, quantity: QuantityName = "available") -> "EventRound":
        """Take what waits, or go on with what an earlier run of the job has taken; none where that is all settled.

        `quantity`: of Shopify's stock, the one that is synced.
        """
        job = context.job
        async with context.page(checkpoint=job.checkpoint, pages=0) as page:
            taken = await events.taken_by(page.connection, job.id)
            if not taken and job.checkpoint is None:
                taken = await events.take(page.connection, job.store, concern, job.id)
                taken = await echoes.settle(page.connection, job.store, taken, quantity)
            page.metadata |= _said(taken)
        if not taken and job.total is None:  # another job was quicker, or it told only what was known
            await context.describe(total=0)
        return cls(context, taken)

    def ids(self, subject: Subject, topics: Collection[str] | None = None) -> set[int]:
        """The ids of what is named of this kind, by all events or by those of some topics."""
        return {
            number
            for event in self.events
            if event.subject is subject and (topics is None or event.topic in topics)
            for number in event.subject_ids
        }

    def because(self, findings: Findings, zone: tzinfo) -> dict[int, str]:
        """{owner: which webhooks made the round look at it}, a clause; times are in `zone`."""
        told: dict[int, list[TakenEvent]] = {}
        for event in self.events:
            for owner in _owners(event, findings):
                told.setdefault(owner, []).append(event)
        return {owner: _occasion(by, zone) for owner, by in told.items()}

    async def close(self, findings: Findings, checkpoint: object) -> None:
        """Settle the events, in the job's last transaction. What could not be read waits for the next round.

        `checkpoint`: the place behind all that the job has counted.
        """
        context, job = self._context, self._context.job
        async with context.page(checkpoint=checkpoint, pages=0) as page:
            connection = page.connection
            applied = await pushes.count_applied_by_owner(connection, job.id)
            refused = await failures.reasons(connection, job.id)
            again, settled = [], {}
            for event in self.events:
                verdict = _verdict(event, findings, applied, refused, is_paused=context.has_only_planned)
                if verdict is None:
                    again.append(event.id)
                else:
                    settled[event.id] = verdict
            await events.settle(connection, settled)
            await events.release(connection, again)
            page.metadata["events_left"] = len(again)


def _verdict(
    event: TakenEvent,
    findings: Findings,
    applied: Mapping[int, int],
    refused: Mapping[str, str],
    *,
    is_paused: bool,
) -> tuple[EventState, str] | None:
    """What came of an event; None: it is to be taken again."""
    named = _named(event)
    for reason in (findings.failed[each] for each in named if each in findings.failed):
        if event.attempts < MOST_ATTEMPTS:
            return None
        return EventState.FAILED, _("Could not be read: {reason}").format(reason=reason)
    owners = _owners(event, findings)
    if letters := [refused[str(owner)] for owner in owners if str(owner) in refused]:
        return EventState.FAILED, letters[0]
    if pushed := sum(applied.get(owner, 0) for owner in owners):
        return EventState.DONE, ngettext("{n} value was pushed.", "{n} values were pushed.", pushed).format(
            n=number_text(pushed)
        )
    if owners and is_paused:
        return EventState.DONE, _(PLANNED)
    if owners:
        return EventState.DONE, _(NOT_PUSHED) if owners.isdisjoint(findings.left) else _(LEFT)
    return EventState.DONE, next((findings.notes[each] for each in named if each in findings.notes), _(UNMAPPED))


def _named(event: TakenEvent) -> list[Named]:
    return [(event.subject, number) for number in event.subject_ids]


def _owners(event: TakenEvent, findings: Findings) -> set[int]:
    return set().union(*(findings.owners.get(each, ()) for each in _named(event)))


def _occasion(by: Sequence[TakenEvent], zone: tzinfo) -> str:
    last = by[-1]
    text = ngettext(
        "because of the webhook of {time} ({topic})",
        "because of {n} webhooks, the last one of {time} ({topic})",
        len(by),
    )
    time = f"{last.received_at.astimezone(zone):%H:%M:%S}"
    return text.format(n=number_text(len(by)), time=time, topic=last.topic)


def _said(taken: Iterable[TakenEvent]) -> dict[str, Any]:
    """What of it is shown with the job."""
    taken = list(taken)
    if not taken:
        return {}
    received = [event.received_at for event in taken]
    return {
        "events": len(taken),
        "topics": dict(Counter(event.topic for event in taken).most_common()),
        "oldest_event": min(received).isoformat(),
        "newest_event": max(received).isoformat(),
    }
