"""Noting what is about to be pushed, while other runs push to the same store.

A full sync, syncs of single items and what webhooks cause run at the same time, on any number of daemons. That no two
of them push one value at once, and none an older one over a newer, follows from one transaction, in which a run notes
what it is about to push:

- It keeps all others from noting anything of that kind for the store until it has committed.
- What another job is pushing at this moment is waited for; that of a job that no longer runs is settled first.
- What is noted is what the plan says by then, not what it said when the run planned.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import chain, repeat
from time import monotonic
from typing import TypeVar

import structlog

from daemon.api.pushes import PushKind
from daemon.database.pool import Connection
from daemon.i18n import mark
from daemon.ids import StoreName
from daemon.jobs import pauses
from daemon.jobs.context import JobContext, PageTransaction
from daemon.sync import pushes
from daemon.sync.pushes import OpenPush, Value

log = structlog.get_logger()

T = TypeVar("T")

PATIENCE = 10.0  # seconds for which what another job is pushing is waited for
LOOKS = (0.02, 0.05, 0.1, 0.2, 0.5)  # seconds between looks at whether it is settled; the last goes on

BUSY = mark("Another job is pushing it, and has not finished: the next sync looks at it again.")

LOCK = "SELECT pg_advisory_xact_lock($1, hashtext($2))"
STOCK_LOCK = 0x73746F63  # "stoc": the first key of these locks
CUSTOMERS_LOCK = 0x63757374  # "cust"

Lock = Callable[[Connection, StoreName], Awaitable[None]]


async def lock_stock(connection: Connection, store: StoreName) -> None:
    """Keep everybody else from noting pushes of stock to the store until the transaction ends."""
    await connection.execute(LOCK, STOCK_LOCK, store)


async def lock_customers(connection: Connection, store: StoreName) -> None:
    """Keep everybody else from noting pushes to customers of the store until the transaction ends."""
    await connection.execute(LOCK, CUSTOMERS_LOCK, store)


async def nothing() -> None:
    """What there is to do before waiting for others, where this run keeps nobody waiting."""


@dataclass(frozen=True)
class Recording:
    """Notes pushes of some kinds for a run.

    Args:
        lock: keeps all others from noting such pushes until the transaction ends.
        step: a transaction of the run.
        settle: finds out what came of such pushes of jobs that do not run any more.
    """

    context: JobContext
    store: StoreName
    kinds: Collection[PushKind]
    lock: Lock
    step: Callable[[], AbstractAsyncContextManager[PageTransaction]]
    settle: Callable[[], Awaitable[object]]

    async def note(
        self,
        values: Collection[Value],
        act: Callable[[Connection, frozenset[Value]], Awaitable[T]],
        *,
        before_waiting: Callable[[], Awaitable[None]] = nothing,
    ) -> T:
        """The result of `act`, which notes pushes of these values, other than those that it is given: other jobs have
        been pushing these for longer than anybody waits.

        Args:
            before_waiting: called whenever others are waited for; settles what this run itself is pushing, so that no
                two runs wait for each other.

        Raises:
            StorePaused: nothing may be written.
            RunStopped: also while it waits.
        """
        until = monotonic() + PATIENCE
        while True:
            async with self.step() as page:
                await pauses.check(page.connection, self.store)
                await self.lock(page.connection, self.store)
                busy = await self._busy(page.connection, values)
                if not busy or monotonic() >= until:
                    return await act(page.connection, frozenset(each.value for each in busy))
            log.debug("push_waits", store=self.store, values=len(busy), kind=str(busy[0].kind))
            await before_waiting()
            await self._wait(values, until)

    async def _wait(self, values: Collection[Value], until: float) -> None:
        """Until no other job is pushing any of the values, or it has taken too long."""
        for pause in chain(LOOKS, repeat(LOOKS[-1])):
            async with self.context.database.acquire_for_work() as connection:
                busy = await self._busy(connection, values)
            left = until - monotonic()
            if not busy or left <= 0:
                return
            if not all(each.is_run for each in busy):
                await self.settle()
            else:
                await self.context.unless_stopped(asyncio.sleep(min(pause, left)))

    async def _busy(self, connection: Connection, values: Collection[Value]) -> list[OpenPush]:
        found = await pushes.list_of_others(
            connection, self.store, self.kinds, self.context.job.id, [subject for subject, _location in values]
        )
        wanted = frozenset(values)
        return [each for each in found if each.value in wanted]
