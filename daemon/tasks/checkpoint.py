"""Where a pull continues: after its last page, or after the last page of the interrupted pull before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import structlog

from daemon.jobs.model import Job, JobStatus, JobTrigger
from daemon.sources.page import Page, SourceRow
from daemon.tasks.params import scope

log = structlog.get_logger()

T = TypeVar("T")

_id = attrgetter("value.id")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A point between two pages; kept as JSON with the job."""

    started_at: str  # ISO 8601: until when the stream is complete once this pull has ended
    since: str | None  # ISO 8601: the pull is of rows changed since then; None: of all rows
    finds_deletions: bool
    after: Any = None  # the source's cursor
    last_id: int = 0  # the greatest id up to there
    rows: int = 0  # seen up to there, by all jobs that took part
    at_end: bool = False
    continues: str | None = None  # the job whose interrupted pull this one continues
    stored_at: str | None = None  # ISO 8601: when the last page was stored; None before the first

    @property
    def since_time(self) -> datetime | None:
        """`since` as a time."""
        return datetime.fromisoformat(self.since) if self.since else None

    def age(self) -> float:
        """Seconds since the last page: cursors do not last for ever."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.stored_at or self.started_at)).total_seconds()

    def past(self, page: Page[T]) -> "Checkpoint":
        """The checkpoint after a page.

        Deletions are found by the gaps between ids. Where a page breaks their order, or holds a row whose id can't be
        read, the gaps mean nothing, and the rest of the pull looks for none.
        """
        ids = known_ids(page)
        has_nameless = len(ids) < page.size - page.unchanged
        in_order = all(number > self.last_id for number in ids)
        return replace(
            self,
            after=page.next,
            last_id=max([self.last_id, *ids]),
            rows=self.rows + page.size,
            at_end=page.next is None,
            finds_deletions=self.finds_deletions and in_order and not has_nameless,
            stored_at=datetime.now(UTC).isoformat(),
        )

    def from_the_start(self) -> "Checkpoint":
        """The same pull, not begun."""
        return Checkpoint(datetime.now(UTC).isoformat(), self.since, self.finds_deletions)


def resumed(job: Job, newest: Job | None, longest_age: float) -> Checkpoint | None:
    """The job's own checkpoint; None where it has none or it is older than `longest_age` seconds.

    `newest` is the newest other job of the store and type that has run. Where that is newer than this one, and a person
    has retried this one, however long afterwards, rows may have come back that it has noted as gone. A run that was
    only put back and has let others pass continues: what they have seen, they have taken off the notes.
    """
    if job.checkpoint is None:
        return None
    checkpoint = Checkpoint(**job.checkpoint)
    if checkpoint.stored_at is None or checkpoint.age() > longest_age:
        return None
    was_overtaken = job.trigger is JobTrigger.RETRY and newest is not None and newest.id > job.id
    return replace(checkpoint, finds_deletions=False) if was_overtaken else checkpoint


def continued(job: Job, earlier: Job | None, newest: Job | None, longest_age: float) -> Checkpoint | None:
    """The checkpoint of an earlier pull of the same scope that was interrupted between two pages.

    One that had read everything is not continued: what it did not find may be back, and there may be news.
    """
    if earlier is None or earlier.checkpoint is None or job.params.get("restart") or job.checkpoint is not None:
        return None
    if earlier.status not in (JobStatus.FAILED, JobStatus.CANCELLED) or scope(earlier.params) != scope(job.params):
        return None
    checkpoint = Checkpoint(**earlier.checkpoint)
    was_refused = earlier.status is JobStatus.FAILED and earlier.attempt < earlier.max_attempts
    if checkpoint.continues and earlier.processed == 0 and was_refused:
        return None  # it got nowhere from there: the source may have forgotten the cursor
    if checkpoint.stored_at is None or checkpoint.at_end or checkpoint.age() > longest_age:
        return None
    log.info("pull_continued", continues=str(earlier.id))
    # Rows that were retried meanwhile may be among those that it has noted as gone.
    is_newest = newest is None or newest.id == earlier.id
    finds_deletions = checkpoint.finds_deletions and is_newest
    return replace(checkpoint, continues=str(earlier.id), finds_deletions=finds_deletions)


def row_ids(rows: Sequence[SourceRow[T]]) -> list[int]:
    """The ids of rows."""
    return list(map(_id, rows))


def known_ids(page: Page[T]) -> list[int]:
    """The ids on a page, those of bad rows included where they can be read."""
    readable = (bad.source_id for bad in page.bad if bad.source_id is not None)
    return [
        *row_ids(page.rows),
        *page.same,
        *(row.id for row in page.unread),
        *(int(text) for text in readable if is_id(text)),
    ]


def is_id(text: str) -> bool:
    """Whether a text is an id that a source can be asked for."""
    return text.isascii() and text.isdigit() and 0 < int(text) < 2**63
