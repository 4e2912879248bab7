"""What people decide about single rows of Shopify: which row of Nhanh.vn they are, or that they have no counterpart.

The same for products and for customers, whose mappings are in tables of one form. A decision holds against all that
matching finds, until it is taken back or another takes its place. Whoever writes mappings holds the table's lock for
the store until the end of the transaction.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from daemon.database.pool import Connection
from daemon.errors import DatabaseUnavailable, InvalidMapping
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind

LARGEST_ID = 2**63 - 1  # bigint

Entry = tuple[int, int | None]  # a row of Shopify and the one of Nhanh.vn; None: it has no counterpart there
Examine = Callable[[Connection, StoreName, Sequence[int], Sequence[int]], AsyncIterator[str]]

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('dongbo.{table}/' || $1, 0))"

FIND_SAME = """
SELECT mapping.{subject} FROM dongbo.{table} AS mapping
JOIN unnest($2::bigint[], $3::bigint[]) AS entry ({subject}, nhanh_id)
    ON entry.{subject} = mapping.{subject} AND entry.nhanh_id IS NOT DISTINCT FROM mapping.nhanh_id
WHERE mapping.store = $1 AND mapping.retired_at IS NULL AND mapping.source = 'manual'
"""

FORGET_RETURNING = """
UPDATE dongbo.{table} SET returns = false
WHERE store = $1 AND {subject} = ANY ($2) AND returns
RETURNING {subject}
"""

RETIRE_REPLACED = """
UPDATE dongbo.{table}
SET retired_at = now(), changed_at = now(), retired_reason = format('{replaced}', {subject})
WHERE store = $1 AND {subject} = ANY ($2) AND retired_at IS NULL
RETURNING {subject}
"""

RETIRE_OVERRULED = """
UPDATE dongbo.{table}
SET retired_at = now(), changed_at = now(), retired_reason = format('{overruled}', nhanh_id)
WHERE store = $1 AND nhanh_id = ANY ($2) AND source <> 'manual' AND retired_at IS NULL
RETURNING {subject}, nhanh_id
"""

INSERT_MANUAL = """
INSERT INTO dongbo.{table} (store, {subject}, nhanh_id, source, note)
SELECT $1, {subject}, nhanh_id, 'manual', $4
FROM unnest($2::bigint[], $3::bigint[]) AS entry ({subject}, nhanh_id)
"""

CHANGE_NOTE = """
UPDATE dongbo.{table} SET note = $3, changed_at = now()
WHERE store = $1 AND {subject} = ANY ($2) AND retired_at IS NULL AND note IS DISTINCT FROM $3
"""

RETIRE_MANUAL = """
UPDATE dongbo.{table}
SET retired_at = now(), changed_at = now(), retired_reason = 'a person has taken the decision back'
WHERE store = $1 AND {subject} = ANY ($2) AND source = 'manual' AND retired_at IS NULL
RETURNING {subject}
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of decisions.

    Args:
        written: how many hold now and did not before.
        replaced: how many of these took the place of another mapping of the same row.
        unchanged: how many a person had decided just so before.
        overruled: automatic mappings of other rows that gave way, in the order of Shopify's ids.
    """

    written: int
    replaced: int
    unchanged: int
    overruled: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of one table.

    Args:
        subject: its column with the id of Shopify.
        kind: what it is about.
        replaced, overruled: why a mapping was retired, with a place for the id of Shopify and of Nhanh.vn.
        examine: what is wrong with ids of Shopify and of Nhanh.vn.
        named_twice: what is wrong with an entry, with places for its `id` and how many times, `n`.
        busy: what to say while the store is being matched, with a place for the `store`.
    """

    table: str
    subject: str
    kind: SubjectKind
    replaced: str
    overruled: str
    examine: Examine
    named_twice: str
    busy: str

    async def lock(self, connection: Connection, store: StoreName) -> None:
        """Keep all others from writing mappings of the store, until the end of the caller's transaction."""
        await connection.execute(self._sql(LOCK), store)

    async def decide(
        self, connection: Connection, store: StoreName, entries: Sequence[Entry], note: str | None
    ) -> Decided:
        """Let a person's word hold: all entries or none.

        Each replaces whatever mapping the row of Shopify has. A row of Nhanh.vn that is automatically mapped to another
        one is taken from that.

        Args:
            note: why, for whoever looks later.

        Raises:
            InvalidMapping: one line for each entry that can't hold.
            DatabaseUnavailable: the store was being matched all the time.
        """
        async with connection.transaction():
            await self._lock_for_people(connection, store)
            problems = [problem async for problem in self._problems(connection, store, entries)]
            if problems:
                raise InvalidMapping(*problems)
            return await self._write(connection, store, dict(entries), note)

    async def take_back(self, connection: Connection, store: StoreName, subjects: Sequence[int]) -> int:
        """Forget what a person has decided, so that the next matching decides; how many decisions there were.

        Decisions that wait for a deleted row to come back are forgotten, too.

        Raises:
            DatabaseUnavailable: the store was being matched all the time.
        """
        known = [number for number in subjects if _is_id(number)]
        async with connection.transaction():
            await self._lock_for_people(connection, store)
            retired = await connection.fetch(self._sql(RETIRE_MANUAL), store, known)
            forgotten = await connection.fetch(self._sql(FORGET_RETURNING), store, known)
            subjects = sorted({row[self.subject] for row in (*retired, *forgotten)})
            for subject in subjects:
                await actions.note(connection, ActionKind.UNMAP, store, self.kind, subject)
        return len(subjects)

    async def _lock_for_people(self, connection: Connection, store: StoreName) -> None:
        try:
            await self.lock(connection, store)
        except asyncpg.LockNotAvailableError:
            raise DatabaseUnavailable(_(self.busy).format(store=store)) from None

    async def _write(
        self, connection: Connection, store: StoreName, entries: dict[int, int | None], note: str | None
    ) -> Decided:
        subjects, counterparts = list(entries), list(entries.values())
        rows = await connection.fetch(self._sql(FIND_SAME), store, subjects, counterparts)
        same = {row[self.subject] for row in rows}
        changed = [subject for subject in subjects if subject not in same]
        await connection.execute(self._sql(FORGET_RETURNING), store, subjects)  # the latest word counts
        replaced = await connection.fetch(self._sql(RETIRE_REPLACED), store, changed)
        given = [counterpart for counterpart in set(counterparts) if counterpart is not None]
        overruled = await connection.fetch(self._sql(RETIRE_OVERRULED), store, given)
        chosen = [entries[subject] for subject in changed]
        await connection.execute(self._sql(INSERT_MANUAL), store, changed, chosen, note)
        if note is not None:
            await connection.execute(self._sql(CHANGE_NOTE), store, list(same), note)
        for subject in changed:
            await self._note(connection, store, subject, entries[subject], note)
        return Decided(
            written=len(changed),
            replaced=len(replaced),
            unchanged=len(same),
            overruled=sorted((row[self.subject], row["nhanh_id"]) for row in overruled),
        )

    async def _note(
        self, connection: Connection, store: StoreName, subject: int, nhanh_id: int | None, note: str | None
    ) -> None:
        kind = ActionKind.EXCLUDE if nhanh_id is None else ActionKind.MAP
        await actions.note(connection, kind, store, self.kind, subject, detail={"nhanh_id": nhanh_id, "note": note})

    async def _problems(self, connection: Connection, store: StoreName, entries: Sequence[Entry]) -> AsyncIterator[str]:
        """What is wrong with the entries, and what to do about it."""
        subjects = _distinct(subject for subject, _nhanh_id in entries)
        counterparts = _distinct(nhanh_id for _subject, nhanh_id in entries if nhanh_id is not None)
        for subject, times in Counter(subject for subject, _nhanh_id in entries).items():
            if times > 1:
                yield _(self.named_twice).format(id=subject, n=times)
        for number in (*subjects, *counterparts):
            if not _is_id(number):
                yield _("{id}: this is not an id; ids are positive numbers below 2^63.").format(id=number)
        known = [number for number in subjects if _is_id(number)], [one for one in counterparts if _is_id(one)]
        async for problem in self.examine(connection, store, *known):
            yield problem

    def _sql(self, statement: str) -> str:
        return statement.format(
            table=self.table, subject=self.subject, replaced=self.replaced, overruled=self.overruled
        )


def _distinct(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def _is_id(number: int) -> bool:
    return 0 < number <= LARGEST_ID
