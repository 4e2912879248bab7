"""A stream of rows from a source into its table: what it consists of, and how rows of it are stored."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import asyncpg

from daemon.clock import boot_time
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.context import PAGES_AHEAD, PageTransaction
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters
from daemon.mirror import places
from daemon.mirror.snapshot_time import SnapshotTime
from daemon.mirror.table import MirrorTable
from daemon.sources.clock import SourceClock
from daemon.sources.decode import UnfitRowError, check_document
from daemon.sources.horizon import Horizon
from daemon.sources.meter import CallMeter
from daemon.sources.page import BadRow, Page, SourceRow
from daemon.sources.shopify.whole_list import WholeList
from daemon.tasks.checkpoint import row_ids

T = TypeVar("T")

SMALL_PAGES_AHEAD = 20  # of some 100 rows, left unread: 1 or 2 MB

# What a page is refused for but its rows one by one may not be. The last two come from a COPY: of a row that somebody
# else has just stored as well, and of a number that does not fit its column.
UNSTORABLE = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.CheckViolationError,
    ValueError,
    asyncpg.UniqueViolationError,
    OverflowError,
)


@dataclass(frozen=True)
class Stream(Generic[T]):
    """What one pull reads and where it goes.

    `table` is where rows that are gone at the source are marked; None where the lack of a row means nothing. `fetch`
    gives the pages after a cursor of those rows that have changed since a time (None: all of them), in the order of
    their ids; `count` says how many rows that is (None: the source can't tell); `details` are the tables whose rows
    belong to the table's rows, with the column that refers to them.

    `horizon` tells who answers and what time it is there, before anything is read; `overlap` is for how long a source
    may tell of a change later than it dates it, so that a pull asks for that much more than the watermark says.
    `doubt` as of `Circumstances.complete_to`. `sift` reads those unread rows of a page that differ from what is stored;
    None where its pages leave none unread. `pages_ahead` as of `JobContext.pages`.

    `lose` notes that rows of a stream without a table, which were asked for by their ids, are not there, and returns
    those of which that was not known; with a table they are marked as deleted.

    `whole` is the list of all rows as the source gives it in one file, where it does.
    """

    name: str
    table: MirrorTable[Any] | None
    details: tuple[tuple[str, str], ...]
    fetch: Callable[[object | None, datetime | None, CallMeter], AsyncGenerator[Page[T], None]]
    fetch_by_ids: Callable[[Sequence[int], CallMeter], Awaitable[Page[T]]]
    count: Callable[[datetime | None, CallMeter], Awaitable[int | None]]
    store: Callable[[Connection, StoreName, Sequence[SourceRow[T]], SnapshotTime], Awaitable[Counters]]
    horizon: Callable[[CallMeter], Awaitable[Horizon]]
    clock: SourceClock
    overlap: timedelta
    doubt: timedelta | None = None
    pages_ahead: int = PAGES_AHEAD
    sift: Callable[[Connection, StoreName, Page[T]], Awaitable[Page[T]]] | None = None
    must_be_full: bool = False  # what is mirrored can't be corrected by what has changed since
    lose: Callable[[Connection, StoreName, Sequence[int], SnapshotTime], Awaitable[frozenset[int]]] | None = None
    whole: WholeList[T] | None = None


class SnapshotClock:
    """Tells of each page that a run asks for when that was, by the database's clock and by the source's, and what could
    be seen then."""

    def __init__(
        self, database_time: datetime, local_time: float, visible_since: datetime | None, clock: SourceClock
    ) -> None:
        self._database_time = database_time
        self._local_time = local_time
        self._visible_since = visible_since
        self._clock = clock

    @classmethod
    async def begin(cls, connection: Connection, store: StoreName, clock: SourceClock) -> "SnapshotClock":
        """At the beginning of a run, before its first question."""
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return cls(now, boot_time(), (await places.depot_visibility(connection, store)).since, clock)

    def asked(self, page: Page[Any]) -> SnapshotTime:
        """The circumstances of a page."""
        return self.at(page.asked)

    def at(self, local_time: float) -> SnapshotTime:
        """The circumstances of what was asked for then, by `boot_time`."""
        database_time = self._database_time + timedelta(seconds=local_time - self._local_time)
        return SnapshotTime(database_time, self._visible_since, self._clock.at(local_time))


def dead_letter(bad: BadRow) -> DeadLetter:
    """A row that the source client could not read."""
    return DeadLetter(bad.source_id, bad.reason, bad.payload)


async def store_one_by_one(
    transaction: PageTransaction, stream: Stream[T], store: StoreName, rows: Sequence[SourceRow[T]], asked: SnapshotTime
) -> list[int]:
    """Store rows singly: those that the database refuses become dead letters. The ids of those that are stored."""
    stored = []
    for row in rows:
        try:
            async with transaction.connection.transaction():
                counted = await stream.store(transaction.connection, store, [row], asked)
        except UNSTORABLE as error:
            source_id = str(row_ids([row])[0])
            transaction.reject([DeadLetter(source_id, _refusal(row, error), row.document)])
        else:
            transaction.count(counted)
            stored += row_ids([row])
    return stored


def _refusal(row: SourceRow[Any], error: Exception) -> str:
    """Why the database refused a row: what can be named, else what the database says."""
    try:
        check_document(row.document)
    except UnfitRowError as unfit:
        return str(unfit)
    return _("The database refused the row: {error}").format(error=error)[:1000]
