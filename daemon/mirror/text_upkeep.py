"""Notes by what people search the customers who have been read: all SQL on `dongbo.customer_texts_due`."""

import asyncio
import time
from collections.abc import Sequence

import structlog

from daemon.database.connection_errors import noted
from daemon.database.pool import Connection, Database
from daemon.ids import StoreName
from daemon.lifecycle import Part
from daemon.logging.faults import Fault

log = structlog.get_logger()

POLL = 3.0  # seconds between two looks while nothing is due
REST = 2  # times as long as a page has taken: a first pull and the matching after it come first

ADD_DUE = "INSERT INTO dongbo.customer_texts_due (store, side, ids) VALUES ($1, $2, $3)"

# Any number of daemons take pages at the same time. Those of a store wait until the matching ends that reads its
# customers: it takes all that the machine has.
TAKE_DUE = """
DELETE FROM dongbo.customer_texts_due WHERE number = (
    SELECT number FROM dongbo.customer_texts_due AS due
    WHERE NOT EXISTS (
        SELECT FROM dongbo.background_jobs AS job
        WHERE job.store = due.store AND job.type = 'MATCH_CUSTOMERS' AND job.status = 'RUNNING'
    )
    ORDER BY number LIMIT 1 FOR UPDATE OF due SKIP LOCKED
)
RETURNING store, side, ids
"""

IS_DUE = "SELECT EXISTS (SELECT FROM dongbo.customer_texts_due WHERE store = $1)"

WRITE_TEXTS = """
INSERT INTO dongbo.customer_texts AS known (store, side, id, text)
SELECT store, side, id, text FROM dongbo.{view} WHERE store = $1 AND id = ANY ($2) ORDER BY id
ON CONFLICT (store, side, id) DO UPDATE SET text = excluded.text WHERE known.text <> excluded.text
"""
VIEWS = {"nhanh": "texts_of_buyers", "shopify": "texts_of_customers"}


class TextUpkeep(Part):
    """Notes texts of customers a page at a time, as soon as others have read these."""

    name = "search_texts"

    def __init__(self, database: Database, poll: float = POLL) -> None:
        self._database = database
        self._poll = poll
        self._fault = Fault(log, "search_texts_failed", over="search_texts_recovered", next_step="tried again at once")

    async def _run(self) -> None:
        while True:
            took = None
            with noted(self._fault):
                took = await self._note_page()
            await asyncio.sleep(self._poll if took is None else took * REST)

    async def _note_page(self) -> float | None:
        """How many seconds a page has taken; None where nothing was due."""
        async with self._database.acquire_for_work() as connection, connection.transaction():
            began = time.perf_counter()
            return time.perf_counter() - began if await note_due(connection) else None


async def add_due(connection: Connection, store: StoreName, side: str, ids: Sequence[int]) -> None:
    """Let the texts of these customers be noted, which have been read in the caller's transaction.

    `side`: nhanh or shopify.
    """
    await connection.execute(ADD_DUE, store, side, ids)


async def note_due(connection: Connection) -> bool:
    """Note the texts of a page of customers, in the caller's transaction; whether there was one."""
    due = await connection.fetchrow(TAKE_DUE)
    if due is None:
        return False
    await connection.execute(WRITE_TEXTS.format(view=VIEWS[due["side"]]), due["store"], due["ids"])
    return True


async def is_due(connection: Connection, store: StoreName) -> bool:
    """Whether texts of customers of the store, who have been read, are not noted yet."""
    due: bool = await connection.fetchval(IS_DUE, store)
    return due
